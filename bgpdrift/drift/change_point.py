"""The change point: the hour from which the current level holds and from which a retrainer may learn.

Each hour's mean rank, less the season, is split where two levels fit best. The later part is split again as long as it
holds two levels itself, so that neither a burst before the new level nor a return to the old one counts as the
beginning.
"""

from collections.abc import Mapping

import numpy as np

from bgpdrift.drift.constants import CLEAR_SPLIT_F, MIN_LEVEL_H
from bgpdrift.drift.hours import FloatArray, Hours
from bgpdrift.drift.stability import compute_hourly_levels


def find_change_point(current: Mapping[str, Hours], before: Mapping[str, Hours], earliest: int) -> int | None:
    """Find the hour from which the current level holds.

    Parameters
    ----------
    current, before : mapping of str to Hours
        By collector: the current window, and the hours before it (its reference and the hours between).
    earliest : int
        Epoch seconds before which no change is looked for.

    Returns
    -------
    int or None
        Epoch seconds of an hour's start; None if there are too few hours. ``earliest``, or the first hour there is, if
        all hours are at one level.
    """
    starts, levels, weights = compute_hourly_levels(current, before)
    now = np.concatenate([hours.starts for hours in current.values()])
    used = starts >= min(earliest, int(now.min()))
    starts, levels, weights = starts[used], levels[used], weights[used]
    if len(starts) < 2 * MIN_LEVEL_H:
        return None
    at = 0
    while (step := _find_split(levels[at:], weights[at:])) is not None:
        at += step
    return int(starts[at])


def _find_split(levels: FloatArray, weights: FloatArray) -> int | None:
    if len(levels) < 2 * MIN_LEVEL_H:
        return None
    weight, total = np.cumsum(weights), np.cumsum(weights * levels)
    size = np.arange(MIN_LEVEL_H, len(levels) - MIN_LEVEL_H + 1)
    left, right = total[size - 1] / weight[size - 1], (total[-1] - total[size - 1]) / (weight[-1] - weight[size - 1])
    between = weight[size - 1] * (weight[-1] - weight[size - 1]) / weight[-1] * (right - left) ** 2
    best = int(np.argmax(between))
    within = float((weights * (levels - total[-1] / weight[-1]) ** 2).sum()) - between[best]
    is_clear = between[best] * (len(levels) - 2) > CLEAR_SPLIT_F * max(within, 1e-12)
    return int(size[best]) if is_clear else None
