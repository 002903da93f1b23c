"""The supervisor's own standard output, and the summary of a last log line.

`log_files` decides where log lines are stored.
"""

import os
from typing import Any

import msgspec

from supervisor.journal import OWN_LOG

_MAX_SUMMARY_CHARS = 300


def summarize_line(line: str) -> str:
    """Return the event and the error of a JSON log line, and any other line unchanged.

    Examples
    --------
    >>> summarize_line('{"event": "service.failed", "error": "store: no such file", "at": "2026-01-01T00:00:00Z"}')
    'service.failed: store: no such file'
    >>> summarize_line("ValueError: 7")
    'ValueError: 7'
    """
    try:
        row = msgspec.json.decode(line.encode(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return line[:_MAX_SUMMARY_CHARS]
    error = row.get("error")
    return f"{row.get('event', '')}{f': {error}' if error else ''}"[:_MAX_SUMMARY_CHARS]


def redirect_own_output(descriptor: int) -> None:
    """Redirect what Python itself writes (a traceback, faulthandler) to the supervisor's log after a rotation."""
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def write_to_stdout(name: str, lines: bytes) -> int:
    """Write captured lines to standard output, after the service's name unless they are JSON; returns 0 dropped bytes."""
    prefix = b"" if name == OWN_LOG or lines.startswith(b"{") else name.removesuffix(".log").encode() + b" | "
    text = b"".join(prefix + line for line in lines.splitlines(keepends=True)) if prefix else lines
    try:
        view = memoryview(text)
        while view:
            view = view[os.write(1, view) :]
    except OSError:  # standard output was closed; the files have the lines
        return 0
    return 0
