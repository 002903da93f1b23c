"""Actions on the route of one peer, and the agenda that keeps planned actions in time order.

Planners add actions; `engine` takes them minute by minute. The route of the peer at that moment decides whether an action sends a
message: a change to the path that the peer already has sends nothing.
"""

from typing import Final

CHANGE: Final = 0
"""To another of the peer's paths, by a number that picks it."""
EXPLORE: Final = 1
"""To a long path through extra ASes, as during convergence."""
BEST: Final = 2
"""To the best path."""
BACK: Final = 3
"""After a withdrawal: the path it had before."""
DUPLICATE: Final = 4
"""The same path again, other communities."""
WITHDRAW: Final = 5
"""Withdraw the route."""
REWITHDRAW: Final = 6
"""Send a withdrawal, with or without a route."""
FORCE: Final = 7
"""To the given path, and hold it: ordinary actions on this route do nothing until it is released."""
HOLD: Final = 8
"""Withdraw and keep it withdrawn until it is released."""
RELEASE: Final = 9
"""End FORCE or HOLD: back to the best path, or to no route if there was none."""
TRANSFER: Final = 10
"""Send the current route, as after a session has come up."""
STATE: Final = 11
"""The session's state: the argument is ``down``, ``connected`` or ``up``."""
OPEN: Final = 12
"""An OPEN message; the argument is ``sent`` or ``received``."""
NOTIFICATION: Final = 13
"""A NOTIFICATION message; the argument is (code, subcode)."""
KEEPALIVE: Final = 14
"""A KEEPALIVE message."""
MUTE: Final = 15
"""The collector of this peer stops sending (argument true) or sends again."""
REFORCE: Final = 16
"""Like FORCE, but only on a route that FORCE holds: churn inside an incident."""

Action = tuple[int, int, int, int, int, object]
"""(milliseconds since the epoch, order of planning, what, peer, atom, argument); sorts by time, then by planning."""


class Agenda:
    """Planned actions by minute.

    Examples
    --------
    >>> agenda = Agenda()
    >>> agenda.add(60_500, WITHDRAW, 0, 7)
    >>> agenda.add(60_100, BEST, 0, 7)
    >>> [(at, what) for at, _, what, *_ in agenda.take(1)]
    [(60100, 2), (60500, 5)]
    """

    def __init__(self) -> None:
        self._minutes: dict[int, list[Action]] = {}
        self.planned = 0

    def add(self, at_ms: int, what: int, peer: int, atom: int = -1, argument: object = 0) -> None:
        """Plan an action; an action in a minute that was already taken is ignored."""
        self.planned += 1
        minute = at_ms // 60_000
        bucket = self._minutes.get(minute)
        if bucket is None:
            bucket = self._minutes[minute] = []
        bucket.append((at_ms, self.planned, what, peer, atom, argument))

    def take(self, minute: int) -> list[Action]:
        """Return the actions of a minute since the epoch in order, and remove them."""
        actions = self._minutes.pop(minute, [])
        actions.sort()
        return actions
