"""The form of a structured log line for people. Pure; a line that is not a JSON object stays as it is.

Characters that control a terminal are escaped, since lines contain text from outside.

Examples
--------
>>> format_log_line('{"service":"a","pid":7,"event":"service.ready","level":"info","at":"2026-01-01T00:00:00.123456Z"}')
'2026-01-01 00:00:00 info    service.ready pid=7'
>>> format_log_line("Traceback (most recent call last):")
'Traceback (most recent call last):'
"""

from typing import Any

import msgspec

from bgpdrift.formatting import escape_control

_HIDDEN = frozenset({"at", "level", "event", "service", "exception"})
_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_PLAIN = "\x1b[0m"


def format_log_line(line: str, colour: bool = False) -> str:
    r"""Format time, level, event and fields, and a traceback below.

    Parameters
    ----------
    line : str
        As in the log file.
    colour : bool
        Whether to colour warnings and errors for a terminal.

    Examples
    --------
    >>> format_log_line('{"event": "a.b", "level": "error", "error": "no such file", "at": ""}', colour=True)
    "\x1b[31merror   a.b error='no such file'\x1b[0m"
    """
    if not line.startswith("{"):
        return escape_control(line)
    try:
        row = msgspec.json.decode(line.encode("utf-8", "replace"), type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        return escape_control(line)
    level = str(row.get("level", ""))
    stamp = str(row.get("at", ""))[:19].replace("T", " ")
    fields = [f"{key}={_format_value(value)}" for key, value in row.items() if key not in _HIDDEN]
    text = " ".join(part for part in (stamp, f"{level:<7}", str(row.get("event", "")), *fields) if part)
    text = escape_control(text)
    if row.get("exception"):
        text += "\n" + "\n".join(escape_control(part) for part in str(row["exception"]).splitlines())
    start = _COLOURS.get(level, "") if colour else ""
    return f"{start}{text}{_PLAIN}" if start else text


def _format_value(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return repr(text) if isinstance(value, str) and (not text or " " in text) else text
