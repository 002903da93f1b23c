"""The order in which all services are stopped: consumers first, then their producers. Pure.

A service is stopped when those that come after it have ended, or were stopped some time ago: a service that ignores TERM
must not use up the time of the others.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from supervisor.services import Service, may_stop


@dataclass(frozen=True)
class Shutdown:
    """A shutdown in progress.

    Attributes
    ----------
    stopped_at : float
        Monotonic time at which the last services were stopped.
    stopped : frozenset of str
        Services that were stopped; their processes may still run.
    """

    stopped_at: float
    stopped: frozenset[str] = frozenset()


def choose_services_to_stop(
    shutdown: Shutdown, services: Sequence[Service], alive: Collection[str], now: float, patience_s: float
) -> list[str]:
    """Return the services that are stopped next.

    Parameters
    ----------
    shutdown : Shutdown
        Which services were stopped.
    services : sequence of Service
        All, in starting order.
    alive : collection of str
        The services that have a process.
    now, patience_s : float
        Monotonic time, and how long after a stop the next services no longer wait for it; seconds.

    Examples
    --------
    >>> pair = (Service("a", ("a",)), Service("b", ("b",), after=("a",)))
    >>> choose_services_to_stop(Shutdown(0.0), pair, {"a", "b"}, now=0.0, patience_s=1.0)
    ['b']
    >>> begun = Shutdown(0.0, frozenset({"b"}))
    >>> [choose_services_to_stop(begun, pair, {"a", "b"}, now, 1.0) for now in (0.5, 1.0)]
    [[], ['a']]
    >>> choose_services_to_stop(begun, pair, {"a"}, 0.5, 1.0)
    ['a']
    """
    blocking = {service.name for service in services if service.name not in shutdown.stopped}
    if now < shutdown.stopped_at + patience_s:
        blocking |= set(alive)
    return [
        service.name
        for service in services
        if service.name not in shutdown.stopped and may_stop(service, services, blocking)
    ]


def is_complete(shutdown: Shutdown, services: Sequence[Service], alive: Collection[str]) -> bool:
    """Whether all services were stopped and have ended."""
    return not alive and all(service.name in shutdown.stopped for service in services)
