"""Hourly histograms of one series at one collector, as arrays that the drift rule works on.

This module decides how rows become hours and how hours are selected and merged. Counts are exact and additive, and no
row is kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.histogram import Histogram, bins_of
from bgpdrift.drift.scaling import IDENTITY, Scaling
from bgpdrift.errors import InputError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

CHUNK_ROWS = 1 << 18
"""Rows processed at a time, which bounds memory."""
MAX_TIME_S = 1e11
"""Latest time accepted, in the year 5138: larger numbers are milliseconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Hours:
    """Hourly histograms of one series, in order of time.

    Attributes
    ----------
    starts : ndarray of int, shape (hours,)
        Epoch seconds, UTC, of each hour's start; rising, each once.
    bins : ndarray of int, shape (bins,)
        Bin numbers as `bgpdrift.drift.histogram.bin_of` gives them; rising.
    counts : ndarray of int, shape (hours, bins)
        Values in each bin.
    totals, squares : ndarray of float, shape (hours,)
        Sum of the values and of their squares.
    alarms : ndarray of int, shape (hours,)
        Values that raised an alarm.
    scaling : Scaling
        Map from scores to the values in the bins. Sums are those of the scores.

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
    scaling: Scaling = IDENTITY
    _n: list[IntArray] = field(default_factory=list, init=False, repr=False)
    """Cache of `n`, which one comparison reads many times."""

    @property
    def n(self) -> IntArray:
        """Number of values in each hour, shape (hours,); read-only."""
        if not self._n:
            sums = np.asarray(self.counts.sum(axis=1), np.int64)
            sums.setflags(write=False)
            self._n.append(sums)
        return self._n[0]

    def __len__(self) -> int:
        return len(self.starts)

    @classmethod
    def empty(cls) -> "Hours":
        """Return a series without hours."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        return cls(whole, whole, np.zeros((0, 0), np.int64), real, real, whole)

    @classmethod
    def from_histograms(cls, hours: Iterable[tuple[int, Histogram, int]]) -> "Hours":
        """Combine hours given as (start, histogram, alarms). An hour given twice is added up."""
        by_start: dict[int, tuple[Histogram, int]] = {}
        for start, histogram, alarms in hours:
            before, alarms_before = by_start.get(start, (Histogram(), 0))
            by_start[start] = (before + histogram, alarms_before + alarms)
        starts = sorted(by_start)
        if not starts:
            return cls.empty()
        histograms = [by_start[start][0] for start in starts]
        bins = np.array(sorted({number for histogram in histograms for number in histogram.counts}), np.int64)
        counts = np.zeros((len(starts), len(bins)), np.int64)
        for row, histogram in enumerate(histograms):
            if histogram.counts:
                places = np.searchsorted(bins, np.fromiter(histogram.counts, np.int64, len(histogram.counts)))
                counts[row, places] = list(histogram.counts.values())
        return cls(
            np.array(starts, np.int64),
            bins,
            counts,
            np.array([histogram.total for histogram in histograms]),
            np.array([histogram.squares for histogram in histograms]),
            np.array([by_start[start][1] for start in starts], np.int64),
        )

    @classmethod
    def from_rows(
        cls,
        timestamps: ArrayLike,
        scores: ArrayLike,
        is_anomaly: ArrayLike | None = None,
        scaling: Scaling = IDENTITY,
    ) -> "Hours":
        """Count rows by hour. Rows may be in any order, with any number of them a minute.

        Parameters
        ----------
        timestamps : array_like, shape (rows,)
            Epoch seconds, UTC, with or without fractions, or numpy's ``datetime64``.
        scores : array_like of float, shape (rows,)
            Finite.
        is_anomaly : array_like of bool, shape (rows,), optional
            Whether the row raised an alarm.
        scaling : Scaling
            Map from scores to the values that are counted in bins.

        Raises
        ------
        InputError
            Lengths differ, a time or a score is NaN or infinite, or times are not in seconds. The message names the
            first such row (from 0) and how many there are. Such rows are not skipped silently, because a detector that
            returns NaN is broken and would look healthy without those rows.
        """
        times, values = parse_times(timestamps), np.asarray(scores)
        require_numbers(values)
        alarms = None if is_anomaly is None else np.asarray(is_anomaly)
        for name, column in (("timestamps", times), ("is_anomaly", alarms)):
            if column is not None and column.shape != values.shape:
                raise InputError(f"{name}: expected {values.size} rows, as many as scores, found {column.size}")
        if not values.size:
            return cls.empty()
        require_finite("score", values)
        size = CHUNK_ROWS
        return merge_hours(
            [
                _count_chunk(
                    times[i : i + size],
                    values[i : i + size],
                    None if alarms is None else alarms[i : i + size],
                    scaling,
                )
                for i in range(0, values.size, size)
            ]
        )

    def between(self, start: int, end: int) -> "Hours":
        """Return the hours that begin in ``[start, end)``: a view, nothing is copied."""
        first, last = np.searchsorted(self.starts, [start, end]).tolist()
        return self if last - first == len(self) else self._take(slice(first, max(first, last)))

    def exclude(self, hour_starts: Iterable[int]) -> "Hours":
        """Return all hours but those that begin at the given times."""
        excluded = np.fromiter(hour_starts, np.int64)
        return self.select(~np.isin(self.starts, excluded)) if len(excluded) else self

    def pool(self) -> Histogram:
        """Return all hours as one histogram."""
        counts = self.counts.sum(axis=0)
        filled = {int(number): int(count) for number, count in zip(self.bins, counts, strict=True) if count}
        return Histogram(filled, float(self.totals.sum()), float(self.squares.sum()))

    def select(self, rows: BoolArray) -> "Hours":
        """Return the hours marked True; shape (hours,)."""
        return self if rows.all() else self._take(rows)

    def _take(self, rows: "BoolArray | slice") -> "Hours":
        taken = Hours(
            self.starts[rows],
            self.bins,
            self.counts[rows],
            self.totals[rows],
            self.squares[rows],
            self.alarms[rows],
            self.scaling,
        )
        if self._n:
            taken._n.append(self._n[0][rows])
        return taken


def merge_hours(parts: Sequence[Hours]) -> Hours:
    """Add up hours of the same series, e.g. of two hosts, of two files, or of before and after a restart.

    Examples
    --------
    >>> first = Hours.from_rows([10, 20], [1.0, 2.0])
    >>> merged = merge_hours([first, Hours.from_rows([30, 4000], [2.0, 5.0])])
    >>> merged.n.tolist(), merged.pool() == Histogram.of([1.0, 2.0, 2.0, 5.0])
    ([3, 1], True)
    """
    if len(parts) == 1:
        return parts[0]
    scaling = find_scaling(parts)
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
    return Hours(starts, bins, counts, totals, squares, alarms, scaling)


def find_scaling(parts: Iterable[Hours]) -> Scaling:
    """Find the map that hours of one series share; hours without values say nothing.

    Raises
    ------
    ValueError
        The hours have different maps, so that their bins cannot be added or compared.
    """
    found = {part.scaling for part in parts if len(part)}
    if len(found) > 1:
        raise ValueError(f"hours: expected one scaling, found {sorted(map(str, found))}")
    return found.pop() if found else IDENTITY


def parse_times(timestamps: ArrayLike) -> FloatArray | IntArray:
    """Read times as epoch seconds.

    Raises
    ------
    InputError
        A time is missing, or the numbers are not seconds since 1970.

    Examples
    --------
    >>> parse_times(np.array(["2026-01-01T00:00"], "datetime64[m]")).tolist()
    [1767225600]
    """
    times = np.asarray(timestamps)
    if times.dtype.kind == "M":
        missing = np.flatnonzero(np.isnat(times))
        if len(missing):
            raise InputError(f"row {missing[0]}: no time; {len(missing):,} of {times.size:,} rows have none")
        return np.asarray(times.astype("datetime64[s]").astype(np.int64))
    if times.size == 0:
        return np.zeros(times.shape)
    if times.ndim != 1 or times.dtype.kind not in "fiu":
        raise InputError(
            f"timestamps: expected one column of epoch seconds, found {times.dtype} of shape {times.shape}"
        )
    require_finite("time", times)
    bad = np.flatnonzero((times < 0) | (times > MAX_TIME_S))
    if len(bad):
        found = f"found {float(times[bad[0]]):.0f} in row {bad[0]}; {len(bad):,} of {times.size:,} rows are none"
        raise InputError(f"timestamps: expected epoch seconds (UTC), {found}; divide milliseconds by 1000")
    return times


def _count_chunk(times: NDArray[Any], scores: NDArray[Any], is_anomaly: NDArray[Any] | None, scaling: Scaling) -> Hours:
    values = scores.astype(float)
    hours = (times // HOUR_S).astype(np.int64)
    numbers = bins_of(scaling.apply(values))
    first, last = int(hours.min()), int(hours.max())
    low, high = int(numbers.min()), int(numbers.max())
    width = high - low + 1
    if (last - first + 1) * width <= 16 * CHUNK_ROWS:
        rows = hours - first
        counts = np.bincount(rows * width + (numbers - low), minlength=(last - first + 1) * width).reshape(-1, width)
        starts, bins = np.arange(first, last + 1), np.arange(low, high + 1)
    else:  # a dense table would be too large: few rows over many years, or values of very different size
        starts, rows = np.unique(hours, return_inverse=True)
        bins, columns = np.unique(numbers, return_inverse=True)
        counts = np.zeros((len(starts), len(bins)), np.int64)
        np.add.at(counts, (rows, columns), 1)
    size = len(starts)
    kept, used = counts.any(axis=1), counts.any(axis=0)
    alarms = (
        np.zeros(size, np.int64) if is_anomaly is None else np.bincount(rows[is_anomaly.astype(bool)], minlength=size)
    )
    with np.errstate(over="ignore"):
        totals: FloatArray = np.bincount(rows, weights=values, minlength=size).astype(float)
        squares: FloatArray = np.bincount(rows, weights=values * values, minlength=size).astype(float)
    return Hours(
        HOUR_S * starts[kept],
        bins[used],
        counts[np.ix_(kept, used)],
        totals[kept],
        squares[kept],
        alarms[kept].astype(np.int64),
        scaling,
    )


def require_numbers(scores: NDArray[Any]) -> None:
    """Refuse scores that are not one column of numbers."""
    if scores.ndim != 1 or scores.dtype.kind not in "fiub":
        raise InputError(f"scores: expected one column of numbers, found {scores.dtype} of shape {scores.shape}")


def require_finite(what: str, column: NDArray[Any]) -> None:
    """Refuse a column with NaN or infinity, naming the first such row and how many there are."""
    if column.dtype.kind != "f":
        return
    n_bad, first, example = 0, -1, 0.0
    for i in range(0, column.size, CHUNK_ROWS):
        part = column[i : i + CHUNK_ROWS]
        bad = np.flatnonzero(~np.isfinite(part))
        if len(bad) and first < 0:
            first, example = i + int(bad[0]), float(part[bad[0]])
        n_bad += len(bad)
    if n_bad:
        raise InputError(
            f"row {first}: {what} is {example}; {n_bad:,} of {column.size:,} rows have no finite {what}. "
            "Repair their source, or remove these rows before the check"
        )
