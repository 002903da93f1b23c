"""Recognizes new second origins (MOAS) and new prefixes that are more specific than a prefix of another origin.

A second origin is new if the pair of prefix and origin was absent for 24 h (GRIP). A sub-prefix is new if the prefix was
never seen and the longest known prefix that covers it belongs to another origin (ARTEMIS).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bgpdrift.bgp.prefixes import covering, lengths
from bgpdrift.features.hashing import I64, U64, BoolArray
from bgpdrift.features.prefix_table import PrefixTable
from bgpdrift.features.transitions import segment_starts

MOAS_MEMORY_MIN = 1440
_MIN_COVER_BITS = 8
_MAX_PAIRS = 100_000


class SubPrefix(NamedTuple):
    """A new prefix covered by a known one of another origin."""

    element: int  # index into the announcements
    covering_key: int
    covering_origin: int


class Origins:
    """Remembers the second origins of prefixes within a day."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], int] = {}  # (prefix key, origin) -> tick; only prefixes with two origins

    def update(
        self, table: PrefixTable, rows: I64, origins: NDArray[np.uint32], tick: int
    ) -> tuple[BoolArray, NDArray[np.uint32]]:
        """Update the origins of prefixes by some announcements, in order of arrival.

        Returns
        -------
        is_new : ndarray of bool
            The announcement has a second origin that was absent for 24 h.
        before : ndarray of uint32
            Origin of the prefix before the announcement; 0 if unknown.
        """
        order = np.argsort(rows, kind="stable")
        ordered, announced = rows[order], origins[order]
        starts = segment_starts(ordered)
        previous = np.empty_like(announced)
        previous[1:] = announced[:-1]
        previous[starts] = table["origin"][ordered[starts]]
        before = np.empty_like(previous)
        before[order] = previous

        is_new = np.zeros(rows.size, dtype=np.bool_)
        changed = np.flatnonzero((before != origins) & (before != 0) & (origins != 0))
        if changed.size:
            changes = zip(
                changed.tolist(),
                table["key"][rows[changed]].tolist(),
                before[changed].tolist(),
                origins[changed].tolist(),
                strict=True,
            )
            for at, key, old, new in changes:
                last = self._seen.get((key, new))
                is_new[at] = last is None or tick - last > MOAS_MEMORY_MIN
                self._seen[key, new] = self._seen[key, old] = tick
            self._purge(tick)
        ends = np.append(np.flatnonzero(starts)[1:], rows.size) - 1
        final = announced[ends]
        table["origin"][ordered[ends]] = np.where(final > 0, final, table["origin"][ordered[ends]])
        return is_new, before

    def _purge(self, tick: int) -> None:
        if len(self._seen) > _MAX_PAIRS:
            self._seen = {pair: seen for pair, seen in self._seen.items() if tick - seen <= MOAS_MEMORY_MIN}
            if len(self._seen) > _MAX_PAIRS:  # too many within a day, as in an attack: keep the younger half
                newest = sorted(self._seen.items(), key=lambda item: -item[1])[: _MAX_PAIRS // 2]
                self._seen = dict(newest)

    def save(self) -> list[list[int]]:
        """Return plain values for a checkpoint."""
        return [[key, origin, tick] for (key, origin), tick in self._seen.items()]

    @classmethod
    def restore(cls, saved: list[list[int]]) -> "Origins":
        """Rebuild from the result of `save`."""
        origins = cls()
        origins._seen = {(key, origin): tick for key, origin, tick in saved}
        return origins


class Covers:
    """Finds known prefixes that cover new ones; remembers the prefix lengths that occur, to try no others."""

    def __init__(self) -> None:
        self._lengths: set[int] = set()

    def add_lengths(self, keys: U64) -> None:
        """Add the lengths of new prefixes."""
        self._lengths.update(np.unique(lengths(keys)).tolist())

    def find_sub_prefixes(
        self,
        table: PrefixTable,
        new: I64,
        rows: I64,
        keys: U64,
        origins: NDArray[np.uint32],
        origin_before_batch: NDArray[np.uint32],
    ) -> list[SubPrefix]:
        """Find new prefixes covered by a known one of another origin.

        Parameters
        ----------
        table : PrefixTable
            With the batch added.
        new : ndarray of int64
            Indices of announcements of prefixes that were never seen before.
        rows, keys, origins : ndarray, shape (n,)
            All announcements of the batch, in order of arrival.
        origin_before_batch : ndarray of uint32
            Origin by row before the batch; rows of the batch's own new prefixes are 0.
        """
        at = new[origins[new] > 0]
        candidates = [length for length in sorted(self._lengths, reverse=True) if length >= _MIN_COVER_BITS]
        if not at.size or not candidates:
            return []
        own = lengths(keys[at])
        # One row per length, longest first: the first known cover is the longest. One look-up serves all of them.
        cover = np.stack([np.where(own > length, covering(keys[at], length), np.uint64(0)) for length in candidates])
        places = np.flatnonzero(cover)
        cover_row = np.full(cover.size, -1, dtype=np.int64)
        cover_row[places] = table.find(cover.ravel()[places])
        element = np.broadcast_to(at, cover.shape).ravel()
        covered = np.flatnonzero(cover_row >= 0)
        # The origin of a row at a moment of the batch is that of its latest earlier announcement, else from before it. A cover
        # that the batch announces only later has none.
        by_row = np.lexsort((np.arange(rows.size), rows))
        moments = rows[by_row] * rows.size + by_row
        place = np.searchsorted(moments, cover_row[covered] * rows.size + element[covered]) - 1
        latest = by_row[np.maximum(place, 0)]
        in_batch = (place >= 0) & (rows[latest] == cover_row[covered])
        owner = np.zeros(cover.size, dtype=np.uint32)
        owner[covered] = np.where(in_batch, origins[latest], origin_before_batch[cover_row[covered]])
        owners = owner.reshape(cover.shape)
        longest = (owners > 0).argmax(axis=0)
        columns = np.arange(at.size)
        covering_origin = owners[longest, columns]
        hits = np.flatnonzero((covering_origin > 0) & (covering_origin != origins[at]))
        return [
            SubPrefix(int(at[hit]), int(cover[longest[hit], hit]), int(covering_origin[hit])) for hit in hits.tolist()
        ]

    def save(self) -> list[int]:
        """Return plain values for a checkpoint."""
        return sorted(self._lengths)

    @classmethod
    def restore(cls, saved: list[int]) -> "Covers":
        """Rebuild from the result of `save`."""
        covers = cls()
        covers._lengths = set(saved)
        return covers
