"""Rows of ``hourly_histograms`` decoded into `Hours`, all at once, because a check reads thousands of them.

The result is that of `Histogram.from_bytes` for each row. A row that cannot be decoded is skipped and counted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bgpdrift.drift.histogram import FORMAT
from bgpdrift.drift.hours import Hours, IntArray

Stored = tuple[Any, ...]
"""(collector, hour_start, alarms, value_sum, value_sum_squares, bins)"""
_MAX_VARINT_BYTES = 9
"""A longer number is damage."""


def decode_hours(rows: Sequence[Stored]) -> tuple[dict[str, Hours], int]:
    """Decode rows of one series and version.

    Parameters
    ----------
    rows : sequence of tuple
        ``(collector, hour_start, alarms, value_sum, value_sum_squares, bins)`` in order of collector and time, each
        hour once.

    Returns
    -------
    hours : dict of str to Hours
        By collector.
    unreadable : int
        Rows that were skipped.

    Examples
    --------
    >>> from bgpdrift.drift.histogram import Histogram
    >>> pair = [Histogram.of([1.0, 2.0]), Histogram.of([-2.0, 2.0, 2.0])]
    >>> rows = [("rrc00", 3600 * i, i, h.total, h.squares, h.to_bytes()) for i, h in enumerate(pair)]
    >>> hours, unreadable = decode_hours([*rows, ("rrc00", 7200, 0, 0.0, 0.0, b"?")])
    >>> hours["rrc00"].pool() == pair[0] + pair[1], hours["rrc00"].alarms.tolist(), unreadable
    (True, [0, 1], 1)
    """
    by_collector: dict[str, Hours] = {}
    unreadable = 0
    begin = 0
    for end in range(1, len(rows) + 1):
        if end == len(rows) or rows[end][0] != rows[begin][0]:
            by_collector[str(rows[begin][0])], bad = _decode_rows(rows[begin:end])
            unreadable += bad
            begin = end
    return by_collector, unreadable


def _decode_rows(rows: Sequence[Stored]) -> tuple[Hours, int]:
    blobs = [bytes(row[5]) for row in rows]
    good = [i for i, blob in enumerate(blobs) if blob and blob[0] == FORMAT and blob[-1] < 0x80]
    decoded = _decode_blobs([blobs[i] for i in good])
    if decoded is None:  # one of them is damaged inside: try each alone
        good = [i for i in good if _decode_blobs([blobs[i]]) is not None]
        decoded = _decode_blobs([blobs[i] for i in good])
    if not good or decoded is None:
        return Hours.empty(), len(rows)
    row_of, numbers, counted = decoded
    bins, columns = np.unique(numbers, return_inverse=True)
    counts = np.zeros((len(good), len(bins)), np.int64)
    counts[row_of, columns] = counted
    kept = [rows[i] for i in good]
    return Hours(
        np.array([row[1] for row in kept], np.int64),
        bins,
        counts,
        np.array([row[3] for row in kept], float),
        np.array([row[4] for row in kept], float),
        np.array([row[2] for row in kept], np.int64),
    ), len(rows) - len(good)


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
