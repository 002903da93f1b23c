"""Where time comes from. Everything that needs "now" is handed a `Clock`; only this file reads the system's.

Two times, never mixed: wall time (epoch seconds, UTC; it may jump) for lag, heartbeats shown to people and log lines,
and monotonic time (seconds from an arbitrary start; it never jumps) for back-off, budgets and limits. Event time, the
time of BGP messages, is neither: it travels with the data.
"""

import time
from typing import Protocol


class Clock(Protocol):
    """Wall and monotonic time, in seconds."""

    def now(self) -> float:
        """Epoch seconds, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only ever grow, also when the wall clock is set."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Epoch seconds, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment."""
        return time.monotonic()


class FakeClock:
    """A clock that moves only when told: for tests and simulations.

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
        """Epoch seconds, UTC."""
        return self._now

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._monotonic

    def advance(self, seconds: float = 0.0, minutes: float = 0.0, hours: float = 0.0) -> None:
        """Let time pass on both clocks."""
        step = seconds + 60.0 * minutes + 3600.0 * hours
        self._now += step
        self._monotonic += step

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back, as NTP or a person does; monotonic time does not notice."""
        self._now += seconds
