"""The evidence of one comparison: the statistics, their p-values and whether they depend on a few hours.

This module decides the figures from which `bgpdrift.drift.rule` concludes a verdict, and the measures that a report
shows.
"""

from dataclasses import dataclass

import numpy as np

from bgpdrift.drift.between_day_variance import BetweenDayVariance
from bgpdrift.drift.constants import DAY_H, STABLE_P
from bgpdrift.drift.dependence import DifferenceCovariance, estimate_covariance
from bgpdrift.drift.hours import FloatArray, IntArray
from bgpdrift.drift.measure_registry import MEASURES, MeasureValue, WindowFigures, list_statistics
from bgpdrift.drift.null_distribution import NullDistribution
from bgpdrift.drift.report import Measure
from bgpdrift.drift.season import MatchedWindows
from bgpdrift.drift.severity import rank_severity
from bgpdrift.drift.smallest_shift import is_material
from bgpdrift.drift.tested_statistics import ShareBasis
from bgpdrift.settings_sections import DriftSettings


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What two matched windows show.

    Attributes
    ----------
    matched : MatchedWindows
        Both windows.
    covariance : DifferenceCovariance
        How their difference scatters by chance.
    basis : ShareBasis
        The statistics.
    null : NullDistribution
        Their null distribution.
    sizes, p_values, chance_levels : ndarray of float, shape (statistics,)
        Size, own p-value and mean by chance of each statistic.
    p_value : float
        Family-wise p-value of all statistics.
    """

    matched: MatchedWindows
    covariance: DifferenceCovariance
    basis: ShareBasis
    null: NullDistribution
    sizes: FloatArray
    p_values: FloatArray
    chance_levels: FloatArray
    p_value: float

    @property
    def alarming(self) -> str:
        """Name of the statistic with the smallest p-value."""
        return list(self.basis.statistics)[int(np.argmin(self.p_values))]

    @property
    def is_higher(self) -> bool:
        """Whether the current scores are higher than the reference, by mean rank."""
        return bool(self.basis.signed_sizes("location", self.matched.difference[:-1]) > 0)

    def is_material(self, settings: DriftSettings) -> bool:
        """Whether the difference is large enough to act on."""
        tail, expected = self.basis.weights("tail_95"), self.matched.expected[:-1]
        current_tail = float(tail @ (expected + self.matched.difference[:-1]))
        ks = self.basis.index("ks")
        excess = float(self.sizes[ks] - self.chance_levels[ks])
        return bool(is_material(np.array([excess]), np.array([current_tail]), float(tail @ expected), settings)[0])

    def is_stable(self, critical: FloatArray | None, hours: int) -> bool:
        """Whether the difference remains without its most extreme hours.

        Parameters
        ----------
        critical : ndarray of float, optional
            Sizes above which a statistic is significant. Each significant statistic may show that the difference is
            stable. Without them only the one with the smallest p-value may.
        hours : int
            Hours left out on either side for each day of current hours.
        """
        names = {self.alarming}
        if critical is not None:
            names |= {n for n, far in zip(self.basis.statistics, self.sizes > critical, strict=True) if far}
        return min(self._p_without_extremes(name, hours) for name in names) < STABLE_P

    def _p_without_extremes(self, name: str, hours: int) -> float:
        """p-value of a statistic without its most extreme hours on either side; 1 if the rest points the other way.

        A mean without its extremes scatters hardly more than one with them, so the null distribution stays the same.
        """
        each = self.matched.differences[:, :-1]
        along = self.basis.direction(name, each.sum(axis=0))
        kept = _exclude_extremes(each @ along, hours * max(1, round(len(each) / DAY_H)))
        weight = float(self.matched.weights[kept].sum())
        rest = each[kept].sum(axis=0) / weight
        if rest @ along <= 0:
            return 1.0
        p_value = float(self.null.p_values(self.basis.sizes(rest))[self.basis.index(name)])
        # The direction of a linear statistic is known, so half of the two-sided p-value applies.
        return p_value / 2 if self.basis.statistics[name].is_linear else p_value

    def effective_n(self) -> float | None:
        """Number of independent values to which the current window is equivalent; None if it cannot be estimated."""
        ranks, shares = self.basis.weights("location"), self.matched.expected[:-1]
        of_window = float(ranks @ self.covariance.current[:-1, :-1] @ ranks)
        of_value = float(shares @ ranks**2 - (shares @ ranks) ** 2)
        return min(of_value / of_window, float(self.matched.n_current)) if of_value > 0 and of_window > 0 else None

    def tested_measures(self, settings: DriftSettings) -> list[Measure]:
        """Measures that the rule tests."""
        tested = []
        for k, (name, statistic) in enumerate(self.basis.statistics.items()):
            if statistic.is_linear:
                by_chance = float(self.basis.weights(name) @ self.matched.expected[:-1])
                effect = float(self.basis.weights(name) @ self.matched.difference[:-1])
                value = by_chance + effect
            else:
                value, by_chance = float(self.sizes[k]), float(self.chance_levels[k])
                if statistic.value is not None:
                    groups = self.matched.groups
                    value = statistic.value(
                        np.bincount(groups, self.matched.current_counts),
                        np.bincount(groups, self.matched.expected_counts),
                    )
                effect = value - by_chance
            record, p_value = MEASURES[name], float(self.p_values[k])
            size = effect if record.ranks_severity else None
            severity = rank_severity(max(p_value, self.p_value), size, settings)
            values = MeasureValue(value=value, by_chance=by_chance, p_value=p_value, effect=effect)
            tested.append(record.build(values, settings, severity))
        return tested

    def described_measures(self, settings: DriftSettings) -> list[Measure]:
        """Measures that are reported beside the tested ones."""
        alarm_sd = float(np.sqrt(self.covariance.covariance[-1, -1]))
        figures = WindowFigures(self.matched, alarm_sd, self.covariance.freedom)
        return [record.build(record.compute(figures), settings) for record in MEASURES.values() if record.compute]


def gather_evidence(
    matched: MatchedWindows, draws: int, seed: int, between_day_variance: BetweenDayVariance | None = None
) -> Evidence:
    """Test two matched windows.

    Parameters
    ----------
    draws, seed : int
        Number and seed of the draws of the null distribution. Equal values give equal results.
    between_day_variance : BetweenDayVariance, optional
        How days differ in a longer history.
    """
    difference = matched.difference[:-1]
    basis = ShareBasis.of(matched.expected[:-1], matched.n_reference, list_statistics())
    covariance = estimate_covariance(matched, np.append(basis.weights("location"), 0.0), between_day_variance)
    null = NullDistribution.of(basis, covariance.covariance[:-1, :-1], covariance.freedom, draws=draws, seed=seed)
    sizes = basis.sizes(difference)
    p_values = null.p_values(sizes)
    family = null.family_p(float(p_values.min()))
    return Evidence(matched, covariance, basis, null, sizes, p_values, null.chance_levels(), family)


def _exclude_extremes(evidence: FloatArray, hours: int) -> IntArray:
    n_excluded = min(hours, (len(evidence) - 1) // 2)
    order = np.argsort(evidence, kind="stable")
    return np.asarray(np.sort(order[n_excluded : len(order) - n_excluded]), np.int64)
