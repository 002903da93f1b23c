"""How far one distribution lies from another, from counts by bin: PSI, KS, KL, JS, Wasserstein, median shift, tail share.

Decides what each figure means and how it is taken from counts; every part that gives one of these figures takes it from
here. Nothing here knows what chance alone would give, nor from where on a figure counts: see `bgpdrift.drift.rule` and
`bgpdrift.drift.policies`.

Counts may be fractions, such as shares matched to the season times their number of values. Positions inside a bin are
interpolated, so that figures from bins of 1 % width are those of 100,000 raw values within 1e-3 (tests hold them to
scipy's; of 1,440 values within 5e-3, where one value more or less counts as much). That holds where values spread about
as far as they are large; what varies by 1 % around a level far from zero must have that level subtracted first.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bgpdrift.drift.histogram import WIDTH, Histogram, middle_of

FloatArray = NDArray[np.float64]

GROUPS = 10
"""Quantile groups of the reference that PSI, KL and JS are customarily taken over."""
HALF = 0.5
"""Added to every group on both sides, so that none is empty and no logarithm infinite."""
_HALF_WIDTH = math.sqrt(WIDTH)


def align_histograms(current: Histogram, reference: Histogram) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Put two histograms onto the same bins.

    Returns
    -------
    current, reference, middles : ndarray of float, shape (bins,)
        Counts, and the values the bins stand for, in rising order.

    Examples
    --------
    >>> current, reference, middles = align_histograms(Histogram.of([0.0, 2.0]), Histogram.of([2.0, 2.0, -1.0]))
    >>> current.tolist(), reference.tolist(), middles.round(1).tolist()
    ([0.0, 1.0, 1.0], [1.0, 0.0, 2.0], [-1.0, 0.0, 2.0])
    """
    numbers = sorted({*current.counts, *reference.counts})
    return (
        np.array([current.counts.get(number, 0) for number in numbers], float),
        np.array([reference.counts.get(number, 0) for number in numbers], float),
        np.array([middle_of(number) for number in numbers], float),
    )


def group_bins(
    current: ArrayLike, reference: ArrayLike, quantiles: int | Sequence[float] = GROUPS
) -> tuple[FloatArray, FloatArray]:
    """Gather fine bins into quantile groups of the reference.

    A quantile inside a bin divides it, on both sides in the same proportion. A value that several quantiles share (most
    withdrawal counts are 0) has a group of its own.

    Parameters
    ----------
    current, reference : array_like of float, shape (bins,)
        Counts over the same bins, in rising order of value.
    quantiles : int or sequence of float, default 10
        Number of equal groups, or the inner quantiles themselves, e.g. ``(0.25, 0.5, 0.75)``.

    Returns
    -------
    current, reference : ndarray of float, shape (groups,)
        Counts by group; the sums are kept.

    Raises
    ------
    ValueError
        Bins do not agree, a count is negative or not finite, or a side holds nothing.

    Examples
    --------
    >>> current, reference = group_bins([0, 1, 1, 6], [2, 2, 2, 2], 2)
    >>> current.tolist(), reference.tolist()
    ([1.0, 7.0], [4.0, 4.0])
    """
    now, before = _pair(current, reference)
    targets = np.arange(1, quantiles) / quantiles if isinstance(quantiles, int) else np.asarray(quantiles, float)
    places = _places(before, targets)
    filled, repeats = np.unique(np.floor(places), return_counts=True)
    shared = filled[repeats > 1]
    places = places[~np.isin(np.floor(places), shared)]
    edges = np.unique(np.concatenate([[0.0], places, shared, shared + 1, [float(len(before))]]))
    return _between(now, edges), _between(before, edges)


def psi(current: ArrayLike, reference: ArrayLike) -> float:
    """Population stability index, in nats: KL both ways.

    Parameters
    ----------
    current, reference : array_like of float, shape (groups,)
        Counts over the same groups, mostly those of `group_bins`. Half a count is added to each.

    Returns
    -------
    float
        0 where shares agree. Customarily 0.1 is a change and 0.2 or 0.25 a shift, whatever the number of values; without
        any drift independent values average `psi_by_chance`, and dependent ones more.

    References
    ----------
    .. [1] B. Yurdakul, "Statistical Properties of Population Stability Index", Western Michigan University, 2018.

    Examples
    --------
    >>> psi([10, 20, 30], [10, 20, 30]), round(psi([300, 100], [200, 200]), 4)
    (0.0, 0.2731)
    """
    p, q = _filled(current, reference)
    return float(np.sum((p - q) * np.log(p / q)))


def psi_by_chance(groups: int, n_current: float, n_reference: float) -> float:
    """PSI of independent values without drift, on average.

    Examples
    --------
    >>> round(psi_by_chance(10, 50, 50), 2), round(psi_by_chance(10, 1440, 10_080), 4)
    (0.36, 0.0071)
    """
    return (groups - 1) * (1 / n_current + 1 / n_reference)


def kl(current: ArrayLike, reference: ArrayLike) -> float:
    """Kullback-Leibler divergence of the current counts from the reference, in nats; half a count is added to each group.

    Examples
    --------
    >>> kl([5, 5], [5, 5]), round(kl([3000, 1000], [2000, 2000]), 3)
    (0.0, 0.131)
    """
    p, q = _filled(current, reference)
    return max(float(np.sum(p * np.log(p / q))), 0.0)


def js(current: ArrayLike, reference: ArrayLike) -> float:
    """Jensen-Shannon divergence, in bits: 0 where shares agree, 1 where nothing is shared. Not its root, the distance.

    Half a count is added to each group here too, so that all three divergences speak of the same shares.

    Examples
    --------
    >>> js([5, 5], [5, 5]), round(js([1e9, 0], [0, 1e9]), 6)
    (0.0, 1.0)
    """
    p, q = _filled(current, reference)
    middle = (p + q) / 2
    return float(max(np.sum(p * np.log2(p / middle)) + np.sum(q * np.log2(q / middle)), 0.0) / 2)


def ks(current: ArrayLike, reference: ArrayLike) -> float:
    """Kolmogorov-Smirnov: largest difference of the two distribution functions at the edges of bins.

    Never more than that of the raw values, and less by at most what one bin holds.

    Examples
    --------
    >>> ks([0, 0, 10], [0, 10, 0]), round(ks([1, 2, 1], [2, 1, 1]), 3)
    (1.0, 0.25)
    """
    now, before = _pair(current, reference)
    return float(np.abs(np.cumsum(now / now.sum() - before / before.sum())).max())


def wasserstein(current: ArrayLike, reference: ArrayLike, middles: ArrayLike) -> float:
    """Earth mover's distance, in the unit of the values: how far the average value had to move.

    Examples
    --------
    >>> wasserstein([0, 1], [1, 0], [2.0, 5.0])
    3.0
    """
    now, before = _pair(current, reference)
    gaps = np.diff(np.asarray(middles, float))
    ahead = np.abs(np.cumsum(now / now.sum() - before / before.sum()))[:-1]
    return float(np.sum(ahead * gaps))


def quantile(counts: ArrayLike, middles: ArrayLike, share: float) -> float:
    """Value below which a share of the counts lies, interpolated inside its log-spaced bin.

    Examples
    --------
    >>> values = Histogram.of([i / 1000 for i in range(1, 1001)])
    >>> counts, _, middles = align_histograms(values, values)
    >>> round(quantile(counts, middles, 0.5), 2)
    0.5
    """
    found = _one(counts)
    place = float(_places(found, np.array([share]))[0])
    number = min(int(place), len(found) - 1)
    middle = float(np.asarray(middles, float)[number])
    inside = place - number if middle >= 0 else 1 - (place - number)
    return float(middle * _HALF_WIDTH ** (2 * inside - 1))


def median_shift(current: ArrayLike, reference: ArrayLike, middles: ArrayLike) -> float | None:
    """How far the median moved, in interquartile ranges of the reference; signed.

    Returns
    -------
    float or None
        None where the middle half of the reference is one value and the median is another: no spread to measure by.

    Examples
    --------
    >>> calm = Histogram.of([1 + i / 1000 for i in range(1000)])
    >>> moved = Histogram.of([1.25 + i / 1000 for i in range(1000)])
    >>> round(median_shift(*align_histograms(moved, calm)), 2)
    0.5
    """
    moved = quantile(current, middles, 0.5) - quantile(reference, middles, 0.5)
    spread = quantile(reference, middles, 0.75) - quantile(reference, middles, 0.25)
    if spread > 0:
        return moved / spread
    return 0.0 if moved == 0 else None


def tail_share(current: ArrayLike, reference: ArrayLike, above: float = 0.95) -> float:
    """Share of the current values above a quantile of the reference; ``1 - above`` where nothing changed.

    Examples
    --------
    >>> round(tail_share([10] * 10, [10] * 10), 3), tail_share([0, 0, 0, 10], [25, 25, 25, 25], 0.75)
    (0.05, 1.0)
    """
    now, before = _pair(current, reference)
    place = _places(before, np.array([above]))
    below = np.interp(place, np.arange(len(now) + 1), np.concatenate([[0.0], np.cumsum(now)]))
    return float(1 - below[0] / now.sum())


def mean_rank(current: ArrayLike, reference: ArrayLike) -> float:
    """NullDistribution that a current value lies above one of the reference, ties counted half; 0.5 where nothing changed.

    Examples
    --------
    >>> mean_rank([1, 1], [1, 1]), mean_rank([0, 1], [1, 0])
    (0.5, 1.0)
    """
    now, before = _pair(current, reference)
    q = before / before.sum()
    return float(np.sum(now / now.sum() * (np.cumsum(q) - q / 2)))


def _places(counts: FloatArray, targets: FloatArray) -> FloatArray:
    """Find where quantiles lie, in bins: 2.25 is a quarter into the third; a quantile at an edge is at the lower one."""
    reached = np.cumsum(counts)
    wanted = targets * reached[-1]
    number = np.minimum(np.searchsorted(reached, wanted * (1 - 1e-12)), len(counts) - 1)
    inside = (wanted - (reached - counts)[number]) / np.maximum(counts[number], 1e-300)
    return np.asarray(number + np.clip(inside, 0.0, 1.0), float)


def _between(counts: FloatArray, edges: FloatArray) -> FloatArray:
    reached = np.interp(edges, np.arange(len(counts) + 1), np.concatenate([[0.0], np.cumsum(counts)]))
    return np.asarray(np.diff(reached), float)


def _filled(current: ArrayLike, reference: ArrayLike) -> tuple[FloatArray, FloatArray]:
    now, before = _pair(current, reference)
    p, q = now + HALF, before + HALF
    return p / p.sum(), q / q.sum()


def _pair(current: ArrayLike, reference: ArrayLike) -> tuple[FloatArray, FloatArray]:
    now, before = _one(current), _one(reference)
    if now.shape != before.shape:
        raise ValueError(f"measures: {len(now)} bins beside {len(before)}; both sides need the same ones")
    return now, before


def _one(counts: ArrayLike) -> FloatArray:
    found = np.asarray(counts, float)
    if found.ndim != 1 or not np.isfinite(found).all() or (found < 0).any() or not found.sum() > 0:
        raise ValueError("measures: counts by bin expected, none negative and not all 0")
    return found
