"""Reads the labelled sets of SFU CNL (CSV, 42 columns, no header) as feature windows.

This module decides how a column of the file becomes a column of a window. `bgpdrift.lab.labelled_sets.reading` opens files.

Columns 5 and 6 of a file count UPDATE messages, 7 and 8 their prefixes (NLRI). The units of the other columns were found by
comparing sums. Columns 12 to 14 (duplicate, implicit withdrawal, duplicate withdrawal) count prefixes: they exceed the
number of messages, and almost never the number of prefixes. Columns 38 to 40 (origin attribute) count messages: their sum
equals column 5, or is larger where messages also announce IPv6. Columns 9, 11 and 17 are means, rounded to whole numbers.

- ``announced`` is column 7, ``withdrawn`` is column 8, and ``messages`` is the sum of 5 and 6. A message that announces
  and withdraws counts twice.
- A sum is a mean multiplied by its number: ``announced`` for paths, ``implicit_withdrawal`` for edit distances.
- The origin attributes keep their shares and are scaled to ``announced``.
- `ANNOUNCEMENTS` is column 5. Feature windows have no such column. The announcement counter of the reports reads it.

Columns 16 (corrupt), 18 to 37 (one-hot copies of the maxima) and 41 (packet size) are not used. The files contain the time
of day without a date, so minutes are placed on a grid from 2000-01-01 UTC. A step back of half a day or more begins the next
day. Missing minutes stay missing. A minute with `NOT_KNOWN` in a count is missing too, and is counted.
"""

import csv
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from bgpdrift.errors import InputError
from bgpdrift.lab.labelled_sets.windows import NOT_KNOWN, LabelledWindows

FIELDS = 42
_TIME_FIELDS = 4
"""The first columns hold the time; the last holds the label; all others are counts."""
ANNOUNCEMENTS = "announcements"
"""UPDATE messages that announce something; no detector reads it."""
COLLECTOR = "labelled"
"""Collector of every window, because the files do not name one."""
_FIRST_DAY = 946_684_800  # 2000-01-01
_MINUTES_A_DAY = 1440
_LABELS = {1.0: True, -1.0: False, 0.0: False}


def read_sfu(lines: Iterable[str], name: str) -> LabelledWindows:
    """Read the lines of a file.

    Parameters
    ----------
    lines : iterable of str
        Lines of the file; blank lines are skipped.
    name : str
        Name of the file, for messages.

    Raises
    ------
    InputError
        A line has another number of fields, a field that is not a number, an invalid or earlier time, or an unknown
        label. The message names the file and the line.

    Examples
    --------
    >>> fields = [2359, 23, 59, 0, 2, 1, 10, 3, 4, 9, 3, *[0] * 26, 1, 0, 1, 240, -1]
    >>> windows = read_sfu([",".join(map(str, fields))], "one.csv")
    >>> {key: float(windows.features[key][0]) for key in ("announced", "path_length_sum", "origin_igp")}
    {'announced': 10.0, 'path_length_sum': 40.0, 'origin_igp': 5.0}
    """
    rows: dict[int, list[float]] = {}
    missing: set[int] = set()
    last: int | None = None
    for number, fields in enumerate(csv.reader(lines), start=1):
        if not fields or not any(field.strip() for field in fields):
            continue
        place = f"{name}, line {number}"
        if last is None and len(fields) == FIELDS and not any(_is_number(field) for field in fields):
            continue  # a header, which some copies of the sets have
        row = _numbers(fields, place)
        last = _minute(row, last, place)
        rows.pop(last, None)  # of a repeated minute the later line counts
        missing.discard(last)
        if NOT_KNOWN in row[_TIME_FIELDS:-1]:
            missing.add(last)
        else:
            rows[last] = row
    if not rows:
        found = f"all {len(missing)} minutes have a value that is not known" if missing else "no line"
        raise InputError(f"{name}: expected lines of {FIELDS} comma-separated numbers, found {found}")
    table = np.array(list(rows.values()))
    return LabelledWindows(
        COLLECTOR,
        "",
        _FIRST_DAY + 60 * np.array(list(rows), np.int64),
        _build_columns(table),
        {},
        table[:, FIELDS - 1] == 1.0,
        len(missing),
    )


def _numbers(fields: Sequence[str], place: str) -> list[float]:
    if len(fields) != FIELDS:
        raise InputError(f"{place}: expected {FIELDS} comma-separated numbers, found {len(fields)} fields")
    row = []
    for column, field in enumerate(fields, start=1):
        if not _is_number(field):
            raise InputError(f"{place}: column {column}: expected a finite number, found {field.strip()!r}")
        row.append(float(field))
    for column, value in enumerate(row[:-1], start=1):
        if value < 0 and not (value == NOT_KNOWN and column > _TIME_FIELDS):
            expected = "a count of at least 0, or -1 for one that is not known"
            raise InputError(f"{place}: column {column}: expected {expected}, found {value:g}")
    if row[-1] not in _LABELS:
        raise InputError(f"{place}: label (column {FIELDS}): expected 1 (anomaly) or -1 (normal), found {row[-1]:g}")
    return row


def _minute(row: Sequence[float], before: int | None, place: str) -> int:
    """Return the minutes since the start of the first day."""
    hour, minute = row[1], row[2]
    if not (hour in range(24) and minute in range(60)):
        raise InputError(
            f"{place}: expected hour 0 to 23 and minute 0 to 59 in columns 2 and 3, found {hour:g}:{minute:g}"
        )
    of_day = int(hour) * 60 + int(minute)
    if before is None:
        return of_day
    day, last = divmod(before, _MINUTES_A_DAY)
    if of_day >= last:
        return day * _MINUTES_A_DAY + of_day
    if last - of_day < _MINUTES_A_DAY // 2:
        raise InputError(f"{place}: expected minutes in order, found {_clock(of_day)} after {_clock(last)}")
    return (day + 1) * _MINUTES_A_DAY + of_day


def _build_columns(table: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    def sfu_column(number: int) -> npt.NDArray[np.float64]:
        return table[:, number - 1]

    announced, implicit = sfu_column(7), sfu_column(13)
    of_origin = sfu_column(38) + sfu_column(39) + sfu_column(40)
    prefixes_a_message = np.where(of_origin > 0, announced / np.maximum(of_origin, 1.0), 0.0)
    return {
        ANNOUNCEMENTS: sfu_column(5),
        "messages": sfu_column(5) + sfu_column(6),
        "announced": announced,
        "withdrawn": sfu_column(8),
        "path_length_sum": sfu_column(9) * announced,
        "path_length_max": sfu_column(10),
        "unique_path_length_sum": sfu_column(11) * announced,
        "duplicate": sfu_column(12),
        "implicit_withdrawal": implicit,
        "duplicate_withdrawal": sfu_column(14),
        "edit_distance_max": sfu_column(15),
        "edit_distance_sum": sfu_column(17) * implicit,
        "origin_igp": sfu_column(38) * prefixes_a_message,
        "origin_egp": sfu_column(39) * prefixes_a_message,
        "origin_incomplete": sfu_column(40) * prefixes_a_message,
    }


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"
