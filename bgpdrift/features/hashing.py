"""Hash tables with open addressing in numpy: find or add a hundred thousand 64-bit keys in a few array operations.

A Python dict needs 100 B or more per entry and handles one key at a time. The routing state may need at most 50 B per route
and must process 150,000 messages/s. This module decides the slot of a key; the caller owns the columns beside it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

EMPTY = np.uint64(0)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
_CHUNK = 1 << 20
"""Slots or keys handled together where all are visited; bounds the memory for intermediate arrays."""
MAX_LOAD = 0.7
GROWTH = 1.4  # doubling would leave the table only a third full


def mix(keys: U64) -> U64:
    """Distribute keys over all 64 bits (the finaliser of splitmix64, Steele et al. 2014).

    Examples
    --------
    >>> mix(np.array([1, 2], dtype=np.uint64)).tolist()
    [6238072747940578789, 15839785061582574730]
    """
    h = keys ^ (keys >> _S30)
    h = h * _M1
    h ^= h >> _S27
    h = h * _M2
    h ^= h >> _S31
    return h


def is_marked(marks: BoolArray, rows: I64) -> BoolArray:
    """Return the mark of each row; rows that are newer than the marks count as marked.

    Examples
    --------
    >>> is_marked(np.array([True, False]), np.array([0, 1, 2])).tolist()
    [True, False, True]
    """
    if not marks.size:
        return np.ones(rows.size, dtype=np.bool_)
    marked: BoolArray = (rows >= marks.size) | marks[np.minimum(rows, marks.size - 1)]
    return marked


class FreeRows:
    """Numbers of free rows; the last one freed is used first.

    Examples
    --------
    >>> free = FreeRows(np.array([3, 4, 5]))
    >>> free.add(np.array([9])), free.take(2).tolist(), free.count
    (None, [5, 9], 2)
    """

    def __init__(self, rows: NDArray[np.integer[Any]] | None = None) -> None:
        self._rows: NDArray[np.int32] = np.zeros(0, dtype=np.int32) if rows is None else rows.astype(np.int32)
        self.count = self._rows.size

    def add(self, rows: NDArray[np.integer[Any]]) -> None:
        """Add rows."""
        self._rows = resized(self._rows, self.count + rows.size, self.count)
        self._rows[self.count : self.count + rows.size] = rows
        self.count += rows.size

    def take(self, number: int) -> I64:
        """Remove so many rows, or all if there are fewer, and return them."""
        begin = max(0, self.count - number)
        taken = self._rows[begin : self.count].astype(np.int64)
        self.count = begin
        return taken

    def array(self) -> NDArray[np.int32]:
        """Return the rows; the last one is used first."""
        return self._rows[: self.count]


def resized(column: NDArray[Any], size: int, used: int, growth: float = 0.25) -> NDArray[Any]:
    """Return a column with room for at least ``size`` rows; the used ones are copied if it grows, and the others are 0."""
    if size <= column.size:
        return column
    grown = np.zeros(grown_size(column.size, size, growth), dtype=column.dtype)
    grown[:used] = column[:used]
    return grown


def grown_size(have: int, needed: int, growth: float = 0.25) -> int:
    """Return the number of rows after a growth."""
    return max(needed, int(have * (1 + growth))) + 16


class SlotTable:
    """A set of non-zero 64-bit keys, each in a slot, with columns that move with the keys when the table grows.

    Parameters
    ----------
    columns : dict of str to dtype
        Arrays beside the keys, indexed by slot; 0 for a new key.
    capacity : int
        Initial number of slots.

    Examples
    --------
    >>> table = SlotTable({"seen": np.int32}, capacity=16)
    >>> slots, is_new = table.find_or_add(np.array([7, 9], dtype=np.uint64))
    >>> table.columns["seen"][slots] = [70, 90]
    >>> table.columns["seen"][table.find(np.array([9], dtype=np.uint64))].tolist()
    [90]
    >>> table.find(np.array([8], dtype=np.uint64)).tolist()
    [-1]
    """

    def __init__(self, columns: dict[str, Any], capacity: int = 1024) -> None:
        self._dtypes = columns
        self.keys: U64 = np.zeros(capacity, dtype=np.uint64)
        self.columns: dict[str, NDArray[Any]] = {
            name: np.zeros(capacity, dtype=dtype) for name, dtype in columns.items()
        }
        self.used = 0

    @classmethod
    def restore(cls, columns: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> "SlotTable":
        """Return the table whose keys (``key``) and columns are these arrays."""
        table = cls(columns, 0)
        table.keys, table.columns = arrays["key"], {name: arrays[name] for name in columns}
        table.used = sum(
            int(np.count_nonzero(table.keys[begin : begin + _CHUNK])) for begin in range(0, table.capacity, _CHUNK)
        )
        return table

    @property
    def capacity(self) -> int:
        """Number of slots, used or free."""
        return self.keys.size

    @property
    def slot_bytes(self) -> int:
        """Bytes of one slot, columns included."""
        return 8 + sum(column.itemsize for column in self.columns.values())

    @property
    def nbytes(self) -> int:
        """Bytes of the whole table."""
        return self.capacity * self.slot_bytes

    def _home(self, keys: U64) -> I64:
        # Multiply-shift instead of a mask, because the capacity need not be a power of two.
        return (((mix(keys) >> _S32) * np.uint64(self.capacity)) >> _S32).astype(np.int64)

    def find(self, keys: U64) -> I64:
        """Return the slot of each key; -1 if it is absent."""
        slots = self._home(keys)
        present = self.keys[slots]
        result = np.where(present == keys, slots, -1)
        pending = np.flatnonzero((present != keys) & (present != EMPTY))
        while pending.size:
            probe = slots[pending] + 1
            probe[probe == self.capacity] = 0
            slots[pending] = probe
            present = self.keys[probe]
            hit = present == keys[pending]
            result[pending[hit]] = probe[hit]
            pending = pending[~hit & (present != EMPTY)]
        return result

    def find_or_add(self, keys: U64) -> tuple[I64, BoolArray]:
        """Return the slot of each key; add the keys that are absent.

        Parameters
        ----------
        keys : ndarray of uint64, shape (n,)
            Distinct and not 0.

        Returns
        -------
        slots : ndarray of int64, shape (n,)
        is_new : ndarray of bool, shape (n,)
        """
        slots = self.find(keys)
        is_new = slots < 0
        missing = np.flatnonzero(is_new)
        if missing.size:
            if self.needs_growth(missing.size):
                self.resize(self.grown_capacity(missing.size))
                present = np.flatnonzero(~is_new)
                slots[present] = self.find(keys[present])
            slots[missing] = self._place(keys[missing])
        return slots, is_new

    def needs_growth(self, more: int) -> bool:
        """Whether so many more keys would exceed the maximum load."""
        return self.used + more > MAX_LOAD * self.capacity

    def grown_capacity(self, more: int) -> int:
        """Return a capacity that holds so many more keys, with room for later ones."""
        return max(int(self.capacity * GROWTH) + 1, int((self.used + more) / MAX_LOAD) + 16)

    def resize(self, capacity: int) -> None:
        """Move all keys to a table of another capacity."""
        before, columns = self.keys, self.columns
        self.keys = np.zeros(capacity, dtype=np.uint64)
        self.columns = {name: np.zeros(capacity, dtype=dtype) for name, dtype in self._dtypes.items()}
        self.used = 0
        for begin in range(0, before.size, _CHUNK):
            live = begin + np.flatnonzero(before[begin : begin + _CHUNK] != EMPTY)
            slots = self._place(before[live])
            for name, column in columns.items():
                self.columns[name][slots] = column[live]

    def sweep(self, begin: int, count: int, select: Callable[[I64], BoolArray]) -> int:
        """Remove keys from a part of the table, and return the slot at which the next part begins.

        Keys lie in runs of used slots, each at or after its home. The part is extended to whole runs, so that the keys which
        stay can be placed again without the rest of the table. Parts one after the other visit every key that is not added
        meanwhile.

        Parameters
        ----------
        begin : int
            0, or the result of the call before.
        count : int
            Number of slots, at least.
        select : callable
            Receives the used slots of the part, and returns which of their keys stay. It may read and write columns, but
            not add keys.

        Returns
        -------
        int
            At least `capacity` when the whole table is done.

        Examples
        --------
        >>> table = SlotTable({}, capacity=16)
        >>> _ = table.find_or_add(np.arange(1, 9, dtype=np.uint64))
        >>> table.sweep(0, 16, lambda slots: table.keys[slots] > 4) >= 16, table.used
        (True, 4)
        >>> table.find(np.arange(1, 9, dtype=np.uint64)).tolist()[:4]
        [-1, -1, -1, -1]
        """
        while self.keys[begin - 1] != EMPTY:  # index -1 is the last slot, whose run continues at slot 0
            begin -= 1
        end = max(begin + count, begin + 1)
        while self.keys[end % self.capacity] != EMPTY:
            end += 1
        part = np.arange(begin, min(end, begin + self.capacity)) % self.capacity
        live = part[self.keys[part] != EMPTY]
        stays = select(live)
        if not stays.all():
            kept = live[stays]
            keys, columns = self.keys[kept], {name: column[kept] for name, column in self.columns.items()}
            self.keys[live] = EMPTY
            for column in self.columns.values():
                column[live] = 0
            self.used -= live.size
            slots = self._place(keys)
            for name, values in columns.items():
                self.columns[name][slots] = values
        return end + 1

    def add_all(self, keys: U64, column: str, values: NDArray[Any]) -> None:
        """Add many distinct, absent keys with the values of one column."""
        if self.needs_growth(keys.size):
            self.resize(self.grown_capacity(keys.size))
        for begin in range(0, keys.size, _CHUNK):
            part = slice(begin, begin + _CHUNK)
            self.columns[column][self._place(keys[part])] = values[part]

    def _place(self, keys: U64) -> I64:
        """Put absent, distinct keys into free slots; return the slots."""
        slots = self._home(keys)
        pending = np.arange(keys.size)
        while pending.size:
            probe = slots[pending]
            free = self.keys[probe] == EMPTY
            self.keys[probe[free]] = keys[pending[free]]  # of several keys for one slot, the last one gets it
            lost = self.keys[probe] != keys[pending]
            pending = pending[lost]
            step = slots[pending] + 1
            step[step == self.capacity] = 0
            slots[pending] = step
        self.used += keys.size
        return slots
