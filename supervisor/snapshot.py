"""Puts what is known of services and supervisor into the document that ``status`` prints. Pure."""

import os
from collections.abc import Callable, Iterable

from supervisor.status import ServiceStatus, Status, SupervisorStatus, overall_state, remarks
from supervisor.supervised import Supervised
from supervisor.usage import Usage


def picture(
    units: Iterable[Supervised],
    usage: Callable[[int], Usage],
    trouble: str,
    was_ready: bool,
    stopping: bool,
    uptime_s: float,
) -> Status:
    """Say how everything is now.

    Parameters
    ----------
    units : iterable of Supervised
        In the order of the answer.
    usage : callable
        Memory and processor share of a process by its pid.
    trouble : str
        What is wrong beside the services; empty when nothing is.
    was_ready, stopping : bool
        Whether all were ready once; whether everything was told to end.
    uptime_s : float
        Of the supervisor.
    """
    services = tuple(_of_unit(unit, usage) for unit in units)
    troubles = [trouble] if trouble else []
    state = overall_state(services, was_ready, stopping, troubles)
    said = () if stopping else remarks(services, troubles)
    own = usage(os.getpid())
    top = SupervisorStatus(os.getpid(), state, round(uptime_s, 3), said, own.rss_bytes, own.cpu_percent)
    return Status(top, services)


def _of_unit(unit: Supervised, usage: Callable[[int], Usage]) -> ServiceStatus:
    used = usage(unit.process.pid) if unit.process else None
    return ServiceStatus(
        name=unit.name,
        state=str(unit.state),
        pid=unit.process.pid if unit.process else None,
        restarts=max(0, unit.launches - 1),
        uptime_s=round(unit.uptime_s(), 3),
        rss_bytes=used.rss_bytes if used else 0,
        message=unit.message(),
        cpu_percent=used.cpu_percent if used else 0.0,
        memory_limit_bytes=unit.limits.memory_bytes,
        required=unit.service.required,
        last_failure=unit.cause,
    )
