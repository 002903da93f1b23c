"""Log-spaced histograms with exact counts: the form in which an hour of scores, or of a feature, is kept.

Bins are about 1 % wide, mirrored for negative values, with one bin for zero and magnitudes below `MIN_MAGNITUDE`.
Histograms are merged by addition, so hours, hosts and restarts add up without any estimate.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bgpdrift.drift.constants import BIN_WIDTH, LOG_BIN_WIDTH, MIN_MAGNITUDE

FORMAT = 1
"""First byte of the stored form."""
MAX_MAGNITUDE = 1e299
"""Larger values count in the same bin: their quotient by `MIN_MAGNITUDE` is no number any more."""
_MAX_EXPONENT = 70_000
"""A larger power of the bin width is no number any more."""


def bin_of(value: float) -> int:
    """Return the number of a value's bin: 0 for zero, positive or negative like the value, rising outwards.

    Examples
    --------
    >>> bin_of(0.0), bin_of(1.0) == -bin_of(-1.0), bin_of(1.02) - bin_of(1.0) in (1, 2)
    (0, True, True)
    """
    size = abs(value)
    if size < MIN_MAGNITUDE:
        return 0
    number = 1 + math.floor(math.log(min(size, MAX_MAGNITUDE) / MIN_MAGNITUDE) / LOG_BIN_WIDTH)
    return number if value > 0 else -number


def bins_of(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin numbers of finite values: `bin_of` for a whole column.

    Examples
    --------
    >>> bins_of(np.array([0.0, 2.5, -2.5])).tolist() == [bin_of(0.0), bin_of(2.5), bin_of(-2.5)]
    True
    """
    size = np.abs(values)
    small = size < MIN_MAGNITUDE
    np.clip(size, MIN_MAGNITUDE, MAX_MAGNITUDE, out=size)
    size /= MIN_MAGNITUDE
    np.log(size, out=size)
    size /= np.log(BIN_WIDTH)
    numbers = size.astype(np.int64) + 1
    numbers[small] = 0
    return np.where(values < 0, -numbers, numbers)


def middle_of(number: int) -> float:
    """Return the geometric middle of a bin, which is within half a per cent of every value in it."""
    if number == 0:
        return 0.0
    exponent = abs(number) - 0.5
    size = MIN_MAGNITUDE * BIN_WIDTH ** min(exponent, _MAX_EXPONENT) * BIN_WIDTH ** max(exponent - _MAX_EXPONENT, 0.0)
    return math.copysign(size, number)


@dataclass
class Histogram:
    """Counts by bin, with the exact number, sum and sum of squares of the values.

    Examples
    --------
    >>> morning, evening = Histogram.of([0.0, 1.0, 1.0, -3.0]), Histogram.of([1.0])
    >>> day = morning + evening
    >>> day.n, day.total, day == Histogram.of([1.0, 1.0, 0.0, -3.0, 1.0])
    (5, 0.0, True)
    >>> Histogram.from_bytes(day.to_bytes(), day.total, day.squares) == day
    True
    """

    counts: dict[int, int] = field(default_factory=dict)
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Iterable[float]) -> "Histogram":
        """Count finite values."""
        histogram = cls()
        for value in values:
            histogram.add(value)
        return histogram

    @property
    def n(self) -> int:
        """Number of values."""
        return sum(self.counts.values())

    def add(self, value: float) -> None:
        """Count one value; raises ValueError for NaN and infinity."""
        if not math.isfinite(value):
            raise ValueError(f"histogram: expected a finite value, found {value}")
        number = bin_of(value)
        self.counts[number] = self.counts.get(number, 0) + 1
        self.total += value
        self.squares += value * value

    def __add__(self, other: "Histogram") -> "Histogram":
        counts = dict(self.counts)
        for number, count in other.counts.items():
            counts[number] = counts.get(number, 0) + count
        return Histogram(counts, self.total + other.total, self.squares + other.squares)

    def to_bytes(self) -> bytes:
        """Encode as a format byte, then (step to the next bin, count) as variable-length integers."""
        raw, before = bytearray([FORMAT]), 0
        for number, count in sorted(self.counts.items()):
            step = number - before
            _append_varint(raw, step << 1 if step >= 0 else (-step << 1) - 1)
            _append_varint(raw, count)
            before = number
        return bytes(raw)

    @classmethod
    def from_bytes(cls, raw: bytes, total: float, squares: float) -> "Histogram":
        """Decode what `to_bytes` wrote; raises ValueError for anything else."""
        if not raw or raw[0] != FORMAT:
            raise ValueError(f"histogram: expected format {FORMAT}, found {raw[:1]!r}")
        numbers = _read_varints(raw[1:])
        if len(numbers) % 2:
            raise ValueError("histogram: expected whole numbers and pairs, found bytes that are cut short")
        counts, at = {}, 0
        for step, count in zip(numbers[::2], numbers[1::2], strict=True):
            at += step >> 1 if step % 2 == 0 else -((step + 1) >> 1)
            counts[at] = count
        return cls(counts, total, squares)


def _append_varint(raw: bytearray, number: int) -> None:
    while number >= 0x80:
        raw.append(number & 0x7F | 0x80)
        number >>= 7
    raw.append(number)


def _read_varints(raw: bytes) -> list[int]:
    numbers, value, shift = [], 0, 0
    for byte in raw:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(value)
            value, shift = 0, 0
    if shift:
        raise ValueError("histogram: expected whole numbers and pairs, found bytes that are cut short")
    return numbers
