"""The state of each prefix at one collector, over all its peers: origin, number of peers, and the mean of that number.

A removed row is used again, so that prefixes come and go without a copy of the table. This module decides how the mean
changes; `transitions` decides which routes appear and disappear.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgpdrift.features.hashing import I64, MAX_LOAD, U64, BoolArray, FreeRows, SlotTable, grown_size, is_marked, resized

VISIBILITY_MEMORY_MIN = 1440
"""Minutes over which the number of peers is averaged: a day, so that the mean follows neither night nor maintenance."""


class PrefixTable:
    """Rows by prefix key, with columns by row.

    Examples
    --------
    >>> table = PrefixTable()
    >>> rows, is_new = table.rows(np.array([70, 50, 70], dtype=np.uint64), tick=0)
    >>> rows.tolist(), is_new.tolist()
    ([0, 1, 0], [True, True, False])
    """

    _COLUMNS: dict[str, Any] = {  # noqa: RUF012 - never written
        "key": np.uint64,  # 0: the row is free
        "origin": np.uint32,  # of the latest announcement; 0 if unknown
        "peers": np.uint16,  # number of peers that announce it now
        "mean": np.float32,  # mean of that number over VISIBILITY_MEMORY_MIN
        "first": np.uint32,  # tick of the first occurrence
        "moved": np.uint32,  # tick of the last update of the mean
    }

    def __init__(self) -> None:
        self._index = SlotTable({"row": np.int32}, capacity=1024)
        self._columns: dict[str, NDArray[Any]] = {
            name: np.zeros(256, dtype=dtype) for name, dtype in self._COLUMNS.items()
        }
        self.count = 0  # of rows, the free ones included
        self._free = FreeRows()

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self._index.nbytes + sum(column.nbytes for column in self._columns.values())

    @property
    def used(self) -> int:
        """Number of prefixes."""
        return self.count - self._free.count

    def growth_bytes(self, more: int) -> int:
        """Return the bytes that so many more prefixes would need; 0 while there is room."""
        have, needed = self._columns["key"].size, self.used + more
        rows = grown_size(have, needed) - have if needed > have else 0
        slots = self._index.grown_capacity(more) - self._index.capacity if self._index.needs_growth(more) else 0
        return rows * sum(column.itemsize for column in self._columns.values()) + slots * self._index.slot_bytes

    def find(self, keys: U64) -> I64:
        """Return the row of each key; -1 if it is unknown."""
        slots = self._index.find(keys)
        rows = self._index.columns["row"][np.maximum(slots, 0)].astype(np.int64)
        return np.where(slots >= 0, rows, -1)

    def rows(self, keys: U64, tick: int) -> tuple[I64, BoolArray]:
        """Return the row of each key; add unknown keys in their order.

        Returns
        -------
        rows : ndarray of int64, shape (n,)
        is_new : ndarray of bool, shape (n,)
            True at the first occurrence of a key that was unknown.
        """
        result = self.find(keys)
        missing = np.flatnonzero(result < 0)
        is_new = np.zeros(keys.size, dtype=np.bool_)
        if missing.size:
            distinct, first = np.unique(keys[missing], return_index=True)
            order = np.argsort(first)
            added = distinct[order]
            is_new[missing[first]] = True
            reused = self._free.take(added.size)
            n_appended = added.size - reused.size
            self._reserve(n_appended)
            rows = np.concatenate([reused, np.arange(self.count, self.count + n_appended)])
            self._columns["key"][rows] = added
            for name in ("origin", "peers", "mean"):
                self._columns[name][rows] = 0
            self._columns["first"][rows] = self._columns["moved"][rows] = tick
            slots, _ = self._index.find_or_add(added)
            self._index.columns["row"][slots] = rows
            self.count += n_appended
            result[missing] = self.find(keys[missing])
        return result, is_new

    def _reserve(self, more: int) -> None:
        for name, column in self._columns.items():
            self._columns[name] = resized(column, self.count + more, self.count)

    def update_means(self, rows: I64, tick: int) -> None:
        """Update the means of distinct rows before their first change at this tick.

        The mean is a running average while the prefix is younger than `VISIBILITY_MEMORY_MIN`, then an exponential one.
        """
        stale = rows[self._columns["moved"][rows] < tick]
        if not stale.size:
            return
        elapsed = (tick - self._columns["moved"][stale]).astype(np.float64)
        age = np.minimum(tick - self._columns["first"][stale], VISIBILITY_MEMORY_MIN)
        weight = np.minimum(1.0, elapsed / np.maximum(age, 1))
        mean = self._columns["mean"][stale]
        self._columns["mean"][stale] = mean + weight * (self._columns["peers"][stale] - mean)
        self._columns["moved"][stale] = tick

    def remove_peer(self, rows: I64) -> None:
        """Remove one announcing peer from each row because its session ended.

        The mean shrinks in proportion: the collector lost an observer, not a route.
        """
        peers = self._columns["peers"][rows].astype(np.float32)
        self._columns["mean"][rows] *= np.maximum(peers - 1, 0) / np.maximum(peers, 1)
        self._columns["peers"][rows] = np.maximum(peers - 1, 0).astype(np.uint16)

    def sweep(self, begin: int, count: int, in_use: BoolArray) -> int:
        """Remove the prefixes of a part of the table whose rows are not marked; `SlotTable.sweep` defines the part.

        Parameters
        ----------
        begin, count : int
            First slot and number of slots.
        in_use : ndarray of bool
            Mark by row; a row without a mark is newer than the marks and stays.

        Returns
        -------
        int
            Begin of the next part.
        """
        removed: list[I64] = []

        def select(slots: I64) -> BoolArray:
            rows = self._index.columns["row"][slots].astype(np.int64)
            stays = is_marked(in_use, rows)
            removed.append(rows[~stays])
            return stays

        end = self._index.sweep(begin, count, select)
        rows = np.sort(np.concatenate(removed))  # the order of slots is another one after a restart
        if rows.size:
            for name in ("key", "origin", "peers", "mean"):
                self._columns[name][rows] = 0
            self._free.add(rows)
        return end

    @property
    def slots(self) -> int:
        """Number of slots of the index, used or free."""
        return self._index.capacity

    def keep(self, rows: I64) -> NDArray[np.int32]:
        """Remove all rows but some (sorted, distinct); return the new row of each old one, -1 if removed."""
        renumbered = np.full(self.count, -1, dtype=np.int32)
        renumbered[rows] = np.arange(rows.size, dtype=np.int32)
        self._free = FreeRows()
        self._columns = {name: column[rows] if rows.size else column[:1] for name, column in self._columns.items()}
        self.count = int(rows.size)
        self._reindex()
        return renumbered

    def _reindex(self, slots: int = 0) -> None:
        rows = np.flatnonzero(self._columns["key"][: self.count])
        self._index = SlotTable({"row": np.int32}, capacity=max(slots, int(rows.size / MAX_LOAD) + 1024))
        self._index.add_all(self._columns["key"][rows], "row", rows)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays."""
        saved: dict[str, NDArray[Any]] = {name: column[: self.count] for name, column in self._columns.items()}
        return saved | {"free": self._free.array()}

    def sizes(self) -> list[int]:
        """Return the number of rows and of slots with room for growth: a restored table grows at the same moments."""
        return [self._columns["key"].size, self._index.capacity]

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]], sizes: list[int]) -> "PrefixTable":
        """Rebuild a table from the results of `arrays`, which is emptied, and `sizes`."""
        table = cls()
        size, slots = sizes
        table.count = int(arrays["key"].size)
        table._free = FreeRows(arrays.pop("free"))
        table._columns = {name: resized(arrays.pop(name), size, table.count, 0.0)[:size] for name in cls._COLUMNS}
        table._reindex(slots)
        return table
