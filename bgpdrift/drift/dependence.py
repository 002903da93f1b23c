"""How much hourly differences scatter by themselves, learned from the reference: its covariance and what that is worth.

Decides the covariance of the difference of two windows, and its degrees of freedom. Scores of neighbouring minutes, and
mostly of neighbouring hours, depend on each other; whole days differ. Nothing about that is assumed: it is read from what
remains of the reference's own hours once the season is taken off.
"""

from dataclasses import dataclass

import numpy as np

from bgpdrift.drift.hours import HOUR_S, FloatArray, IntArray
from bgpdrift.drift.season import Matched

LONGEST_LAG_H = 24
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
        Scatter of whole days, times what hours lead one to expect; more than 1 where days differ.
    """

    covariance: FloatArray
    current: FloatArray
    freedom: float
    lag_h: float
    by_day: float


def scatter(matched: Matched, directions: FloatArray) -> Scatter:
    """Learn the covariance of a difference from the reference's residuals.

    The long-run sum is Bartlett's with Andrews' bandwidth for AR(1) [1]_. Where whole days scatter more than their hours
    lead one to expect, the covariance is inflated to that.

    Parameters
    ----------
    matched : Matched
        Two windows and the residuals of the reference.
    directions : ndarray of float, shape (directions, groups + 1)
        Linear measures whose scatter of days is looked at.

    References
    ----------
    .. [1] D. W. K. Andrews, "Heteroskedasticity and autocorrelation consistent covariance matrix estimation",
       Econometrica 59, 1991.
    """
    residuals, hours = matched.residuals, len(matched.starts)
    size = residuals.shape[1]
    floor = sampling_floor(matched)
    if len(residuals) < 2:
        return Scatter(floor, floor, 1.0, 0.0, 1.0)
    grid, present = _on_grid(matched.reference_starts, residuals)
    lag = bandwidth(grid, present)
    long_run, kernel = _bartlett(grid, lag)
    long_run /= len(residuals)
    own = max(len(residuals) - matched.strata, 1.0)
    freedom = max(own / kernel, 1.0)
    current = hours * long_run
    days, per_day = _days(matched.reference_starts, residuals, matched.strata)
    by_day = 1.0
    if len(days) >= 2:
        seen = ((days @ directions.T) ** 2).mean(axis=0) * hours / per_day
        meant = np.einsum("ij,jk,ik->i", directions, current, directions)
        known = meant > 1e-18
        by_day = max(1.0, float((seen[known] / meant[known]).max())) if known.any() else 1.0
        few = max(len(days) - 1.0, 1.0)
        freedom = 1 / (1 / (freedom * by_day**2) + (1 - 1 / by_day**2) / few)
    current = by_day * current
    covariance = current * (1 + matched.reference_share)
    lacking = np.maximum(np.diag(floor) - np.diag(covariance), 0.0)
    centre = np.eye(size)
    centre[:-1, :-1] -= 1 / (size - 1)
    return Scatter(covariance + centre @ np.diag(lacking) @ centre, current, freedom, lag, by_day)


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
