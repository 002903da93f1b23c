"""Rows far behind all others: a wrong time must not decide where the current window ends. Pure.

This module decides from the hours alone, without a clock, because scores of a simulation or of a past month are checked
as well.
"""

import numpy as np

from bgpdrift.drift.constants import DAY_S, HOUR_S
from bgpdrift.drift.hours import IntArray

MIN_KNOWN_H = 12
"""Hours that must lie before a gap, and that suffice behind it: as many as the shortest current window."""
MAX_GAP_S = 8 * DAY_S
"""Gap behind which a few hours are stray: as long as the shortest pair of windows, so that no verdict is lost."""
MAX_STRAY_SHARE = 0.1
"""Rows behind a gap of a day are stray if they are fewer than this share of an ordinary hour."""


def find_stray_start(starts: IntArray, n: IntArray) -> int | None:
    """Find the first hour of rows that lie far behind all others; None if there are none.

    Parameters
    ----------
    starts, n : ndarray of int, shape (hours,)
        Epoch seconds of each hour with rows, rising, and how many it has.

    Examples
    --------
    >>> starts, n = 3_600 * np.arange(25), np.full(25, 60)
    >>> starts[-1] = 4_070_908_800
    >>> find_stray_start(starts, n), find_stray_start(starts[:-1], n[:-1])
    (4070908800, None)
    """
    gaps = np.diff(starts) - HOUR_S
    for place in np.flatnonzero(gaps > DAY_S).tolist():
        known, behind = place + 1, len(starts) - place - 1
        if known < MIN_KNOWN_H or behind >= MIN_KNOWN_H:
            continue
        few = n[known:].sum() < MAX_STRAY_SHARE * float(np.median(n[:known]))
        if few or gaps[place] > MAX_GAP_S:
            return int(starts[known])
    return None
