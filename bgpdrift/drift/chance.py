"""What chance alone makes of a difference of shares: the null of every measure and of the smallest of their p-values.

Decides p-values. Differences are drawn from a multivariate t with a given covariance; the measures are those of a
difference of bin shares, each of them growing in proportion to it. So the draws need only directions: how far along each of
them chance goes is known exactly, p-values far below one in the number of draws are no guesses, and the same data give the
same answer.
"""

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

from bgpdrift.drift.hours import FloatArray

MEASURES = ("ks", "psi", "location", "tail_95", "tail_99")
"""Those of one family."""
SMALLEST_P = 1e-12
_NOTHING = 1e-300
_STEPS = 60
"""Draws of one measure are gathered into so many, in order of size;"""
_LARGEST = 60
"""the largest are not."""
_FINE = 2_000
_OFFSETS = np.concatenate([np.linspace(-4.0, 2.0, 61), np.linspace(2.25, 15.0, 24)])
_SOME = 250
"""Whole draws kept, to see what a shift of a given size would look like among them."""


@dataclass(frozen=True, slots=True, eq=False)
class ShareBasis:
    """Measures of a difference of bin shares, from the shares that were expected.

    Attributes
    ----------
    inverse : ndarray of float, shape (groups,)
        One through the expected shares: PSI is Σ d² · inverse for small d [1]_.
    linear : ndarray of float, shape (3, groups)
        Mean rank, share above the 95 % and above the 99 % point.

    References
    ----------
    .. [1] B. Yurdakul, "Statistical Properties of Population Stability Index", Western Michigan University, 2018.
    """

    inverse: FloatArray
    linear: FloatArray

    @classmethod
    def of(cls, expected: FloatArray, n: float) -> "ShareBasis":
        """Build from expected shares, shape (groups,), and the number of values they rest on."""
        shares = (expected + 0.5 / n) / (expected + 0.5 / n).sum()
        below = np.cumsum(expected) - expected
        reached = np.round(below + expected, 12)
        tails = [_tail(reached, at) for at in (0.95, 0.99)]
        return cls(1 / shares, np.stack([below + expected / 2, *tails]))

    def signed(self, differences: FloatArray) -> FloatArray:
        """Mean rank and tails, with their sign; shape (…, 3)."""
        return np.asarray(differences @ self.linear.T)

    def sizes(self, differences: FloatArray) -> FloatArray:
        """All measures in the order of `MEASURES`, PSI by its root; shape (…, 5), each proportional to the difference."""
        apart = np.cumsum(differences, axis=-1)[..., :-1]
        ks = np.abs(apart).max(axis=-1, initial=0.0)
        psi = np.sqrt((differences**2) @ self.inverse)
        return np.concatenate([np.stack([ks, psi], axis=-1), np.abs(self.signed(differences))], axis=-1)


def _tail(reached: FloatArray, at: float) -> FloatArray:
    """Mark the groups above a quantile: those behind the cut that is nearest to it, the last group of several at least."""
    cut = int(np.argmin(np.abs(reached[:-1] - at))) if len(reached) > 1 else 0
    marks = np.zeros(len(reached))
    marks[cut + 1 :] = 1.0
    return marks


@dataclass(frozen=True, slots=True, eq=False)
class NullDistribution:
    """The null of all measures of one comparison.

    Attributes
    ----------
    sizes : ndarray of float, shape (draws, measures)
        Logarithms of the measures of normal draws with the covariance.
    freedom : float
        Degrees of freedom of the t they belong to.
    noise : ndarray of float, shape (some, groups)
        Some whole draws.
    """

    sizes: FloatArray
    freedom: float
    noise: FloatArray
    _stretch: "_Stretch"
    _curves: tuple[FloatArray, FloatArray]
    """Logarithms of p-values falling, and of the sizes they belong to; shapes (measures, points)."""

    @classmethod
    def of(
        cls, yardstick: ShareBasis, covariance: FloatArray, freedom: float, *, draws: int = 2_000, seed: int = 0
    ) -> "NullDistribution":
        """Draw directions; the same seed and covariance give the same answer."""
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        random = np.random.default_rng(seed)
        drawn = random.standard_normal((draws, len(values))) @ root.T
        stretch = np.sqrt(freedom / random.chisquare(freedom, min(draws, _SOME)))
        sizes = np.log(np.maximum(yardstick.sizes(drawn), _NOTHING))
        radius = _Stretch.of(freedom)
        ordered, weights = _gathered(np.sort(sizes, axis=0))
        grid = ordered[-1] + _OFFSETS[:, None]
        beyond = np.einsum("psm,s->pm", radius.beyond(ordered - grid[:, None]), weights)
        chances = np.minimum.accumulate(np.log(np.maximum(beyond, SMALLEST_P / 10)))
        noise = drawn[:_SOME] * stretch[:, None]
        return cls(sizes, freedom, noise, radius, (chances.T, grid.T))

    def p_values(self, sizes: FloatArray) -> FloatArray:
        """NullDistribution of each measure alone to be at least as large; shape (measures,)."""
        beyond = self._stretch.beyond(self.sizes - np.log(np.maximum(sizes, _NOTHING))).mean(axis=0)
        return np.where(sizes > _NOTHING, np.clip(beyond, SMALLEST_P, 1.0), 1.0)

    def by_chance(self) -> FloatArray:
        """Means of the measures by chance, PSI itself and not its root; shape (measures,)."""
        f = max(self.freedom, 2.5)
        stretch = math.sqrt(f / 2) * math.exp(math.lgamma((f - 1) / 2) - math.lgamma(f / 2))
        means = np.exp(self.sizes).mean(axis=0) * stretch
        k = MEASURES.index("psi")
        means[k] = np.exp(2 * self.sizes[:, k]).mean() * f / (f - 2)
        return np.asarray(means)

    def family(self, p_value: float) -> float:
        """NullDistribution that any measure's p-value is as small as this one."""
        beyond = self._stretch.beyond((self.sizes - np.log(self.critical(p_value))).max(axis=1))
        return float(min(max(beyond.mean(), p_value, SMALLEST_P), len(MEASURES) * max(p_value, SMALLEST_P), 1.0))

    def critical(self, p_value: float) -> FloatArray:
        """Sizes that each measure alone exceeds with this probability; shape (measures,)."""
        target = math.log(min(max(p_value, SMALLEST_P), 1.0))
        return np.array([math.exp(np.interp(-target, -p, x)) for p, x in zip(*self._curves, strict=True)])

    def family_critical(self, alpha: float) -> FloatArray:
        """Sizes of which any one is exceeded with probability ``alpha``; shape (measures,)."""
        low, high = math.log(alpha / len(MEASURES)), math.log(alpha)
        for _ in range(6):
            middle = (low + high) / 2
            low, high = (middle, high) if self.family(math.exp(middle)) < alpha else (low, middle)
        return self.critical(math.exp((low + high) / 2))


def _gathered(rising: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Average neighbours among draws in order of size, all but the largest, which far out are all that counts.

    Returns
    -------
    gathered, weights : ndarray of float, shapes (steps, measures) and (steps,)
        Weights sum to 1.
    """
    rest = max(len(rising) - _LARGEST, 0)
    groups = np.array_split(np.arange(rest), _STEPS) if rest > _STEPS else [np.arange(i, i + 1) for i in range(rest)]
    means = [rising[group].mean(axis=0) for group in groups]
    sizes = [len(group) for group in groups]
    weights = np.array([*sizes, *[1] * (len(rising) - rest)], float) / len(rising)
    return np.vstack([*means, rising[rest:]]), weights


def two_sided(value: float, deviation: float, freedom: float) -> float:
    """P-value of one linear measure with this standard deviation; 1 where it is 0.

    Examples
    --------
    >>> two_sided(0.0, 0.0, 5.0), round(two_sided(2.571, 1.0, 5.0), 3)
    (1.0, 0.05)
    """
    if value == 0 or deviation <= 0:
        return 1.0 if value == 0 else SMALLEST_P
    beyond = _Stretch.of(freedom).beyond(_log_normal() + math.log(deviation / abs(value)))
    return float(min(max(beyond.mean(), SMALLEST_P), 1.0))


@cache
def _log_normal() -> FloatArray:
    """Logarithms of evenly likely sizes of a normal value."""
    return np.log([NormalDist().inv_cdf((1 + (step + 0.5) / _FINE) / 2) for step in range(_FINE)])


@dataclass(frozen=True, slots=True, eq=False)
class _Stretch:
    """How likely a normal draw is stretched by the root of degrees of freedom over chi-square: the radius of a t."""

    begin: float
    step: float
    cumulated: FloatArray

    @classmethod
    def of(cls, freedom: float) -> "_Stretch":
        """Cumulate chi-square over the logarithm of its argument."""
        grid, step = np.linspace(-4 - 60 / freedom**0.5, 4.0, 4_001, retstep=True)
        argument = math.log(freedom) + grid
        density = np.exp(freedom / 2 * (argument - math.log(2)) - np.exp(argument) / 2 - math.lgamma(freedom / 2))
        cumulated = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2) * step])
        return cls(float(grid[0]), float(step), np.asarray(np.minimum(cumulated, 1.0)))

    def beyond(self, ratios: FloatArray) -> FloatArray:
        """NullDistribution to be stretched beyond what was seen; ratios are logarithms of a draw's size through the size seen."""
        place = np.clip((2 * ratios - self.begin) / self.step, 0.0, len(self.cumulated) - 1.001)
        below = place.astype(np.int64)
        left = self.cumulated[below]
        return np.asarray(left + (place - below) * (self.cumulated[below + 1] - left))
