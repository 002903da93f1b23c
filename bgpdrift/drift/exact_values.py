"""The values of one hour of scores, unrounded: bins are placed when windows are compared, by the spread of their own values.

A window is one minute, so an hour of a collector holds at most 60 scores, 8 bytes each. Hours are merged by joining their
values, so hosts and restarts add up exactly. Series of which no unit is unusual (features, rules, embeddings) are kept as
`bgpdrift.drift.histogram.Histogram`; earlier releases kept scores like this, too.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bgpdrift.drift import histogram
from bgpdrift.drift.histogram import Histogram

FORMAT = 2
"""First byte of the stored form."""
BYTES_PER_VALUE = 8


@dataclass(frozen=True, slots=True)
class ExactValues:
    """Finite values in rising order, as often as they occur.

    Examples
    --------
    >>> hour = ExactValues.of([993.7, 993.1]) + ExactValues.of([993.7])
    >>> hour.values, hour.n, ExactValues.from_bytes(hour.to_bytes()) == hour
    ((993.1, 993.7, 993.7), 3, True)
    """

    values: tuple[float, ...] = ()

    @classmethod
    def of(cls, values: Iterable[float]) -> "ExactValues":
        """Keep finite values; raises ValueError for NaN and infinity."""
        kept = sorted(float(value) + 0.0 for value in values)  # -0.0 becomes 0.0, so equal values have equal bytes
        bad = next((value for value in kept if not math.isfinite(value)), None)
        if bad is not None:
            raise ValueError(f"values of an hour: expected finite numbers, found {bad}")
        return cls(tuple(kept))

    @property
    def n(self) -> int:
        """Number of values."""
        return len(self.values)

    @property
    def total(self) -> float:
        """Sum of the values."""
        return _add_up(np.array(self.values, float))

    @property
    def squares(self) -> float:
        """Sum of the squares of the values; infinite beyond the range of numbers."""
        with np.errstate(over="ignore"):
            return _add_up(np.square(np.array(self.values, float)))

    def __add__(self, other: "ExactValues") -> "ExactValues":
        return ExactValues(tuple(sorted((*self.values, *other.values))))

    def to_histogram(self) -> Histogram:
        """Count the values in bins of 1 %, which rounds them."""
        return Histogram.of(self.values)

    def to_bytes(self) -> bytes:
        """Encode as a format byte, then the values as little-endian doubles."""
        return bytes([FORMAT]) + np.array(self.values, "<f8").tobytes()

    @classmethod
    def from_bytes(cls, raw: bytes) -> "ExactValues":
        """Decode what `to_bytes` wrote; raises ValueError for anything else."""
        if not raw or raw[0] != FORMAT:
            raise ValueError(f"values of an hour: expected format {FORMAT}, found {raw[:1]!r}")
        if len(raw) % BYTES_PER_VALUE != 1:
            raise ValueError(f"values of an hour: expected {BYTES_PER_VALUE} bytes a value, found {len(raw) - 1} bytes")
        return cls.of(np.frombuffer(raw, "<f8", offset=1).tolist())


HourCounts = Histogram | ExactValues
"""One stored hour of a series."""


def decode_counts(raw: bytes, total: float, squares: float) -> HourCounts:
    """Decode a stored hour of either form; raises ValueError for anything else.

    Parameters
    ----------
    raw : bytes
        Column ``bins``.
    total, squares : float
        Columns ``value_sum`` and ``value_sum_squares``.

    Examples
    --------
    >>> hour = ExactValues.of([0.5])
    >>> decode_counts(hour.to_bytes(), 0.5, 0.25) == hour
    True
    """
    if raw[:1] == bytes([FORMAT]):
        return ExactValues.from_bytes(raw)
    if raw[:1] == bytes([histogram.FORMAT]):
        return Histogram.from_bytes(raw, total, squares)
    raise ValueError(f"stored hour: expected format {histogram.FORMAT} or {FORMAT}, found {raw[:1]!r}")


def add_counts(one: HourCounts, other: HourCounts) -> HourCounts:
    """Add two parts of one hour. If one part is a histogram, the sum is one, because its values are rounded already.

    Examples
    --------
    >>> add_counts(ExactValues.of([1.0]), ExactValues.of([2.0])).n, add_counts(Histogram.of([1.0]), ExactValues.of([2.0]))
    (2, Histogram(counts={2083: 1, 2153: 1}, total=3.0, squares=5.0))
    """
    if isinstance(one, ExactValues) and isinstance(other, ExactValues):
        return one + other
    first, second = (part.to_histogram() if isinstance(part, ExactValues) else part for part in (one, other))
    return first + second


def _add_up(values: NDArray[np.float64]) -> float:
    """Sum in rising order, so that the parts in which an hour arrived do not show in the last digit."""
    with np.errstate(over="ignore"):
        return float(values.sum())
