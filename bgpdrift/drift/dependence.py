"""How much hourly differences scatter by themselves, learned from the reference: its covariance and what that is worth.

Decides the covariance of the difference of two windows, and its degrees of freedom. Scores of neighbouring minutes, and
mostly of neighbouring hours, depend on each other; whole days differ. Nothing about that is assumed: it is read from what
remains of the reference's own hours once the season is taken off.
"""

from dataclasses import dataclass

import numpy as np

from bgpdrift.drift.between_day_variance import PRIOR_D, BetweenDayVariance
from bgpdrift.drift.hours import HOUR_S, FloatArray, IntArray
from bgpdrift.drift.season import Matched

LONGEST_LAG_H = 24
PRIOR = 36.0
"""Days of reference that would weigh as much as the belief that days differ no more than their hours say."""
_CLEAR = 2.45
"""Excess of the variance of whole days, times the root of their number, that chance gives in one of 16 references."""
_DAY_H = 24


@dataclass(frozen=True, slots=True, eq=False)
class Scatter:
    """What a difference of two windows is by chance.

    Attributes
    ----------
    covariance : ndarray of float, shape (groups + 1, groups + 1)
        Of current shares less expected ones, the reference's own uncertainty in it.
    current : ndarray of float, shape (groups + 1, groups + 1)
        Of the current shares alone.
    freedom : float
        Degrees of freedom the covariance rests on.
    lag_h : float
        Bandwidth: hours over which hours depend on each other.
    by_day : float
        Inflation of the variance because whole days differ; 1 where they do not.
    """

    covariance: FloatArray
    current: FloatArray
    freedom: float
    lag_h: float
    by_day: float


def scatter(matched: Matched, level: FloatArray, between_day_variance: BetweenDayVariance | None = None) -> Scatter:
    """Learn the covariance of a difference from the residuals of the reference, and of the current hours around their mean.

    The long-run sum is Bartlett's with Andrews' bandwidth for AR(1) [1]_. Where the level of whole days scatters more than
    their hours lead one to expect, the covariance is inflated by that. Seven days say little about how days differ, so
    that they do not is believed until they say otherwise clearly; or until a longer history does, where there is one.

    Current hours count because extremes come in clusters: a week may hold none, and the next day one. A few hours far from
    the others make the whole day uncertain; a level that lasts does not.

    Parameters
    ----------
    matched : Matched
        Two windows and the residuals of the reference.
    level : ndarray of float, shape (groups + 1,)
        Measure of level (mean rank) by which days are compared.
    wander : BetweenDayVariance, optional
        What a longer history says of how days differ, the farther apart the more.

    References
    ----------
    .. [1] D. W. K. Andrews, "Heteroskedasticity and autocorrelation consistent covariance matrix estimation",
       Econometrica 59, 1991.
    """
    residuals, hours = matched.residuals, len(matched.starts)
    floor = sampling_floor(matched)
    if len(residuals) < 2:
        return Scatter(floor, floor, 1.0, 0.0, 1.0)
    grid, present = _on_grid(matched.reference_starts, residuals)
    lag = bandwidth(grid, present)
    long_run, kernel = _bartlett(grid, lag)
    long_run += _bartlett(_on_grid(matched.starts, _own(matched))[0], lag)[0]
    current = hours / (len(residuals) + hours) * long_run
    by_hours = max((len(residuals) - matched.strata) / kernel, 1.0)
    days, per_day = _days(matched.reference_starts, residuals, matched.strata)
    by_day, known, meant = 1.0, 1.0, float(level @ current @ level)
    if len(days) >= 2 and meant > 0:
        few = len(days) - 1.0
        found = float(((days @ level) ** 2).mean()) * hours / per_day / meant
        doubted = (few * found + PRIOR) / (few + PRIOR)
        believed = min(found, 1 + 2 * (found - 1 - _CLEAR / few**0.5))
        by_day = max(1.0, doubted, believed)
        known = few if believed > doubted else few + PRIOR
    if between_day_variance is not None and meant > 0:
        gap_d = max(int(matched.starts[0] - matched.reference_starts[-1]) / HOUR_S - 1, 0) / _DAY_H
        far = between_day_variance.inflation(
            meant * (1 + matched.reference_share), hours / per_day, len(residuals) / per_day, gap_d
        )
        if far > by_day:
            by_day, known = far, between_day_variance.days + PRIOR_D
    freedom = 1 / ((1 - 1 / by_day**2) / known + 1 / (by_hours * by_day**2))
    current = by_day * current
    covariance = current * (1 + matched.reference_share)
    lacking = np.maximum(np.diag(floor) - np.diag(covariance), 0.0)
    centre = np.eye(len(floor))
    centre[:-1, :-1] -= 1 / (len(floor) - 1)
    return Scatter(covariance + centre @ np.diag(lacking) @ centre, current, freedom, lag, by_day)


def _own(matched: Matched) -> FloatArray:
    """Residuals of the current hours around their own mean: what a few hours alone did is scatter, not a new level."""
    hours = len(matched.starts)
    around = matched.differences - matched.weights[:, None] * matched.difference
    return np.asarray(around * np.sqrt(hours / max(hours - 1, 1)))


def sampling_floor(matched: Matched) -> FloatArray:
    """Covariance if every value were independent: less than that no reference can promise.

    Matters where the reference is nearly constant: it has no scatter, and one odd value would be a miracle.
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


def bandwidth(grid: FloatArray, present: FloatArray) -> float:
    """Andrews' automatic bandwidth of Bartlett's kernel for AR(1), in hours; at most a day.

    Parameters
    ----------
    grid : ndarray of float, shape (hours, columns)
        One row an hour, zero where there is none.
    present : ndarray of float, shape (hours,)
        1 where there is a row.
    """
    power = (grid**2).sum(axis=0)
    known = power > 0
    if not known.any() or len(grid) < 3:
        return 0.0
    pairs = (present[1:] * present[:-1]).sum()
    if pairs < 2:
        return 0.0
    together = (grid[1:] * grid[:-1]).sum(axis=0)[known] / pairs
    rho = np.clip(together / (power[known] / present.sum()), -0.97, 0.97)
    scale = power[known] ** 2
    above = (4 * rho**2 / ((1 - rho) ** 6 * (1 + rho) ** 2) * scale).sum()
    below = (scale / (1 - rho) ** 4).sum()
    return float(min(1.1447 * (above / below * present.sum()) ** (1 / 3), LONGEST_LAG_H))


def _bartlett(grid: FloatArray, lag: float) -> tuple[FloatArray, float]:
    total = grid.T @ grid
    kernel = 1.0
    for step in range(1, min(int(np.ceil(lag)), len(grid) - 1) + 1):
        weight = max(1 - step / (lag + 1), 0.0)
        part = grid[:-step].T @ grid[step:]
        total += weight * (part + part.T)
        kernel += 2 * weight**2
    return total, kernel


def _on_grid(starts: IntArray, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Put rows an hour apart; longer gaps than any lag are cut short."""
    steps = np.minimum(np.diff(starts) // HOUR_S, LONGEST_LAG_H + 1)
    places = np.concatenate([[0], np.cumsum(steps)]).astype(np.int64)
    grid, present = np.zeros((int(places[-1]) + 1, rows.shape[1])), np.zeros(int(places[-1]) + 1)
    grid[places], present[places] = rows, 1.0
    return grid, present


def _days(starts: IntArray, rows: FloatArray, strata: int) -> tuple[FloatArray, float]:
    """Sum rows over whole days counted back from the newest; days less than half there are no days."""
    per_day = min(strata, _DAY_H)
    day = (starts[-1] - starts) // (_DAY_H * HOUR_S)
    filled = np.bincount(day)
    sums = np.zeros((len(filled), rows.shape[1]))
    np.add.at(sums, day, rows)
    whole = filled >= per_day / 2
    # A sum over part of a day scatters less: to the scale of a whole one.
    return sums[whole] * np.sqrt(per_day / filled[whole])[:, None], float(per_day)
