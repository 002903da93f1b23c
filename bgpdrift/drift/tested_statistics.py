"""The statistics that the rule tests: functions of a difference of group shares, each proportional to it.

Because every statistic grows in proportion to the difference, its null distribution needs only directions
(`bgpdrift.drift.null_distribution`). `bgpdrift.drift.measure_registry` decides which statistics
are tested and their names.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bgpdrift.drift import measures
from bgpdrift.drift.hours import FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistic:
    """One tested statistic: linear in the difference (``weights``), or not (``size`` and ``direction``).

    Attributes
    ----------
    weights : callable, optional
        Expected shares, shape (groups,), to the weights of the groups, shape (groups,). The statistic is the absolute
        weighted sum.
    size : callable, optional
        Differences, shape (..., groups), and expected basis to sizes, shape (...,).
    direction : callable, optional
        A difference, shape (groups,), and the basis to the weights of the groups along which the statistic sees it.
    value : callable, optional
        Group counts of the current window and expected ones to the value that is reported; by default the size.
    exponent : int
        The reported value is about the size to this power: 2 for PSI, whose root is proportional to the difference.
    """

    weights: Callable[[FloatArray], FloatArray] | None = None
    size: Callable[[FloatArray, "ShareBasis"], FloatArray] | None = None
    direction: Callable[[FloatArray, "ShareBasis"], FloatArray] | None = None
    value: Callable[[ArrayLike, ArrayLike], float] | None = None
    exponent: int = 1

    @property
    def is_linear(self) -> bool:
        """Whether the statistic is a weighted sum of the difference, which has a sign."""
        return self.weights is not None


@dataclass(frozen=True, slots=True, eq=False)
class ShareBasis:
    """The expected shares of one comparison, prepared for all statistics.

    Attributes
    ----------
    statistics : mapping of str to Statistic
        By name, in the order of `sizes`.
    inverse : ndarray of float, shape (groups,)
        One divided by the expected shares: PSI is Σ d² · inverse for small d [1]_.
    linear : ndarray of float, shape (linear statistics, groups)
        Weights of the linear statistics.

    References
    ----------
    .. [1] B. Yurdakul, "Statistical Properties of Population Stability Index", Western Michigan University, 2018.
    """

    statistics: Mapping[str, Statistic]
    inverse: FloatArray
    linear: FloatArray

    @classmethod
    def of(cls, expected: FloatArray, n: float, statistics: Mapping[str, Statistic]) -> "ShareBasis":
        """Build from expected shares, shape (groups,), and the number of values that they rest on."""
        shares = (expected + 0.5 / n) / (expected + 0.5 / n).sum()
        linear = [statistic.weights(expected) for statistic in statistics.values() if statistic.weights]
        return cls(statistics, 1 / shares, np.stack(linear))

    def index(self, name: str) -> int:
        """Return the place of a statistic in `sizes`."""
        return list(self.statistics).index(name)

    def weights(self, name: str) -> FloatArray:
        """Return the weights of a linear statistic, shape (groups,)."""
        return np.asarray(self.linear[self._linear_index(name)])

    def signed_sizes(self, name: str, differences: FloatArray) -> FloatArray:
        """Compute a linear statistic with its sign; shape (...,)."""
        return np.asarray((differences @ self.linear.T)[..., self._linear_index(name)])

    def _linear_index(self, name: str) -> int:
        return [other for other, statistic in self.statistics.items() if statistic.is_linear].index(name)

    def sizes(self, differences: FloatArray) -> FloatArray:
        """Compute the sizes of all statistics, shape (..., statistics); each is proportional to the difference."""
        linear = np.abs(differences @ self.linear.T)
        columns, place = [], 0
        for statistic in self.statistics.values():
            if statistic.size is not None:
                columns.append(statistic.size(differences, self))
            else:
                columns.append(linear[..., place])
                place += 1
        return np.stack(columns, axis=-1)

    def direction(self, name: str, difference: FloatArray) -> FloatArray:
        """Return the weights of groups along which a statistic sees a difference, signed to be positive."""
        statistic = self.statistics[name]
        along = self.weights(name) if statistic.direction is None else statistic.direction(difference, self)
        return np.asarray(along if along @ difference >= 0 else -along)


def _ks_size(differences: FloatArray, _basis: ShareBasis) -> FloatArray:
    cumulated = np.cumsum(differences, axis=-1)[..., :-1]
    return np.asarray(np.abs(cumulated).max(axis=-1, initial=0.0))


def _ks_direction(difference: FloatArray, _basis: ShareBasis) -> FloatArray:
    """All groups below the value where the distribution functions are farthest apart."""
    cut = int(np.argmax(np.abs(np.cumsum(difference)[:-1]))) if len(difference) > 1 else 0
    return (np.arange(len(difference)) <= cut).astype(float)


def _psi_size(differences: FloatArray, basis: ShareBasis) -> FloatArray:
    return np.asarray(np.sqrt((differences**2) @ basis.inverse))


def _psi_direction(difference: FloatArray, basis: ShareBasis) -> FloatArray:
    return np.asarray(difference * basis.inverse)


def _mean_rank(expected: FloatArray) -> FloatArray:
    return np.asarray(np.cumsum(expected) - expected + expected / 2)


def _share_above(quantile: float) -> Callable[[FloatArray], FloatArray]:
    """Mark the groups above a quantile: those behind the cut nearest to it, and at least the last of several groups."""

    def weights(expected: FloatArray) -> FloatArray:
        reached = np.round(np.cumsum(expected) - expected + expected, 12)
        cut = int(np.argmin(np.abs(reached[:-1] - quantile))) if len(reached) > 1 else 0
        marks = np.zeros(len(reached))
        marks[cut + 1 :] = 1.0
        return marks

    return weights


KS = Statistic(size=_ks_size, direction=_ks_direction)
PSI = Statistic(size=_psi_size, direction=_psi_direction, value=measures.psi, exponent=2)
LOCATION = Statistic(weights=_mean_rank)
TAIL_95 = Statistic(weights=_share_above(0.95))
TAIL_99 = Statistic(weights=_share_above(0.99))
