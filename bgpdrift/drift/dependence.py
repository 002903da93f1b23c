"""The dependence between hours: the covariance of the difference of two windows, learned from the reference.

Scores of neighbouring minutes, and mostly of neighbouring hours, depend on each other, and whole days differ. Nothing
about that is assumed: it is learned from the reference's own hours after the season is subtracted. This module decides
the covariance and its degrees of freedom.
"""

from dataclasses import dataclass

import numpy as np

from bgpdrift.drift.between_day_variance import BetweenDayVariance
from bgpdrift.drift.constants import (
    ANDREWS_BARTLETT,
    CLEAR_DAY_VARIANCE,
    DAY_H,
    DAY_VARIANCE_PRIOR_D,
    HISTORY_PRIOR_D,
    HOUR_S,
    MAX_AUTOCORRELATION,
    MAX_LAG_H,
)
from bgpdrift.drift.hours import FloatArray, IntArray
from bgpdrift.drift.season import MatchedWindows


@dataclass(frozen=True, slots=True, eq=False)
class DifferenceCovariance:
    """How a difference of two windows scatters by chance.

    Attributes
    ----------
    covariance : ndarray of float, shape (groups + 1, groups + 1)
        Covariance of the current shares less the expected ones, including the uncertainty of the reference.
    current : ndarray of float, shape (groups + 1, groups + 1)
        Covariance of the current shares alone.
    freedom : float
        Degrees of freedom of the covariance.
    """

    covariance: FloatArray
    current: FloatArray
    freedom: float


def estimate_covariance(
    matched: MatchedWindows, level: FloatArray, between_day_variance: BetweenDayVariance | None = None
) -> DifferenceCovariance:
    """Estimate the covariance of a difference from the residuals of the reference and of the current hours.

    The long-run sum uses Bartlett's kernel with Andrews' bandwidth for AR(1) [1]_. Where the level of whole days
    scatters more than their hours imply, the covariance is inflated accordingly. Seven days say little about how days
    differ. The prior belief that they do not is therefore kept until the days contradict it clearly, or until a longer
    history does.

    The current hours contribute because extremes cluster: a week may hold none and the next day one. A few hours far
    from the others make the whole day uncertain, whereas a level that persists does not.

    Parameters
    ----------
    matched : MatchedWindows
        Two windows and the residuals of the reference.
    level : ndarray of float, shape (groups + 1,)
        Weights of a measure of level (mean rank) by which days are compared.
    between_day_variance : BetweenDayVariance, optional
        How days differ in a longer history; the difference grows with their distance.

    References
    ----------
    .. [1] D. W. K. Andrews, "Heteroskedasticity and autocorrelation consistent covariance matrix estimation",
       Econometrica 59, 1991.
    """
    residuals, hours = matched.residuals, len(matched.starts)
    floor = _independent_covariance(matched)
    if len(residuals) < 2:
        return DifferenceCovariance(floor, floor, 1.0)
    grid, present = _put_on_grid(matched.reference_starts, residuals)
    lag = _choose_bandwidth(grid, present)
    long_run, kernel = _sum_bartlett(grid, lag)
    long_run += _sum_bartlett(_put_on_grid(matched.starts, _current_residuals(matched))[0], lag)[0]
    current = hours / (len(residuals) + hours) * long_run
    by_hours = max((len(residuals) - matched.strata) / kernel, 1.0)
    days, per_day = _sum_days(matched.reference_starts, residuals, matched.strata)
    by_day, day_freedom, predicted = 1.0, 1.0, float(level @ current @ level)
    if len(days) >= 2 and predicted > 0:
        n = len(days) - 1.0
        ratio = float(((days @ level) ** 2).mean()) * hours / per_day / predicted
        shrunk = (n * ratio + DAY_VARIANCE_PRIOR_D) / (n + DAY_VARIANCE_PRIOR_D)
        clear = min(ratio, 1 + 2 * (ratio - 1 - CLEAR_DAY_VARIANCE / n**0.5))
        by_day = max(1.0, shrunk, clear)
        day_freedom = n if clear > shrunk else n + DAY_VARIANCE_PRIOR_D
    if between_day_variance is not None and predicted > 0:
        gap_d = max(int(matched.starts[0] - matched.reference_starts[-1]) / HOUR_S - 1, 0) / DAY_H
        inflation = between_day_variance.compute_inflation(
            predicted * (1 + matched.reference_share), hours / per_day, len(residuals) / per_day, gap_d
        )
        if inflation > by_day:
            by_day, day_freedom = inflation, between_day_variance.days + HISTORY_PRIOR_D
    freedom = 1 / ((1 - 1 / by_day**2) / day_freedom + 1 / (by_hours * by_day**2))
    current = by_day * current
    covariance = current * (1 + matched.reference_share)
    lacking = np.maximum(np.diag(floor) - np.diag(covariance), 0.0)
    centre = np.eye(len(floor))
    centre[:-1, :-1] -= 1 / (len(floor) - 1)
    return DifferenceCovariance(covariance + centre @ np.diag(lacking) @ centre, current, freedom)


def _current_residuals(matched: MatchedWindows) -> FloatArray:
    """Residuals of the current hours around their own mean: what a few hours contribute is scatter, not a new level."""
    hours = len(matched.starts)
    around = matched.differences - matched.weights[:, None] * matched.difference
    return np.asarray(around * np.sqrt(hours / max(hours - 1, 1)))


def _independent_covariance(matched: MatchedWindows) -> FloatArray:
    """Covariance if every value were independent, which is a lower bound.

    It matters where the reference is nearly constant. Without it such a reference would have no scatter, and one odd
    value would be significant.
    """
    groups = int(matched.groups[-1]) + 1
    counts = np.bincount(matched.groups, weights=matched.current_counts + matched.expected_counts, minlength=groups)
    shares = (counts + 1) / (counts.sum() + groups)
    n_alarms = (
        matched.expected[-1] * matched.n_reference + (matched.expected + matched.difference)[-1] * matched.n_current
    )
    alarms = (n_alarms + 1) / (matched.n_current + matched.n_reference + 2)
    each = 1 / matched.n_current + 1 / matched.n_reference
    floor = np.zeros((groups + 1, groups + 1))
    floor[:-1, :-1] = np.diag(shares) - np.outer(shares, shares)
    floor[-1, -1] = alarms * (1 - alarms)
    return floor * each


def _choose_bandwidth(grid: FloatArray, present: FloatArray) -> float:
    """Andrews' automatic bandwidth of Bartlett's kernel for AR(1), in hours; at most `MAX_LAG_H`.

    Parameters
    ----------
    grid : ndarray of float, shape (hours, columns)
        One row an hour, zero where there is none.
    present : ndarray of float, shape (hours,)
        1 where there is a row.
    """
    power = (grid**2).sum(axis=0)
    used = power > 0
    if not used.any() or len(grid) < 3:
        return 0.0
    pairs = (present[1:] * present[:-1]).sum()
    if pairs < 2:
        return 0.0
    together = (grid[1:] * grid[:-1]).sum(axis=0)[used] / pairs
    rho = np.clip(together / (power[used] / present.sum()), -MAX_AUTOCORRELATION, MAX_AUTOCORRELATION)
    scale = power[used] ** 2
    numerator = (4 * rho**2 / ((1 - rho) ** 6 * (1 + rho) ** 2) * scale).sum()
    denominator = (scale / (1 - rho) ** 4).sum()
    return float(min(ANDREWS_BARTLETT * (numerator / denominator * present.sum()) ** (1 / 3), MAX_LAG_H))


def _sum_bartlett(grid: FloatArray, lag: float) -> tuple[FloatArray, float]:
    """Weighted sum of autocovariances, and the sum of squared weights."""
    total = grid.T @ grid
    kernel = 1.0
    for step in range(1, min(int(np.ceil(lag)), len(grid) - 1) + 1):
        weight = max(1 - step / (lag + 1), 0.0)
        part = grid[:-step].T @ grid[step:]
        total += weight * (part + part.T)
        kernel += 2 * weight**2
    return total, kernel


def _put_on_grid(starts: IntArray, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Put rows one hour apart; gaps longer than any lag are shortened."""
    steps = np.minimum(np.diff(starts) // HOUR_S, MAX_LAG_H + 1)
    places = np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
    grid, present = np.zeros((int(places[-1]) + 1, rows.shape[1])), np.zeros(int(places[-1]) + 1)
    grid[places], present[places] = rows, 1.0
    return grid, present


def _sum_days(starts: IntArray, rows: FloatArray, strata: int) -> tuple[FloatArray, float]:
    """Sum rows over whole days, counted back from the newest; days that are less than half there are dropped."""
    per_day = min(strata, DAY_H)
    day = (starts[-1] - starts) // (DAY_H * HOUR_S)
    n_hours = np.bincount(day)
    sums = np.zeros((len(n_hours), rows.shape[1]))
    np.add.at(sums, day, rows)
    is_whole = n_hours >= per_day / 2
    # A sum over part of a day scatters less, so it is scaled to a whole one.
    return sums[is_whole] * np.sqrt(per_day / n_hours[is_whole])[:, None], float(per_day)
