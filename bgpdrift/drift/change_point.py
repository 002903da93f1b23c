"""Since when the current level holds: the hour a retrainer may learn from.

Decides only that hour, once a change was found. Each hour's mean rank, less what is usual at its hour of day, is split
where two levels fit best; the later part is split again as long as it holds two levels itself, so that a burst before the
new level, or a return to the old one, does not count as the beginning.
"""

from collections.abc import Mapping

import numpy as np

from bgpdrift.drift.hours import FloatArray, Hours, IntArray
from bgpdrift.drift.season import strata_of

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
    starts, levels, weights = _levels(current, before)
    now = np.concatenate([hours.starts for hours in current.values()])
    used = starts >= min(earliest, int(now.min()))
    starts, levels, weights = starts[used], levels[used], weights[used]
    if len(starts) < 2 * _FEWEST_H:
        return None
    at = 0
    while (found := _split(levels[at:], weights[at:])) is not None:
        at += found
    return int(starts[at])


def _levels(current: Mapping[str, Hours], before: Mapping[str, Hours]) -> tuple[IntArray, FloatArray, FloatArray]:
    """Mean rank of each hour among all of them, less the usual one of its hour of day, over all collectors."""
    found: dict[int, tuple[float, float]] = {}
    for collector, now in current.items():
        past = before.get(collector, Hours.empty())
        for hours, ranks in _ranked(now, past):
            for start, rank, n in zip(hours.starts.tolist(), ranks.tolist(), hours.n.tolist(), strict=True):
                total, weight = found.get(start, (0.0, 0.0))
                found[start] = (total + n * rank, weight + n)
    starts = sorted(start for start, (_, weight) in found.items() if weight)
    weights = np.array([found[start][1] for start in starts], float)
    return np.array(starts, np.int64), np.array([found[start][0] for start in starts]) / weights, weights


def _ranked(now: Hours, past: Hours) -> list[tuple[Hours, FloatArray]]:
    pooled = dict(past.pooled().counts) or dict(now.pooled().counts)
    numbers = np.array(sorted(pooled), np.int64)
    counts = np.array([pooled[number] for number in numbers.tolist()], float)
    below = np.concatenate([[0.0], np.cumsum(counts)]) / max(counts.sum(), 1.0)
    means = np.zeros(24)
    ranked: list[tuple[Hours, FloatArray]] = []
    for hours in (past, now):
        left = below[np.searchsorted(numbers, hours.bins, side="left")]
        right = below[np.searchsorted(numbers, hours.bins, side="right")]
        ranks = hours.counts @ (left + right) / 2 / np.maximum(hours.n, 1)
        stratum = strata_of(hours.starts, weekends_apart=False)
        if hours is past:
            seen = np.bincount(stratum, minlength=24)
            overall = ranks.mean() if len(ranks) else 0.0
            means = np.where(seen, np.bincount(stratum, ranks, 24) / np.maximum(seen, 1), overall)
        ranked.append((hours, ranks - means[stratum]))
    return ranked


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
