"""The level of a score over time, and whether it is stable, fades or goes back.

The level of an hour is one number less the reference's mean at that hour of day, so that doubled traffic is a constant,
whatever the hour. `assess_stability` judges a level during an open incident: a stable new level may be the new normal,
whereas waves and growth are not. The scatter of the reference from hour to hour is the unit. A level is unstable if it
scatters more than the reference, is back at the reference level for hours, rises or falls over the window, or if its
minutes go back to the reference level or scatter more within the hour (`bgpdrift.drift.reversion`). One short burst
that is over does not make it unstable, because a short burst is an incident of its own and no evidence about the level.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bgpdrift.drift.constants import (
    ALMOST_OVER,
    CLEAR_FADE_SD,
    CLEAR_SHIFT_RATIO,
    DAY_H,
    FADED_FROM_PEAK,
    FADED_FROM_PREVIOUS,
    HOUR_S,
    MAD_TO_SD,
    MAX_BURST_SHARE,
    MAX_REVERTED_SHARE,
    MAX_SCATTER_RATIO,
    MAX_SURGE,
    MAX_TREND_RATIO,
    MAX_UNMOVED_SHARE,
    MIN_LEVEL_REFERENCE_H,
    MIN_LEVEL_SCATTER,
    MIN_MOVE_RATIO,
    MIN_WINDOW_SHARE,
    NEWEST_LEVEL_H,
    RETURNED_SHARE,
    SMOOTHING_H,
)
from bgpdrift.drift.hours import FloatArray, Hours, IntArray
from bgpdrift.drift.reversion import compute_reverted_share, compute_unmoved_share
from bgpdrift.drift.season import strata_of

Scale = Literal["rank", "log"]
TOO_FEW_HOURS = "too few hours of data"


@dataclass(frozen=True, slots=True)
class Stability:
    """Whether a level is stable, the reason if it is not, and whether it differs from the reference level."""

    is_stable: bool
    reason: str = ""
    has_moved: bool = False


def assess_stability(
    current: Mapping[str, Hours], reference: Mapping[str, Hours], end: int, hours: int, *, minutes: bool = False
) -> Stability:
    """Assess the level of one series over the last hours, at every collector that has both windows.

    Parameters
    ----------
    current, reference : mapping of str to Hours
        By collector: all hours of the window, none excluded, and clean hours before it.
    end : int
        Event time of the check, epoch seconds.
    hours : int
        Length of the window.
    minutes : bool
        Whether surges within the hour count. Meant for volume, whose minutes do not depend on the detector.

    Examples
    --------
    >>> rng, minute = np.random.default_rng(2), 60 * np.arange(7 * 1440)
    >>> values = 100 + 50 * np.sin(minute / 86_400 * 2 * np.pi) + rng.normal(0, 10, len(minute))
    >>> before = Hours.from_rows(minute, values)
    >>> doubled = Hours.from_rows(minute[:720] + 7 * 86_400, 2 * values[:720])
    >>> waves = Hours.from_rows(minute[:720] + 7 * 86_400, np.where(minute[:720] // 7200 % 2, 2, 1) * values[:720])
    >>> [assess_stability({"a": now}, {"a": before}, 7 * 86_400 + 43_200, 12).is_stable for now in (doubled, waves)]
    [True, False]
    """
    names = [name for name in sorted(current) if name in reference and len(reference[name])]
    has_data = has_moved = False
    for name in names:
        now, before = current[name].between(end - hours * HOUR_S, end), reference[name]
        levels, reference_levels = _log_means(now), _log_means(before)
        if len(before) < MIN_LEVEL_REFERENCE_H or np.isfinite(levels).sum() < MIN_WINDOW_SHARE * hours:
            continue
        has_data = True
        shift, scatter = _subtract_season(levels, now.starts, reference_levels, before.starts)
        reason = _describe_hours(shift, scatter, now.starts)
        has_moved |= abs(float(np.nanmedian(shift))) > MIN_MOVE_RATIO * scatter
        if not reason:
            reason = _describe_waves(now, before)
        if not reason and minutes:
            reason = _describe_surges(now, before)
        if reason:
            return Stability(False, f"{reason} at {name}", has_moved)
    return Stability(True, "", has_moved) if has_data else Stability(False, TOO_FEW_HOURS)


def find_level_start(current: Mapping[str, Hours], reference: Mapping[str, Hours], since: int, end: int) -> int:
    """Find the hour from which the level of the newest hours holds.

    Parameters
    ----------
    current, reference : mapping of str to Hours
        By collector: hours that may be at the new level, and clean hours before it.
    since, end : int
        Epoch seconds: when the first incident of the group began, and the end of the newest hour. Incidents before the
        change may belong to the same group; their hours are not at the new level.

    Returns
    -------
    int
        Epoch seconds of the hour that best separates hours nearer to the newest level from hours nearer to the
        reference level. The first whole hour after ``since`` if hours do not show it.

    Examples
    --------
    >>> rng, minute = np.random.default_rng(2), 60 * np.arange(9 * 1440)
    >>> values = rng.gamma(4.0, size=len(minute)) * np.where(minute < 8 * 86_400, 1, 2)
    >>> hours = Hours.from_rows(minute, values)
    >>> find_level_start({"a": hours}, {"a": hours.between(0, 7 * 86_400)}, 8 * 86_400 - 5 * 3600, 9 * 86_400) / 86_400
    8.0
    """
    begin = -(-since // HOUR_S) * HOUR_S
    now = {name: hours.between(begin, end) for name, hours in current.items()}
    before = {name: hours for name, hours in reference.items() if len(hours)}
    now = {name: hours for name, hours in now.items() if name in before and len(hours)}
    if not now:
        return begin
    starts, levels, _ = compute_hourly_levels(now, before)
    starts, levels = starts[starts >= begin], levels[starts >= begin]
    newest = float(np.median(levels[-NEWEST_LEVEL_H:]))
    at_new_level = np.abs(levels - newest) < np.abs(levels)
    if not at_new_level.any():
        return begin
    errors = np.cumsum(at_new_level) - at_new_level + np.cumsum(~at_new_level[::-1])[::-1]
    return int(starts[int(np.argmin(errors))])


def is_fading(current: Mapping[str, Hours], before: Mapping[str, Hours]) -> bool:
    """Whether the newest hours return to the reference level or have reached it.

    The traffic of a worm or a leak decays for half a day, which is too long for the leave-out of a few hours. The rule
    examines the hourly medians of the newest day, averaged over 4 hours on a logarithmic scale. The latest average must
    lie below the peak and still fall, or lie below a quarter of the peak, and in either case have fallen more than
    reference hours scatter.
    """
    starts, levels, _ = compute_hourly_levels(current, before, "log")
    first = min((int(hours.starts[0]) for hours in current.values() if len(hours)), default=0)
    past, day = levels[starts < first], levels[starts >= first][-DAY_H:]
    if len(past) < DAY_H or len(day) < 3 * SMOOTHING_H:
        return False
    means = _smooth(past)
    reference_sd = float((means[SMOOTHING_H:] - means[:-SMOOTHING_H]).std())
    now = _smooth(day)
    now = now if abs(now.max()) >= abs(now.min()) else -now
    peak, previous, latest = float(now.max()), float(now[-1 - SMOOTHING_H // 2]), float(now[-1])
    is_falling = latest < FADED_FROM_PEAK * peak and latest < FADED_FROM_PREVIOUS * previous
    return (is_falling or latest < ALMOST_OVER * peak) and peak - latest > CLEAR_FADE_SD * reference_sd


def compute_hourly_levels(
    current: Mapping[str, Hours], before: Mapping[str, Hours], scale: Scale = "rank"
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Compute the level of every hour over all collectors, less the mean of ``before`` at that hour of day.

    Parameters
    ----------
    current, before : mapping of str to Hours
        By collector.
    scale : str
        ``rank``: mean rank among all values before, 0 to 1, which one extreme value cannot move. ``log``: median in
        bins of 1 %, so 70 is a doubling; unlike ranks it has no upper bound.

    Returns
    -------
    starts, levels, weights : ndarray, shape (hours,)
        Epoch seconds, rising; levels; number of values.
    """
    sums: dict[int, tuple[float, float]] = {}
    for collector, now in current.items():
        for hours, levels in _levels_of_collector(now, before.get(collector, Hours.empty()), scale):
            for start, level, n in zip(hours.starts.tolist(), levels.tolist(), hours.n.tolist(), strict=True):
                total, weight = sums.get(start, (0.0, 0.0))
                sums[start] = (total + n * level, weight + n)
    starts = sorted(start for start, (_, weight) in sums.items() if weight)
    weights = np.array([sums[start][1] for start in starts], float)
    levels = np.array([sums[start][0] for start in starts], float) / weights
    return np.array(starts, np.int64), levels, weights


def _levels_of_collector(now: Hours, past: Hours, scale: Scale) -> list[tuple[Hours, FloatArray]]:
    parts = [
        (hours, _medians(hours) if scale == "log" else _mean_ranks(hours, past if len(past) else now))
        for hours in (past, now)
    ]
    stratum, raw = strata_of(past.starts, weekends_apart=False), parts[0][1]
    seen = np.bincount(stratum, minlength=24)
    overall = float(raw.mean()) if len(raw) else 0.0
    season = np.where(seen, np.bincount(stratum, raw, 24) / np.maximum(seen, 1), overall)
    return [(hours, levels - season[strata_of(hours.starts, weekends_apart=False)]) for hours, levels in parts]


def _mean_ranks(hours: Hours, among: Hours) -> FloatArray:
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


def _smooth(levels: FloatArray) -> FloatArray:
    return np.convolve(levels, np.ones(SMOOTHING_H) / SMOOTHING_H, "valid")


def _describe_hours(shift: FloatArray, scatter: float, starts: IntArray) -> str:
    """Say why hourly levels are unstable; "" if they are stable."""
    good = np.isfinite(shift)
    shift, times = shift[good], starts[good]
    if len(shift) < 3:
        return TOO_FEW_HOURS
    middle = float(np.median(shift))
    kept = _exclude_burst(shift - _slope(times, shift) * (times - times.mean()))
    slope = _slope(times[kept], shift[kept])
    rise = slope * float(times[-1] - times[0])
    if abs(rise) > MAX_TREND_RATIO * scatter:
        return f"the level {'rises' if rise > 0 else 'falls'} ({np.expm1(rise):+.0%} over the window)"
    waves = float(np.std((shift - slope * (times - times.mean()))[kept]))
    if waves > MAX_SCATTER_RATIO * scatter:
        return f"the level comes in waves ({waves / scatter:.1f} times the scatter of the reference)"
    if abs(middle) > CLEAR_SHIFT_RATIO * scatter and float(np.mean(np.abs(shift) < 2 * scatter)) >= RETURNED_SHARE:
        return "the level comes and goes"
    return ""


def _describe_waves(now: Hours, before: Hours) -> str:
    share = compute_reverted_share({"": now}, {"": before}, 0)
    if share <= MAX_REVERTED_SHARE:
        return ""
    return f"the level comes in waves ({share:.0%} of its minutes are back at the reference level)"


def _describe_surges(now: Hours, before: Hours) -> str:
    share = compute_unmoved_share(now, before)
    if share > MAX_UNMOVED_SHARE:
        return f"the level surges within the hour ({share:.0%} of the minutes stay at the reference level)"
    reference, current = _relative_scatter(before), _relative_scatter(now)
    if not np.isfinite(reference).any() or not np.isfinite(current).any():
        return ""
    growth = float(np.nanmedian(current) - np.nanmedian(reference))
    return f"the level surges within the hour (scatter × {np.exp(growth):.1f})" if growth > MAX_SURGE else ""


def _exclude_burst(residuals: FloatArray) -> IntArray:
    """Indices of all hours but the one run that adds most to the scatter.

    The newest hour stays, because its burst may continue.
    """
    hours = np.arange(len(residuals))
    sizes = range(1, int(MAX_BURST_SHARE * len(residuals)) + 1)
    candidates = (np.delete(hours, slice(at, at + size)) for size in sizes for at in range(len(residuals) - size))
    return min([hours, *candidates], key=lambda kept: float(np.std(residuals[kept])))


def _subtract_season(
    levels: FloatArray, starts: IntArray, reference: FloatArray, reference_starts: IntArray
) -> tuple[FloatArray, float]:
    """Subtract the reference's median at each hour of day; also give the reference's own scatter around it.

    Each reference value is compared with the median of the other days, because of three values one is their median and
    would seem not to scatter at all.
    """
    hour, reference_hour = starts // HOUR_S % 24, reference_starts // HOUR_S % 24
    overall = float(np.nanmedian(reference)) if np.isfinite(reference).any() else 0.0
    season, residual = np.full(24, overall), reference - overall
    for h in range(24):
        there = np.flatnonzero((reference_hour == h) & np.isfinite(reference))
        values = reference[there]
        if len(values):
            season[h] = float(np.median(values))
        if len(values) > 1:
            residual[there] = [value - np.median(np.delete(values, i)) for i, value in enumerate(values)]
    residual = residual[np.isfinite(residual)]
    scatter = MAD_TO_SD * float(np.median(np.abs(residual - np.median(residual)))) if len(residual) else 0.0
    return levels - season[hour], max(scatter, MIN_LEVEL_SCATTER)


def _log_means(hours: Hours) -> FloatArray:
    """Logarithm of the mapped mean of each hour, so that neither unit nor offset count; NaN where there is none."""
    n = hours.n
    with np.errstate(all="ignore"):
        means = np.where(n > 0, hours.scaling.apply(hours.totals / np.maximum(n, 1)), np.nan)
        return np.asarray(np.where(means > 0, np.log(means), np.nan))


def _relative_scatter(hours: Hours) -> FloatArray:
    """Logarithm of standard deviation divided by mean within each hour; NaN where there is none."""
    n = np.maximum(hours.n, 1)
    with np.errstate(all="ignore"):
        mean = hours.totals / n
        variance = np.maximum(hours.squares / n - mean**2, 0.0)
        scatter = np.log(np.sqrt(variance) / mean)
    return np.asarray(np.where(np.isfinite(scatter), scatter, np.nan))


def _slope(times: IntArray, values: FloatArray) -> float:
    """Theil-Sen slope, which a single odd hour cannot tilt."""
    i, j = np.triu_indices(len(times), 1)
    return float(np.median((values[j] - values[i]) / (times[j] - times[i])))
