"""What leaves the supervisor as text: the telling part of a log line, and lines on its own standard output.

Decides how a line reads; where lines are kept is `log_capture`.
"""

import os
from typing import Any

import msgspec

from supervisor.journal import OWN_LOG


def essence(line: str, longest: int = 300) -> str:
    """Give the telling part of a last log line: of a JSON line its event and error, else the line.

    Examples
    --------
    >>> essence('{"event": "service.failed", "error": "store: no such file", "at": "2026-01-01T00:00:00Z"}')
    'service.failed: store: no such file'
    >>> essence("ValueError: 7")
    'ValueError: 7'
    """
    try:
        row = msgspec.json.decode(line.encode(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeEncodeError):
        return line[:longest]
    error = row.get("error")
    return f"{row.get('event', '')}{f': {error}' if error else ''}"[:longest]


def become_output(descriptor: int) -> None:
    """Let what Python itself writes (a crash, faulthandler) follow the rotation of our own log."""
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def to_stdout(name: str, lines: bytes) -> int:
    """Write captured lines to our own standard output, named where they do not name themselves; 0 bytes to account."""
    prefix = b"" if name == OWN_LOG or lines.startswith(b"{") else name.removesuffix(".log").encode() + b" | "
    text = b"".join(prefix + line for line in lines.splitlines(keepends=True)) if prefix else lines
    try:
        view = memoryview(text)
        while view:
            view = view[os.write(1, view) :]
    except OSError:  # nobody reads any more: the files have it all
        return 0
    return 0
