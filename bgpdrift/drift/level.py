"""Whether a level is steady: an incident of which the new level stays may be the new normal; waves and growth are none. Pure.

Decides assess_stability from hourly levels of scores and of volume, on the logarithm and less what is usual at that hour of day:
doubled traffic is a constant there, whatever the hour. The yardstick is the reference's own scatter from hour to hour. Four
things make a level unsteady: it scatters more than it used to, it goes back to what was usual for hours on end, it rises or
falls over the window, or its minutes tell what hours hide: some are back at what was usual
(`bgpdrift.drift.reversion`), or they scatter more within the hour. One short burst that is over
does not: another incident while one waits for an answer says nothing of the level it happens on.

Decides too since when a level holds, once somebody said that it is the new normal: the hour that parts those nearer to it from
those nearer to what was usual.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bgpdrift.drift.hours import HOUR_S, FloatArray, Hours, IntArray
from bgpdrift.drift.levels import compute_hourly_levels
from bgpdrift.drift.reversion import MAX_REVERTED_SHARE, compute_reverted_share, compute_unmoved_share

LEAST_SCATTER = 0.1
"""Logarithm: a tenth more or less from hour to hour is no wave, however quiet the reference was."""
MOST_SCATTER = 2.5
"""Multiples of the reference's scatter that a steady level may have."""
MOST_TREND = 3.0
"""Multiples of the scatter by which it may rise or fall over the window."""
MOST_SURGE = 0.4
"""Logarithm by which the relative scatter of minutes within an hour may grow: by half."""
MOST_LEFT = 0.25
"""Share of an hour's minutes that may stay at what was usual where its highest, or lowest, have left it."""
LEAST_SHARE = 0.75
"""Share of the window's hours that must be there."""
LEAST_REFERENCE_H = 48
SETTLED_H = 6
"""Newest hours of which the median is the level now."""
RETURNED = 0.25
"""Share of hours back at what was usual from which on a level that had left it comes in waves."""
TOO_FEW = "too few hours to tell"
BURST = 1 / 6
"""Share of the window's hours, running, that may be another incident: 2 of 12."""
LEAST_MOVE = 2.0
"""Multiples of the scatter from which on there is another level that one may ask about."""
CLEAR_SHIFT = 4.0
"""Multiples of the scatter from which on a level has left what was usual."""


@dataclass(frozen=True, slots=True)
class Stability:
    """Whether a level is steady, and in a few words why not; and whether it is another than the usual one."""

    is_stable: bool
    reason: str = ""
    has_moved: bool = False


def assess_stability(
    current: Mapping[str, Hours], reference: Mapping[str, Hours], end: int, hours: int, *, minutes: bool = False
) -> Stability:
    """Judge the level of one series over the last hours, at every collector that has both.

    Parameters
    ----------
    current, reference : mapping of str to Hours
        By collector: all hours of the window, none left out; clean hours before it.
    end : int
        Event time of the check.
    hours : int
        Length of the window.
    minutes : bool
        Whether surges within the hour count; for volume, whose minutes are independent of the detector.

    Examples
    --------
    >>> rng, minute = np.random.default_rng(2), 60 * np.arange(7 * 1440)
    >>> usual = 100 + 50 * np.sin(minute / 86_400 * 2 * np.pi) + rng.normal(0, 10, len(minute))
    >>> before = Hours.from_rows(minute, usual)
    >>> doubled = Hours.from_rows(minute[:720] + 7 * 86_400, 2 * usual[:720])
    >>> waves = Hours.from_rows(minute[:720] + 7 * 86_400, np.where(minute[:720] // 7200 % 2, 2, 1) * usual[:720])
    >>> [assess_stability({"a": now}, {"a": before}, 7 * 86_400 + 43_200, 12).is_stable for now in (doubled, waves)]
    [True, False]
    """
    found = [name for name in sorted(current) if name in reference and len(reference[name])]
    judged = moved = False
    for name in found:
        now, before = current[name].between(end - hours * HOUR_S, end), reference[name]
        levels, usual = _level(now), _level(before)
        if len(before) < LEAST_REFERENCE_H or np.isfinite(levels).sum() < LEAST_SHARE * hours:
            continue
        judged = True
        shift, scatter = _shift(levels, now.starts, usual, before.starts)
        reason = _unsteady(shift, scatter, now.starts)
        moved |= abs(float(np.nanmedian(shift))) > LEAST_MOVE * scatter
        if not reason:
            reason = _waves(now, before)
        if not reason and minutes:
            reason = _surging(now, before)
        if reason:
            return Stability(False, f"{reason} at {name}", moved)
    return Stability(True, "", moved) if judged else Stability(False, TOO_FEW)


def _unsteady(shift: FloatArray, scatter: float, starts: IntArray) -> str:
    good = np.isfinite(shift)
    shift, times = shift[good], starts[good]
    if len(shift) < 3:
        return TOO_FEW
    middle = float(np.median(shift))
    kept = _but_a_burst(shift - _slope(times, shift) * (times - times.mean()))
    slope = _slope(times[kept], shift[kept])
    rise = slope * float(times[-1] - times[0])
    if abs(rise) > MOST_TREND * scatter:
        return f"it {'rises' if rise > 0 else 'falls'} (by {np.expm1(rise):+.0%} over the window)"
    waves = float(np.std((shift - slope * (times - times.mean()))[kept]))
    if waves > MOST_SCATTER * scatter:
        return f"it comes in waves ({waves / scatter:.1f} times the usual scatter)"
    if abs(middle) > CLEAR_SHIFT * scatter and float(np.mean(np.abs(shift) < 2 * scatter)) >= RETURNED:
        return "it comes and goes"
    return ""


def find_level_start(current: Mapping[str, Hours], reference: Mapping[str, Hours], since: int, end: int) -> int:
    """Find the hour from which on the level of the newest hours holds.

    Parameters
    ----------
    current, reference : mapping of str to Hours
        By collector: hours that may be at the new level; clean hours before it.
    since, end : int
        Epoch seconds: when the first incident of it began, end of the newest hour. Incidents before the change may belong to
        the same episode; their hours are not the new level's.

    Returns
    -------
    int
        Epoch seconds of the hour that parts best those nearer to the newest level from those nearer to the usual one; the
        first whole hour after ``since`` where hours do not tell.

    Examples
    --------
    >>> rng, minute = np.random.default_rng(2), 60 * np.arange(9 * 1440)
    >>> values = rng.gamma(4.0, size=len(minute)) * np.where(minute < 8 * 86_400, 1, 2)
    >>> found = Hours.from_rows(minute, values)
    >>> find_level_start({"a": found}, {"a": found.between(0, 7 * 86_400)}, 8 * 86_400 - 5 * 3600, 9 * 86_400) / 86_400
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
    newest = float(np.median(levels[-SETTLED_H:]))
    left = np.abs(levels - newest) < np.abs(levels)
    if not left.any():
        return begin
    wrong = np.cumsum(left) - left + np.cumsum(~left[::-1])[::-1]
    return int(starts[int(np.argmin(wrong))])


def _but_a_burst(left: FloatArray) -> IntArray:
    """All but the one run of hours that adds most to the scatter; the newest hour's may go on, and stays."""
    hours = np.arange(len(left))
    sizes = range(1, int(BURST * len(left)) + 1)
    runs = (np.delete(hours, slice(at, at + size)) for size in sizes for at in range(len(left) - size))
    return min([hours, *runs], key=lambda kept: float(np.std(left[kept])))


def _shift(levels: FloatArray, starts: IntArray, usual: FloatArray, before: IntArray) -> tuple[FloatArray, float]:
    """Levels less what is usual at their hour of day; and the reference's own scatter about that.

    The scatter is about the other days' median: of three values one is their median, and would seem not to scatter at all.
    """
    hour, known = starts // HOUR_S % 24, before // HOUR_S % 24
    overall = float(np.nanmedian(usual)) if np.isfinite(usual).any() else 0.0
    season, residual = np.full(24, overall), usual - overall
    for h in range(24):
        there = np.flatnonzero((known == h) & np.isfinite(usual))
        values = usual[there]
        if len(values):
            season[h] = float(np.median(values))
        if len(values) > 1:
            residual[there] = [value - np.median(np.delete(values, i)) for i, value in enumerate(values)]
    residual = residual[np.isfinite(residual)]
    scatter = 1.4826 * float(np.median(np.abs(residual - np.median(residual)))) if len(residual) else 0.0
    return levels - season[hour], max(scatter, LEAST_SCATTER)


def _level(hours: Hours) -> FloatArray:
    """Logarithm of the mean of each hour; NaN where there is nothing."""
    n = hours.n
    with np.errstate(all="ignore"):
        means = np.where(n > 0, hours.totals / np.maximum(n, 1), np.nan)
        return np.asarray(np.where(means > 0, np.log(means), np.nan))


def _waves(now: Hours, before: Hours) -> str:
    back = compute_reverted_share({"": now}, {"": before}, 0)
    return (
        f"it comes in waves ({back:.0%} of its minutes are back at what was usual)" if back > MAX_REVERTED_SHARE else ""
    )


def _surging(now: Hours, before: Hours) -> str:
    left = compute_unmoved_share(now, before)
    if left > MOST_LEFT:
        return f"it surges within the hour ({left:.0%} of the minutes stay at what was usual)"
    usual, current = _relative_scatter(before), _relative_scatter(now)
    if not np.isfinite(usual).any() or not np.isfinite(current).any():
        return ""
    grown = float(np.nanmedian(current) - np.nanmedian(usual))
    return f"it surges within the hour (scatter × {np.exp(grown):.1f})" if grown > MOST_SURGE else ""


def _relative_scatter(hours: Hours) -> FloatArray:
    n = np.maximum(hours.n, 1)
    with np.errstate(all="ignore"):
        mean = hours.totals / n
        variance = np.maximum(hours.squares / n - mean**2, 0.0)
        found = np.log(np.sqrt(variance) / mean)
    return np.asarray(np.where(np.isfinite(found), found, np.nan))


def _slope(times: IntArray, values: FloatArray) -> float:
    """Theil-Sen: one odd hour tilts nothing."""
    i, j = np.triu_indices(len(times), 1)
    return float(np.median((values[j] - values[i]) / (times[j] - times[i])))
