"""Counts how often each number occurs in a minute, in arrays whose size follows the distinct values, not the batches."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgpdrift.features.hashing import U64

_MERGE_AT_PARTS = 32


class Tally:
    """Counts of distinct numbers.

    Examples
    --------
    >>> tally = Tally()
    >>> tally.add(np.array([7, 9, 7], dtype=np.uint64))
    >>> [part.tolist() for part in tally.counts()]
    [[7, 9], [2, 1]]
    """

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[Any], NDArray[np.int64]]] = []

    def add(self, values: NDArray[Any]) -> None:
        """Count values."""
        if values.size:
            distinct, counts = np.unique(values, return_counts=True)
            self._parts.append((distinct.astype(np.uint64), counts))
            if len(self._parts) >= _MERGE_AT_PARTS:
                self.counts()

    def counts(self) -> tuple[U64, NDArray[np.int64]]:
        """Merge the parts; return the distinct values in order, and their counts."""
        if not self._parts:
            return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)
        if len(self._parts) > 1:
            values = np.concatenate([values for values, _ in self._parts])
            counts = np.concatenate([counts for _, counts in self._parts])
            distinct, at = np.unique(values, return_inverse=True)
            self._parts = [(distinct, np.bincount(at, weights=counts).astype(np.int64))]
        return self._parts[0]

    def top(self, number: int) -> list[tuple[int, int]]:
        """Return the most frequent values with their counts; the smaller value first if counts are equal."""
        values, counts = self.counts()
        order = np.lexsort((values, -counts))[:number]
        return [(int(values[at]), int(counts[at])) for at in order]

    @property
    def distinct(self) -> int:
        """Number of distinct values."""
        return int(self.counts()[0].size)

    def save(self) -> dict[str, list[int]]:
        """Return plain values for a checkpoint."""
        values, counts = self.counts()
        return {"values": values.tolist(), "counts": counts.tolist()}

    @classmethod
    def restore(cls, saved: dict[str, list[int]]) -> "Tally":
        """Rebuild from the result of `save`."""
        tally = cls()
        if saved["values"]:
            tally._parts = [(np.array(saved["values"], dtype=np.uint64), np.array(saved["counts"], dtype=np.int64))]
        return tally


def entropy_bits(counts: NDArray[np.int64]) -> float:
    """Shannon entropy of a histogram, in bits; 0 for an empty one.

    Examples
    --------
    >>> entropy_bits(np.array([2, 1, 1]))
    1.5
    """
    total = counts.sum()
    if total == 0:
        return 0.0
    share = counts[counts > 0] / total
    return float(abs(-(share * np.log2(share)).sum()))
