"""Hours of scores: for each hour of one series at one collector what was counted, as arrays the rule works on.

Decides how rows become hours and how hours are chosen and put together. Where histograms are kept, which hours belong into
a window and what is concluded from them, others decide. Everything is exact and additive: no row is kept and none is lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bgpdrift.drift.histogram import SMALLEST, WIDTH, Histogram
from bgpdrift.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

HOUR_S = 3_600
_CHUNK = 1 << 18
"""Rows looked at together: bounds memory, whatever is handed over."""
_LATEST_S = 1e11
"""Later than the year 5000: these are milliseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """Hourly histograms of one series, in order of time.

    Attributes
    ----------
    starts : ndarray of int, shape (hours,)
        Epoch seconds, UTC, of each hour's start; rising, each once.
    bins : ndarray of int, shape (bins,)
        Numbers as `bgpdrift.drift.histogram.bin_of` gives them; rising.
    counts : ndarray of int, shape (hours, bins)
        Values in each bin.
    totals, squares : ndarray of float, shape (hours,)
        Sum of the values and of their squares.
    alarms : ndarray of int, shape (hours,)
        Values that raised an alarm.

    Examples
    --------
    >>> hours = Hours.from_rows([10, 20, 3700], [1.0, 2.0, 1.0], [False, True, False])
    >>> hours.starts.tolist(), hours.n.tolist(), hours.alarms.tolist(), hours.pool().total
    ([0, 3600], [2, 1], [1, 0], 4.0)
    """

    starts: IntArray
    bins: IntArray
    counts: IntArray
    totals: FloatArray
    squares: FloatArray
    alarms: IntArray
    _n: list[IntArray] = field(default_factory=list, init=False, repr=False)
    """Values in each hour once they were asked for, which they are many times in one comparison."""

    @property
    def n(self) -> IntArray:
        """Values in each hour, shape (hours,); not to be written to."""
        if not self._n:
            found = np.asarray(self.counts.sum(axis=1), np.int64)
            found.setflags(write=False)
            self._n.append(found)
        return self._n[0]

    def __len__(self) -> int:
        return len(self.starts)

    @classmethod
    def empty(cls) -> "Hours":
        """Hours of nothing."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        return cls(whole, whole, np.zeros((0, 0), np.int64), real, real, whole)

    @classmethod
    def from_histograms(cls, hours: Iterable[tuple[int, Histogram, int]]) -> "Hours":
        """Put together hours as they are stored: (start, histogram, alarms). An hour given twice is added up."""
        merged: dict[int, tuple[Histogram, int]] = {}
        for start, histogram, alarms in hours:
            before, rung = merged.get(start, (Histogram(), 0))
            merged[start] = (before + histogram, rung + alarms)
        starts = sorted(merged)
        if not starts:
            return cls.empty()
        found = [merged[start][0] for start in starts]
        bins = np.array(sorted({number for histogram in found for number in histogram.counts}), np.int64)
        counts = np.zeros((len(starts), len(bins)), np.int64)
        for row, histogram in enumerate(found):
            if histogram.counts:
                places = np.searchsorted(bins, np.fromiter(histogram.counts, np.int64, len(histogram.counts)))
                counts[row, places] = list(histogram.counts.values())
        return cls(
            np.array(starts, np.int64),
            bins,
            counts,
            np.array([histogram.total for histogram in found]),
            np.array([histogram.squares for histogram in found]),
            np.array([merged[start][1] for start in starts], np.int64),
        )

    @classmethod
    def from_rows(cls, timestamps: ArrayLike, scores: ArrayLike, is_anomaly: ArrayLike | None = None) -> "Hours":
        """Count rows by hour, in any order and any number a minute.

        Parameters
        ----------
        timestamps : array_like, shape (rows,)
            Epoch seconds, UTC; whole or broken, or numpy's ``datetime64``.
        scores : array_like of float, shape (rows,)
            Finite.
        is_anomaly : array_like of bool, shape (rows,), optional
            Whether the row raised an alarm.

        Raises
        ------
        InputError
            Lengths differ, a time or a score is NaN or infinite, or times are not in seconds; the message names the first
            such row (from 0) and how many there are. Nothing is left out silently: a detector that gives NaN is broken,
            and one that is judged without those rows would look whole.
        """
        times, values = parse_times(timestamps), np.asarray(scores)
        if values.ndim != 1 or values.dtype.kind not in "fiub":
            raise InputError(f"scores: one column of numbers expected, found {values.dtype} of shape {values.shape}")
        rung = None if is_anomaly is None else np.asarray(is_anomaly)
        for name, column in (("timestamps", times), ("is_anomaly", rung)):
            if column is not None and column.shape != values.shape:
                raise InputError(f"{name}: {values.size} rows expected, as many as scores, found {column.size}")
        if not values.size:
            return cls.empty()
        _require_finite("score", values)
        parts = [
            _chunk(times[i : i + _CHUNK], values[i : i + _CHUNK], None if rung is None else rung[i : i + _CHUNK])
            for i in range(0, values.size, _CHUNK)
        ]
        return merge_hours(parts)

    def between(self, start: int, end: int) -> "Hours":
        """Hours that begin at ``start`` or later and before ``end``: a view of these, nothing is copied."""
        first, last = np.searchsorted(self.starts, [start, end]).tolist()
        return self if last - first == len(self) else self._taken(slice(first, max(first, last)))

    def without(self, hour_starts: Iterable[int]) -> "Hours":
        """All but some hours."""
        gone = np.fromiter(hour_starts, np.int64)
        return self.select(~np.isin(self.starts, gone)) if len(gone) else self

    def pool(self) -> Histogram:
        """All hours as one histogram."""
        counts = self.counts.sum(axis=0)
        filled = {int(number): int(count) for number, count in zip(self.bins, counts, strict=True) if count}
        return Histogram(filled, float(self.totals.sum()), float(self.squares.sum()))

    def select(self, rows: BoolArray) -> "Hours":
        """Hours marked; shape (hours,)."""
        return self if rows.all() else self._taken(rows)

    def _taken(self, rows: "BoolArray | slice") -> "Hours":
        found = Hours(
            self.starts[rows],
            self.bins,
            self.counts[rows],
            self.totals[rows],
            self.squares[rows],
            self.alarms[rows],
        )
        if self._n:
            found._n.append(self._n[0][rows])
        return found


def merge_hours(parts: Sequence[Hours]) -> Hours:
    """Add up hours of the same series: those of two hosts, of two files, of before and after a restart.

    Examples
    --------
    >>> once = Hours.from_rows([10, 20], [1.0, 2.0])
    >>> both = merge_hours([once, Hours.from_rows([30, 4000], [2.0, 5.0])])
    >>> both.n.tolist(), both.pool() == Histogram.of([1.0, 2.0, 2.0, 5.0])
    ([3, 1], True)
    """
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return Hours.empty()
    starts = np.unique(np.concatenate([part.starts for part in parts]))
    bins = np.unique(np.concatenate([part.bins for part in parts]))
    counts = np.zeros((len(starts), len(bins)), np.int64)
    totals, squares, alarms = np.zeros(len(starts)), np.zeros(len(starts)), np.zeros(len(starts), np.int64)
    for part in parts:
        rows = np.searchsorted(starts, part.starts)
        counts[np.ix_(rows, np.searchsorted(bins, part.bins))] += part.counts
        totals[rows] += part.totals
        squares[rows] += part.squares
        alarms[rows] += part.alarms
    return Hours(starts, bins, counts, totals, squares, alarms)


def parse_times(timestamps: ArrayLike) -> FloatArray | IntArray:
    """Read times as epoch seconds.

    Raises
    ------
    InputError
        A time is missing, or they are no seconds since 1970.

    Examples
    --------
    >>> parse_times(np.array(["2026-01-01T00:00"], "datetime64[m]")).tolist()
    [1767225600]
    """
    found = np.asarray(timestamps)
    if found.dtype.kind == "M":
        missing = np.flatnonzero(np.isnat(found))
        if len(missing):
            raise InputError(f"row {missing[0]}: no time; {len(missing):,} of {found.size:,} rows have none")
        return np.asarray(found.astype("datetime64[s]").astype(np.int64))
    if found.size == 0:
        return np.zeros(found.shape)
    if found.ndim != 1 or found.dtype.kind not in "fiu":
        raise InputError(
            f"timestamps: one column of epoch seconds expected, found {found.dtype} of shape {found.shape}"
        )
    _require_finite("time", found)
    if found.min() < 0 or found.max() > _LATEST_S:
        worst = float(found.max() if found.max() > _LATEST_S else found.min())
        raise InputError(
            f"timestamps: epoch seconds (UTC) expected, found {worst:.0f}; milliseconds are divided by 1000"
        )
    return found


def bins_of(values: FloatArray) -> IntArray:
    """Numbers of the bins of finite values: `bgpdrift.drift.histogram.bin_of` for a whole column.

    Examples
    --------
    >>> from bgpdrift.drift.histogram import bin_of
    >>> bins_of(np.array([0.0, 2.5, -2.5])).tolist() == [bin_of(0.0), bin_of(2.5), bin_of(-2.5)]
    True
    """
    size = np.abs(values)
    small = size < SMALLEST
    np.clip(size, SMALLEST, 1e300, out=size)
    size /= SMALLEST
    np.log(size, out=size)
    size /= np.log(WIDTH)
    numbers = size.astype(np.int64) + 1
    numbers[small] = 0
    return np.where(values < 0, -numbers, numbers)


def _chunk(times: NDArray[Any], scores: NDArray[Any], rung: NDArray[Any] | None) -> Hours:
    values = scores.astype(float)
    hours = (times // HOUR_S).astype(np.int64)
    numbers = bins_of(values)
    first, last = int(hours.min()), int(hours.max())
    low, high = int(numbers.min()), int(numbers.max())
    width = high - low + 1
    if (last - first + 1) * width <= 16 * _CHUNK:
        rows = hours - first
        counts = np.bincount(rows * width + (numbers - low), minlength=(last - first + 1) * width).reshape(-1, width)
        starts, bins = np.arange(first, last + 1), np.arange(low, high + 1)
    else:  # few rows over many years, or of very different sizes
        starts, rows = np.unique(hours, return_inverse=True)
        bins, columns = np.unique(numbers, return_inverse=True)
        counts = np.zeros((len(starts), len(bins)), np.int64)
        np.add.at(counts, (rows, columns), 1)
    size = len(starts)
    kept, used = counts.any(axis=1), counts.any(axis=0)
    alarms = np.zeros(size, np.int64) if rung is None else np.bincount(rows[rung.astype(bool)], minlength=size)
    totals: FloatArray = np.bincount(rows, weights=values, minlength=size).astype(float)
    with np.errstate(over="ignore"):
        squares: FloatArray = np.bincount(rows, weights=values * values, minlength=size).astype(float)
    return Hours(
        HOUR_S * starts[kept],
        bins[used],
        counts[np.ix_(kept, used)],
        totals[kept],
        squares[kept],
        alarms[kept].astype(np.int64),
    )


def _require_finite(what: str, column: NDArray[Any]) -> None:
    if column.dtype.kind != "f":
        return
    bad, first, example = 0, -1, 0.0
    for i in range(0, column.size, _CHUNK):
        part = column[i : i + _CHUNK]
        found = np.flatnonzero(~np.isfinite(part))
        if len(found) and first < 0:
            first, example = i + int(found[0]), float(part[found[0]])
        bad += len(found)
    if bad:
        raise InputError(
            f"row {first}: {what} is {example}; {bad:,} of {column.size:,} rows have no finite {what}. "
            "Leave them out on purpose, or mend what gave them"
        )


def aligned(parts: Mapping[str, Hours]) -> IntArray:
    """Give the bins of several series together, rising."""
    return np.unique(np.concatenate([np.zeros(0, np.int64), *(part.bins for part in parts.values())]))
