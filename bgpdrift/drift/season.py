"""Like with like: each current hour held against the reference's same hour of day, at the same collector.

Decides which hours are comparable, how much each weighs and into which bins scores are gathered. What the differences
could be by chance, `bgpdrift.drift.dependence` and `bgpdrift.drift.chance` say.

A current hour weighs what its volume weighs, so that a gap or a quiet night is compared with the same gap or night. Within
an hour of day the reference's days weigh alike, except that an hour with less than the usual rows weighs less: a flood of
rows in one hour moves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bgpdrift.drift.hours import HOUR_S, BoolArray, FloatArray, Hours, IntArray
from bgpdrift.drift.report import LeftOut

QUANTILES = (*(step / 20 for step in range(1, 20)), 0.975, 0.99, 0.995)
"""Of the reference: where its bins are cut."""
_DAY_S = 86_400
_WEEKEND_DAYS = 14
"""Days of reference from which on weekdays and weekends are kept apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """A current window beside what its reference leads one to expect.

    Attributes
    ----------
    starts : ndarray of int, shape (hours,)
        Current hours compared, epoch seconds.
    weights : ndarray of float, shape (hours,)
        Share of the current volume; their sum is 1.
    differences : ndarray of float, shape (hours, groups + 1)
        Weighted difference of each hour's bin shares from the expected ones; the last column is the share of alarms. Their
        sum over hours is the difference of the windows.
    expected : ndarray of float, shape (groups + 1,)
        Shares (and share of alarms) expected from the reference.
    reference_starts : ndarray of int, shape (reference hours,)
        Those of the same hours of day.
    residuals : ndarray of float, shape (reference hours, groups + 1)
        What the same difference was in each reference hour, on the scale of one current hour.
    reference_share : float
        Variance of the expected shares as a part of the current ones'; about current days / reference days.
    strata : int
        Distinct hours of day among the current ones, weekends apart where they are.
    bins : ndarray of int, shape (bins,)
        Fine bins of both sides.
    current_counts, expected_counts : ndarray of float, shape (bins,)
        Values by fine bin; the expected ones are matched to the season and sum to ``n_reference``.
    groups : ndarray of int, shape (bins,)
        Group of each fine bin.
    n_current, n_reference : int
        Values compared.
    left_out : tuple of LeftOut
        Current hours without a counterpart.
    """

    starts: IntArray
    weights: FloatArray
    differences: FloatArray
    expected: FloatArray
    reference_starts: IntArray
    residuals: FloatArray
    reference_share: float
    strata: int
    bins: IntArray
    current_counts: FloatArray
    expected_counts: FloatArray
    groups: IntArray
    n_current: int
    n_reference: int
    left_out: tuple[LeftOut, ...]

    @property
    def difference(self) -> FloatArray:
        """Current shares less the expected ones, shape (groups + 1,)."""
        return np.asarray(self.differences.sum(axis=0))


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """One collector's part in the comparison."""

    current: Hours
    reference: Hours
    stratum: IntArray
    reference_stratum: IntArray
    within: FloatArray
    """Weight of each reference hour within its stratum; their sum in each is 1."""


def strata_of(starts: IntArray, weekends_apart: bool) -> IntArray:
    """Number the hours of day 0 to 23 (UTC); weekends 24 to 47 where they are kept apart.

    Examples
    --------
    >>> saturday = 1_767_398_400  # 2026-01-03, 00:00 UTC
    >>> strata_of(np.array([saturday - 3_600, saturday]), True).tolist()
    [23, 24]
    """
    hour = starts // HOUR_S % 24
    day_of_week = (starts // _DAY_S + 4) % 7  # 0 is Sunday: the epoch began on a Thursday
    return np.asarray(hour + 24 * (weekends_apart & np.isin(day_of_week, (0, 6))), np.int64)


def weekends_apart(reference: Mapping[str, Hours]) -> bool:
    """Whether a reference is long enough to know its weekends: two weeks of hours."""
    hours = np.unique(np.concatenate([np.zeros(0, np.int64), *(part.starts for part in reference.values())]))
    return len(hours) >= 24 * _WEEKEND_DAYS


def match(current: Mapping[str, Hours], reference: Mapping[str, Hours]) -> Matched | None:
    """Hold current hours against the reference's same hours of day; None if there are none in common.

    Parameters
    ----------
    current, reference : mapping of str to Hours
        By collector. A collector that is silent now weighs nothing; one the reference does not know is left out.
    """
    apart = weekends_apart(reference)
    sides, left_out = _sides(current, reference, apart)
    total = float(sum(side.current.n.sum() for side in sides))
    if not total:
        return None
    bins, now, before = _fine(sides, total)
    groups = quantile_groups(before)
    size = int(groups[-1]) + 2
    starts = np.unique(np.concatenate([side.current.starts for side in sides]))
    reference_starts = np.unique(np.concatenate([side.reference.starts for side in sides]))
    strata = len(np.unique(strata_of(starts, apart)))
    weights, differences = np.zeros(len(starts)), np.zeros((len(starts), size))
    residuals, expected = np.zeros((len(reference_starts), size)), np.zeros(size)
    present, usual = np.zeros(len(reference_starts)), np.zeros(48)
    spread = reference_spread = 0.0
    for side in sides:
        weight = side.current.n / total
        here, there = _shares(side.current, bins, groups), _shares(side.reference, bins, groups)
        means = np.zeros((48, size))
        np.add.at(means, side.reference_stratum, side.within[:, None] * there)
        in_stratum = np.bincount(side.stratum, weights=weight, minlength=48)
        places = np.searchsorted(starts, side.current.starts)
        weights[places] += weight
        differences[places] += weight[:, None] * (here - means[side.stratum])
        expected += in_stratum @ means
        scale = np.sqrt(np.bincount(side.stratum, weights=weight**2, minlength=48) * strata / len(starts))
        usual += scale
        kept = side.within < 1
        rows = np.searchsorted(reference_starts, side.reference.starts[kept])
        stratum, within = side.reference_stratum[kept], side.within[kept]
        deviation = (there[kept] - means[stratum]) / np.sqrt(1 - within)[:, None]
        residuals[rows] += scale[stratum, None] * deviation
        present[rows] += scale[stratum]
        spread += float((weight**2).sum())
        reference_spread += float(((in_stratum[side.reference_stratum] * side.within) ** 2).sum())
    there_at_all = present > 0
    full = usual[strata_of(reference_starts, apart)]
    residuals[there_at_all] *= (full[there_at_all] / present[there_at_all])[:, None]
    return Matched(
        starts,
        weights,
        differences,
        expected,
        reference_starts[there_at_all],
        residuals[there_at_all],
        reference_spread / spread,
        strata,
        bins,
        now,
        before,
        groups,
        int(total),
        int(sum(side.reference.n.sum() for side in sides)),
        left_out,
    )


def quantile_groups(counts: FloatArray) -> IntArray:
    """Gather fine bins into groups cut at quantiles of the reference.

    A value that holds as much as several quantiles has a group of its own, and what lies beyond it on either side too: a
    burst over a flat reference must not land in the same group.

    Examples
    --------
    >>> quantile_groups(np.array([0.0, 100.0, 0.0])).tolist()
    [0, 1, 2]
    """
    reached = np.cumsum(counts) / counts.sum()
    heavy = np.flatnonzero(counts / counts.sum() > 0.05)
    after = np.searchsorted(reached, np.array(QUANTILES) * (1 - 1e-12))
    # A cut goes to whichever edge of the bin is nearer to the quantile.
    before_share = np.where(after > 0, reached[np.maximum(after - 1, 0)], 0.0)
    nearer_below = np.array(QUANTILES) - before_share < reached[after] - np.array(QUANTILES)
    cuts = np.unique(np.concatenate([after + ~nearer_below, heavy, heavy + 1]))
    cuts = cuts[(cuts > 0) & (cuts < len(counts))]
    return np.searchsorted(cuts, np.arange(len(counts)), side="right").astype(np.int64)


def _sides(
    current: Mapping[str, Hours], reference: Mapping[str, Hours], apart: bool
) -> tuple[list[_Side], tuple[LeftOut, ...]]:
    sides, left_out = [], []
    for collector in sorted(current):
        now = _filled(current[collector])
        before = _filled(reference.get(collector, Hours.empty()))
        stratum, known = strata_of(now.starts, apart), strata_of(before.starts, apart)
        matched = np.isin(stratum, known)
        for start, hours in runs(now.starts[~matched]):
            left_out.append(LeftOut(start, hours, "current", f"no reference for this hour of day at {collector}"))
        if not matched.any():
            continue
        used = np.isin(known, stratum[matched])
        now, before = now.select(matched), before.select(used)
        stratum, known = stratum[matched], known[used]
        sides.append(_Side(now, before, stratum, known, _within(before.n, known)))
    return sides, tuple(left_out)


def _filled(hours: Hours) -> Hours:
    rows = hours.n > 0
    return hours if rows.all() else hours.select(rows)


def _within(n: IntArray, stratum: IntArray) -> FloatArray:
    order = np.lexsort((n, stratum))
    each = np.bincount(stratum)
    begins = np.cumsum(each) - each
    usual = np.zeros(len(each))
    known = each > 0
    ranked = n[order]
    low, high = begins + np.maximum(each - 1, 0) // 2, begins + each // 2
    usual[known] = (ranked[low[known]] + ranked[high[known]]) / 2  # the median
    weight = np.minimum(n, usual[stratum])
    return np.asarray(weight / np.bincount(stratum, weights=weight)[stratum])


def _fine(sides: list[_Side], total: float) -> tuple[IntArray, FloatArray, FloatArray]:
    bins = np.unique(np.concatenate([part.bins for side in sides for part in (side.current, side.reference)]))
    bins = np.concatenate([bins[:1] - 1, bins, bins[-1:] + 1])  # room beyond what was ever seen
    now, before = np.zeros(len(bins)), np.zeros(len(bins))
    for side in sides:
        now[np.searchsorted(bins, side.current.bins)] += side.current.counts.sum(axis=0)
        volume = np.bincount(side.stratum, weights=side.current.n, minlength=48)[side.reference_stratum]
        each = volume * side.within / (side.reference.n * total)
        before[np.searchsorted(bins, side.reference.bins)] += each @ side.reference.counts
    before *= float(sum(side.reference.n.sum() for side in sides)) / before.sum()
    return bins, now, before


def _shares(hours: Hours, bins: IntArray, groups: IntArray) -> FloatArray:
    """Shares by group and, last, of alarms; shape (hours, groups + 1)."""
    own = groups[np.searchsorted(bins, hours.bins)]
    gathered = np.zeros((len(hours), int(groups[-1]) + 2))
    begins = np.flatnonzero(np.diff(own, prepend=-1))
    if len(begins):
        gathered[:, own[begins]] = np.add.reduceat(hours.counts, begins, axis=1)
    gathered[:, -1] = hours.alarms
    gathered /= hours.n[:, None]
    return gathered


def runs(starts: IntArray) -> list[tuple[int, int]]:
    """Gather hours into runs: (first hour, hours).

    Examples
    --------
    >>> runs(np.array([0, 3600, 10800]))
    [(0, 2), (10800, 1)]
    """
    if not len(starts):
        return []
    new: BoolArray = np.diff(starts, prepend=starts[0] - 2 * HOUR_S) != HOUR_S
    begins = np.flatnonzero(new)
    lengths = np.diff(np.append(begins, len(starts)))
    return [(int(starts[begin]), int(length)) for begin, length in zip(begins, lengths, strict=True)]
