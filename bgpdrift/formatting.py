"""Formats times, durations and text from outside for people. Pure.

This module decides the form of a time (UTC) and that text from outside cannot control a terminal. Every command and log
uses these functions.
"""

import re
import time

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def format_time(at: float) -> str:
    """Format epoch seconds as a UTC time with minutes.

    Examples
    --------
    >>> format_time(1_767_225_600)
    '2026-01-01 00:00'
    """
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(at))


def format_time_near(at: float, now: float) -> str:
    """Format epoch seconds as a UTC time, without the parts that it shares with ``now``.

    Examples
    --------
    >>> now = 1_767_400_000
    >>> format_time_near(now - 600, now), format_time_near(1_767_225_600, now), format_time_near(0, now)
    ('00:16', '01-01 00:00', '1970-01-01 00:00')
    """
    then, today = time.gmtime(at), time.gmtime(now)
    if then[:3] == today[:3]:
        return time.strftime("%H:%M", then)
    return time.strftime("%m-%d %H:%M" if then[0] == today[0] else "%Y-%m-%d %H:%M", then)


def format_time_ahead(at: float, now: float) -> str:
    """Format a later time (epoch seconds) as UTC: a time of today, of tomorrow, or with its date.

    Examples
    --------
    >>> now = 1_767_400_000  # 2026-01-03 00:26
    >>> [format_time_ahead(now + hours * 3_600, now) for hours in (3, 30, 80)]
    ['03:26', 'tomorrow 06:26', '01-06 08:26']
    """
    days = int(at // 86_400 - now // 86_400)
    return f"tomorrow {time.strftime('%H:%M', time.gmtime(at))}" if days == 1 else format_time_near(at, now)


def format_duration(seconds: float) -> str:
    """Format a duration in its largest unit.

    Examples
    --------
    >>> format_duration(12), format_duration(130), format_duration(7_300), format_duration(900_000)
    ('12 s', '2 min', '2 h', '10 d')
    """
    for unit, length_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length_s:
            return f"{int(seconds // length_s)} {unit}"
    return f"{max(0, int(seconds))} s"


def escape_control(text: str) -> str:
    r"""Replace characters that control a terminal by their escape sequence.

    Names, error texts and labels come from outside: a feed, a file, another user. Printed as they are, they could move
    the cursor, change colours or reverse the direction of the text.

    Examples
    --------
    >>> escape_control("rrc00\x1b[2J"), escape_control("Zürich")
    ('rrc00\\x1b[2J', 'Zürich')
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def escape_lines(text: str) -> str:
    r"""Do the same for a text of several lines, which stay lines.

    Examples
    --------
    >>> escape_lines("one\ntwo\x1b[2J")
    'one\ntwo\\x1b[2J'
    """
    return "\n".join(map(escape_control, text.split("\n")))


def escape_json(text: str) -> str:
    r"""Replace the same characters in a JSON text, which stays valid JSON of the same value.

    Line ends and tabs stay, since in JSON they stand between values only.

    Examples
    --------
    >>> escape_json('{"name":"rrc00\x9b2J"}') == '{"name":"rrc00' + chr(92) + 'u009b2J"}'
    True
    """
    return _CONTROL.sub(lambda match: match[0] if match[0] in "\t\n\r" else f"\\u{ord(match[0]):04x}", text)
