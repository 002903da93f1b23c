"""The names of the services and of the programs that run beside them."""

import pkgutil

from bgpdrift import services
from bgpdrift.detector_registry import DETECTORS

NO_PROGRAMS = frozenset({"__main__", "names", "reset_time", "runtime"})
"""Modules of this package that are no programs."""
HELPERS = frozenset({"prepare_store", "record_events"})
"""Programs that run to their end; the supervisor does not list them."""


def list_programs() -> tuple[str, ...]:
    """List the modules of this package that are programs."""
    return tuple(sorted({module.name for module in pkgutil.iter_modules(services.__path__)} - NO_PROGRAMS))


def list_service_names() -> tuple[str, ...]:
    """List the services that the supervisor keeps running.

    Examples
    --------
    >>> "lstm_detector" in list_service_names(), "prepare_store" in list_service_names()
    (True, False)
    """
    return (*(name for name in list_programs() if name not in HELPERS), *(record.service for record in DETECTORS))
