"""Between-day variance: how much the levels of whole days differ without drift, learned from all clean hours kept.

A week of reference, or the two days of a version just trained, cannot show how days differ; five weeks can, including
those of earlier versions. Days are compared at distances of one day to a week, so that scatter that comes and goes is
separated from steps that persist and add up. The estimate is a median, so a single level change, one of many
differences, does not inflate it, and neither does a steady creep, which is the same in all differences.
`bgpdrift.drift.dependence` applies it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bgpdrift.drift.constants import (
    DAY_S,
    HISTORY_DOUBT,
    HISTORY_PRIOR_D,
    MAD_TO_SD,
    MAX_DAY_DISTANCE_D,
    MAX_INFLATION,
    MIN_DAY_HOURS,
    MIN_DAY_PAIRS,
)
from bgpdrift.drift.hours import FloatArray, Hours
from bgpdrift.drift.stability import compute_hourly_levels


@dataclass(frozen=True, slots=True)
class BetweenDayVariance:
    """Variances of daily levels, in squared mean ranks.

    Attributes
    ----------
    days : int
        Days from which it was learned.
    scatter : float
        Variance of a day's level around a level that persists.
    step : float
        Variance that each day adds to the persistent level.
    """

    days: int
    scatter: float
    step: float

    def variance_of_difference(self, current_d: float, reference_d: float, gap_d: float) -> float:
        """Variance of the difference of two windows' mean levels, squared ranks.

        Means of two adjoining parts of a random walk differ by a third of their lengths' sum, in steps.

        Parameters
        ----------
        current_d, reference_d, gap_d : float
            Lengths of the windows and of the gap between them, days.

        Examples
        --------
        >>> scatter, steps = BetweenDayVariance(28, 0.02, 0.0), BetweenDayVariance(28, 0.0, 0.01)
        >>> scatter.variance_of_difference(1, 2, 5), steps.variance_of_difference(1, 5, 0)
        (0.03, 0.02)
        """
        distance_d = min(gap_d + (current_d + reference_d) / 3, MAX_DAY_DISTANCE_D)
        return self.scatter * (1 / current_d + 1 / reference_d) + self.step * distance_d

    def compute_inflation(self, by_hours: float, current_d: float, reference_d: float, gap_d: float) -> float:
        """Ratio of the variance of that difference to ``by_hours``, shrunk where days are few; at most `MAX_INFLATION`.

        Parameters
        ----------
        by_hours : float
            Variance that the hours of the reference imply, above 0.
        """
        certainty = max(1 - HISTORY_DOUBT / self.days**0.5, 0.0)
        ratio = certainty * self.variance_of_difference(current_d, reference_d, gap_d) / by_hours
        return float(min((self.days * ratio + HISTORY_PRIOR_D) / (self.days + HISTORY_PRIOR_D), MAX_INFLATION))


def estimate_between_day_variance(history: Sequence[Mapping[str, Hours]], end: int) -> BetweenDayVariance | None:
    """Estimate how days differ.

    Variances of differences are fitted over their distance by a line [1]_: half its height at 0 is the scatter of a
    day, its slope the step. Neither is below 0.

    Parameters
    ----------
    history : sequence of mapping of str to Hours
        Clean hours by collector, one mapping per version. Days are compared within a version only, whose scores have
        one scale.
    end : int
        Epoch seconds: where the current window begins. Days are counted back from it.

    Returns
    -------
    BetweenDayVariance or None
        None if there are fewer than three pairs of neighbouring days.

    References
    ----------
    ---------- .. [1] N. A. C. Cressie, "Statistics for Spatial Data", Wiley, 1993, section 2.4 (robust estimation of
    the variogram).
    """
    by_distance: dict[int, list[float]] = {distance: [] for distance in range(1, MAX_DAY_DISTANCE_D + 1)}
    days = 0
    for series in history:
        levels = _daily_levels({name: hours.between(0, end) for name, hours in series.items()}, end)
        days += len(levels)
        for distance, differences in by_distance.items():
            differences += [levels[day + distance] - levels[day] for day in levels if day + distance in levels]
    if len(by_distance[1]) < MIN_DAY_PAIRS:
        return None
    usable = {distance: np.array(values) for distance, values in by_distance.items() if len(values) >= MIN_DAY_PAIRS}
    distances = np.array(list(usable), float)
    variances = np.array([_robust_variance(values) for values in usable.values()])
    # Differences of distant days share most of their steps, so they carry less information.
    weights = np.array([len(values) for values in usable.values()]) / distances
    centre, height = np.average(distances, weights=weights), np.average(variances, weights=weights)
    spread = float((weights * (distances - centre) ** 2).sum())
    slope = float((weights * (distances - centre) * (variances - height)).sum()) / spread if spread else 0.0
    step = float(min(max(slope, 0.0), height / centre))
    return BetweenDayVariance(days, float(max(height - step * centre, 0.0)) / 2, step)


def _robust_variance(differences: FloatArray) -> float:
    deviations = np.abs(differences - np.median(differences))
    return float((MAD_TO_SD * np.median(deviations)) ** 2 * len(differences) / (len(differences) - 1))


def _daily_levels(series: Mapping[str, Hours], end: int) -> dict[int, float]:
    """Mean level of each day that is at least half there; days are numbered backwards from -1."""
    if not any(len(hours) for hours in series.values()):
        return {}
    starts, levels, _ = compute_hourly_levels(series, series)
    days = (starts - end) // DAY_S
    first = int(days.min())
    n_hours = np.bincount(days - first)
    sums = np.bincount(days - first, levels)
    return {first + day: float(sums[day] / n_hours[day]) for day in np.flatnonzero(n_hours >= MIN_DAY_HOURS).tolist()}
