"""Notices that this process did not run for a while: the machine was suspended, paused for a snapshot, or overloaded.

In such a pause the processes that it watches could not work either, so the time must not count against them. The pause shows
as an observation that comes much later than it was due. Pure except for the clock.
"""

from bgpdrift.clock import Clock

OBSERVE_EVERY_S = 2.0
"""Longest time between two observations while this process runs."""
_LATE_AFTER_S = 2 * OBSERVE_EVERY_S


class PauseWatch:
    """Measures the time between observations.

    Examples
    --------
    >>> from bgpdrift.clock import FakeClock
    >>> clock = FakeClock()
    >>> watch = PauseWatch(clock)
    >>> clock.advance(seconds=2), watch.observe(), clock.advance(seconds=50), watch.observe(), watch.observe()
    (None, 0.0, None, 50.0, 0.0)
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._observed_at = clock.monotonic()

    def observe(self) -> float:
        """Return the seconds since the last observation if that is a pause, otherwise 0."""
        before, self._observed_at = self._observed_at, self._clock.monotonic()
        passed_s = self._observed_at - before
        return passed_s if passed_s > _LATE_AFTER_S else 0.0
