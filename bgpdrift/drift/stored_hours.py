"""Rows of ``hourly_histograms`` decoded all at once, because a check reads thousands of them.

`StoredHours` holds the hours of one series, version and collector, and counts their values in bins for a given scaling.
This module decides the scaling of stored scores: `choose_stored_scaling`. A row that cannot be decoded is skipped and
counted.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from bgpdrift.drift import exact_values, histogram
from bgpdrift.drift.histogram import bins_of, middle_of
from bgpdrift.drift.hours import FloatArray, Hours, IntArray
from bgpdrift.drift.scaling import IDENTITY, Scaling, choose_scaling

Stored = tuple[Any, ...]
"""(collector, hour_start, alarms, value_sum, value_sum_squares, bins)"""
StoredSeries = Mapping[str, "StoredHours"]
"""Stored hours by collector."""
_MAX_VARINT_BYTES = 9
"""A longer number is damage."""
MAX_SCALING_VALUES = 1 << 16
"""Values of a window that decide a scaling; of more, a fixed random choice decides."""


@dataclass(frozen=True, slots=True, eq=False)
class StoredHours:
    """Stored hours of one series, version and collector, in order of time.

    Attributes
    ----------
    starts, alarms : ndarray of int, shape (hours,)
        Epoch seconds, UTC, of each hour's start, and values that raised an alarm.
    totals, squares : ndarray of float, shape (hours,)
        Sum of the values and of their squares.
    binned : tuple of ndarray of int, shape (bins,)
        Hour (its index), bin and count of values that are stored in bins of 1 %.
    exact_rows, exact_values : ndarray, shape (values,)
        Hour (its index) and value of those that are stored unrounded.

    Examples
    --------
    >>> from bgpdrift.drift.exact_values import ExactValues
    >>> hour = ExactValues.of([993.1, 993.7])
    >>> hours = decode_values([("rrc00", 0, 0, hour.total, hour.squares, hour.to_bytes())])[0]["rrc00"]
    >>> hours.to_hours(IDENTITY).counts.tolist(), hours.to_hours(Scaling(993.0, 0.1)).counts.tolist()
    ([[2]], [[1, 1]])
    """

    starts: IntArray
    alarms: IntArray
    totals: FloatArray
    squares: FloatArray
    binned: tuple[IntArray, IntArray, IntArray]
    exact_rows: IntArray
    exact_values: FloatArray
    _hours: list[Hours] = field(default_factory=list, init=False, repr=False)
    """The last result of `to_hours`: a reference keeps its scaling from check to check."""

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def is_exact(self) -> bool:
        """Whether all values are unrounded, so that any scaling resolves them."""
        return not len(self.binned[0])

    def between(self, start: int, end: int) -> "StoredHours":
        """Return the hours that begin in ``[start, end)``."""
        first, last = np.searchsorted(self.starts, [start, max(start, end)])
        is_binned, is_exact = ((first <= rows) & (rows < last) for rows in (self.binned[0], self.exact_rows))
        rows, bins, counts = (column[is_binned] for column in self.binned)
        return StoredHours(
            self.starts[first:last],
            self.alarms[first:last],
            self.totals[first:last],
            self.squares[first:last],
            (rows - first, bins, counts),
            self.exact_rows[is_exact] - first,
            self.exact_values[is_exact],
        )

    def to_hours(self, scaling: Scaling) -> Hours:
        """Count the values in bins after mapping them; values stored in bins are mapped as the middles of their bins."""
        if self._hours and self._hours[0].scaling == scaling:
            return self._hours[0]
        rows, stored_bins, stored_counts = self.binned
        if not scaling.is_identity and len(rows):
            middles = np.array([middle_of(number) for number in stored_bins.tolist()])
            stored_bins = bins_of(scaling.apply(middles))
        numbers = np.concatenate([stored_bins, bins_of(scaling.apply(self.exact_values))])
        bins, columns = np.unique(numbers, return_inverse=True)
        counts = np.zeros((len(self.starts), len(bins)), np.int64)
        added = np.concatenate([stored_counts, np.ones(len(self.exact_values), np.int64)])
        np.add.at(counts, (np.concatenate([rows, self.exact_rows]), columns), added)
        self._hours[:] = [Hours(self.starts, bins, counts, self.totals, self.squares, self.alarms, scaling)]
        return self._hours[0]


def decode_values(rows: Sequence[Stored]) -> tuple[dict[str, StoredHours], int]:
    """Decode rows of one series and version.

    Parameters
    ----------
    rows : sequence of tuple
        ``(collector, hour_start, alarms, value_sum, value_sum_squares, bins)`` in order of collector and time, each
        hour once.

    Returns
    -------
    hours : dict of str to StoredHours
        By collector.
    unreadable : int
        Rows that were skipped.
    """
    by_collector: dict[str, StoredHours] = {}
    unreadable = 0
    begin = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or rows[end][0] != rows[begin][0]:
            by_collector[str(rows[begin][0])], bad = _decode_rows(rows[begin:end])
            unreadable += bad
            begin = end
    return by_collector, unreadable


def decode_hours(rows: Sequence[Stored]) -> tuple[dict[str, Hours], int]:
    """Decode rows of one series and version, whose values need no scaling; the same as `decode_values` otherwise.

    Examples
    --------
    >>> from bgpdrift.drift.histogram import Histogram
    >>> pair = [Histogram.of([1.0, 2.0]), Histogram.of([-2.0, 2.0, 2.0])]
    >>> rows = [("rrc00", 3600 * i, i, h.total, h.squares, h.to_bytes()) for i, h in enumerate(pair)]
    >>> hours, unreadable = decode_hours([*rows, ("rrc00", 7200, 0, 0.0, 0.0, b"?")])
    >>> hours["rrc00"].pool() == pair[0] + pair[1], hours["rrc00"].alarms.tolist(), unreadable
    (True, [0, 1], 1)
    """
    found, unreadable = decode_values(rows)
    return scale_series(found, IDENTITY), unreadable


def scale_series(series: StoredSeries, scaling: Scaling) -> dict[str, Hours]:
    """Count the values of a series in bins, with one scaling for all collectors."""
    return {name: hours.to_hours(scaling) for name, hours in series.items()}


def choose_stored_scaling(parts: Iterable[StoredSeries], current_start: int) -> Scaling:
    """Choose the scaling of one version's scores for a check, as `choose_scaling` does for scores in memory.

    Parameters
    ----------
    parts : iterable of mapping of str to StoredHours
        All hours of the version that the check may compare.
    current_start : int
        Epoch seconds from which hours are those of the current window.

    Returns
    -------
    Scaling
        The identity if an hour is stored in bins, as earlier releases did: other bins would show the difference
        between rounded and unrounded values as a drift.
    """
    stored = [hours for part in parts for hours in part.values()]
    if not all(hours.is_exact for hours in stored):
        return IDENTITY
    none = np.zeros(0)
    reference = np.concatenate([none, *(hours.between(0, current_start).exact_values for hours in stored)])
    current = np.concatenate([none, *(hours.between(current_start, 2**62).exact_values for hours in stored)])
    return choose_scaling(_thin_out(reference), _thin_out(current))


def _thin_out(values: FloatArray) -> FloatArray:
    if len(values) <= MAX_SCALING_VALUES:
        return values
    # Every n-th value would be no fair choice, because the values of an hour are sorted.
    return np.random.default_rng(0).choice(values, MAX_SCALING_VALUES, replace=False)


def _decode_rows(rows: Sequence[Stored]) -> tuple[StoredHours, int]:
    blobs = [bytes(row[5]) for row in rows]
    binned = [i for i, blob in enumerate(blobs) if blob and blob[0] == histogram.FORMAT and blob[-1] < 0x80]
    decoded = _decode_blobs([blobs[i] for i in binned])
    if decoded is None:  # one of them is damaged inside: try each alone
        binned = [i for i in binned if _decode_blobs([blobs[i]]) is not None]
        decoded = _decode_blobs([blobs[i] for i in binned])
    assert decoded is not None, "each of these was decoded alone"
    exact = [i for i, blob in enumerate(blobs) if blob and blob[0] == exact_values.FORMAT]
    exact = [i for i in exact if len(blobs[i]) % exact_values.BYTES_PER_VALUE == 1]
    values = _read_values([blobs[i] for i in exact])
    if not np.isfinite(values).all():  # one of them is damaged inside
        exact = [i for i in exact if np.isfinite(_read_values([blobs[i]])).all()]
        values = _read_values([blobs[i] for i in exact])
    sizes = [len(blobs[i]) // exact_values.BYTES_PER_VALUE for i in exact]
    good = np.array(sorted({*binned, *exact}), np.int64)
    place = np.zeros(len(rows), np.int64)
    place[good] = np.arange(len(good))
    kept = [rows[i] for i in good.tolist()]
    return StoredHours(
        np.array([row[1] for row in kept], np.int64),
        np.array([row[2] for row in kept], np.int64),
        np.array([row[3] for row in kept], float),
        np.array([row[4] for row in kept], float),
        (place[np.array(binned, np.int64)][decoded[0]], decoded[1], decoded[2]),
        place[np.repeat(np.array(exact, np.int64), sizes)],
        values,
    ), len(rows) - len(good)


def _read_values(blobs: Sequence[bytes]) -> FloatArray:
    return np.frombuffer(b"".join(blob[1:] for blob in blobs), "<f8").astype(float)


def _decode_blobs(blobs: Sequence[bytes]) -> tuple[IntArray, IntArray, IntArray] | None:
    """Row, bin and count of every entry of some blobs; None if one of them is damaged."""
    if not blobs:
        none = np.zeros(0, np.int64)
        return none, none, none
    raw: npt.NDArray[np.uint8] = np.frombuffer(b"".join(blobs), np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    begins = np.append(0, ends[:-1] + 1)
    lengths = ends - begins + 1
    if lengths.max() > _MAX_VARINT_BYTES:
        return None
    values = np.zeros(len(ends), np.int64)
    for place in range(int(lengths.max())):
        has = lengths > place
        values[has] |= (raw[begins[has] + place].astype(np.int64) & 0x7F) << (7 * place)
    # Each blob begins with its format, which decodes as one number; then steps and counts alternate.
    blob_ends = np.cumsum([len(blob) for blob in blobs])
    firsts = np.searchsorted(ends, np.append(0, blob_ends[:-1]))
    sizes = np.diff(np.append(firsts, len(ends))) - 1
    if (sizes % 2).any():
        return None
    rows = np.repeat(np.arange(len(blobs)), sizes // 2)
    inner = np.delete(values, firsts)
    steps, counts = inner[0::2], inner[1::2]
    signed = np.where(steps % 2 == 0, steps >> 1, -((steps + 1) >> 1))
    reached = np.cumsum(signed)
    starts = np.append(0, np.cumsum(sizes // 2)[:-1])
    before = np.where(starts > 0, reached[starts - 1], 0) if len(reached) else np.zeros(len(blobs), np.int64)
    return rows, reached - before[rows], counts
