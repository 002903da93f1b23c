"""What each peer said last about each prefix, for one collector, bounded in bytes.

A route is (peer, prefix): its key is the peer's number and the prefix's row, beside it the last AS path and whether the
last word was an announcement or a withdrawal. 14 B a slot, about 23 B a route; prefixes and paths are shared by peers.

When the cap is reached the routes longest unheard of are forgotten, a quarter at a time, with the prefixes and paths
nobody refers to any more. Decides what is forgotten; `transitions` decides what a message means.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgpdrift.features.hashing import EMPTY, I64, U64, SlotTable
from bgpdrift.features.paths import PathTable
from bgpdrift.features.prefix_table import PrefixTable

NOTHING, ANNOUNCED, WITHDRAWN = 0, 1, 2
_SHIFT = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_GENERATIONS = 200  # generations run 0 … 255 and wrap; more than this old is simply "oldest"
FORGET_SHARE = 0.25
_FEW_PATHS = 50_000  # below this number of paths it is not worth looking for unused ones


class RouteState:
    """Routes, prefixes and paths of one collector.

    Parameters
    ----------
    max_bytes : int
        Cap of all tables together.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.paths = PathTable()
        self.prefixes = PrefixTable()
        self._table = SlotTable({"path": np.int32, "kind": np.uint8, "generation": np.uint8}, capacity=4096)
        self._generation = 0
        self._touched = 0
        self._batch = 20_000
        self._path_limit = _FEW_PATHS
        self.evicted = 0  # since it was last asked for

    @property
    def routes(self) -> int:
        """Routes held, also withdrawn ones."""
        return self._table.used

    @property
    def nbytes(self) -> int:
        """Bytes of all tables."""
        return self._table.nbytes + self.paths.nbytes + self.prefixes.nbytes

    @staticmethod
    def keys(peers: NDArray[np.integer[Any]], rows: I64) -> U64:
        """Key of each (peer number, prefix row); never 0."""
        return (peers.astype(np.uint64) + np.uint64(1)) << _SHIFT | rows.astype(np.uint64)

    def last(self, keys: U64) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Give what was last said of each route.

        Returns
        -------
        kind : ndarray of uint8
            `NOTHING`, `ANNOUNCED` or `WITHDRAWN`.
        path : ndarray of int32
            Row of the last announced path, -1 if unknown.
        """
        slots = self._table.find(keys)
        known = slots >= 0
        at = np.maximum(slots, 0)
        kind = np.where(known, self._table.columns["kind"][at], NOTHING).astype(np.uint8)
        path = np.where(known & (kind != NOTHING), self._table.columns["path"][at] - 1, -1).astype(np.int32)
        return kind, path

    def remember(self, keys: U64, kind: NDArray[np.uint8], path: NDArray[np.int32]) -> None:
        """Store the last word on each of some distinct routes."""
        self._batch = max(20_000, 2 * keys.size)
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
        """Keep routes unheard for very long from looking young when the counter wraps."""
        generation = self._table.columns["generation"]
        age = (self._generation - generation.astype(np.int64)) & 0xFF
        generation[age > _GENERATIONS] = (self._generation - _GENERATIONS) & 0xFF

    def forget_peer(self, peer: int) -> int:
        """Forget what a peer said, because its session ended; its prefixes lose one announcing peer.

        Returns
        -------
        int
            Routes that were announced.
        """
        keys = self._table.keys
        mine = np.flatnonzero(keys >> _SHIFT == np.uint64(peer + 1))
        announced = mine[self._table.columns["kind"][mine] == ANNOUNCED]
        self.prefixes.lose_peer((keys[announced] & _LOW).astype(np.int64))
        self._table.columns["kind"][mine] = NOTHING
        self._table.columns["path"][mine] = 0
        return int(announced.size)

    def make_room(self) -> None:
        """Forget old routes if the next batch might pass the cap, and paths that no route uses any more.

        Call between batches: rows of paths and prefixes are numbered anew.
        """
        crowded = self._table.needs_growth(self._batch)
        grown = self._table.wanted_capacity(self._batch) * self._table.slot_bytes if crowded else self._table.nbytes
        if self.paths.nbytes + self.prefixes.nbytes + grown > self.max_bytes:
            self._forget_oldest()
        elif self.paths.count > self._path_limit:
            # Every path change leaves the old path behind; without this a quiet table would grow for ever.
            self._compact((self._table.keys != EMPTY) & (self._table.columns["kind"] != NOTHING))

    def _forget_oldest(self) -> None:
        live = np.flatnonzero(self._table.keys != EMPTY)
        age = (self._generation - self._table.columns["generation"][live].astype(np.int64)) & 0xFF
        dead = self._table.columns["kind"][live] == NOTHING
        age[dead] = 256
        # Slots break ties: they are in hash order, which is as good as drawing lots, and the same in every run.
        order = np.argsort(-age, kind="stable")
        goes = live[order[: int(live.size * FORGET_SHARE) + 1]]
        self.evicted += int(np.count_nonzero(self._table.columns["kind"][goes] != NOTHING))
        announced = goes[self._table.columns["kind"][goes] == ANNOUNCED]
        rows, counts = np.unique(self._table.keys[announced] & _LOW, return_counts=True)
        at = rows.astype(np.int64)
        peers = self.prefixes["peers"][at].astype(np.float32)
        left = np.maximum(peers - counts, 0)
        self.prefixes["mean"][at] *= left / np.maximum(peers, 1)
        self.prefixes["peers"][at] = left.astype(np.uint16)
        keep = np.zeros(self._table.capacity, dtype=np.bool_)
        keep[live[order[goes.size :]]] = True
        self._compact(keep)

    def _compact(self, keep: NDArray[np.bool_]) -> None:
        """Drop all routes but some, and the prefixes and paths that only the others used."""
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
        renamed = keys & ~_LOW | new_row[rows].astype(np.uint64)
        slots, _ = self._table.find_or_add(renamed)
        self._table.columns["kind"][slots] = kind
        self._table.columns["generation"][slots] = generation
        self._table.columns["path"][slots] = np.where(path >= 0, new_path[np.maximum(path, 0)], -1) + 1
        self._path_limit = max(_FEW_PATHS, 2 * self.paths.count)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything worth saving, as named arrays."""
        at = np.flatnonzero(self._table.keys != EMPTY)
        saved: dict[str, NDArray[Any]] = {f"route.{name}": column[at] for name, column in self._table.columns.items()}
        saved["route.key"] = self._table.keys[at]
        saved.update({f"path.{name}": column for name, column in self.paths.arrays().items()})
        saved.update({f"prefix.{name}": column for name, column in self.prefixes.arrays().items()})
        return saved

    def numbers(self) -> dict[str, Any]:
        """The rest worth saving, as plain values."""
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
        """Rebuild a state from `arrays` and `numbers`."""

        def part(prefix: str) -> dict[str, NDArray[Any]]:
            return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

        state = cls(max_bytes)
        state.paths = PathTable.restore(part("path."), numbers["path_sets"])
        state.prefixes = PrefixTable.restore(part("prefix."))
        routes = part("route.")
        state._table.resize(int(numbers["capacity"]))
        slots, _ = state._table.find_or_add(routes.pop("key"))
        for name, column in routes.items():
            state._table.columns[name][slots] = column
        state._generation, state._touched = int(numbers["generation"]), int(numbers["touched"])
        state.evicted, state._batch = int(numbers["evicted"]), int(numbers["batch"])
        state._path_limit = int(numbers["path_limit"])
        return state
