"""Who originates what: second origins (MOAS) and more specific prefixes of another origin, as they appear.

Decides what "new" means for both: a second origin is new if the pair of prefix and origin was absent for 24 h (GRIP); a
sub-prefix is new if it was never seen and the longest known prefix that covers it belongs to another origin (ARTEMIS).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bgpdrift.bgp.prefixes import covering, lengths
from bgpdrift.features.hashing import I64, U64, BoolArray
from bgpdrift.features.prefix_table import PrefixTable
from bgpdrift.features.transitions import segment_starts

MOAS_MEMORY_MIN = 1440
_SHORTEST_COVER = 8
_PURGE_AT = 100_000


class SubPrefix(NamedTuple):
    """A new prefix covered by a known one of another origin."""

    element: int  # index into the announcements handed over
    covering_key: int
    covering_origin: int


class Origins:
    """Remembers which second origins of a prefix were seen within a day."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int], int] = {}  # (prefix key, origin) -> tick; only of prefixes that had two

    def note(
        self, table: PrefixTable, rows: I64, origins: NDArray[np.uint32], tick: int
    ) -> tuple[BoolArray, NDArray[np.uint32]]:
        """Follow the origins of some announcements, in order of arrival.

        Returns
        -------
        is_new : ndarray of bool
            The announcement brought a second origin that was absent for 24 h.
        before : ndarray of uint32
            Origin of the prefix just before the announcement, 0 if unknown.
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
        if len(self._seen) > _PURGE_AT:
            self._seen = {pair: seen for pair, seen in self._seen.items() if tick - seen <= MOAS_MEMORY_MIN}
            if len(self._seen) > _PURGE_AT:  # an attack on our memory: the younger half stays
                newest = sorted(self._seen.items(), key=lambda item: -item[1])[: _PURGE_AT // 2]
                self._seen = dict(newest)

    def save(self) -> list[list[int]]:
        """Give plain values for a checkpoint."""
        return [[key, origin, tick] for (key, origin), tick in self._seen.items()]

    @classmethod
    def restore(cls, saved: list[list[int]]) -> "Origins":
        """Rebuild from `save`."""
        origins = cls()
        origins._seen = {(key, origin): tick for key, origin, tick in saved}
        return origins


class Covers:
    """Finds known prefixes that cover new ones; remembers which lengths occur at all, to look no further."""

    def __init__(self) -> None:
        self._lengths: set[int] = set()

    def learn(self, keys: U64) -> None:
        """Note the lengths of new prefixes."""
        self._lengths.update(np.unique(lengths(keys)).tolist())

    def sub_prefixes(
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
            Already with the batch in it.
        new : ndarray of int64
            Which announcements are of prefixes never seen before.
        rows, keys, origins : ndarray, shape (n,)
            All announcements of the batch, in order of arrival.
        origin_before_batch : ndarray of uint32
            Origin by row before the batch; rows of the batch's own new prefixes are 0.
        """
        at = new[origins[new] > 0]
        tried = [length for length in sorted(self._lengths, reverse=True) if length >= _SHORTEST_COVER]
        if not at.size or not tried:
            return []
        own = lengths(keys[at])
        # One row a length, longest first, so that the first cover known is the longest; one look-up for all of them.
        cover = np.stack([np.where(own > length, covering(keys[at], length), np.uint64(0)) for length in tried])
        asked = np.flatnonzero(cover)
        cover_row = np.full(cover.size, -1, dtype=np.int64)
        cover_row[asked] = table.find(cover.ravel()[asked])
        element = np.broadcast_to(at, cover.shape).ravel()
        cover_row = np.where(cover_row < rows[element], cover_row, -1)  # a smaller row was seen before
        known = np.flatnonzero(cover_row >= 0)
        # Origin of a row at a moment of the batch: that of its latest announcement before the moment, else from before.
        by_row = np.lexsort((np.arange(rows.size), rows))
        moments = rows[by_row] * rows.size + by_row
        place = np.searchsorted(moments, cover_row[known] * rows.size + element[known]) - 1
        latest = by_row[np.maximum(place, 0)]
        in_batch = (place >= 0) & (rows[latest] == cover_row[known])
        owner = np.zeros(cover.size, dtype=np.uint32)
        owner[known] = np.where(in_batch, origins[latest], origin_before_batch[cover_row[known]])
        owners = owner.reshape(cover.shape)
        longest = (owners > 0).argmax(axis=0)
        columns = np.arange(at.size)
        covering_origin = owners[longest, columns]
        hits = np.flatnonzero((covering_origin > 0) & (covering_origin != origins[at]))
        found = [
            SubPrefix(int(at[hit]), int(cover[longest[hit], hit]), int(covering_origin[hit])) for hit in hits.tolist()
        ]
        return found

    def save(self) -> list[int]:
        """Give plain values for a checkpoint."""
        return sorted(self._lengths)

    @classmethod
    def restore(cls, saved: list[int]) -> "Covers":
        """Rebuild from `save`."""
        covers = cls()
        covers._lengths = set(saved)
        return covers
