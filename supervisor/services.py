"""Declares the programs that run, and the order in which they start and stop.

The order follows the data: a producer starts before its consumers, so that no frame waits for a reader, and stops after
them. It is an order, not a condition: every service works from the spool or the store and survives without the others. A
service that does not become ready delays the others only during its first attempt.
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
        Used in ``status``, in log files and in ``restart NAME``.
    command : tuple of str
        Program and arguments.
    after : tuple of str
        Services whose first attempt to become ready comes before.
    reads : frozenset of str
        Tables of ``bgpdrift.toml`` that it reads, beside those that all read. A change in them concerns it.
    required : bool
        Whether the system is degraded while this service is down; otherwise it is only a remark.
    extra_memory_setting : str
        Dotted key of the setting with the number of bytes that its state may take. Twice that is added to the common memory
        limit, since the state is copied when it is saved.
    """

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    reads: frozenset[str] = frozenset()
    required: bool = True
    extra_memory_setting: str = ""


class System(msgspec.Struct, frozen=True):
    """Everything one supervisor runs.

    Attributes
    ----------
    services : tuple of Service
        Each comes after the services it names.
    prepare : tuple of str
        A program that runs to its end before any service starts; empty for none.
    record : tuple of str
        A program that writes new lines of ``logs/events.ndjson`` into the store; empty for none.
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
        """The names, in starting order."""
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
            extra_memory_setting="windows.max_state_bytes",
        ),
        *(
            Service(
                name, _module(name), after=("feature_aggregator",), reads=frozenset({"detectors", "windows", "store"})
            )
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
    """Whether the services before it are ready, or have had their first attempt.

    Parameters
    ----------
    service : Service
        The service that waits.
    settled : collection of str
        Services that were ready once, or failed once, since their last start.

    Examples
    --------
    >>> may_start(Service("b", ("b",), after=("a",)), settled=set())
    False
    >>> may_start(Service("b", ("b",), after=("a",)), settled={"a"})
    True
    """
    return all(name in settled for name in service.after)


def may_stop(service: Service, services: Iterable[Service], still_up: Collection[str]) -> bool:
    """Whether the services that come after it have ended.

    Examples
    --------
    >>> pair = (Service("a", ("a",)), Service("b", ("b",), after=("a",)))
    >>> may_stop(pair[0], pair, still_up={"a", "b"}), may_stop(pair[1], pair, still_up={"a", "b"})
    (False, True)
    """
    return not any(service.name in other.after and other.name in still_up for other in services)
