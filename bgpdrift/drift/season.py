"""The season: each current hour is compared with the reference's same hour of day, at the same collector.

This module decides which hours are comparable, the weight of each, and the groups into which scores are gathered.

A current hour weighs as much as its volume, so that a gap or a quiet night is compared with the same gap or night.
Within an hour of day all days of the reference weigh alike, except that an hour with fewer rows than the median weighs
less. An hour with a flood of rows therefore moves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bgpdrift.drift.constants import DAY_S, HEAVY_BIN_SHARE, HOUR_S, MIN_WEEKEND_REFERENCE_D, REFERENCE_QUANTILES
from bgpdrift.drift.hours import BoolArray, FloatArray, Hours, IntArray, find_scaling
from bgpdrift.drift.report import LeftOut
from bgpdrift.drift.scaling import IDENTITY, Scaling

N_STRATA = 48
"""Hours of day, of weekdays and of weekends."""


@dataclass(frozen=True, slots=True, eq=False)
class MatchedWindows:
    """A current window beside what its reference predicts.

    Attributes
    ----------
    starts : ndarray of int, shape (hours,)
        Current hours compared, epoch seconds.
    weights : ndarray of float, shape (hours,)
        Share of the current volume; their sum is 1.
    differences : ndarray of float, shape (hours, groups + 1)
        Weighted difference of each hour's group shares from the expected ones; the last column is the share of alarms.
        Their sum over hours is the difference of the windows.
    expected : ndarray of float, shape (groups + 1,)
        Shares of the groups, and share of alarms, expected from the reference.
    reference_starts : ndarray of int, shape (reference hours,)
        Reference hours with the same hours of day.
    residuals : ndarray of float, shape (reference hours, groups + 1)
        The same difference in each reference hour, on the scale of one current hour.
    reference_share : float
        Variance of the expected shares relative to that of the current ones; about current days / reference days.
    strata : int
        Distinct hours of day among the current ones, those of weekends counted separately where they are separate.
    bins : ndarray of int, shape (bins,)
        Fine bins of both windows.
    current_counts, expected_counts : ndarray of float, shape (bins,)
        Values by fine bin; the expected ones are matched to the season and sum to ``n_reference``.
    groups : ndarray of int, shape (bins,)
        Group of each fine bin.
    n_current, n_reference : int
        Values compared.
    left_out : tuple of LeftOut
        Current hours without a counterpart.
    scaling : Scaling
        Map from scores to the values in the bins.
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
    scaling: Scaling = IDENTITY

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
    """Number the hours of day 0 to 23 (UTC), and those of weekends 24 to 47 if they are kept apart.

    Examples
    --------
    >>> saturday = 1_767_398_400  # 2026-01-03, 00:00 UTC
    >>> strata_of(np.array([saturday - 3_600, saturday]), True).tolist()
    [23, 24]
    """
    hour = starts // HOUR_S % 24
    day_of_week = (starts // DAY_S + 4) % 7  # 0 is Sunday: the epoch began on a Thursday
    return np.asarray(hour + 24 * (weekends_apart & np.isin(day_of_week, (0, 6))), np.int64)


def match_hours(current: Mapping[str, Hours], reference: Mapping[str, Hours]) -> MatchedWindows | None:
    """Match current hours with the reference's same hours of day; None if they have none in common.

    Parameters
    ----------
    current, reference : mapping of str to Hours
        By collector. A collector without current hours weighs nothing; one without reference hours is left out.
    """
    apart = _has_weekends(reference)
    sides, left_out = _match_collectors(current, reference, apart)
    total = float(sum(side.current.n.sum() for side in sides))
    if not total:
        return None
    bins, now, before = _count_bins(sides, total)
    groups = assign_groups(before)
    size = int(groups[-1]) + 2
    starts = np.unique(np.concatenate([side.current.starts for side in sides]))
    reference_starts = np.unique(np.concatenate([side.reference.starts for side in sides]))
    strata = len(np.unique(strata_of(starts, apart)))
    weights, differences = np.zeros(len(starts)), np.zeros((len(starts), size))
    residuals, expected = np.zeros((len(reference_starts), size)), np.zeros(size)
    present, full = np.zeros(len(reference_starts)), np.zeros(N_STRATA)
    spread = reference_spread = 0.0
    for side in sides:
        weight = side.current.n / total
        here, there = _group_shares(side.current, bins, groups), _group_shares(side.reference, bins, groups)
        means = np.zeros((N_STRATA, size))
        np.add.at(means, side.reference_stratum, side.within[:, None] * there)
        in_stratum = np.bincount(side.stratum, weights=weight, minlength=N_STRATA)
        places = np.searchsorted(starts, side.current.starts)
        weights[places] += weight
        differences[places] += weight[:, None] * (here - means[side.stratum])
        expected += in_stratum @ means
        scale = np.sqrt(np.bincount(side.stratum, weights=weight**2, minlength=N_STRATA) * strata / len(starts))
        full += scale
        kept = side.within < 1
        rows = np.searchsorted(reference_starts, side.reference.starts[kept])
        stratum, within = side.reference_stratum[kept], side.within[kept]
        deviation = (there[kept] - means[stratum]) / np.sqrt(1 - within)[:, None]
        residuals[rows] += scale[stratum, None] * deviation
        present[rows] += scale[stratum]
        spread += float((weight**2).sum())
        reference_spread += float(((in_stratum[side.reference_stratum] * side.within) ** 2).sum())
    has_rows = present > 0
    full_scale = full[strata_of(reference_starts, apart)]
    residuals[has_rows] *= (full_scale[has_rows] / present[has_rows])[:, None]
    return MatchedWindows(
        starts=starts,
        weights=weights,
        differences=differences,
        expected=expected,
        reference_starts=reference_starts[has_rows],
        residuals=residuals[has_rows],
        reference_share=reference_spread / spread,
        strata=strata,
        bins=bins,
        current_counts=now,
        expected_counts=before,
        groups=groups,
        n_current=int(total),
        n_reference=int(sum(side.reference.n.sum() for side in sides)),
        left_out=left_out,
        scaling=find_scaling([part for side in sides for part in (side.current, side.reference)]),
    )


def assign_groups(counts: FloatArray) -> IntArray:
    """Gather fine bins into groups cut at quantiles of the reference.

    A value that holds as much as several quantiles has a group of its own, and so have the values below and above it.
    Otherwise a burst over a flat reference would fall into the same group.

    Examples
    --------
    >>> assign_groups(np.array([0.0, 100.0, 0.0])).tolist()
    [0, 1, 2]
    """
    reached = np.cumsum(counts) / counts.sum()
    heavy = np.flatnonzero(counts / counts.sum() > HEAVY_BIN_SHARE)
    quantiles = np.array(REFERENCE_QUANTILES)
    after = np.searchsorted(reached, quantiles * (1 - 1e-12))
    # A cut goes to the edge of the bin that is nearer to the quantile.
    before_share = np.where(after > 0, reached[np.maximum(after - 1, 0)], 0.0)
    nearer_below = quantiles - before_share < reached[after] - quantiles
    cuts = np.unique(np.concatenate([after + ~nearer_below, heavy, heavy + 1]))
    cuts = cuts[(cuts > 0) & (cuts < len(counts))]
    return np.searchsorted(cuts, np.arange(len(counts)), side="right").astype(np.int64)


def find_runs(starts: IntArray) -> list[tuple[int, int]]:
    """Gather consecutive hours into runs: (first hour, number of hours).

    Examples
    --------
    >>> find_runs(np.array([0, 3600, 10800]))
    [(0, 2), (10800, 1)]
    """
    if not len(starts):
        return []
    is_first: BoolArray = np.diff(starts, prepend=starts[0] - 2 * HOUR_S) != HOUR_S
    begins = np.flatnonzero(is_first)
    lengths = np.diff(np.append(begins, len(starts)))
    return [(int(starts[begin]), int(length)) for begin, length in zip(begins, lengths, strict=True)]


def _has_weekends(reference: Mapping[str, Hours]) -> bool:
    """Whether a reference is long enough to keep its weekends apart."""
    hours = np.unique(np.concatenate([np.zeros(0, np.int64), *(part.starts for part in reference.values())]))
    return len(hours) >= 24 * MIN_WEEKEND_REFERENCE_D


def _match_collectors(
    current: Mapping[str, Hours], reference: Mapping[str, Hours], apart: bool
) -> tuple[list[_Side], tuple[LeftOut, ...]]:
    sides, left_out = [], []
    for collector in sorted(current):
        now = _drop_empty(current[collector])
        before = _drop_empty(reference.get(collector, Hours.empty()))
        stratum, reference_stratum = strata_of(now.starts, apart), strata_of(before.starts, apart)
        matched = np.isin(stratum, reference_stratum)
        for start, hours in find_runs(now.starts[~matched]):
            left_out.append(LeftOut(start, hours, "current", f"no reference for this hour of day at {collector}"))
        if not matched.any():
            continue
        used = np.isin(reference_stratum, stratum[matched])
        now, before = now.select(matched), before.select(used)
        stratum, reference_stratum = stratum[matched], reference_stratum[used]
        sides.append(_Side(now, before, stratum, reference_stratum, _weigh_days(before.n, reference_stratum)))
    return sides, tuple(left_out)


def _drop_empty(hours: Hours) -> Hours:
    rows = hours.n > 0
    return hours if rows.all() else hours.select(rows)


def _weigh_days(n: IntArray, stratum: IntArray) -> FloatArray:
    """Weight of each reference hour within its hour of day: its rows, at most the median of that hour of day."""
    order = np.lexsort((n, stratum))
    each = np.bincount(stratum)
    begins = np.cumsum(each) - each
    median = np.zeros(len(each))
    filled = each > 0
    ranked = n[order]
    low, high = begins + np.maximum(each - 1, 0) // 2, begins + each // 2
    median[filled] = (ranked[low[filled]] + ranked[high[filled]]) / 2
    weight = np.minimum(n, median[stratum])
    return np.asarray(weight / np.bincount(stratum, weights=weight)[stratum])


def _count_bins(sides: list[_Side], total: float) -> tuple[IntArray, FloatArray, FloatArray]:
    """Fine bins of both windows, with the current counts and those that the reference predicts."""
    bins = np.unique(np.concatenate([part.bins for side in sides for part in (side.current, side.reference)]))
    bins = np.concatenate([bins[:1] - 1, bins, bins[-1:] + 1])  # an empty bin at either end
    now, before = np.zeros(len(bins)), np.zeros(len(bins))
    for side in sides:
        now[np.searchsorted(bins, side.current.bins)] += side.current.counts.sum(axis=0)
        volume = np.bincount(side.stratum, weights=side.current.n, minlength=N_STRATA)[side.reference_stratum]
        each = volume * side.within / (side.reference.n * total)
        before[np.searchsorted(bins, side.reference.bins)] += each @ side.reference.counts
    before *= float(sum(side.reference.n.sum() for side in sides)) / before.sum()
    return bins, now, before


def _group_shares(hours: Hours, bins: IntArray, groups: IntArray) -> FloatArray:
    """Shares by group and, last, of alarms; shape (hours, groups + 1)."""
    own = groups[np.searchsorted(bins, hours.bins)]
    gathered = np.zeros((len(hours), int(groups[-1]) + 2))
    begins = np.flatnonzero(np.diff(own, prepend=-1))
    if len(begins):
        gathered[:, own[begins]] = np.add.reduceat(hours.counts, begins, axis=1)
    gathered[:, -1] = hours.alarms
    gathered /= hours.n[:, None]
    return gathered
