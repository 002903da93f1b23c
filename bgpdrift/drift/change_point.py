"""Since when the current level holds: the hour a retrainer may learn from.

Decides only that hour, once a change was found. Each hour's mean rank, less what is usual at its hour of day, is split
where two levels fit best; the later part is split again as long as it holds two levels itself, so that a burst before the
new level, or a return to the old one, does not count as the beginning.
"""

from collections.abc import Mapping

import numpy as np

from bgpdrift.drift.hours import FloatArray, Hours
from bgpdrift.drift.levels import compute_hourly_levels

_FEWEST_H = 6
"""A level that holds for less is none."""
_CLEAR = 20.0
"""How much better two levels must fit than one, as a ratio F: that of the best of many splits."""


def change_point(current: Mapping[str, Hours], before: Mapping[str, Hours], earliest: int) -> int | None:
    """Find the hour from which on the current level holds.

    Parameters
    ----------
    current, before : mapping of str to Hours
        By collector: the current window, and the hours before it (its reference, and what lies between).
    earliest : int
        Epoch seconds: no change is looked for before.

    Returns
    -------
    int or None
        Epoch seconds of an hour's start; None where hours are too few to say. ``earliest``, or the first hour there is, if
        the whole span is at one level.
    """
    starts, levels, weights = compute_hourly_levels(current, before)
    now = np.concatenate([hours.starts for hours in current.values()])
    used = starts >= min(earliest, int(now.min()))
    starts, levels, weights = starts[used], levels[used], weights[used]
    if len(starts) < 2 * _FEWEST_H:
        return None
    at = 0
    while (found := _split(levels[at:], weights[at:])) is not None:
        at += found
    return int(starts[at])


def _split(levels: FloatArray, weights: FloatArray) -> int | None:
    if len(levels) < 2 * _FEWEST_H:
        return None
    weight, total = np.cumsum(weights), np.cumsum(weights * levels)
    size = np.arange(_FEWEST_H, len(levels) - _FEWEST_H + 1)
    left, right = total[size - 1] / weight[size - 1], (total[-1] - total[size - 1]) / (weight[-1] - weight[size - 1])
    between = weight[size - 1] * (weight[-1] - weight[size - 1]) / weight[-1] * (right - left) ** 2
    best = int(np.argmax(between))
    scatter = float((weights * (levels - total[-1] / weight[-1]) ** 2).sum()) - between[best]
    clear = between[best] * (len(levels) - 2) > _CLEAR * max(scatter, 1e-12)
    return int(size[best]) if clear else None
