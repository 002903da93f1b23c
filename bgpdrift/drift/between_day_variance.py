"""How much the level of whole days wanders by itself, learned from all hours kept, those of earlier versions too. Pure.

Decides how far apart two windows of some days may lie without drift. The week of a reference, or the two days of a version
just trained, cannot say how days differ; five weeks can. Days are compared a day to a week apart, so that scatter that comes
and goes is told from steps that stay and add up. It is a median that speaks: one change of level is one of many differences,
and a steady creep is the same in all of them; neither passes for scatter. How the rule uses it, `dependence` decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bgpdrift.drift.hours import HOUR_S, FloatArray, Hours
from bgpdrift.drift.levels import compute_hourly_levels

LONGEST_D = 7
"""Days apart up to which days are compared; beyond it no level is taken to wander any farther."""
MOST = 4.0
"""Largest inflation: twice the scatter. Ranks have an end: whoever allowed for all wandering would see nothing any more."""
PRIOR_D = 7.0
"""Days of history that weigh as much as the belief that days differ no more than their hours say."""
_DOUBT = 1.0
"""Share of a variance, times the root of the days it was learned from, that is taken for chance: calm days must not blind."""
_FEWEST = 3
_WHOLE_H = 12
_DAY_S = 24 * HOUR_S
_MAD = 1.4826
"""A standard deviation through the median absolute deviation, of normal values."""


@dataclass(frozen=True, slots=True)
class BetweenDayVariance:
    """How daily levels scatter, in squared mean ranks.

    Attributes
    ----------
    days : int
        Days it was learned from.
    by_itself : float
        Variance of a day's level around where it was.
    step : float
        Variance of what a day adds for good.
    """

    days: int
    by_itself: float
    step: float

    def of_difference(self, current_d: float, reference_d: float, gap_d: float) -> float:
        """Variance of the difference of two windows' mean levels, squared ranks.

        Means of two adjoining parts of a random walk differ by a third of their lengths' sum, in steps.

        Parameters
        ----------
        current_d, reference_d, gap_d : float
            Lengths of the windows and of what lies between them, days.

        Examples
        --------
        >>> BetweenDayVariance(28, 0.02, 0.0).of_difference(1, 2, 5), BetweenDayVariance(28, 0.0, 0.01).of_difference(1, 5, 0)
        (0.03, 0.02)
        """
        far = min(gap_d + (current_d + reference_d) / 3, LONGEST_D)
        return self.by_itself * (1 / current_d + 1 / reference_d) + self.step * far

    def inflation(self, by_hours: float, current_d: float, reference_d: float, gap_d: float) -> float:
        """How much larger than by hours alone the variance of that difference is, doubted where days are few; at most `MOST`.

        Parameters
        ----------
        by_hours : float
            Variance that the hours of the reference lead one to expect, above 0.
        """
        sure = max(1 - _DOUBT / self.days**0.5, 0.0)
        found = sure * self.of_difference(current_d, reference_d, gap_d) / by_hours
        return float(min((self.days * found + PRIOR_D) / (self.days + PRIOR_D), MOST))


def estimate_between_day_variance(history: Sequence[Mapping[str, Hours]], end: int) -> BetweenDayVariance | None:
    """Learn how days wander.

    Variances of differences by their distance are fitted by a line [1]_: half its height at 0 is a day's own scatter, its
    slope the step; neither below 0.

    Parameters
    ----------
    history : sequence of mapping of str to Hours
        Clean hours by collector, each version by itself: days are compared within a version only, whose scores have one
        scale.
    end : int
        Epoch seconds: where the current window begins. Days are counted back from it.

    Returns
    -------
    BetweenDayVariance or None
        None where fewer than three pairs of neighbouring days are known.

    References
    ----------
    .. [1] N. A. C. Cressie, "Statistics for Spatial Data", Wiley, 1993, section 2.4 (robust estimation of the variogram).
    """
    apart: dict[int, list[float]] = {distance: [] for distance in range(1, LONGEST_D + 1)}
    days = 0
    for series in history:
        levels = _daily_levels({name: hours.between(0, end) for name, hours in series.items()}, end)
        days += len(levels)
        for distance, differences in apart.items():
            differences += [levels[day + distance] - levels[day] for day in levels if day + distance in levels]
    if len(apart[1]) < _FEWEST:
        return None
    known = {distance: np.array(found) for distance, found in apart.items() if len(found) >= _FEWEST}
    distances = np.array(list(known), float)
    variances = np.array([_variance(found) for found in known.values()])
    # Differences of days far apart share most of their steps: they say less.
    weights = np.array([len(found) for found in known.values()]) / distances
    centre, height = np.average(distances, weights=weights), np.average(variances, weights=weights)
    spread = float((weights * (distances - centre) ** 2).sum())
    slope = float((weights * (distances - centre) * (variances - height)).sum()) / spread if spread else 0.0
    step = float(min(max(slope, 0.0), height / centre))
    return BetweenDayVariance(days, float(max(height - step * centre, 0.0)) / 2, step)


def _variance(differences: FloatArray) -> float:
    around = np.abs(differences - np.median(differences))
    return float((_MAD * np.median(around)) ** 2 * len(differences) / (len(differences) - 1))


def _daily_levels(series: Mapping[str, Hours], end: int) -> dict[int, float]:
    """Mean level of each day that is at least half there; days are numbered from -1 backwards."""
    if not any(len(hours) for hours in series.values()):
        return {}
    starts, levels, _ = compute_hourly_levels(series, series)
    days = (starts - end) // _DAY_S
    first = int(days.min())
    filled = np.bincount(days - first)
    sums = np.bincount(days - first, levels)
    return {first + day: float(sums[day] / filled[day]) for day in np.flatnonzero(filled >= _WHOLE_H).tolist()}
