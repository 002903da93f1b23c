"""The latest route of each peer to each prefix at one collector, within a limit of bytes.

A route belongs to a peer and a prefix: its key combines the peer's number and the prefix's row. Beside the key are the last
AS path and whether the last element was an announcement or a withdrawal. A slot needs 14 B, a route about 23 B; peers share
prefixes and paths.

At the limit, old routes are evicted in small steps. A pass (`Pass`) goes through the table once: it removes the routes
without an update for the longest time, marks the prefixes and paths that the others use, and then removes those without a
mark. Each call does a part of the pass that is bounded by the size of the next batch, so that no call takes long, whatever
the size of the state. `transitions` decides what a message means.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgpdrift.features.checkpoint import take_arrays
from bgpdrift.features.hashing import EMPTY, I64, MAX_LOAD, U64, BoolArray, SlotTable, mix
from bgpdrift.features.paths import PathTable
from bgpdrift.features.prefix_table import PrefixTable

NOTHING, ANNOUNCED, WITHDRAWN = 0, 1, 2
_SHIFT = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_MAX_AGE_GENERATIONS = 200  # generation numbers wrap at 256; older routes all count as this old
EVICTED_SHARE = 0.25
"""Share of the routes that a pass evicts."""
SLOTS_PER_STEP = 1 << 16
SLOTS_PER_NEW_ROUTE = 20
"""While a pass evicts, new routes fill the part of the table that it has not reached; this keeps them below 5 % of the slots."""
_MAX_PASSES = 3
_GARBAGE = 1.1
"""With more paths than this, compared with the end of the last pass, a pass without eviction can make room."""
_TIE_BITS = np.uint64(0xFFFF)
_KEEP_ALL = 1 << 16
_CHUNK = 1 << 20
_SAMPLE = 1 << 18
_SHRINK_ABOVE, _SHRINK_TO = 1.25, 0.75
_COLUMNS: dict[str, Any] = {"path": np.int32, "kind": np.uint8, "generation": np.uint8}
_MIN_PATHS_TO_COMPACT = 50_000
_MIN_BATCH_KEYS = 20_000


@dataclass
class Pass:
    """One pass through the tables: routes, then paths, then prefixes.

    Attributes
    ----------
    evicted_age : int
        Routes older than this are evicted; `_KEEP_ALL` evicts none.
    tied_share : float
        Share of the routes of this age that are evicted too, chosen by their keys. The routes that are never updated all have
        the greatest age, and a table that evicts from one part only becomes crowded in the other.
    slots : int
        Slots of the route table when the pass began; a growth lets the pass begin again.
    place : int
        Next slot of the present table.
    phase : str
        ``routes``, ``paths`` or ``prefixes``: the present table.
    paths, prefixes : ndarray of bool
        Marks by row; a newer row has none.
    """

    evicted_age: int
    tied_share: float
    slots: int
    paths: BoolArray
    prefixes: BoolArray
    place: int = 0
    phase: str = "routes"


class RouteState:
    """Routes, prefixes and paths of one collector.

    Parameters
    ----------
    max_bytes : int
        Limit of all tables together.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.paths = PathTable()
        self.prefixes = PrefixTable()
        self._table = SlotTable(_COLUMNS, capacity=4096)
        self._pass: Pass | None = None
        self._generation = 0
        self._touched = 0
        self._batch = _MIN_BATCH_KEYS
        self._new = 0  # routes added since the limit was last enforced
        self._path_limit = _MIN_PATHS_TO_COMPACT
        self._live_paths = 0
        self.evicted = 0  # since the caller last reset it

    @property
    def routes(self) -> int:
        """Number of routes in the table, withdrawn ones included."""
        return self._table.used

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return self._table.nbytes + self.paths.nbytes + self.prefixes.nbytes

    @staticmethod
    def keys(peers: NDArray[np.integer[Any]], rows: I64) -> U64:
        """Return the key of each (peer number, prefix row); never 0."""
        return (peers.astype(np.uint64) + np.uint64(1)) << _SHIFT | rows.astype(np.uint64)

    def find(self, keys: U64) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Return the last element of each route.

        Returns
        -------
        kind : ndarray of uint8
            `NOTHING`, `ANNOUNCED` or `WITHDRAWN`.
        path : ndarray of int32
            Row of the last announced path, -1 if unknown.
        """
        slots = self._table.find(keys)
        exists = slots >= 0
        at = np.maximum(slots, 0)
        kind = np.where(exists, self._table.columns["kind"][at], NOTHING).astype(np.uint8)
        path = np.where(exists & (kind != NOTHING), self._table.columns["path"][at] - 1, -1).astype(np.int32)
        return kind, path

    def update(self, keys: U64, kind: NDArray[np.uint8], path: NDArray[np.int32]) -> None:
        """Store the last element of distinct routes."""
        self._batch = max(_MIN_BATCH_KEYS, 2 * keys.size)
        slots, is_new = self._table.find_or_add(keys)
        self._new += int(np.count_nonzero(is_new))
        self._table.columns["kind"][slots] = kind
        self._table.columns["path"][slots] = path + 1
        self._table.columns["generation"][slots] = self._generation & 0xFF
        if self._pass is not None:
            self._mark(self._pass, keys, path)
        self._touched += keys.size
        if self._touched > max(self._table.capacity // 16, 1024):
            self._generation += 1
            self._touched = 0
            if self._generation % 32 == 0:
                self._clamp_generations()

    def _clamp_generations(self) -> None:
        """Keep routes without an update for very long from appearing young when the generation number wraps."""
        column = self._table.columns["generation"]
        for begin in range(0, column.size, _CHUNK):
            generation = column[begin : begin + _CHUNK]
            generation[self._ages(generation) > _MAX_AGE_GENERATIONS] = (self._generation - _MAX_AGE_GENERATIONS) & 0xFF

    def _ages(self, generation: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the age of routes by their generation number, which wraps."""
        return np.uint8(self._generation & 0xFF) - generation

    def forget_peer(self, peer: int) -> int:
        """Forget the routes of a peer because its session ended; its prefixes lose one announcing peer.

        Returns
        -------
        int
            Number of routes that were announced.
        """
        table, n_announced = self._table, 0
        for begin in range(0, table.capacity, _CHUNK):  # in parts, which need no large intermediate arrays
            mine = begin + np.flatnonzero(table.keys[begin : begin + _CHUNK] >> _SHIFT == np.uint64(peer + 1))
            announced = mine[table.columns["kind"][mine] == ANNOUNCED]
            self.prefixes.remove_peer((table.keys[announced] & _LOW).astype(np.int64))
            table.columns["kind"][mine] = NOTHING
            table.columns["path"][mine] = 0
            n_announced += announced.size
        return n_announced

    def count_routes_through(self, wanted: Sequence[int]) -> dict[int, int]:
        """Count the announced routes through each of a few ASes, or neighbouring AS pairs.

        Parameters
        ----------
        wanted : sequence of int
            AS numbers, and pairs as ``left << 32 | right``.
        """
        table, uses = self._table, np.zeros(self.paths.count, dtype=np.int64)
        for begin in range(0, table.capacity, _CHUNK):  # in parts, which need no large intermediate arrays
            announced = table.columns["kind"][begin : begin + _CHUNK] == ANNOUNCED
            path = table.columns["path"][begin : begin + _CHUNK][announced] - 1
            np.add.at(uses, path, 1)
        counts = dict.fromkeys(wanted, 0)
        used = np.flatnonzero(uses)
        for begin in range(0, used.size, _CHUNK):
            rows = used[begin : begin + _CHUNK]
            self._add_routes_through(counts, rows, uses[rows])
        return counts

    def _add_routes_through(self, counts: dict[int, int], rows: I64, uses: I64) -> None:
        flat, lengths = self.paths.flat_hops_of(rows)
        owner, hops = np.repeat(np.arange(rows.size), lengths), flat.astype(np.int64)
        pairs = np.where(owner[:-1] == owner[1:], hops[:-1] << 32 | hops[1:], 0)
        for codes, names in (
            (hops, [name for name in counts if name < 1 << 32]),
            (pairs, [name for name in counts if name >= 1 << 32]),
        ):
            at = np.flatnonzero(np.isin(codes, names))
            order = np.lexsort((codes[at], owner[at]))
            found, of_path = codes[at][order], owner[at][order]
            once = np.ones(found.size, dtype=np.bool_)  # a path that repeats an AS counts once
            once[1:] = (found[1:] != found[:-1]) | (of_path[1:] != of_path[:-1])
            for name in names:
                counts[name] += int(uses[of_path[once & (found == name)]].sum())

    def enforce_limit(self) -> None:
        """Evict some old routes if the state is at its limit, and remove some prefixes and paths that no route uses.

        Call this between batches only: it changes the rows of paths and prefixes that are in use.
        """
        if self.nbytes > _SHRINK_ABOVE * self.max_bytes:
            self._shrink()
            return
        n_new, self._new = self._new, 0
        is_full = self._is_full()
        # Every path change leaves an old path behind, so that even a table of constant size would grow.
        has_garbage = self.paths.used > self._path_limit
        if self._pass is None:
            if not is_full and not has_garbage:
                return
            self._pass = self._begin_pass()
        # Without unused paths, or with too many routes, only an eviction makes room.
        if is_full and (self._table.needs_growth(self._batch) or self.paths.used < _GARBAGE * self._live_paths):
            self._begin_eviction(self._pass)
        self._continue_pass(max(SLOTS_PER_STEP, SLOTS_PER_NEW_ROUTE * n_new))
        n_begun = 0
        while is_full and self._table.needs_growth(self._batch) and n_begun < _MAX_PASSES:
            if self._pass is None:
                self._pass = self._begin_pass()
                self._begin_eviction(self._pass)
                n_begun += 1
            self._continue_pass(SLOTS_PER_STEP)

    def _is_full(self) -> bool:
        """Whether the next batch might need more memory than the limit allows."""
        growth = self.paths.growth_bytes(self._batch) + self.prefixes.growth_bytes(self._batch)
        if self._table.needs_growth(self._batch):
            growth += (self._table.grown_capacity(self._batch) - self._table.capacity) * self._table.slot_bytes
        return growth > 0 and self.nbytes + growth > self.max_bytes

    def _begin_pass(self) -> Pass:
        paths, prefixes = np.zeros(self.paths.count, dtype=np.bool_), np.zeros(self.prefixes.count, dtype=np.bool_)
        return Pass(_KEEP_ALL, 0.0, self._table.capacity, paths, prefixes)

    def _begin_eviction(self, current: Pass) -> None:
        """Let a pass that evicts nothing evict from its present place on."""
        if current.evicted_age == _KEEP_ALL and current.phase == "routes":
            current.evicted_age, current.tied_share = self._age_to_evict()

    def _age_to_evict(self) -> tuple[int, float]:
        """Return the age above which all routes are evicted, and the share of those of this age; estimated from a sample."""
        step = max(1, self._table.capacity // _SAMPLE)
        live = np.flatnonzero(self._table.keys[::step] != EMPTY)
        counts = np.bincount(self._ages(self._table.columns["generation"][::step][live]), minlength=1)
        wanted = EVICTED_SHARE * live.size
        older = live.size - np.cumsum(counts)  # of each age: the routes that are older
        age = int(np.argmax(older <= wanted))
        return age, float((wanted - older[age]) / max(1, counts[age]))

    def _continue_pass(self, n_slots: int) -> None:
        """Continue the pass by so many slots of one table."""
        current = self._pass
        if current is None:
            return
        if current.phase == "routes":
            if current.slots != self._table.capacity:
                current.slots, current.place = self._table.capacity, 0
            current.place = self._table.sweep(current.place, n_slots, lambda slots: self._select(current, slots))
            if current.place >= self._table.capacity:
                current.phase, current.place = "paths", 0
        elif current.phase == "paths":
            current.place = self.paths.sweep(current.place, n_slots, current.paths)
            if current.place >= self.paths.slots:
                current.phase, current.place = "prefixes", 0
        else:
            current.place = self.prefixes.sweep(current.place, n_slots, current.prefixes)
            if current.place >= self.prefixes.slots:
                self._pass = None
                self._note_live_paths()

    def _note_live_paths(self) -> None:
        """Remember the number of paths when no unused one is left."""
        self._live_paths = self.paths.used
        self._path_limit = max(_MIN_PATHS_TO_COMPACT, 2 * self._live_paths)

    def _select(self, current: Pass, slots: I64) -> BoolArray:
        """Return which routes stay; the others no longer count as peers of their prefixes."""
        kind = self._table.columns["kind"][slots]
        stays: BoolArray = kind != NOTHING
        if current.evicted_age < _KEEP_ALL:
            age = self._ages(self._table.columns["generation"][slots])
            low_bits = (mix(self._table.keys[slots]) & _TIE_BITS).astype(np.float64)  # the high bits decide the slot
            is_tied = (age == current.evicted_age) & (low_bits < current.tied_share * float(_TIE_BITS))
            evicted = stays & ((age > current.evicted_age) | is_tied)
            stays &= ~evicted
            self.evicted += int(np.count_nonzero(evicted))
            self._remove_peers(slots[evicted])
        kept = slots[stays]
        self._mark(current, self._table.keys[kept], self._table.columns["path"][kept] - 1)
        return stays

    def _remove_peers(self, evicted: I64) -> None:
        """Remove the announcing peers of evicted routes from their prefixes; the mean shrinks in proportion."""
        announced = evicted[self._table.columns["kind"][evicted] == ANNOUNCED]
        rows, counts = np.unique(self._table.keys[announced] & _LOW, return_counts=True)
        at = rows.astype(np.int64)
        peers = self.prefixes["peers"][at].astype(np.float32)
        left = np.maximum(peers - counts, 0)
        self.prefixes["mean"][at] *= left / np.maximum(peers, 1)
        self.prefixes["peers"][at] = left.astype(np.uint16)

    @staticmethod
    def _mark(current: Pass, keys: U64, path: NDArray[np.int32]) -> None:
        """Mark the prefixes and paths of routes as used."""
        rows = (keys & _LOW).astype(np.int64)
        current.prefixes[rows[rows < current.prefixes.size]] = True
        current.paths[path[(path >= 0) & (path < current.paths.size)]] = True

    def _shrink(self) -> None:
        """Fit a state into a limit that became much lower, because other collectors share the memory now."""
        table = self._table
        share = min(1.0, _SHRINK_TO * self.max_bytes / self.nbytes)
        at = np.flatnonzero((table.keys != EMPTY) & (table.columns["kind"] != NOTHING))
        order = np.argsort(self._ages(table.columns["generation"][at]), kind="stable")
        keep = np.sort(order[: int(at.size * share)])
        evicted = np.ones(at.size, dtype=np.bool_)
        evicted[keep] = False
        self._remove_peers(at[evicted])
        self.evicted += int(np.count_nonzero(evicted))
        self._pass = None
        self._rebuild(at[keep])

    def _rebuild(self, at: I64) -> None:
        """Build all tables anew with the routes of some slots."""
        keys = self._table.keys[at]
        columns = {name: column[at] for name, column in self._table.columns.items()}
        rows, path = (keys & _LOW).astype(np.int64), columns["path"].astype(np.int64) - 1
        new_row = self.prefixes.keep(np.unique(rows))
        new_path = self.paths.keep(np.unique(path[path >= 0]))
        columns["path"] = np.where(path >= 0, new_path[np.maximum(path, 0)], -1) + 1
        self._table = SlotTable(_COLUMNS, capacity=int(keys.size / MAX_LOAD) + 4096)
        slots, _ = self._table.find_or_add(keys & ~_LOW | new_row[rows].astype(np.uint64))
        for name, values in columns.items():
            self._table.columns[name][slots] = values
        self._note_live_paths()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays: views of the tables, without copies."""
        saved: dict[str, NDArray[Any]] = {f"route.{name}": column for name, column in self._table.columns.items()}
        saved["route.key"] = self._table.keys
        saved.update({f"path.{name}": column for name, column in self.paths.arrays().items()})
        saved.update({f"prefix.{name}": column for name, column in self.prefixes.arrays().items()})
        if self._pass is not None:
            saved |= {"pass.paths": self._pass.paths, "pass.prefixes": self._pass.prefixes}
        return saved

    def numbers(self) -> dict[str, Any]:
        """Return the rest of the state as plain values."""
        current = self._pass
        return {
            "generation": self._generation,
            "touched": self._touched,
            "evicted": self.evicted,
            "batch": self._batch,
            "new": self._new,
            "path_limit": self._path_limit,
            "live_paths": self._live_paths,
            "path_sets": self.paths.sets(),
            "path_sizes": self.paths.sizes(),
            "prefix_sizes": self.prefixes.sizes(),
            "pass": current and [current.evicted_age, current.tied_share, current.slots, current.place, current.phase],
        }

    @classmethod
    def restore(cls, max_bytes: int, arrays: dict[str, NDArray[Any]], numbers: dict[str, Any]) -> "RouteState":
        """Rebuild a state from the results of `arrays`, which is emptied, and `numbers`.

        The table of routes is used as it is, so that a start does not place every route again.
        """
        state = cls(max_bytes)
        state.paths = PathTable.restore(take_arrays(arrays, "path."), numbers["path_sets"], numbers["path_sizes"])
        state.prefixes = PrefixTable.restore(take_arrays(arrays, "prefix."), numbers["prefix_sizes"])
        state._table = SlotTable.restore(_COLUMNS, take_arrays(arrays, "route."))
        if numbers["pass"] is not None:
            age, tied_share, slots, place, phase = numbers["pass"]
            state._pass = Pass(
                age, tied_share, slots, arrays.pop("pass.paths"), arrays.pop("pass.prefixes"), place, phase
            )
        state._generation, state._touched = int(numbers["generation"]), int(numbers["touched"])
        state.evicted, state._batch = int(numbers["evicted"]), int(numbers["batch"])
        state._new = int(numbers["new"])
        state._path_limit, state._live_paths = int(numbers["path_limit"]), int(numbers["live_paths"])
        return state
