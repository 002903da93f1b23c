"""How a structured log line looks to a person. Pure; what is no JSON object stays as it is.

Examples
--------
>>> as_console('{"service":"a","pid":7,"event":"service.ready","level":"info","at":"2026-01-01T00:00:00.123456Z"}')
'2026-01-01 00:00:00 info    service.ready pid=7'
>>> as_console("Traceback (most recent call last):")
'Traceback (most recent call last):'
"""

from typing import Any

import msgspec

_NOT_SHOWN = frozenset({"at", "level", "event", "service", "exception"})
_COLOURS = {"warning": "\x1b[33m", "error": "\x1b[31m", "critical": "\x1b[31m"}
_PLAIN = "\x1b[0m"


def as_console(line: str, colour: bool = False) -> str:
    r"""Write time, level, event and fields; a traceback goes below.

    Parameters
    ----------
    line : str
        As in the log file.
    colour : bool
        Mark warnings and errors for a terminal.

    Examples
    --------
    >>> as_console('{"event": "a.b", "level": "error", "error": "no such file", "at": ""}', colour=True)
    "\x1b[31merror   a.b error='no such file'\x1b[0m"
    """
    if not line.startswith("{"):
        return line
    try:
        row = msgspec.json.decode(line.encode("utf-8", "replace"), type=dict[str, Any])
    except msgspec.DecodeError:
        return line
    level = str(row.get("level", ""))
    stamp = str(row.get("at", ""))[:19].replace("T", " ")
    fields = [f"{key}={_shown(value)}" for key, value in row.items() if key not in _NOT_SHOWN]
    text = " ".join(part for part in (stamp, f"{level:<7}", str(row.get("event", "")), *fields) if part)
    if row.get("exception"):
        text += "\n" + str(row["exception"])
    start = _COLOURS.get(level, "") if colour else ""
    return f"{start}{text}{_PLAIN}" if start else text


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return repr(text) if isinstance(value, str) and (not text or " " in text) else text
