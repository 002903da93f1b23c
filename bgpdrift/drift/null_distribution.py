"""The null distribution: the differences of shares that chance alone causes.

This module decides p-values. Differences are drawn from a multivariate t with a given covariance. All statistics grow in
proportion to the difference, so only directions are drawn: the distribution of the distance along a direction is known
exactly. p-values far below one divided by the number of draws are therefore accurate, and equal data give equal results.
"""

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

from bgpdrift.drift.constants import MIN_P, NULL_DRAWS
from bgpdrift.drift.hours import FloatArray
from bgpdrift.drift.tested_statistics import ShareBasis

_TINY = 1e-300
_POOLED_STEPS = 60
"""Steps into which the draws of one statistic are pooled, in order of size."""
_UNPOOLED_DRAWS = 60
"""Largest draws, which stay single: far out only they matter."""
_NORMAL_STEPS = 2_000
"""Evenly likely sizes that represent a normal value."""
_CURVE_OFFSETS = np.concatenate([np.linspace(-4.0, 2.0, 61), np.linspace(2.25, 15.0, 24)])
"""Logarithmic sizes, relative to the largest draw, at which p-values are tabulated."""
_NOISE_DRAWS = 250
"""Whole draws kept, to which shifts are added for the smallest detectable shift."""


@dataclass(frozen=True, slots=True, eq=False)
class NullDistribution:
    """The null distribution of all statistics of one comparison.

    Attributes
    ----------
    basis : ShareBasis
        The statistics.
    sizes : ndarray of float, shape (draws, statistics)
        Logarithms of the statistics of normal draws with the covariance.
    freedom : float
        Degrees of freedom of the t distribution.
    noise : ndarray of float, shape (noise draws, groups)
        Some whole draws of the t distribution.
    """

    basis: ShareBasis
    sizes: FloatArray
    freedom: float
    noise: FloatArray
    _radius: "_Radius"
    _curves: tuple[FloatArray, FloatArray]
    """Logarithms of falling p-values, and of the sizes they belong to; shapes (statistics, points)."""

    @classmethod
    def of(
        cls, basis: ShareBasis, covariance: FloatArray, freedom: float, *, draws: int = NULL_DRAWS, seed: int = 0
    ) -> "NullDistribution":
        """Draw directions. The same seed and covariance give the same answer."""
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        random = np.random.default_rng(seed)
        directions = random.standard_normal((draws, len(values))) @ root.T
        stretch = np.sqrt(freedom / random.chisquare(freedom, min(draws, _NOISE_DRAWS)))
        sizes = np.log(np.maximum(basis.sizes(directions), _TINY))
        radius = _Radius.of(freedom)
        pooled, weights = _pool_draws(np.sort(sizes, axis=0))
        grid = pooled[-1] + _CURVE_OFFSETS[:, None]
        beyond = np.einsum("psm,s->pm", radius.beyond(pooled - grid[:, None]), weights)
        log_p = np.minimum.accumulate(np.log(np.maximum(beyond, MIN_P / 10)))
        noise = directions[:_NOISE_DRAWS] * stretch[:, None]
        return cls(basis, sizes, freedom, noise, radius, (log_p.T, grid.T))

    def p_values(self, sizes: FloatArray) -> FloatArray:
        """Probability of each statistic alone to be at least as large; shape (statistics,)."""
        beyond = self._radius.beyond(self.sizes - np.log(np.maximum(sizes, _TINY))).mean(axis=0)
        return np.where(sizes > _TINY, np.clip(beyond, MIN_P, 1.0), 1.0)

    def chance_levels(self) -> FloatArray:
        """Mean value of each statistic by chance, of the reported value and not of its root; shape (statistics,)."""
        f = max(self.freedom, 2.5)
        stretch = math.sqrt(f / 2) * math.exp(math.lgamma((f - 1) / 2) - math.lgamma(f / 2))
        means = np.exp(self.sizes).mean(axis=0) * stretch
        for k, statistic in enumerate(self.basis.statistics.values()):
            if statistic.exponent == 2:
                means[k] = np.exp(2 * self.sizes[:, k]).mean() * f / (f - 2)
        return np.asarray(means)

    def family_p(self, p_value: float) -> float:
        """Probability that the smallest p-value of all statistics is at most this one."""
        n = len(self.basis.statistics)
        beyond = self._radius.beyond((self.sizes - np.log(self.critical_sizes(p_value))).max(axis=1))
        return float(min(max(beyond.mean(), p_value, MIN_P), n * max(p_value, MIN_P), 1.0))

    def critical_sizes(self, p_value: float) -> FloatArray:
        """Size that each statistic alone exceeds with this probability; shape (statistics,)."""
        target = math.log(min(max(p_value, MIN_P), 1.0))
        return np.array([math.exp(np.interp(-target, -p, x)) for p, x in zip(*self._curves, strict=True)])

    def family_critical_sizes(self, alpha: float) -> FloatArray:
        """Sizes any of which is exceeded with probability ``alpha``; shape (statistics,)."""
        low, high = math.log(alpha / len(self.basis.statistics)), math.log(alpha)
        for _ in range(6):
            middle = (low + high) / 2
            low, high = (middle, high) if self.family_p(math.exp(middle)) < alpha else (low, middle)
        return self.critical_sizes(math.exp((low + high) / 2))


def two_sided_p(value: float, deviation: float, freedom: float) -> float:
    """p-value of one linear statistic with this standard deviation; 1 where it is 0.

    Examples
    --------
    >>> two_sided_p(0.0, 0.0, 5.0), round(two_sided_p(2.571, 1.0, 5.0), 3)
    (1.0, 0.05)
    """
    if value == 0 or deviation <= 0:
        return 1.0 if value == 0 else MIN_P
    beyond = _Radius.of(freedom).beyond(_log_normal_sizes() + math.log(deviation / abs(value)))
    return float(min(max(beyond.mean(), MIN_P), 1.0))


def _pool_draws(rising: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Average neighbouring draws in order of size, except the largest.

    Returns
    -------
    pooled, weights : ndarray of float, shapes (steps, statistics) and (steps,)
        Weights sum to 1.
    """
    rest = max(len(rising) - _UNPOOLED_DRAWS, 0)
    groups = (
        np.array_split(np.arange(rest), _POOLED_STEPS)
        if rest > _POOLED_STEPS
        else [np.arange(i, i + 1) for i in range(rest)]
    )
    means = [rising[group].mean(axis=0) for group in groups]
    sizes = [len(group) for group in groups]
    weights = np.array([*sizes, *[1] * (len(rising) - rest)], float) / len(rising)
    return np.vstack([*means, rising[rest:]]), weights


@cache
def _log_normal_sizes() -> FloatArray:
    """Logarithms of evenly likely sizes of a normal value."""
    return np.log([NormalDist().inv_cdf((1 + (step + 0.5) / _NORMAL_STEPS) / 2) for step in range(_NORMAL_STEPS)])


@dataclass(frozen=True, slots=True, eq=False)
class _Radius:
    """Distribution of the factor by which a t draw exceeds its normal draw.

    The factor is the root of degrees of freedom over chi-square.
    """

    begin: float
    step: float
    cumulated: FloatArray

    @classmethod
    def of(cls, freedom: float) -> "_Radius":
        """Integrate the chi-square density over the logarithm of its argument."""
        grid, step = np.linspace(-4 - 60 / freedom**0.5, 4.0, 4_001, retstep=True)
        argument = math.log(freedom) + grid
        density = np.exp(freedom / 2 * (argument - math.log(2)) - np.exp(argument) / 2 - math.lgamma(freedom / 2))
        cumulated = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2) * step])
        return cls(float(grid[0]), float(step), np.asarray(np.minimum(cumulated, 1.0)))

    def beyond(self, ratios: FloatArray) -> FloatArray:
        """Probability that the factor takes a draw beyond the observed size.

        Parameters
        ----------
        ratios : ndarray of float
            Logarithm of the draw's size divided by the observed one.
        """
        place = np.clip((2 * ratios - self.begin) / self.step, 0.0, len(self.cumulated) - 1.001)
        below = place.astype(np.int64)
        left = self.cumulated[below]
        return np.asarray(left + (place - below) * (self.cumulated[below + 1] - left))
