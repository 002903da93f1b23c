"""The order of a rolling restart: services get new processes one after the other, so that all but one work. Pure.

The next service is restarted when the one before is up again. A failure ends the rolling restart: the services after it
keep their old processes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from supervisor.lifecycle import UP, State

_FAILED = frozenset({State.BACKOFF, State.CRASHLOOP, State.ABORTING, State.RECYCLING})


@dataclass(frozen=True)
class RollingRestart:
    """A rolling restart in progress.

    Attributes
    ----------
    waiting : tuple of str
        Services that have not been restarted yet.
    current : str
        The service being restarted; "" before the first and after the last.
    """

    waiting: tuple[str, ...] = ()
    current: str = ""

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do."""
        return not self.waiting and not self.current


def advance_restart(rolling: RollingRestart, states: Mapping[str, State]) -> RollingRestart:
    """Return the rolling restart that follows from the states of its services.

    If ``current`` changes, the caller restarts that service at once: its state leaves `UP`, and its return to `UP` ends its
    turn. A service that the operator stopped is skipped.

    Examples
    --------
    >>> advance_restart(RollingRestart(("a", "b")), {"a": State.READY, "b": State.READY})
    RollingRestart(waiting=('b',), current='a')
    >>> advance_restart(RollingRestart(("b",), "a"), {"a": State.STARTING, "b": State.READY})
    RollingRestart(waiting=('b',), current='a')
    >>> advance_restart(RollingRestart(("b",), "a"), {"a": State.BACKOFF, "b": State.READY})
    RollingRestart(waiting=(), current='')
    """
    if rolling.current:
        state = states[rolling.current]
        if state in _FAILED:
            return RollingRestart()
        if state not in UP and state is not State.STOPPED:
            return rolling
    waiting = rolling.waiting
    while waiting and states[waiting[0]] in {State.STOPPED, State.STOPPING}:
        waiting = waiting[1:]
    if not waiting:
        return RollingRestart()
    return replace(rolling, waiting=waiting[1:], current=waiting[0])
