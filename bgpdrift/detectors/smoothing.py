"""Values of a column on a minute grid, smoothed at several causal time scales, and the rolling baseline beside them.

All detectors share this module. Every value at minute t depends only on the `span_minutes` before it, through finite
filters, so that a score does not depend on the batch its window came in. A missing minute is a hole, never a zero: a
filter takes the weighted mean of the minutes that exist. The callers decide which series to smooth.
"""

from dataclasses import dataclass

import numpy as np

from bgpdrift.detectors.interface import MINUTE_S, BoolArray, FloatArray, IntArray

SCALES_MIN = (1, 5, 15, 60)
"""Time constants of the exponential smoothing, in minutes; 1 is the unsmoothed minute. On labelled worms a forest on
15-minute features ranks far better than on unsmoothed minutes; an hour shows a slight and persistent deviation."""
FILTER_LENGTHS = 4
"""Length of a filter in time constants (98 % of its weight), which makes scores independent of older history."""
MIN_FILTER_WEIGHT = 0.3
"""Share of a filter's weight that must lie on minutes that exist."""
GUARD_MIN = 15
"""Minutes between the rolling baseline and the present, so that a slow onset does not enter its own baseline."""
RENEWAL_MIN = 5
"""The rolling baseline is computed on these minutes of the epoch: it moves slowly, and scoring is five times as fast."""
_CHUNK_MIN = 128
"""Minutes that one product with a band matrix smooths."""
_QUANTILES = np.array([0.10, 0.25, 0.50, 0.75, 0.90])


@dataclass(frozen=True, slots=True)
class MinuteGrid:
    """A frame without missing minutes: row i is minute ``first_minute + i``.

    Attributes
    ----------
    first_minute : int
        Minutes since the epoch of row 0.
    row_of : ndarray of int, shape (n_frame_rows,)
        Grid row of each frame row.
    length : int
        Rows of the grid.
    """

    first_minute: int
    row_of: IntArray
    length: int

    @classmethod
    def of(cls, window_start: IntArray) -> "MinuteGrid":
        """Build the grid of some windows."""
        minutes = window_start // MINUTE_S
        return cls(int(minutes[0]), minutes - minutes[0], int(minutes[-1] - minutes[0]) + 1)

    def spread(self, values: FloatArray) -> FloatArray:
        """Values by grid row, NaN where there is no window."""
        grid = np.full(self.length, np.nan)
        grid[self.row_of] = values
        return grid


def span_minutes(history_minutes: int) -> int:
    """Minutes before a window that its smoothed values and its rolling baseline depend on.

    Examples
    --------
    >>> span_minutes(360)
    620
    """
    return history_minutes + RENEWAL_MIN + GUARD_MIN + SCALES_MIN[-1] * FILTER_LENGTHS


def smooth(values: FloatArray, scale_min: int, total: bool | BoolArray = False) -> FloatArray:
    """Smooth series exponentially over the minutes before and including each.

    Parameters
    ----------
    values : ndarray of float, shape (n_series, n_minutes)
        NaN where unknown.
    scale_min : int
        Time constant, in minutes; 1 returns the values themselves.
    total : bool or ndarray of bool, shape (n_series,)
        Return the weighted total over about ``scale_min`` minutes instead of the mean, for events that are counted.

    Returns
    -------
    ndarray of float, shape (n_series, n_minutes)
        NaN where unknown, and where less than `MIN_FILTER_WEIGHT` of the filter lies on known minutes.

    Examples
    --------
    >>> float(smooth(np.append(np.zeros(30), 8.0)[None, :], 5, total=True)[0, -1].round(2))
    8.0
    """
    if scale_min == 1 or values.shape[1] == 0:
        return values
    length = scale_min * FILTER_LENGTHS
    weights = np.exp(-np.arange(length) / scale_min)
    known = np.isfinite(values)
    holed = np.flatnonzero(~known.all(axis=1))
    # The filtered mask is the weight of each value. Series without a hole share the ramp at the beginning.
    series = np.concatenate([np.where(known, values, 0.0), known[holed].astype(np.float64)])
    filtered = _weighted_sums(series, np.exp(-1.0 / scale_min), length)
    sums = filtered[: len(values)]
    ramp = np.cumsum(weights)[np.minimum(np.arange(values.shape[1]), length - 1)]
    weight = np.repeat(ramp[None, :], len(values), axis=0)
    weight[holed] = filtered[len(values) :]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums / weight
    mean[(weight < MIN_FILTER_WEIGHT * weights.sum()) | ~known] = np.nan
    is_total = np.broadcast_to(total, len(values))
    if is_total.any():
        # An event of the present minute counts in full and fades with the time constant.
        mean[is_total] *= weights.sum()
    return np.asarray(mean)


def smooth_all_scales(values: FloatArray, begin: int) -> FloatArray:
    """Compute the means of `smooth` at every time scale, from column ``begin`` on.

    The means are products with a band matrix, chunk by chunk: one window costs one small product, a week a few hundred.
    `smooth` sums by doubling, which costs less for a whole history and more for one window.

    Parameters
    ----------
    values : ndarray of float, shape (n_series, n_minutes)
        NaN where unknown.
    begin : int
        First column of the result.

    Returns
    -------
    ndarray of float, shape (n_scales, n_series, n_minutes − begin)
        In the order of `SCALES_MIN`; NaN as in `smooth`.

    Examples
    --------
    >>> series = np.array([[1.0, np.nan, 4.0, 2.0]])
    >>> bool(np.allclose(smooth_all_scales(series, 1)[1], smooth(series, SCALES_MIN[1])[:, 1:], equal_nan=True))
    True
    """
    count, length = values.shape
    found = np.full((len(SCALES_MIN), count, length - begin), np.nan)
    found[0] = values[:, begin:]
    known = np.isfinite(values)
    holed = ~known.all(axis=1)
    stacked = np.concatenate([np.where(known, values, 0.0), known[holed].astype(np.float64)])
    # A series without holes needs no second product for the weight of its known values.
    for scale, (band, whole) in enumerate(_BANDS, start=1):
        taps = len(band) - _CHUNK_MIN + 1
        for first in range(begin, length, _CHUNK_MIN):
            rows = min(_CHUNK_MIN, length - first)
            start = first - taps + 1
            part = stacked[:, max(start, 0) : first + rows]
            product = part @ band[max(-start, 0) : max(-start, 0) + part.shape[1], :rows]
            weight = np.broadcast_to(whole[np.minimum(np.arange(first, first + rows), taps - 1)], (count, rows)).copy()
            weight[holed] = product[count:]
            enough = (weight >= MIN_FILTER_WEIGHT * whole[-1]) & known[:, first : first + rows]
            means = found[scale, :, first - begin : first - begin + rows]
            np.divide(product[:count], weight, out=means, where=enough)
    return found


def _band(scale_min: int) -> tuple[FloatArray, FloatArray]:
    """Band matrix of a chunk, shape (taps − 1 + chunk, chunk), and the weight of the filter by its number of minutes."""
    taps = scale_min * FILTER_LENGTHS
    weights = np.exp(-np.arange(taps) / scale_min)
    band = np.zeros((taps - 1 + _CHUNK_MIN, _CHUNK_MIN))
    for column in range(_CHUNK_MIN):
        band[column : column + taps, column] = weights[::-1]
    return band, np.cumsum(weights)


_BANDS = tuple(_band(scale) for scale in SCALES_MIN[1:])


def _weighted_sums(series: FloatArray, decay: float, length: int) -> FloatArray:
    """Sum the last ``length`` values of each minute, the one k minutes ago weighted with ``decay ** k``.

    The sum is built by doubling: the sum over 2n minutes is the sum over n minutes and the weighted sum n minutes ago.
    An hour takes eight additions instead of sixty, and the result does not depend on the batch.

    Examples
    --------
    >>> _weighted_sums(np.array([[1.0, 0.0, 0.0, 0.0, 2.0]]), 0.5, 3)
    array([[1.  , 0.5 , 0.25, 0.  , 2.  ]])
    """
    total, covered = np.zeros_like(series), 0
    block, size = series, 1
    while True:
        if length & size:
            _add_earlier(total, block, decay**covered, covered)
            covered += size
        if covered == length:
            return total
        doubled = block.copy()
        _add_earlier(doubled, block, decay**size, size)
        block, size = doubled, 2 * size


def _add_earlier(total: FloatArray, series: FloatArray, weight: float, minutes: int) -> None:
    if minutes < series.shape[1]:
        total[:, minutes:] += weight * series[:, : series.shape[1] - minutes]


@dataclass(frozen=True, slots=True)
class Baseline:
    """Level and spread of each series for each row.

    Attributes
    ----------
    median : ndarray of float, shape (n_series, n_rows)
        NaN where too little is known.
    above, below : ndarray of float, shape (n_series, n_rows)
        Robust spread on each side of the median, in units of a standard deviation. Traffic is skewed: one symmetric
        MAD would either miss silences or take every burst for an anomaly.
    count : ndarray of int, shape (n_series, n_rows)
        Minutes that the baseline rests on.
    """

    median: FloatArray
    above: FloatArray
    below: FloatArray
    count: IntArray


def compute_rolling_baseline(values: FloatArray, rows: IntArray, first_minute: int, history_minutes: int) -> Baseline:
    """Compute level and spread of each series over the history before each row.

    Parameters
    ----------
    values : ndarray of float, shape (n_series, n_minutes)
        On the grid; NaN where unknown or excluded.
    rows : ndarray of int, shape (n_rows,)
        Grid rows, increasing.
    first_minute : int
        First minute of the grid, since the epoch.
    history_minutes : int
        Length of the history.
    """
    shape = (len(values), len(rows))
    median, above, below = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    count = np.zeros(shape, np.int64)
    renewed_at = (rows + first_minute) // RENEWAL_MIN * RENEWAL_MIN - first_minute
    for at in np.unique(renewed_at):
        end = int(at) - GUARD_MIN + 1
        begin = max(0, end - history_minutes)
        columns = slice(*np.searchsorted(renewed_at, [at, at + 1]))
        if end <= begin:
            continue
        ordered = np.sort(values[:, begin:end], axis=1)  # NaN last
        known = ordered.shape[1] - np.isnan(ordered).sum(axis=1)
        q10, q25, q50, q75, q90 = _quantiles(ordered, known, _QUANTILES)
        median[:, columns] = q50[:, None]
        above[:, columns] = np.maximum((q75 - q50) / 0.6745, (q90 - q50) / 1.2816)[:, None]
        below[:, columns] = np.maximum((q50 - q25) / 0.6745, (q50 - q10) / 1.2816)[:, None]
        count[:, columns] = known[:, None]
    return Baseline(median, above, below, count)


def _quantiles(ordered: FloatArray, known: IntArray, q: FloatArray) -> FloatArray:
    """Quantiles, one row each, of the first ``known`` values of each sorted series; NaN where there are none."""
    last = np.maximum(known - 1, 0)
    position = q[:, None] * last
    low = position.astype(np.int64)
    series = np.arange(len(ordered))
    part = position - low
    return np.asarray(ordered[series, low] * (1 - part) + ordered[series, np.minimum(low + 1, last)] * part)
