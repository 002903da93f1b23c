"""The source of time. A function that needs the present time takes a `Clock`; only this module reads the system clocks.

There are two times. Wall time (epoch seconds, UTC; it may jump) is for lag, heartbeats shown to people and log lines.
Monotonic time (seconds from an arbitrary start; it never jumps) is for back-off, budgets and limits. Event time, the time
of BGP messages, comes with the data.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Wall and monotonic time, in seconds."""

    def now(self) -> float:
        """Return epoch seconds, UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never decrease, also when the wall clock is set."""
        ...


class SystemClock:
    """The clocks of the machine."""

    def now(self) -> float:
        """Return epoch seconds, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since an arbitrary start."""
        return time.monotonic()


class FakeClock:
    """A clock that only `advance` and `jump` change, for tests and simulations.

    Examples
    --------
    >>> clock = FakeClock(now=1_000.0)
    >>> clock.advance(minutes=5)
    >>> clock.now()
    1300.0
    """

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._now, self._monotonic = now, 0.0

    def now(self) -> float:
        """Return epoch seconds, UTC."""
        return self._now

    def monotonic(self) -> float:
        """Return the seconds advanced so far."""
        return self._monotonic

    def advance(self, seconds: float = 0.0, minutes: float = 0.0, hours: float = 0.0) -> None:
        """Advance both clocks."""
        step = seconds + 60.0 * minutes + 3600.0 * hours
        self._now += step
        self._monotonic += step

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as NTP or a person does; monotonic time does not change."""
        self._now += seconds
