"""How many windows to take at once: many enough to be fast after an outage, few enough to be done soon.

A new model comes into force between two batches, so that a batch's length is what a swap has to wait. A batch costs
something before its first window (reading what came before it, a transaction), and that is learned apart from what each
window adds: a size that aims at the sum alone shrinks to one window where the first part is long, and then pays it for each.
Pure.
"""

TARGET_S = 0.010
LEAST, MOST, FIRST = 1, 256, 16
_FORGET = 0.8
"""What an earlier batch still counts after each later one."""


class BatchSize:
    """Follows what batches cost.

    Parameters
    ----------
    target_s : float
        How long a batch should take. Where it costs that much before its first window, its windows may take as long again.
    most : int
        Never more windows than this: memory must stay small.

    Examples
    --------
    >>> size = BatchSize(target_s=0.010, most=256)
    >>> size.windows
    16
    >>> for _ in range(20): size.took(size.windows, 0.002 + 0.0005 * size.windows)
    >>> size.windows
    16
    >>> for _ in range(20): size.took(size.windows, 0.0002 * size.windows)
    >>> size.windows
    50
    >>> slow_to_begin = BatchSize(target_s=0.010, most=256)
    >>> for _ in range(20): slow_to_begin.took(slow_to_begin.windows, 0.015 + 0.0005 * slow_to_begin.windows)
    >>> 28 <= slow_to_begin.windows <= 30
    True
    """

    def __init__(self, target_s: float = TARGET_S, most: int = MOST) -> None:
        self._target_s, self._most = target_s, most
        self.windows = min(FIRST, most)
        self._batches = self._n = self._s = self._nn = self._ns = self._begin = 0.0

    def took(self, windows: int, seconds: float) -> None:
        """Learn from a batch, full or not."""
        self._batches = _FORGET * self._batches + 1
        self._n = _FORGET * self._n + windows
        self._s = _FORGET * self._s + seconds
        self._nn = _FORGET * self._nn + windows * windows
        self._ns = _FORGET * self._ns + windows * seconds
        begin, each = self._line()
        spent = max(self._target_s - begin, begin)
        fitting = int(spent / max(each, 1e-6) + 1e-6)
        self.windows = max(LEAST, min(fitting, 2 * self.windows, self._most))

    def _line(self) -> tuple[float, float]:
        """Seconds before the first window and for each, by least squares; where sizes were all alike, the former as known."""
        mean_n, mean_s = self._n / self._batches, self._s / self._batches
        spread = self._nn / self._batches - mean_n**2
        each = (self._ns / self._batches - mean_n * mean_s) / spread if spread > 0.01 * mean_n**2 else 0.0
        if each > 0:
            self._begin = max(mean_s - each * mean_n, 0.0)
        self._begin = min(self._begin, 0.9 * mean_s)
        return self._begin, max(each, (mean_s - self._begin) / max(mean_n, 1.0))
