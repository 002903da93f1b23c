"""Log-spaced histograms with exact counts: what an hour of scores or of a feature becomes.

About 1 % relative width, mirrored for negative values, one bin for zero and what is too small to matter. Merging is
addition, so hours, hosts and restarts add up; nothing is ever estimated or forgotten.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

WIDTH = 1.01
SMALLEST = 1e-9
"""Magnitudes below this fall into the zero bin."""
_LOG_WIDTH = math.log(WIDTH)
_FORMAT = 1
_MOST = 1e300


def bin_of(value: float) -> int:
    """Number of a value's bin: 0 for zero, ±(1 + …) outwards.

    Examples
    --------
    >>> bin_of(0.0), bin_of(1.0) == -bin_of(-1.0), bin_of(1.02) - bin_of(1.0) in (1, 2)
    (0, True, True)
    """
    size = abs(value)
    if size < SMALLEST:
        return 0
    number = 1 + math.floor(math.log(min(size, _MOST) / SMALLEST) / _LOG_WIDTH)
    return number if value > 0 else -number


def middle_of(number: int) -> float:
    """Geometric middle of a bin, within half a per cent of every value in it."""
    if number == 0:
        return 0.0
    return math.copysign(SMALLEST * WIDTH ** (abs(number) - 0.5), number)


@dataclass
class Histogram:
    """Counts by bin, with exact n, sum and sum of squares.

    Examples
    --------
    >>> morning, evening = Histogram.of([0.0, 1.0, 1.0, -3.0]), Histogram.of([1.0])
    >>> both = morning + evening
    >>> both.n, both.total, both == Histogram.of([1.0, 1.0, 0.0, -3.0, 1.0])
    (5, 0.0, True)
    >>> Histogram.from_bytes(both.to_bytes(), both.total, both.squares) == both
    True
    """

    counts: dict[int, int] = field(default_factory=dict)
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Iterable[float]) -> "Histogram":
        """Fold finite values."""
        histogram = cls()
        for value in values:
            histogram.add(value)
        return histogram

    @property
    def n(self) -> int:
        """Values folded."""
        return sum(self.counts.values())

    def add(self, value: float) -> None:
        """Fold one value; NaN and infinity are refused."""
        if not math.isfinite(value):
            raise ValueError(f"histogram: {value} is no finite value")
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
        """Format byte, then (difference to the bin before, count) as variable-length integers, in order of bins."""
        raw, before = bytearray([_FORMAT]), 0
        for number, count in sorted(self.counts.items()):
            step = number - before
            _put(raw, step << 1 if step >= 0 else (-step << 1) - 1)
            _put(raw, count)
            before = number
        return bytes(raw)

    @classmethod
    def from_bytes(cls, raw: bytes, total: float, squares: float) -> "Histogram":
        """Read what `to_bytes` wrote; raises ValueError for anything else."""
        if not raw or raw[0] != _FORMAT:
            raise ValueError(f"histogram: format {raw[:1]!r}, {_FORMAT} expected")
        numbers = _numbers(raw[1:])
        if len(numbers) % 2:
            raise ValueError("histogram: cut short")
        counts, at = {}, 0
        for step, count in zip(numbers[::2], numbers[1::2], strict=True):
            at += step >> 1 if step % 2 == 0 else -((step + 1) >> 1)
            counts[at] = count
        return cls(counts, total, squares)


def _put(raw: bytearray, number: int) -> None:
    while number >= 0x80:
        raw.append(number & 0x7F | 0x80)
        number >>= 7
    raw.append(number)


def _numbers(raw: bytes) -> list[int]:
    found, value, shift = [], 0, 0
    for byte in raw:
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            found.append(value)
            value, shift = 0, 0
    if shift:
        raise ValueError("histogram: cut short")
    return found
