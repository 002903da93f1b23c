"""Open-addressing hash tables in numpy: find or add a hundred thousand 64-bit keys in a few array operations.

They exist because a Python dict costs 100 B and more an entry and is walked one key at a time; the routing state must
cost at most 50 B a route and take 150,000 messages/s. Decides where a key lies; what lies beside it (columns of the
same slots) is the caller's.
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
GROWTH = 1.4  # doubling would leave the table one third full at worst


def mix(keys: U64) -> U64:
    """Spread keys over all 64 bits (the finaliser of splitmix64, Steele et al. 2014).

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
    """A set of non-zero 64-bit keys, each in a slot, with columns that move along when the table grows.

    Parameters
    ----------
    columns : dict of str to dtype
        Arrays kept beside the keys, indexed by slot; zero where a key is new.
    capacity : int
        Slots to begin with.

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
        """Slots, used or not."""
        return self.keys.size

    @property
    def slot_bytes(self) -> int:
        """Bytes a slot takes, with its columns."""
        return 8 + sum(column.itemsize for column in self.columns.values())

    @property
    def nbytes(self) -> int:
        """Bytes the whole table takes."""
        return self.capacity * self.slot_bytes

    def _home(self, keys: U64) -> I64:
        # Multiply-shift instead of a mask: the capacity need not be a power of two.
        return (((mix(keys) >> _S32) * np.uint64(self.capacity)) >> _S32).astype(np.int64)

    def find(self, keys: U64) -> I64:
        """Give the slot of each key, -1 where it is absent."""
        slots = self._home(keys)
        found = self.keys[slots]
        result = np.where(found == keys, slots, -1)
        pending = np.flatnonzero((found != keys) & (found != EMPTY))
        while pending.size:
            probe = slots[pending] + 1
            probe[probe == self.capacity] = 0
            slots[pending] = probe
            found = self.keys[probe]
            wanted = keys[pending]
            hit = found == wanted
            result[pending[hit]] = probe[hit]
            pending = pending[~hit & (found != EMPTY)]
        return result

    def find_or_add(self, keys: U64) -> tuple[I64, BoolArray]:
        """Give the slot of each key, adding those that are absent.

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
                self.resize(self.wanted_capacity(missing.size))
                present = np.flatnonzero(~is_new)
                slots[present] = self.find(keys[present])
            slots[missing] = self._place(keys[missing])
        return slots, is_new

    def needs_growth(self, more: int) -> bool:
        """Whether that many more keys would crowd the table."""
        return self.used + more > MAX_LOAD * self.capacity

    def wanted_capacity(self, more: int) -> int:
        """Slots that would hold that many more keys and leave room."""
        return max(int(self.capacity * GROWTH) + 1, int((self.used + more) / MAX_LOAD) + 16)

    def resize(self, capacity: int, keep: BoolArray | None = None) -> None:
        """Move all keys (or those whose slots are in ``keep``) to a table of another size."""
        live = np.flatnonzero(self.keys != EMPTY if keep is None else (self.keys != EMPTY) & keep)
        keys = self.keys[live]
        kept = {name: column[live] for name, column in self.columns.items()}
        self.keys = np.zeros(capacity, dtype=np.uint64)
        self.columns = {}  # the old columns go before the new ones come: half the peak
        self.used = 0
        slots = self._place(keys)
        for name, dtype in self._dtypes.items():
            column = np.zeros(capacity, dtype=dtype)
            column[slots] = kept.pop(name)
            self.columns[name] = column

    def _place(self, keys: U64) -> I64:
        """Put absent, distinct keys into free slots."""
        slots = self._home(keys)
        pending = np.arange(keys.size)
        while pending.size:
            probe = slots[pending]
            free = self.keys[probe] == EMPTY
            self.keys[probe[free]] = keys[pending[free]]  # of several that want one slot, the last writer has it
            lost = self.keys[probe] != keys[pending]
            pending = pending[lost]
            step = slots[pending] + 1
            step[step == self.capacity] = 0
            slots[pending] = step
        self.used += keys.size
        return slots
