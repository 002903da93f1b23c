"""Times in the rows of a file: one form for the whole column, found from the first rows.

This module decides the form of a column (numbers in one unit, or ISO 8601) and which rows do not fit it. A single row in
another unit does not change how the other rows are read.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from bgpdrift.drift.hours import BoolArray, FloatArray
from bgpdrift.lab.numbers import is_number, parse_floats

_SAMPLE_ROWS = 101
_MAX_SECONDS = 1e11
"""Larger numbers are milliseconds: seconds reach it in the year 5138."""


@dataclass(frozen=True, slots=True)
class TimeForm:
    """The form of a column of times.

    Attributes
    ----------
    name : str
        In words, for messages.
    a_second : float
        Units a second; 0 for ISO 8601.
    lowest, highest : float
        Numbers of this unit lie above the first and up to the second.
    """

    name: str
    a_second: float
    lowest: float = 0.0
    highest: float = 0.0


_SECONDS = TimeForm("epoch seconds", 1.0, -np.inf, _MAX_SECONDS)
_ISO = TimeForm("ISO 8601 times", 0.0)
_UNITS = (
    _SECONDS,
    TimeForm("epoch milliseconds", 1e3, 1e11, 1e14),
    TimeForm("epoch microseconds", 1e6, 1e14, 1e17),
    TimeForm("epoch nanoseconds", 1e9, 1e17, np.inf),
)


def find_time_form(texts: Sequence[str]) -> TimeForm:
    """Find the form that most of some times have.

    Examples
    --------
    >>> find_time_form(["1767225600000", "1767225600", "1767225660"]).name
    'epoch seconds'
    """
    step = max(1, len(texts) // _SAMPLE_ROWS)
    forms = Counter(form for form in map(_form_of, texts[::step]) if form is not None)
    return forms.most_common(1)[0][0] if forms else _SECONDS


def parse_times(texts: list[str], form: TimeForm) -> tuple[FloatArray, BoolArray]:
    """Read times of one form.

    Returns
    -------
    times : ndarray of float, shape (rows,)
        Epoch seconds.
    is_bad : ndarray of bool, shape (rows,)
        Rows whose text is no time of this form; their time is meaningless.
    """
    if not form.a_second:
        values = _parse_iso(texts)
        return values, ~((values >= 0) & (values < _MAX_SECONDS))
    numbers = parse_floats(texts)
    is_good = (numbers > form.lowest) & (numbers <= form.highest) & (numbers >= 0)
    seconds = numbers / form.a_second
    return seconds, ~(is_good & (seconds < _MAX_SECONDS))


def describe_bad_time(text: str, form: TimeForm, column: str) -> str:
    """Describe a time that is not of the column's form: what was expected and what was found.

    Examples
    --------
    >>> describe_bad_time("1767225600000", _SECONDS, "ts")
    "expected epoch seconds as 'ts', as in the other rows, found '1767225600000' (epoch milliseconds)"
    """
    found = _form_of(text)
    if found is None or found is form:
        return f"expected epoch seconds or milliseconds (UTC) or an ISO 8601 time as {column!r}, found {text[:40]!r}"
    return f"expected {form.name} as {column!r}, as in the other rows, found {text[:40]!r} ({found.name})"


def _form_of(text: str) -> TimeForm | None:
    if is_number(text):
        value = float(text)
        return next(unit for unit in _UNITS if value <= unit.highest) if value >= 0 else None
    return None if np.isnan(_parse_iso_time(text)) else _ISO


def _parse_iso(texts: list[str]) -> FloatArray:
    """Parse ISO 8601 times to epoch seconds, NaN if a text is not one."""
    bare = [text.strip().removesuffix("Z").removesuffix("+00:00") for text in texts]
    if all(len(text) >= 10 and "+" not in text and text.count("-") == 2 and text[4:5] == "-" for text in bare):
        with suppress(ValueError, OverflowError):
            return np.asarray(np.array(bare, dtype="datetime64[us]").astype(np.int64) / 1e6)
    return np.array([_parse_iso_time(text) for text in texts])


def _parse_iso_time(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return np.nan
