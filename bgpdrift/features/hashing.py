"""Hash tables with open addressing in numpy: find or add a hundred thousand 64-bit keys in a few array operations.

A Python dict needs 100 B or more per entry and handles one key at a time. The routing state may need at most 50 B per route
and must process 150,000 messages/s. This module decides the slot of a key; the caller owns the columns beside it.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]
I64 = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

EMPTY = np.uint64(0)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31, _S32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)
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

    def resize(self, capacity: int, keep: BoolArray | None = None) -> None:
        """Move all keys (or those whose slots are set in ``keep``) to a table of another capacity."""
        live = np.flatnonzero(self.keys != EMPTY if keep is None else (self.keys != EMPTY) & keep)
        keys = self.keys[live]
        kept = {name: column[live] for name, column in self.columns.items()}
        self.keys = np.zeros(capacity, dtype=np.uint64)
        self.columns = {}  # free the old columns first: this halves the peak memory
        self.used = 0
        slots = self._place(keys)
        for name, dtype in self._dtypes.items():
            column = np.zeros(capacity, dtype=dtype)
            column[slots] = kept.pop(name)
            self.columns[name] = column

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
