"""How many windows to take at once: many enough to be fast after an outage, few enough to be done soon.

A new model comes into force between two batches, so that a batch's length is what a swap has to wait. Pure.
"""

TARGET_S = 0.010
LEAST, MOST, FIRST = 1, 256, 16


class BatchSize:
    """Follows what batches cost.

    Parameters
    ----------
    target_s : float
        How long a batch should take.
    most : int
        Never more windows than this: memory must stay small.

    Examples
    --------
    >>> size = BatchSize(target_s=0.010, most=256)
    >>> size.windows
    16
    >>> size.took(16, 0.004)
    >>> size.windows
    32
    >>> size.took(32, 0.040)
    >>> size.windows
    8
    """

    def __init__(self, target_s: float = TARGET_S, most: int = MOST) -> None:
        self._target_s, self._most = target_s, most
        self.windows = min(FIRST, most)

    def took(self, windows: int, seconds: float) -> None:
        """Learn from a batch; one that was not full tells nothing of fuller ones."""
        if seconds > self._target_s or windows >= self.windows:
            fitting = int(windows * self._target_s / max(seconds, 1e-6))
            self.windows = max(LEAST, min(fitting, 2 * self.windows, self._most))
