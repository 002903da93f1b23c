"""A generalised Pareto tail, which extrapolates the largest values of a calm sample.

The thresholds of rules and the p-values of scores lie beyond the largest value of their samples; both use this tail.

References
----------
.. [1] J. Pickands, "Statistical inference using extreme order statistics", Annals of Statistics 3, 1975.
.. [2] J. Hosking, J. Wallis, "Parameter and quantile estimation for the generalized Pareto distribution",
   Technometrics 29, 1987: probability-weighted moments.
"""

from dataclasses import dataclass

import numpy as np

from bgpdrift.detectors.interface import FloatArray

SHAPE_LIMITS = (0.0, 0.5)
"""A negative shape would give larger values the probability 0; above 0.5 the estimator has no finite variance."""
MIN_SCALE = 1e-6
"""Scale of a tail whose values are all equal, relative to the spread of the sample, or to its size if all are equal."""
MIN_VALUES, MIN_TAIL_VALUES = 20, 10
"""Fewest values of a sample, and of its tail."""


@dataclass(frozen=True, slots=True)
class ParetoTail:
    """``P(X > x) = share · (1 + shape · (x − start) / scale) ^ (−1 / shape)`` for x above start."""

    start: float
    share: float
    scale: float
    shape: float

    def survival(self, x: FloatArray) -> FloatArray:
        """Probability of a value above x, for x ≥ start.

        Examples
        --------
        >>> ParetoTail(start=1.0, share=0.1, scale=1.0, shape=0.0).survival(np.array([1.0, 2.0])).round(4)
        array([0.1   , 0.0368])
        """
        beyond = np.maximum(np.asarray(x, np.float64) - self.start, 0.0) / self.scale
        if self.shape < 1e-9:
            return np.asarray(self.share * np.exp(-beyond))
        return np.asarray(self.share * np.power(1.0 + self.shape * beyond, -1.0 / self.shape))

    def quantile(self, p: float) -> float:
        """Value that is exceeded with probability p, for p at most `share`.

        Examples
        --------
        >>> tail = ParetoTail(start=1.0, share=0.1, scale=2.0, shape=0.2)
        >>> round(float(tail.survival(np.array([tail.quantile(1e-4)]))[0]), 9)
        0.0001
        """
        ratio = self.share / max(p, 1e-300)
        if self.shape < 1e-9:
            return self.start + self.scale * float(np.log(ratio))
        return self.start + self.scale * float(np.expm1(self.shape * np.log(ratio))) / self.shape


def fit_tail(values: FloatArray, share: float = 0.05) -> ParetoTail:
    """Fit the largest ``share`` of a sample by probability-weighted moments [2]_.

    Parameters
    ----------
    values : ndarray of float
        At least `MIN_VALUES` finite values.
    share : float
        Share of the sample that is its tail.

    Raises
    ------
    ValueError
        The sample has too few finite values.

    Examples
    --------
    >>> sample = np.random.default_rng(1).exponential(2.0, 20_000)
    >>> tail = fit_tail(sample)
    >>> bool(abs(tail.quantile(1e-4) - 2.0 * np.log(1e4)) < 2.0)
    True
    """
    finite = values[np.isfinite(values)]
    if len(finite) < MIN_VALUES:
        raise ValueError(f"a tail needs at least {MIN_VALUES} finite values, not {len(finite)}")
    count = max(MIN_TAIL_VALUES, round(share * len(finite)))
    largest = np.sort(np.partition(finite, -count - 1)[-count - 1 :])
    start = float(largest[0])
    excess = largest[1:] - start
    weight = 1.0 - (np.arange(1, count + 1) - 0.35) / count
    mean, weighted = float(excess.mean()), float((weight * excess).mean())
    shape = 2.0 - mean / (mean - 2.0 * weighted) if mean > 2.0 * weighted else SHAPE_LIMITS[1]
    shape = float(np.clip(shape, *SHAPE_LIMITS))
    # With the limited shape the scale follows from the mean alone, so that the tail keeps its mass.
    size = float(finite.max() - finite.min()) or abs(start) or 1.0
    scale = max(mean * (1.0 - shape), MIN_SCALE * size)
    return ParetoTail(start=start, share=count / len(finite), scale=scale, shape=shape)
