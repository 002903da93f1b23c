"""The level of each hour, less what is usual at its hour of day: a window seen as a line over time.

Decides how an hour becomes one number: by mean rank among the reference, which one odd value cannot move, or by its median on
a logarithmic scale, which has no end where ranks do.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from bgpdrift.drift.hours import FloatArray, Hours, IntArray
from bgpdrift.drift.season import strata_of

Scale = Literal["rank", "log"]


def compute_hourly_levels(
    current: Mapping[str, Hours], before: Mapping[str, Hours], scale: Scale = "rank"
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Give the level of every hour over all collectors.

    Parameters
    ----------
    current, before : mapping of str to Hours
        By collector; what is usual is learned from ``before``.
    scale : str
        ``rank``: mean rank among all values before, 0 to 1. ``log``: median in bins of 1 %, so 70 is a doubling.

    Returns
    -------
    starts, levels, weights : ndarray, shape (hours,)
        Epoch seconds, rising; level less the usual one; values counted.
    """
    found: dict[int, tuple[float, float]] = {}
    for collector, now in current.items():
        for hours, levels in _of_collector(now, before.get(collector, Hours.empty()), scale):
            for start, level, n in zip(hours.starts.tolist(), levels.tolist(), hours.n.tolist(), strict=True):
                total, weight = found.get(start, (0.0, 0.0))
                found[start] = (total + n * level, weight + n)
    starts = sorted(start for start, (_, weight) in found.items() if weight)
    weights = np.array([found[start][1] for start in starts], float)
    levels = np.array([found[start][0] for start in starts], float) / weights
    return np.array(starts, np.int64), levels, weights


def _of_collector(now: Hours, past: Hours, scale: Scale) -> list[tuple[Hours, FloatArray]]:
    both = [
        (hours, _medians(hours) if scale == "log" else _ranks(hours, past if len(past) else now))
        for hours in (past, now)
    ]
    stratum, raw = strata_of(past.starts, weekends_apart=False), both[0][1]
    seen = np.bincount(stratum, minlength=24)
    overall = float(raw.mean()) if len(raw) else 0.0
    usual = np.where(seen, np.bincount(stratum, raw, 24) / np.maximum(seen, 1), overall)
    return [(hours, levels - usual[strata_of(hours.starts, weekends_apart=False)]) for hours, levels in both]


def _ranks(hours: Hours, among: Hours) -> FloatArray:
    counts = among.counts.sum(axis=0)
    below = np.concatenate([[0.0], np.cumsum(counts)]) / max(float(counts.sum()), 1.0)
    left = below[np.searchsorted(among.bins, hours.bins, side="left")]
    right = below[np.searchsorted(among.bins, hours.bins, side="right")]
    return np.asarray(hours.counts @ (left + right) / 2 / np.maximum(hours.n, 1))


def _medians(hours: Hours) -> FloatArray:
    if not len(hours.bins):
        return np.zeros(len(hours))
    half = np.cumsum(hours.counts, axis=1) * 2 >= hours.n[:, None]
    return np.asarray(hours.bins[np.argmax(half, axis=1)], float)
