"""Whether a level is steady: an incident of which the new level stays may be the new normal; waves and growth are none. Pure.

Decides steadiness from hourly levels of scores and of volume, on the logarithm and less what is usual at that hour of day:
doubled traffic is a constant there, whatever the hour. The yardstick is the reference's own scatter from hour to hour. Four
things make a level unsteady: it scatters more than it used to, it goes back to what was usual for hours on end, it rises or
falls over the window, or it surges within the hour, which shows in the scatter of its minutes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bgpdrift.drift.hours import HOUR_S, FloatArray, Hours, IntArray

LEAST_SCATTER = 0.1
"""Logarithm: a tenth more or less from hour to hour is no wave, however quiet the reference was."""
MOST_SCATTER = 2.5
"""Multiples of the reference's scatter that a steady level may have."""
MOST_TREND = 3.0
"""Multiples of the scatter by which it may rise or fall over the window."""
MOST_SURGE = 0.4
"""Logarithm by which the relative scatter of minutes within an hour may grow: by half."""
LEAST_SHARE = 0.75
"""Share of the window's hours that must be there."""
LEAST_REFERENCE_H = 48
RETURNED = 0.25
"""Share of hours back at what was usual from which on a level that had left it comes in waves."""
TOO_FEW = "too few hours to tell"
CLEAR_SHIFT = 4.0
"""Multiples of the scatter from which on a level has left what was usual."""


@dataclass(frozen=True, slots=True)
class Steadiness:
    """Whether a level is steady, and in a few words why not."""

    is_steady: bool
    reason: str = ""


def steadiness(
    current: Mapping[str, Hours], reference: Mapping[str, Hours], end: int, hours: int, *, minutes: bool = False
) -> Steadiness:
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
    >>> [steadiness({"a": now}, {"a": before}, 7 * 86_400 + 43_200, 12).is_steady for now in (doubled, waves)]
    [True, False]
    """
    found = [name for name in sorted(current) if name in reference and len(reference[name])]
    judged = False
    for name in found:
        now, before = current[name].between(end - hours * HOUR_S, end), reference[name]
        levels, usual = _level(now), _level(before)
        if len(before) < LEAST_REFERENCE_H or np.isfinite(levels).sum() < LEAST_SHARE * hours:
            continue
        judged = True
        reason = _unsteady(levels, now.starts, usual, before.starts)
        if not reason and minutes:
            reason = _surging(now, before)
        if reason:
            return Steadiness(False, f"{reason} at {name}")
    return Steadiness(True) if judged else Steadiness(False, TOO_FEW)


def _unsteady(levels: FloatArray, starts: IntArray, usual: FloatArray, before: IntArray) -> str:
    shift, scatter = _shift(levels, starts, usual, before)
    good = np.isfinite(shift)
    shift, times = shift[good], starts[good]
    if len(shift) < 3:
        return TOO_FEW
    middle = float(np.median(shift))
    slope = _slope(times, shift)
    rise = slope * float(times[-1] - times[0])
    if abs(rise) > MOST_TREND * scatter:
        return f"it {'rises' if rise > 0 else 'falls'} (by {np.expm1(rise):+.0%} over the window)"
    left = shift - slope * (times - times.mean())
    if float(np.std(left)) > MOST_SCATTER * scatter:
        return f"it comes in waves ({np.std(left) / scatter:.1f} times the usual scatter)"
    if abs(middle) > CLEAR_SHIFT * scatter and float(np.mean(np.abs(shift) < 2 * scatter)) >= RETURNED:
        return "it comes and goes"
    return ""


def _shift(levels: FloatArray, starts: IntArray, usual: FloatArray, before: IntArray) -> tuple[FloatArray, float]:
    """Levels less what is usual at their hour of day; and the reference's own scatter about that."""
    hour, known = starts // HOUR_S % 24, before // HOUR_S % 24
    overall = float(np.nanmedian(usual)) if np.isfinite(usual).any() else 0.0
    season = np.full(24, overall)
    for h in range(24):
        values = usual[(known == h) & np.isfinite(usual)]
        if len(values):
            season[h] = float(np.median(values))
    residual = usual - season[known]
    residual = residual[np.isfinite(residual)]
    scatter = 1.4826 * float(np.median(np.abs(residual - np.median(residual)))) if len(residual) else 0.0
    return levels - season[hour], max(scatter, LEAST_SCATTER)


def _level(hours: Hours) -> FloatArray:
    """Logarithm of the mean of each hour; NaN where there is nothing."""
    n = hours.n
    with np.errstate(all="ignore"):
        means = np.where(n > 0, hours.totals / np.maximum(n, 1), np.nan)
        return np.asarray(np.where(means > 0, np.log(means), np.nan))


def _surging(now: Hours, before: Hours) -> str:
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
