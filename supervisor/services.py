"""Which programs run, and in which order. Decides no more than that: when one may start is asked here, acted on elsewhere.

The order follows the data: who produces starts before who consumes, so that no frame waits for a reader, and stops after
it. It is an order, not a condition: every service works from the spool or the store and survives without its neighbours,
so one that fails to become ready holds nobody back for longer than its first attempt.
"""

import sys
from collections.abc import Collection, Iterable

import msgspec

from bgpdrift import detector_registry


class Service(msgspec.Struct, frozen=True):
    """One program to keep running.

    Attributes
    ----------
    name : str
        As in ``status``, in log files and in ``restart NAME``.
    command : tuple of str
        Program and arguments.
    after : tuple of str
        Services that are given the chance to become ready first.
    reads : frozenset of str
        Tables of ``bgpdrift.toml`` it reads beside those that all read: a change there concerns it.
    required : bool
        Whether the whole is degraded while this one is down; else it is only remarked.
    memory_on_top : str
        Dotted key of a setting that lets it hold so many bytes of its own accord; twice that is added to the common
        limit, since a copy is made when they are saved.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    reads: frozenset[str] = frozenset()
    required: bool = True
    memory_on_top: str = ""


class System(msgspec.Struct, frozen=True):
    """Everything one supervisor runs.

    Attributes
    ----------
    services : tuple of Service
        In an order in which each comes after those it names.
    prepare : tuple of str
        Program and arguments run to its end before any service starts; empty means nothing.
    record : tuple of str
        Program and arguments run to its end when ``logs/events.ndjson`` has news for the store; empty means nothing.
    """

    services: tuple[Service, ...]
    prepare: tuple[str, ...] = ()
    record: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        seen: set[str] = set()
        for service in self.services:
            missing = [name for name in service.after if name not in seen]
            if missing or service.name in seen:
                raise ValueError(f"service {service.name}: listed twice, or before {', '.join(missing) or 'itself'}")
            seen.add(service.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names, in starting order."""
        return tuple(service.name for service in self.services)


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "bgpdrift.services", name)


DETECTOR_SERVICES = tuple(record.service for record in detector_registry.DETECTORS)

BGPDRIFT = System(
    services=(
        Service("ris_live_collector", _module("ris_live_collector"), reads=frozenset({"feed", "spool", "store"})),
        Service(
            "feature_aggregator",
            _module("feature_aggregator"),
            after=("ris_live_collector",),
            reads=frozenset({"spool", "windows", "store"}),
            memory_on_top="windows.max_state_bytes",
        ),
        *(
            Service(name, _module(name), after=("feature_aggregator",), reads=frozenset({"detectors", "store"}))
            for name in DETECTOR_SERVICES
        ),
        Service(
            "ensemble_coordinator",
            _module("ensemble_coordinator"),
            after=DETECTOR_SERVICES,
            reads=frozenset({"detectors", "ensemble", "store"}),
        ),
        Service(
            "correlation_engine",
            _module("correlation_engine"),
            after=("ensemble_coordinator",),
            reads=frozenset({"detectors", "correlation", "store"}),
        ),
        Service(
            "drift_monitor",
            _module("drift_monitor"),
            after=DETECTOR_SERVICES,
            reads=frozenset({"detectors", "drift", "retrain", "models", "store"}),
        ),
    ),
    prepare=_module("prepare_store"),
    record=_module("record_events"),
)
"""The services of bgpdrift, one for each registered detector; the store's schema is brought up to date before them."""


def may_start(service: Service, settled: Collection[str]) -> bool:
    """Whether those before it are ready, or had their chance.

    Parameters
    ----------
    service : Service
        The one that waits.
    settled : collection of str
        Services that were ready once since the last start, or failed once.

    Examples
    --------
    >>> may_start(Service("b", ("b",), after=("a",)), settled=set())
    False
    >>> may_start(Service("b", ("b",), after=("a",)), settled={"a"})
    True
    """
    return all(name in settled for name in service.after)


def may_stop(service: Service, services: Iterable[Service], still_up: Collection[str]) -> bool:
    """Whether everything that comes after it has gone.

    Examples
    --------
    >>> pair = (Service("a", ("a",)), Service("b", ("b",), after=("a",)))
    >>> may_stop(pair[0], pair, still_up={"a", "b"}), may_stop(pair[1], pair, still_up={"a", "b"})
    (False, True)
    """
    return not any(service.name in other.after and other.name in still_up for other in services)
