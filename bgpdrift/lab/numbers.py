"""Numbers in the cells of a file. Pure.

A text that is not a number becomes NaN. The caller refuses it or leaves it out.
"""

import math

import numpy as np

from bgpdrift.drift.hours import FloatArray


def parse_floats(texts: list[str]) -> FloatArray:
    """Parse numbers, NaN if a text is not one.

    Examples
    --------
    >>> parse_floats(["1.5", "high", "1e400"]).tolist()
    [1.5, nan, inf]
    """
    try:
        return np.fromiter(map(float, texts), float, len(texts))
    except ValueError:
        return np.array([_parse_number(text) for text in texts])


def is_number(text: str) -> bool:
    """Whether a text is a finite number.

    Examples
    --------
    >>> is_number("1e3"), is_number("nan"), is_number("")
    (True, False, False)
    """
    return math.isfinite(_parse_number(text))


def _parse_number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
