"""Drift of a mixture of categories, such as which rules fire: shares now beside shares before, and what chance makes of them.

Decides the p-value, the larger of two. One exchanges blocks of hours: had nothing changed, the same time of day of any day
could have been today's, so for each block of `BLOCK_H` hours the current one is drawn anew from all days, and PSI is taken
again. What belongs together in time stays together, and one incident, which fills one block, is as likely to lie in the
reference as in the current window. The other holds PSI against the scatter of the reference's whole days (a multivariate t,
as the rule's): days differ from one another by more than their hours tell. How many events there are is no matter of this
page: the anomaly rate is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bgpdrift.drift import measures
from bgpdrift.drift.chance import MEASURES, NullDistribution, ShareBasis
from bgpdrift.drift.hours import HOUR_S, Hours
from bgpdrift.drift.report import Measure
from bgpdrift.drift.severity import rank_severity
from bgpdrift.settings_sections import DriftSettings

BLOCK_H = 6
LEAST_EVENTS = 30
"""In each window; with fewer there is no mixture to speak of."""
DRAWS = 2_000
_DAY_H = 24
_MATERIAL_JS = 0.01
"""Bits; a smaller divergence ranks nothing, however sure it is."""


@dataclass(frozen=True, slots=True, eq=False)
class CategoryHours:
    """Events by hour and category.

    Attributes
    ----------
    starts : ndarray of int, shape (hours,)
        Epoch seconds, UTC; also hours without events, as long as something was looked at.
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
        """Count the alarms of each category's series, such as ``rule:<name>``, over all its collectors.

        Examples
        --------
        >>> fired = Hours.from_rows([0, 60, 3600], [1.0, 1.0, 1.0], [True, True, False])
        >>> found = CategoryHours.of_alarms({"storm": [fired], "silence": []})
        >>> found.categories, found.starts.tolist(), found.counts.tolist()
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
        """Hours that start in ``[start, end)``."""
        chosen = (self.starts >= start) & (self.starts < end)
        return CategoryHours(self.starts[chosen], self.categories, self.counts[chosen])

    def without(self, hours: Sequence[int]) -> "CategoryHours":
        """All but these hours, such as those of incidents."""
        kept = ~np.isin(self.starts, np.asarray(hours, np.int64))
        return CategoryHours(self.starts[kept], self.categories, self.counts[kept])


def measure_categories(
    name: str,
    current: CategoryHours,
    reference: CategoryHours,
    settings: DriftSettings,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> tuple[Measure, Measure]:
    """Measure how far the mixture of categories moved: PSI (called ``name``) and Jensen-Shannon divergence (``<name>_js``).

    Parameters
    ----------
    name : str
        Of the measure, e.g. ``rule_mix``.
    current, reference : CategoryHours
        Of the same categories.
    settings : DriftSettings
        For ranks and ``psi_threshold``.
    draws, seed : int
        Of the exchanges; the same give the same answer. The smallest p is one in (draws + 1).

    Returns
    -------
    tuple of Measure
        Without a value where a window has fewer than `LEAST_EVENTS` events or blocks have no counterpart.
    """
    if current.categories != reference.categories:
        raise ValueError(f"{name}: categories {current.categories} beside {reference.categories}; the same ones needed")
    blocks = _blocks(current, reference)
    now, before = _sum(blocks, 0), _sum(blocks, 1)
    few = [
        f"{int(counts.sum())} in the {window} window"
        for counts, window in ((now, "current"), (before, "reference"))
        if counts.sum() < LEAST_EVENTS
    ]
    if few:
        note = f"too few events: {' and '.join(few)}, {LEAST_EVENTS} needed"
        return Measure(name, None, unit="nats", note=note), Measure(f"{name}_js", None, unit="bits", note=note)
    psi, js = measures.psi(now, before), measures.js(now, before)
    by_chance, js_by_chance, p_value, p_js = _exchanged(blocks, psi, js, draws, seed)
    p_days = _against_days(current, reference, draws, seed)
    p_value, p_js = max(p_value, p_days), max(p_js, p_days)
    most = int(np.argmax(np.abs(now / now.sum() - before / before.sum())))
    shares = f"{now[most] / now.sum():.0%} after {before[most] / before.sum():.0%}"
    note = f"most moved: {current.categories[most]}, {shares}"
    rank = rank_severity(p_value, psi - by_chance, settings) if js >= _MATERIAL_JS else "none"
    return (
        Measure(name, psi, settings.psi_threshold, by_chance, p_value, psi - by_chance, rank, "nats", note),
        Measure(f"{name}_js", js, None, js_by_chance, p_js, js - js_by_chance, "none", "bits", note),
    )


Block = tuple[NDArray[np.int64], int]
"""Counts of all days' blocks at one time of day, shape (days, categories), the current ones first; and how many those are."""


def _blocks(current: CategoryHours, reference: CategoryHours) -> list[Block]:
    """Gather hours into blocks counted from the current window's first hour, by time of day; times of day in both only."""
    if not len(current.starts) or not len(reference.starts):
        return []
    origin = int(current.starts[0])
    found = []
    sides = [_gathered(side, origin) for side in (current, reference)]
    for time_of_day in range(_DAY_H // BLOCK_H):
        now, before = (
            [counts for block, counts in side.items() if block % (_DAY_H // BLOCK_H) == time_of_day] for side in sides
        )
        if now and before:
            found.append((np.stack([*now, *before]), len(now)))
    return found


def _gathered(side: CategoryHours, origin: int, hours: int = BLOCK_H) -> dict[int, NDArray[np.int64]]:
    numbers = (side.starts - origin) // (hours * HOUR_S)
    return {int(number): side.counts[numbers == number].sum(axis=0) for number in np.unique(numbers)}


def _sum(blocks: Sequence[Block], side: int) -> NDArray[np.float64]:
    parts = [counts[:held] if side == 0 else counts[held:] for counts, held in blocks]
    return np.concatenate(parts).sum(axis=0).astype(float) if parts else np.zeros(1)


def _exchanged(
    blocks: Sequence[Block], psi: float, js: float, draws: int, seed: int
) -> tuple[float, float, float, float]:
    """Mean PSI and JS of exchanged blocks, and how often either is at least what was found."""
    random = np.random.default_rng(seed)
    size = blocks[0][0].shape[1]
    now, all_of_it = np.zeros((draws, size)), np.zeros(size)
    for counts, held in blocks:
        order = random.random((draws, len(counts))).argsort(axis=1)
        now += (order < held).astype(float) @ counts
        all_of_it += counts.sum(axis=0)
    p, q = now + measures.HALF, all_of_it - now + measures.HALF
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    middle = (p + q) / 2
    psis = ((p - q) * np.log(p / q)).sum(axis=1)
    divergences = (p * np.log2(p / middle) + q * np.log2(q / middle)).sum(axis=1) / 2
    return float(psis.mean()), float(divergences.mean()), _p_value(psis, psi), _p_value(divergences, js)


def _p_value(drawn: NDArray[np.float64], seen: float) -> float:
    return (1 + int((drawn >= seen * (1 - 1e-9)).sum())) / (len(drawn) + 1)


def _against_days(current: CategoryHours, reference: CategoryHours, draws: int, seed: int) -> float:
    """P-value of the difference of shares where the reference's days scatter as they do; 1 with one day only."""
    days = np.stack(list(_gathered(reference, int(current.starts[0]), _DAY_H).values())).astype(float)
    if len(days) < 2:
        return 1.0
    now, before = current.counts.sum(axis=0), days.sum(axis=0)
    shares = before / before.sum()
    residuals = (days - days.sum(axis=1, keepdims=True) * shares) / days.sum(axis=1).mean()
    held = len(_gathered(current, int(current.starts[0]), _DAY_H))
    covariance = residuals.T @ residuals / (len(days) - 1) * (1 / held + 1 / len(days))
    covariance += np.diag(shares * (1 - shares)) / now.sum()  # events are counts: never surer than their number
    yardstick = ShareBasis.of(shares, before.sum())
    chance = NullDistribution.of(yardstick, covariance, len(days) - 1, draws=draws, seed=seed)
    return float(chance.p_values(yardstick.sizes(now / now.sum() - shares))[MEASURES.index("psi")])
