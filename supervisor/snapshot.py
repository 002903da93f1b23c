"""Takes a snapshot: builds the document that ``status`` shows from the services and the supervisor. Pure."""

import os
from collections.abc import Callable, Iterable, Sequence

from supervisor.status import ServiceStatus, Status, SupervisorStatus, assess_overall_state, list_remarks
from supervisor.supervised import SupervisedService
from supervisor.usage import Usage


def take_snapshot(
    units: Iterable[SupervisedService],
    find_usage: Callable[[int], Usage],
    problems: Sequence[str],
    was_ready: bool,
    is_stopping: bool,
    uptime_s: float,
    failed_steps: int = 0,
) -> Status:
    """Build the status document.

    Parameters
    ----------
    units : iterable of SupervisedService
        In the order of the document.
    find_usage : callable
        Returns memory and processor share of a process by its pid.
    problems : sequence of str
        What is wrong beside the services, for example with the disk.
    was_ready, is_stopping : bool
        Whether all services were ready once; whether all are being stopped.
    uptime_s : float
        Uptime of the supervisor.
    failed_steps : int
        Number of its steps that failed since it started.
    """
    services = tuple(_describe(unit, find_usage) for unit in units)
    state = assess_overall_state(services, was_ready, is_stopping, problems)
    remarks = () if is_stopping else list_remarks(services, problems)
    own = find_usage(os.getpid())
    top = SupervisorStatus(
        os.getpid(), state, round(uptime_s, 3), remarks, own.rss_bytes, own.cpu_percent, failed_steps
    )
    return Status(top, services)


def _describe(unit: SupervisedService, find_usage: Callable[[int], Usage]) -> ServiceStatus:
    usage = find_usage(unit.process.pid) if unit.process else None
    return ServiceStatus(
        name=unit.name,
        state=str(unit.state),
        pid=unit.process.pid if unit.process else None,
        restarts=max(0, unit.launches - 1),
        uptime_s=round(unit.uptime_s(), 3),
        rss_bytes=usage.rss_bytes if usage else 0,
        message=unit.message(),
        cpu_percent=usage.cpu_percent if usage else 0.0,
        memory_limit_bytes=unit.limits.memory_bytes,
        required=unit.service.required,
        last_failure=unit.last_failure,
        instability=unit.instability(),
    )
