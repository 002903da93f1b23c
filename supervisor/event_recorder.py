"""When the program runs that carries ``logs/events.ndjson`` into the store. Pure but for the clock it is handed.

The supervisor loads no database library, and no service may be the only one that can tell of a crash: so a program of
its own is run to its end when there is news. Several events go together; what a person must know at once does not wait.
"""

from bgpdrift.clock import Clock

GATHER_S = 5.0
"""From an event to the run that records it."""
BETWEEN_S = 30.0
"""Least time between two runs, also after one that failed; an urgent event waits `GATHER_S` only."""
LIMIT_S = 60.0
"""A run that takes longer is killed."""


class EventRecorder:
    """Knows whether there is news."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due_at: float | None = None
        self._not_before = 0.0
        self.running_since: float | None = None
        """Monotonic time at which the present run began."""

    def happened(self, urgent: bool = False) -> None:
        """Take note of an event."""
        soon = self._clock.monotonic() + GATHER_S
        due_at = soon if urgent else max(soon, self._not_before)
        self._due_at = due_at if self._due_at is None else min(self._due_at, due_at)

    def deadline(self) -> float | None:
        """Give the monotonic time at which a run must begin, or be killed; None while there is nothing to do."""
        return self._due_at if self.running_since is None else self.running_since + LIMIT_S

    def is_due(self) -> bool:
        """Whether a run must begin now."""
        return self.running_since is None and self._due_at is not None and self._clock.monotonic() >= self._due_at

    def is_late(self) -> bool:
        """Whether a run takes too long."""
        return self.running_since is not None and self._clock.monotonic() >= self.running_since + LIMIT_S

    def began(self) -> None:
        """Note that a run begins; what happens from now on is for the next."""
        self.running_since, self._due_at = self._clock.monotonic(), None

    def ended(self, well: bool) -> None:
        """Note that it ended; one that failed is repeated."""
        now = self._clock.monotonic()
        self.running_since, self._not_before = None, now + BETWEEN_S
        if not well:
            self._due_at = self._not_before
