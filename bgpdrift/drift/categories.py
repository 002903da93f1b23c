"""Drift of a mix of categories, such as the rules that fire: PSI and Jensen-Shannon divergence with their p-values.

The p-value is the larger of two. The first exchanges blocks of hours. Without a change, the same time of day of any day
could be today's, so the current block of each `CATEGORY_BLOCK_H` hours is drawn from all days, and PSI is computed
again. Neighbouring hours stay together, and one incident, which fills one block, is as likely to lie in the reference
as in the current window. The second compares PSI with the scatter of the reference's whole days (a multivariate t, like
that of the rule), because days differ by more than their hours imply. The number of events is not considered here; the
anomaly rate measures it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bgpdrift.drift import measures
from bgpdrift.drift.constants import (
    CATEGORY_BLOCK_H,
    DAY_H,
    HOUR_S,
    MATERIAL_JS_BITS,
    MIN_CATEGORY_EVENTS,
    NULL_DRAWS,
    PSEUDOCOUNT,
)
from bgpdrift.drift.hours import Hours
from bgpdrift.drift.measure_registry import list_statistics
from bgpdrift.drift.null_distribution import NullDistribution
from bgpdrift.drift.report import Measure
from bgpdrift.drift.severity import rank_severity
from bgpdrift.drift.tested_statistics import ShareBasis
from bgpdrift.settings_sections import DriftSettings


@dataclass(frozen=True, slots=True, eq=False)
class CategoryHours:
    """Events by hour and category.

    Attributes
    ----------
    starts : ndarray of int, shape (hours,)
        Epoch seconds, UTC; includes hours that had data but no events.
    categories : tuple of str
        Names.
    counts : ndarray of int, shape (hours, categories)
        Events.
    """

    starts: NDArray[np.int64]
    categories: tuple[str, ...]
    counts: NDArray[np.int64]

    @classmethod
    def of_alarms(cls, series: Mapping[str, Iterable[Hours]]) -> "CategoryHours":
        """Count the alarms of each category's series, such as ``rule:<name>``, over all collectors.

        Examples
        --------
        >>> fired = Hours.from_rows([0, 60, 3600], [1.0, 1.0, 1.0], [True, True, False])
        >>> hours = CategoryHours.of_alarms({"storm": [fired], "silence": []})
        >>> hours.categories, hours.starts.tolist(), hours.counts.tolist()
        (('silence', 'storm'), [0, 3600], [[0, 2], [0, 0]])
        """
        parts = {name: list(hours) for name, hours in sorted(series.items())}
        starts = np.unique(np.concatenate([np.zeros(0, np.int64), *(h.starts for one in parts.values() for h in one)]))
        counts = np.zeros((len(starts), len(parts)), np.int64)
        for column, hours in enumerate(parts.values()):
            for part in hours:
                counts[np.searchsorted(starts, part.starts), column] += part.alarms
        return cls(starts, tuple(parts), counts)

    def between(self, start: int, end: int) -> "CategoryHours":
        """Return the hours that begin in ``[start, end)``."""
        inside = (self.starts >= start) & (self.starts < end)
        return CategoryHours(self.starts[inside], self.categories, self.counts[inside])

    def exclude(self, hours: Sequence[int]) -> "CategoryHours":
        """Return all hours but these, such as those of incidents."""
        kept = ~np.isin(self.starts, np.asarray(hours, np.int64))
        return CategoryHours(self.starts[kept], self.categories, self.counts[kept])


def measure_categories(
    name: str,
    current: CategoryHours,
    reference: CategoryHours,
    settings: DriftSettings,
    *,
    draws: int = NULL_DRAWS,
    seed: int = 0,
) -> tuple[Measure, Measure]:
    """Measure how far the mix of categories moved: PSI (called ``name``) and Jensen-Shannon divergence (``<name>_js``).

    Parameters
    ----------
    name : str
        Name of the measure, e.g. ``rule_mix``.
    current, reference : CategoryHours
        Both windows, with the same categories.
    settings : DriftSettings
        ``psi_threshold`` and the severity tables.
    draws, seed : int
        Number and seed of the exchanges. Equal values give equal results. The smallest p-value is 1 / (draws + 1).

    Returns
    -------
    tuple of Measure
        Without a value if a window has fewer than `MIN_CATEGORY_EVENTS` events, or if no blocks have a counterpart.
    """
    if current.categories != reference.categories:
        raise ValueError(f"{name}: expected the same categories, found {current.categories} and {reference.categories}")
    blocks = _build_blocks(current, reference)
    now, before = _sum_blocks(blocks, 0), _sum_blocks(blocks, 1)
    few = [
        f"{int(counts.sum())} in the {window} window"
        for counts, window in ((now, "current"), (before, "reference"))
        if counts.sum() < MIN_CATEGORY_EVENTS
    ]
    if few:
        note = f"too few events: {' and '.join(few)}, {MIN_CATEGORY_EVENTS} needed"
        return Measure(name, None, unit="nats", note=note), Measure(f"{name}_js", None, unit="bits", note=note)
    psi, js = measures.psi(now, before), measures.js(now, before)
    by_chance, js_by_chance, p_value, p_js = _exchange_blocks(blocks, psi, js, draws, seed)
    p_days = _compare_days(current, reference, draws, seed)
    p_value, p_js = max(p_value, p_days), max(p_js, p_days)
    most = int(np.argmax(np.abs(now / now.sum() - before / before.sum())))
    shares = f"{now[most] / now.sum():.0%} after {before[most] / before.sum():.0%}"
    note = f"largest change: {current.categories[most]}, {shares}"
    rank = rank_severity(p_value, psi - by_chance, settings) if js >= MATERIAL_JS_BITS else "none"
    return (
        Measure(name, psi, settings.psi_threshold, by_chance, p_value, psi - by_chance, rank, "nats", note),
        Measure(f"{name}_js", js, None, js_by_chance, p_js, js - js_by_chance, "none", "bits", note),
    )


Block = tuple[NDArray[np.int64], int]
"""Counts of all days' blocks at one time of day, shape (days, categories), current blocks first, and the number of
current blocks.
"""


def _build_blocks(current: CategoryHours, reference: CategoryHours) -> list[Block]:
    """Gather hours into blocks by time of day, for the times of day that both windows have."""
    if not len(current.starts) or not len(reference.starts):
        return []
    origin = int(current.starts[0])
    blocks = []
    sides = [_gather_blocks(side, origin) for side in (current, reference)]
    for time_of_day in range(DAY_H // CATEGORY_BLOCK_H):
        now, before = (
            [counts for block, counts in side.items() if block % (DAY_H // CATEGORY_BLOCK_H) == time_of_day]
            for side in sides
        )
        if now and before:
            blocks.append((np.stack([*now, *before]), len(now)))
    return blocks


def _gather_blocks(side: CategoryHours, origin: int, hours: int = CATEGORY_BLOCK_H) -> dict[int, NDArray[np.int64]]:
    numbers = (side.starts - origin) // (hours * HOUR_S)
    return {int(number): side.counts[numbers == number].sum(axis=0) for number in np.unique(numbers)}


def _sum_blocks(blocks: Sequence[Block], side: int) -> NDArray[np.float64]:
    parts = [counts[:held] if side == 0 else counts[held:] for counts, held in blocks]
    return np.concatenate(parts).sum(axis=0).astype(float) if parts else np.zeros(1)


def _exchange_blocks(
    blocks: Sequence[Block], psi: float, js: float, draws: int, seed: int
) -> tuple[float, float, float, float]:
    """Mean PSI and JS of exchanged blocks, and the p-value of either."""
    random = np.random.default_rng(seed)
    size = blocks[0][0].shape[1]
    now, all_of_it = np.zeros((draws, size)), np.zeros(size)
    for counts, held in blocks:
        order = random.random((draws, len(counts))).argsort(axis=1)
        now += (order < held).astype(float) @ counts
        all_of_it += counts.sum(axis=0)
    p, q = now + PSEUDOCOUNT, all_of_it - now + PSEUDOCOUNT
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    middle = (p + q) / 2
    psis = ((p - q) * np.log(p / q)).sum(axis=1)
    divergences = (p * np.log2(p / middle) + q * np.log2(q / middle)).sum(axis=1) / 2
    return float(psis.mean()), float(divergences.mean()), _p_value(psis, psi), _p_value(divergences, js)


def _p_value(drawn: NDArray[np.float64], seen: float) -> float:
    return (1 + int((drawn >= seen * (1 - 1e-9)).sum())) / (len(drawn) + 1)


def _compare_days(current: CategoryHours, reference: CategoryHours, draws: int, seed: int) -> float:
    """p-value of the difference of shares by the scatter of the reference's days; 1 if there is one day only."""
    days = np.stack(list(_gather_blocks(reference, int(current.starts[0]), DAY_H).values())).astype(float)
    if len(days) < 2:
        return 1.0
    now, before = current.counts.sum(axis=0), days.sum(axis=0)
    shares = before / before.sum()
    residuals = (days - days.sum(axis=1, keepdims=True) * shares) / days.sum(axis=1).mean()
    held = len(_gather_blocks(current, int(current.starts[0]), DAY_H))
    covariance = residuals.T @ residuals / (len(days) - 1) * (1 / held + 1 / len(days))
    covariance += np.diag(shares * (1 - shares)) / now.sum()  # the sampling error of counts is a lower bound
    basis = ShareBasis.of(shares, before.sum(), list_statistics())
    null = NullDistribution.of(basis, covariance, len(days) - 1, draws=draws, seed=seed)
    return float(null.p_values(basis.sizes(now / now.sum() - shares))[basis.index("psi")])
