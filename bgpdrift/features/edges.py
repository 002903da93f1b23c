"""Recognizes new pairs of neighbouring ASes with eight Bloom filters, one per day; a new day replaces the oldest.

A pair is new if no filter of the last 7 days contains it. A filter of 8 Mbit with 4 hashes holds 500,000 pairs per day with
0.2 % false positives (Bloom 1970). Over eight days, at most 2 % of the new pairs of the busiest collector are missed.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgpdrift.features.hashing import U64, BoolArray, mix

DAYS = 8
_BITS = 1 << 23
_HASHES = 4


class RecentEdges:
    """Pairs of neighbouring AS numbers of today and the seven days before.

    Examples
    --------
    >>> edges = RecentEdges()
    >>> pair = np.array([3333 << 32 | 1103], dtype=np.uint64)
    >>> edges.add(pair, day=0).tolist(), edges.add(pair, day=7).tolist(), edges.add(pair, day=99).tolist()
    ([True], [False], [True])
    """

    def __init__(self) -> None:
        # Untouched pages of a zeroed array use no memory.
        self._filters: NDArray[np.uint8] = np.zeros((DAYS, _BITS // 8), dtype=np.uint8)
        self._day = -1

    def add(self, pairs: U64, day: int) -> BoolArray:
        """Add distinct pairs as seen on a day; return which of them are new.

        Parameters
        ----------
        pairs : ndarray of uint64, shape (n,)
            ``left << 32 | right``.
        day : int
            Days since the epoch; never decreases.
        """
        if self._day < 0:
            self._day = day
        for begun in range(max(self._day + 1, day - DAYS + 1), day + 1):  # an older filter is empty already
            self._filters[begun % DAYS] = 0
        self._day = max(self._day, day)
        spread = mix(pairs)
        low, high = spread & np.uint64(0xFFFFFFFF), spread >> np.uint64(32) | np.uint64(1)
        # All four hashes are combinations of two (Kirsch and Mitzenmacher 2006).
        steps = np.arange(_HASHES, dtype=np.uint64)[:, None]
        bits = (low + steps * high) & np.uint64(_BITS - 1)
        at = (bits >> np.uint64(3)).astype(np.int64)
        mask = np.left_shift(1, (bits & np.uint64(7)).astype(np.uint8)).astype(np.uint8)
        is_known: BoolArray = ((self._filters[:, at] & mask) != 0).all(axis=1).any(axis=0)
        today = self._filters[self._day % DAYS]
        np.bitwise_or.at(today, at.ravel(), mask.ravel())
        return ~is_known

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the filters that are not empty, and their days."""
        used = [slot for slot in range(DAYS) if self._filters[slot].any()]
        return {"slots": np.array(used, dtype=np.int64), "filters": self._filters[used], "day": np.array([self._day])}

    @classmethod
    def restore(cls, arrays: dict[str, NDArray[Any]]) -> "RecentEdges":
        """Rebuild from the result of `arrays`."""
        edges = cls()
        edges._filters[arrays["slots"]] = arrays["filters"]
        edges._day = int(arrays["day"][0])
        return edges
