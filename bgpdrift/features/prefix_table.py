"""What is known of a prefix at one collector, over all its peers: origin, how many peers have it, its usual number.

Rows are handed out in order of first sight, so that a smaller row number means "was known before". Decides how the slow
mean of a prefix's peers moves and what a loss of visibility is; which routes come and go is `transitions`' affair.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgpdrift.features.hashing import I64, U64, BoolArray, SlotTable

VISIBILITY_MEMORY_MIN = 1440
"""Minutes over which the usual number of peers is averaged: a day, so that neither night nor maintenance becomes usual."""


class PrefixTable:
    """Prefix keys to rows, with columns by row.

    Examples
    --------
    >>> table = PrefixTable()
    >>> rows, is_new = table.rows(np.array([70, 50, 70], dtype=np.uint64), tick=0)
    >>> rows.tolist(), is_new.tolist()
    ([0, 1, 0], [True, True, False])
    """

    _COLUMNS: dict[str, Any] = {  # noqa: RUF012 - never written
        "key": np.uint64,
        "origin": np.uint32,  # of the latest announcement; 0 is unknown
        "peers": np.uint16,  # that announce it now
        "mean": np.float32,  # slow mean of that number
        "first": np.uint32,  # tick of first sight
        "moved": np.uint32,  # tick at which the mean was last brought up to date
    }

    def __init__(self) -> None:
        self._index = SlotTable({"row": np.int32}, capacity=1024)
        self._columns: dict[str, NDArray[Any]] = {
            name: np.zeros(256, dtype=dtype) for name, dtype in self._COLUMNS.items()
        }
        self.count = 0

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._columns[name]

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return self._index.nbytes + sum(column.nbytes for column in self._columns.values())

    def find(self, keys: U64) -> I64:
        """Give the row of each key, -1 where it is unknown."""
        slots = self._index.find(keys)
        rows = self._index.columns["row"][np.maximum(slots, 0)].astype(np.int64)
        return np.where(slots >= 0, rows, -1)

    def rows(self, keys: U64, tick: int) -> tuple[I64, BoolArray]:
        """Give the row of each key, adding unknown ones in the order they stand.

        Returns
        -------
        rows : ndarray of int64, shape (n,)
        is_new : ndarray of bool, shape (n,)
            True at the first place of a key that was unknown.
        """
        found = self.find(keys)
        missing = np.flatnonzero(found < 0)
        is_new = np.zeros(keys.size, dtype=np.bool_)
        if missing.size:
            distinct, first = np.unique(keys[missing], return_index=True)
            order = np.argsort(first)
            added = distinct[order]
            is_new[missing[first]] = True
            self._reserve(added.size)
            rows = np.arange(self.count, self.count + added.size)
            self._columns["key"][rows] = added
            for name in ("origin", "peers", "mean"):
                self._columns[name][rows] = 0
            self._columns["first"][rows] = self._columns["moved"][rows] = tick
            slots, _ = self._index.find_or_add(added)
            self._index.columns["row"][slots] = rows
            self.count += added.size
            found[missing] = self.find(keys[missing])
        return found, is_new

    def _reserve(self, more: int) -> None:
        needed, have = self.count + more, self._columns["key"].size
        if needed > have:
            for name, column in self._columns.items():
                grown = np.zeros(max(int(have * 1.25), needed) + 16, dtype=column.dtype)
                grown[: self.count] = column[: self.count]
                self._columns[name] = grown

    def age_means(self, rows: I64, tick: int) -> None:
        """Bring the slow means of some distinct rows up to date, before their first change at this tick.

        A running average while the prefix is younger than `VISIBILITY_MEMORY_MIN`, exponential after that.
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

    def lose_peer(self, rows: I64) -> None:
        """Forget one announcing peer of each row because its session ended.

        The usual number shrinks alike: a lost session is a lost observer, not a lost route.
        """
        peers = self._columns["peers"][rows].astype(np.float32)
        self._columns["mean"][rows] *= np.maximum(peers - 1, 0) / np.maximum(peers, 1)
        self._columns["peers"][rows] = np.maximum(peers - 1, 0).astype(np.uint16)

    def keep(self, rows: I64) -> NDArray[np.int32]:
        """Forget all rows but some (sorted, distinct); give the new row of each old one, -1 if forgotten."""
        renumbered = np.full(self.count, -1, dtype=np.int32)
        renumbered[rows] = np.arange(rows.size, dtype=np.int32)
        self._columns = {name: column[rows] if rows.size else column[:1] for name, column in self._columns.items()}
        self.count = int(rows.size)
        self._reindex()
        return renumbered

    def _reindex(self) -> None:
        self._index = SlotTable({"row": np.int32}, capacity=int(self.count / 0.6) + 1024)
        slots, _ = self._index.find_or_add(self._columns["key"][: self.count])
        self._index.columns["row"][slots] = np.arange(self.count, dtype=np.int32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything worth saving."""
        return {name: column[: self.count] for name, column in self._columns.items()}

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]]) -> "PrefixTable":
        """Rebuild a table from `arrays`."""
        table = cls()
        table.count = int(arrays["key"].size)
        if table.count:
            table._columns = {name: arrays[name].copy() for name in cls._COLUMNS}
        table._reindex()
        return table
