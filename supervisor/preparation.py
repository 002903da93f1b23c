"""Decides when the store is prepared again after an attempt failed for a cause that passes: a full disk, a lock.

No service starts before an attempt has succeeded. The caller reports the beginning and the end of each attempt.
"""

from bgpdrift.clock import Clock

PREPARER = "prepare_store"
"""The name of the program among the supervisor's children; it is not a service."""
EXIT_TEMPORARY = 75
"""Exit code of a preparation that may succeed later (``EX_TEMPFAIL`` of sysexits.h)."""
RETRY_S = 5.0
"""Wait between two attempts."""


class Preparation:
    """The attempts to prepare the store.

    Parameters
    ----------
    reason : str
        Why the attempt before the supervisor started failed; "" if the store is prepared.
    clock : Clock
        Monotonic.
    """

    def __init__(self, reason: str, clock: Clock) -> None:
        self.reason, self._clock = reason, clock
        self._due_at: float | None = clock.monotonic() + RETRY_S if reason else None

    @property
    def is_done(self) -> bool:
        """Whether services may start."""
        return not self.reason

    def deadline(self) -> float | None:
        """Return the monotonic time of the next attempt; None while one runs or none is needed."""
        return self._due_at

    def begin(self) -> bool:
        """Whether an attempt is due; it counts as begun."""
        if self._due_at is None or self._clock.monotonic() < self._due_at:
            return False
        self._due_at = None
        return True

    def end(self, reason: str) -> None:
        """Record the end of an attempt; ``reason`` is "" if it succeeded."""
        self.reason = reason
        self._due_at = self._clock.monotonic() + RETRY_S if reason else None
