"""In which order everything ends: consumers first, so that what is produced is still consumed. Pure.

A service is told to end when those that come after it have gone, or were told a while ago: one that ignores TERM must
not use up the time of all the others.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from supervisor.services import Service, may_stop


@dataclass(frozen=True)
class GoingDown:
    """How far it is.

    Attributes
    ----------
    told_at : float
        Monotonic time at which the last ones were told.
    told : frozenset of str
        Services that were told to end.
    """

    told_at: float
    told: frozenset[str] = frozenset()


def to_tell(
    down: GoingDown, services: Sequence[Service], alive: Collection[str], now: float, patience_s: float
) -> list[str]:
    """Name the services whose turn it is.

    Parameters
    ----------
    down : GoingDown
        How far it is.
    services : sequence of Service
        All, in starting order.
    alive : collection of str
        Those that have a process.
    now, patience_s : float
        Monotonic time, and how long after the last telling nobody is waited for any more; seconds.

    Examples
    --------
    >>> pair = (Service("a", ("a",)), Service("b", ("b",), after=("a",)))
    >>> to_tell(GoingDown(0.0), pair, {"a", "b"}, now=0.0, patience_s=1.0)
    ['b']
    >>> told = GoingDown(0.0, frozenset({"b"}))
    >>> to_tell(told, pair, {"a", "b"}, 0.5, 1.0), to_tell(told, pair, {"a", "b"}, 1.0, 1.0), to_tell(told, pair, {"a"}, 0.5, 1.0)
    ([], ['a'], ['a'])
    """
    in_the_way = {service.name for service in services if service.name not in down.told}
    if now < down.told_at + patience_s:
        in_the_way |= set(alive)
    return [
        service.name
        for service in services
        if service.name not in down.told and may_stop(service, services, in_the_way)
    ]


def is_over(down: GoingDown, services: Sequence[Service], alive: Collection[str]) -> bool:
    """Whether all were told and are gone."""
    return not alive and all(service.name in down.told for service in services)
