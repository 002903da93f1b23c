"""Distances between two distributions, from counts by bin: PSI, KS, KL, JS, Wasserstein and median shift.

This module decides what each figure means and how it is computed from counts. `bgpdrift.drift.rule` and
`bgpdrift.drift.policies` decide the value that chance alone gives, and the value from which a figure matters.

Counts may be fractions, such as shares matched to the season times their number of values. Positions inside a bin are
interpolated, so that figures from bins of 1 % width agree with those of 100,000 raw values within 1e-3, and with those
of 1,440 values within 5e-3, where one value more or less makes as much difference (tests compare them with SciPy). That
holds where values spread about as far as they are large; `bgpdrift.drift.scaling` maps other scores to such values.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bgpdrift.drift.constants import BIN_WIDTH, PSEUDOCOUNT, PSI_GROUPS
from bgpdrift.drift.histogram import Histogram, middle_of
from bgpdrift.drift.hours import FloatArray

_HALF_WIDTH = math.sqrt(BIN_WIDTH)


def align_histograms(current: Histogram, reference: Histogram) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Put two histograms onto the same bins.

    Returns
    -------
    current, reference, middles : ndarray of float, shape (bins,)
        Counts, and the middles of the bins, in rising order.

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
    current: ArrayLike, reference: ArrayLike, quantiles: int | Sequence[float] = PSI_GROUPS
) -> tuple[FloatArray, FloatArray]:
    """Gather fine bins into quantile groups of the reference.

    A quantile inside a bin divides it, on both sides in the same proportion. A value that several quantiles share has a
    group of its own; most withdrawal counts, for example, are 0.

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
        The numbers of bins differ, a count is negative or not finite, or one side is empty.

    Examples
    --------
    >>> current, reference = group_bins([0, 1, 1, 6], [2, 2, 2, 2], 2)
    >>> current.tolist(), reference.tolist()
    ([1.0, 7.0], [4.0, 4.0])
    """
    now, before = _require_pair(current, reference)
    targets = np.arange(1, quantiles) / quantiles if isinstance(quantiles, int) else np.asarray(quantiles, float)
    places = _place_quantiles(before, targets)
    bins, repeats = np.unique(np.floor(places), return_counts=True)
    shared = bins[repeats > 1]
    places = places[~np.isin(np.floor(places), shared)]
    edges = np.unique(np.concatenate([[0.0], places, shared, shared + 1, [float(len(before))]]))
    return _count_between(now, edges), _count_between(before, edges)


def psi(current: ArrayLike, reference: ArrayLike) -> float:
    """Population stability index, in nats: the sum of the KL divergences in both directions.

    Parameters
    ----------
    current, reference : array_like of float, shape (groups,)
        Counts over the same groups, usually those of `group_bins`. Half a count is added to each.

    Returns
    -------
    float
        0 where shares agree. By custom 0.1 is a change and 0.2 or 0.25 a shift, whatever the number of values.
        Independent values without drift average (groups - 1)(1/n + 1/m) for n current and m reference values [1]_, and
        dependent ones more.

    References
    ----------
    .. [1] B. Yurdakul, "Statistical Properties of Population Stability Index", Western Michigan University, 2018.

    Examples
    --------
    >>> psi([10, 20, 30], [10, 20, 30]), round(psi([300, 100], [200, 200]), 4)
    (0.0, 0.2731)
    """
    p, q = _compute_shares(current, reference)
    return float(np.sum((p - q) * np.log(p / q)))


def kl(current: ArrayLike, reference: ArrayLike) -> float:
    """Kullback-Leibler divergence of the current counts from the reference, in nats.

    Half a count is added to each group.

    Examples
    --------
    >>> kl([5, 5], [5, 5]), round(kl([3000, 1000], [2000, 2000]), 3)
    (0.0, 0.131)
    """
    p, q = _compute_shares(current, reference)
    return max(float(np.sum(p * np.log(p / q))), 0.0)


def js(current: ArrayLike, reference: ArrayLike) -> float:
    """Jensen-Shannon divergence, in bits: 0 where shares agree, 1 where nothing is shared.

    It is not the Jensen-Shannon distance, which is its root.



    Half a count is added to each group here too, so that all three divergences use the same shares.

    Examples
    --------
    >>> js([5, 5], [5, 5]), round(js([1e9, 0], [0, 1e9]), 6)
    (0.0, 1.0)
    """
    p, q = _compute_shares(current, reference)
    middle = (p + q) / 2
    return float(max(np.sum(p * np.log2(p / middle)) + np.sum(q * np.log2(q / middle)), 0.0) / 2)


def ks(current: ArrayLike, reference: ArrayLike) -> float:
    """Kolmogorov-Smirnov distance: the largest difference of the two distribution functions at the edges of bins.

    It is never more than that of the raw values, and less by at most the share of one bin.

    Examples
    --------
    >>> ks([0, 0, 10], [0, 10, 0]), round(ks([1, 2, 1], [2, 1, 1]), 3)
    (1.0, 0.25)
    """
    now, before = _require_pair(current, reference)
    return float(np.abs(np.cumsum(now / now.sum() - before / before.sum())).max())


def wasserstein(current: ArrayLike, reference: ArrayLike, middles: ArrayLike) -> float:
    """Earth mover's distance: how far the average value moved, in the unit of the values.

    Examples
    --------
    >>> wasserstein([0, 1], [1, 0], [2.0, 5.0])
    3.0
    """
    now, before = _require_pair(current, reference)
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
    bins = _require_counts(counts)
    place = float(_place_quantiles(bins, np.array([share]))[0])
    number = min(int(place), len(bins) - 1)
    middle = float(np.asarray(middles, float)[number])
    inside = place - number if middle >= 0 else 1 - (place - number)
    return float(middle * _HALF_WIDTH ** (2 * inside - 1))


def median_shift(current: ArrayLike, reference: ArrayLike, middles: ArrayLike) -> float | None:
    """Shift of the median in interquartile ranges of the reference, signed.

    Returns
    -------
    float or None
        None if the middle half of the reference is one value and the current median is another, since there is no
        spread to measure by.

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


def _place_quantiles(counts: FloatArray, targets: FloatArray) -> FloatArray:
    """Find where quantiles lie, in bins: 2.25 is a quarter into the third bin."""
    reached = np.cumsum(counts)
    wanted = targets * reached[-1]
    number = np.minimum(np.searchsorted(reached, wanted * (1 - 1e-12)), len(counts) - 1)
    inside = (wanted - (reached - counts)[number]) / np.maximum(counts[number], 1e-300)
    return np.asarray(number + np.clip(inside, 0.0, 1.0), float)


def _count_between(counts: FloatArray, edges: FloatArray) -> FloatArray:
    reached = np.interp(edges, np.arange(len(counts) + 1), np.concatenate([[0.0], np.cumsum(counts)]))
    return np.asarray(np.diff(reached), float)


def _compute_shares(current: ArrayLike, reference: ArrayLike) -> tuple[FloatArray, FloatArray]:
    now, before = _require_pair(current, reference)
    p, q = now + PSEUDOCOUNT, before + PSEUDOCOUNT
    return p / p.sum(), q / q.sum()


def _require_pair(current: ArrayLike, reference: ArrayLike) -> tuple[FloatArray, FloatArray]:
    now, before = _require_counts(current), _require_counts(reference)
    if now.shape != before.shape:
        raise ValueError(f"measures: expected the same bins on both sides, found {len(now)} and {len(before)}")
    return now, before


def _require_counts(counts: ArrayLike) -> FloatArray:
    array = np.asarray(counts, float)
    if array.ndim != 1 or not np.isfinite(array).all() or (array < 0).any() or not array.sum() > 0:
        raise ValueError("measures: expected counts by bin, none negative and not all 0, found others")
    return array
