"""Restarting services one after the other, so that at any moment all but one are at work. Pure.

The next one's turn comes when the one before is up again. One that fails with what changed ends the round: the others
keep their old processes, and with them most of the system.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from supervisor.lifecycle import UP, State

_GONE_WRONG = frozenset({State.BACKOFF, State.CRASHLOOP, State.ABORTING, State.RECYCLING})


@dataclass(frozen=True)
class Rolling:
    """A round of restarts.

    Attributes
    ----------
    waiting : tuple of str
        Services whose turn has not come.
    now : str
        The one being restarted; empty before the first and after the last.
    """

    waiting: tuple[str, ...]
    now: str = ""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do."""
        return not self.waiting and not self.now


def next_round(rolling: Rolling, states: Mapping[str, State]) -> Rolling:
    """Say where the round is, given what its services are at.

    Whoever finds another ``now`` than before restarts that service at once: its state then leaves `UP`, and coming back
    there ends its turn. A service that an operator stopped is left out.

    Examples
    --------
    >>> next_round(Rolling(("a", "b")), {"a": State.READY, "b": State.READY})
    Rolling(waiting=('b',), now='a')
    >>> next_round(Rolling(("b",), "a"), {"a": State.STARTING, "b": State.READY})
    Rolling(waiting=('b',), now='a')
    >>> next_round(Rolling(("b",), "a"), {"a": State.BACKOFF, "b": State.READY})
    Rolling(waiting=(), now='')
    """
    if rolling.now:
        state = states[rolling.now]
        if state in _GONE_WRONG:
            return Rolling(())
        if state not in UP and state is not State.STOPPED:
            return rolling
    waiting = rolling.waiting
    while waiting and states[waiting[0]] in {State.STOPPED, State.STOPPING}:
        waiting = waiting[1:]
    if not waiting:
        return Rolling(())
    return replace(rolling, waiting=waiting[1:], now=waiting[0])
