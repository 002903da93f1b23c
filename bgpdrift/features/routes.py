"""The latest route of each peer to each prefix at one collector, within a limit of bytes.

A route belongs to a peer and a prefix: its key combines the peer's number and the prefix's row. Beside the key are the last
AS path and whether the last element was an announcement or a withdrawal. A slot needs 14 B, a route about 23 B; peers share
prefixes and paths.

At the limit, the quarter of the routes without an update for the longest time is evicted, with the prefixes and paths that
no other route uses. `transitions` decides what a message means.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgpdrift.features.checkpoint import select_arrays
from bgpdrift.features.hashing import EMPTY, I64, U64, SlotTable
from bgpdrift.features.paths import PathTable
from bgpdrift.features.prefix_table import PrefixTable

NOTHING, ANNOUNCED, WITHDRAWN = 0, 1, 2
_SHIFT = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_MAX_AGE_GENERATIONS = 200  # generation numbers wrap at 256; older routes all count as this old
EVICTED_SHARE = 0.25
_MIN_PATHS_TO_COMPACT = 50_000
_MIN_BATCH_KEYS = 20_000


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
        self._table = SlotTable({"path": np.int32, "kind": np.uint8, "generation": np.uint8}, capacity=4096)
        self._generation = 0
        self._touched = 0
        self._batch = _MIN_BATCH_KEYS
        self._path_limit = _MIN_PATHS_TO_COMPACT
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
        slots, _ = self._table.find_or_add(keys)
        self._table.columns["kind"][slots] = kind
        self._table.columns["path"][slots] = path + 1
        self._table.columns["generation"][slots] = self._generation & 0xFF
        self._touched += keys.size
        if self._touched > max(self._table.capacity // 16, 1024):
            self._generation += 1
            self._touched = 0
            if self._generation % 32 == 0:
                self._clamp_generations()

    def _clamp_generations(self) -> None:
        """Keep routes without an update for very long from appearing young when the generation number wraps."""
        generation = self._table.columns["generation"]
        age = (self._generation - generation.astype(np.int64)) & 0xFF
        generation[age > _MAX_AGE_GENERATIONS] = (self._generation - _MAX_AGE_GENERATIONS) & 0xFF

    def forget_peer(self, peer: int) -> int:
        """Forget the routes of a peer because its session ended; its prefixes lose one announcing peer.

        Returns
        -------
        int
            Number of routes that were announced.
        """
        keys = self._table.keys
        mine = np.flatnonzero(keys >> _SHIFT == np.uint64(peer + 1))
        announced = mine[self._table.columns["kind"][mine] == ANNOUNCED]
        self.prefixes.remove_peer((keys[announced] & _LOW).astype(np.int64))
        self._table.columns["kind"][mine] = NOTHING
        self._table.columns["path"][mine] = 0
        return int(announced.size)

    def enforce_limit(self) -> None:
        """Evict old routes if the next batch might exceed the limit, and remove paths that no route uses.

        Call this between batches only: it renumbers the rows of paths and prefixes.
        """
        crowded = self._table.needs_growth(self._batch)
        grown = self._table.grown_capacity(self._batch) * self._table.slot_bytes if crowded else self._table.nbytes
        if self.paths.nbytes + self.prefixes.nbytes + grown > self.max_bytes:
            self._evict_oldest()
        elif self.paths.count > self._path_limit:
            # Every path change leaves an old path behind, so that even a table of constant size would grow.
            self._compact((self._table.keys != EMPTY) & (self._table.columns["kind"] != NOTHING))

    def _evict_oldest(self) -> None:
        live = np.flatnonzero(self._table.keys != EMPTY)
        age = (self._generation - self._table.columns["generation"][live].astype(np.int64)) & 0xFF
        dead = self._table.columns["kind"][live] == NOTHING
        age[dead] = 256
        # Slots break ties. They are in hash order, which is arbitrary but the same in every run.
        order = np.argsort(-age, kind="stable")
        evicted = live[order[: int(live.size * EVICTED_SHARE) + 1]]
        self.evicted += int(np.count_nonzero(self._table.columns["kind"][evicted] != NOTHING))
        announced = evicted[self._table.columns["kind"][evicted] == ANNOUNCED]
        rows, counts = np.unique(self._table.keys[announced] & _LOW, return_counts=True)
        at = rows.astype(np.int64)
        peers = self.prefixes["peers"][at].astype(np.float32)
        left = np.maximum(peers - counts, 0)
        self.prefixes["mean"][at] *= left / np.maximum(peers, 1)
        self.prefixes["peers"][at] = left.astype(np.uint16)
        keep = np.zeros(self._table.capacity, dtype=np.bool_)
        keep[live[order[evicted.size :]]] = True
        self._compact(keep)

    def _compact(self, keep: NDArray[np.bool_]) -> None:
        """Keep some routes, and the prefixes and paths that they use."""
        table = self._table
        at = np.flatnonzero(keep)
        keys = table.keys[at]
        rows = (keys & _LOW).astype(np.int64)
        kind, generation = table.columns["kind"][at], table.columns["generation"][at]
        path = table.columns["path"][at].astype(np.int64) - 1
        capacity = int(table.capacity)
        new_row = self.prefixes.keep(np.unique(rows))
        new_path = self.paths.keep(np.unique(path[path >= 0]))
        self._table = SlotTable({"path": np.int32, "kind": np.uint8, "generation": np.uint8}, capacity=capacity)
        renumbered = keys & ~_LOW | new_row[rows].astype(np.uint64)
        slots, _ = self._table.find_or_add(renumbered)
        self._table.columns["kind"][slots] = kind
        self._table.columns["generation"][slots] = generation
        self._table.columns["path"][slots] = np.where(path >= 0, new_path[np.maximum(path, 0)], -1) + 1
        self._path_limit = max(_MIN_PATHS_TO_COMPACT, 2 * self.paths.count)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as named arrays."""
        at = np.flatnonzero(self._table.keys != EMPTY)
        saved: dict[str, NDArray[Any]] = {f"route.{name}": column[at] for name, column in self._table.columns.items()}
        saved["route.key"] = self._table.keys[at]
        saved.update({f"path.{name}": column for name, column in self.paths.arrays().items()})
        saved.update({f"prefix.{name}": column for name, column in self.prefixes.arrays().items()})
        return saved

    def numbers(self) -> dict[str, Any]:
        """Return the rest of the state as plain values."""
        return {
            "generation": self._generation,
            "touched": self._touched,
            "evicted": self.evicted,
            "capacity": self._table.capacity,
            "batch": self._batch,
            "path_limit": self._path_limit,
            "path_sets": self.paths.sets(),
        }

    @classmethod
    def restore(cls, max_bytes: int, arrays: dict[str, NDArray[Any]], numbers: dict[str, Any]) -> "RouteState":
        """Rebuild a state from the results of `arrays` and `numbers`."""
        state = cls(max_bytes)
        state.paths = PathTable.restore(select_arrays(arrays, "path."), numbers["path_sets"])
        state.prefixes = PrefixTable.restore(select_arrays(arrays, "prefix."))
        routes = select_arrays(arrays, "route.")
        state._table.resize(int(numbers["capacity"]))
        slots, _ = state._table.find_or_add(routes.pop("key"))
        for name, column in routes.items():
            state._table.columns[name][slots] = column
        state._generation, state._touched = int(numbers["generation"]), int(numbers["touched"])
        state.evicted, state._batch = int(numbers["evicted"]), int(numbers["batch"])
        state._path_limit = int(numbers["path_limit"])
        return state
