"""What ``status`` says: one document for machines, a table for people, an exit code for scripts. Pure."""

from collections.abc import Sequence

import msgspec

EXIT_OK, EXIT_NOT_READY, EXIT_USAGE, EXIT_NOT_RUNNING = 0, 1, 2, 3
EXIT_ALREADY_RUNNING = 3

_FAILING = frozenset({"backoff", "crashloop", "aborting", "recycling", "degraded"})


class ServiceStatus(msgspec.Struct, frozen=True):
    """One service now."""

    name: str
    state: str
    pid: int | None
    restarts: int
    """New processes since the supervisor started, beyond the first."""
    uptime_s: float
    """Of the present process."""
    rss_bytes: int
    message: str
    cpu_percent: float = 0.0
    """Of one processor, between the supervisor's last two looks."""
    memory_limit_bytes: int = 0
    """0 without one."""
    required: bool = True
    last_failure: str = ""
    """Why the last process that ended unasked did; empty if none has."""


class SupervisorStatus(msgspec.Struct, frozen=True):
    """The supervisor itself."""

    pid: int | None
    state: str
    """``starting``, ``ready`` (all that is wanted and required works), ``degraded``, ``stopping``, ``stopped``."""
    uptime_s: float
    remarks: tuple[str, ...] = ()
    """What a person should know, the worst first; empty when all is well."""
    rss_bytes: int = 0
    cpu_percent: float = 0.0


class Status(msgspec.Struct, frozen=True):
    """The document that ``status --json`` prints."""

    supervisor: SupervisorStatus
    services: tuple[ServiceStatus, ...]


def overall_state(services: Sequence[ServiceStatus], was_ready: bool, stopping: bool, troubles: Sequence[str]) -> str:
    """Give the supervisor's state from its services'.

    Parameters
    ----------
    services : sequence of ServiceStatus
        One that is ``stopped`` was stopped on purpose: it is remarked and degrades nothing.
    was_ready : bool
        Whether all were, since the supervisor started.
    stopping : bool
        Whether everything was told to end.
    troubles : sequence of str
        What is wrong beside the services, e.g. with the disk.

    Examples
    --------
    >>> def state(*states: str, required: bool = True, **other) -> str:
    ...     services = [ServiceStatus("s", state, 1, 0, 1.0, 0, "", required=required) for state in states]
    ...     return overall_state(services, **({"was_ready": False, "stopping": False, "troubles": ()} | other))
    >>> state("ready", "starting"), state("ready", "starting", was_ready=True), state("ready", "backoff")
    ('starting', 'degraded', 'degraded')
    >>> state("ready", "stopped"), state("crashloop", required=False), state("ready", troubles=["disk"])
    ('ready', 'ready', 'degraded')
    """
    if stopping:
        return "stopping"
    states = {service.state for service in services if service.required} - {"ready", "stopped"}
    if not states and not troubles:
        return "ready"
    return "degraded" if was_ready or troubles or states & _FAILING else "starting"


def remarks(services: Sequence[ServiceStatus], troubles: Sequence[str] = ()) -> tuple[str, ...]:
    """Say in one line each what is not as it should be: required services first, what was stopped on purpose last.

    Examples
    --------
    >>> remarks([ServiceStatus("web", "stopped", None, 0, 0.0, 0, ""),
    ...          ServiceStatus("lstm_detector", "crashloop", None, 6, 0.0, 0, "crashloop (6 in 12 s): exit 1")], ["disk low"])
    ('disk low', 'lstm_detector: crashloop (6 in 12 s): exit 1', 'web: stopped on purpose')
    """
    worst_first = sorted(services, key=lambda service: (not service.required, service.state != "crashloop"))
    failing = [
        f"{service.name}: {service.message if service.message.startswith(service.state) else _said(service)}"
        + ("" if service.required else " (not required)")
        for service in worst_first
        if service.state in _FAILING
    ]
    stopped = [f"{service.name}: stopped on purpose" for service in services if service.state == "stopped"]
    return (*troubles, *failing, *stopped)


def _said(service: ServiceStatus) -> str:
    return f"{service.state}: {service.message}" if service.message else service.state


def not_running(names: Sequence[str]) -> Status:
    """Give the document for a system that is down: the same shape, nothing green."""
    services = tuple(ServiceStatus(name, "stopped", None, 0, 0.0, 0, "") for name in names)
    return Status(SupervisorStatus(None, "stopped", 0.0), services)


def exit_code(status: Status) -> int:
    """0 if all is ready, 3 if nothing runs, else 1."""
    if status.supervisor.pid is None:
        return EXIT_NOT_RUNNING
    return EXIT_OK if status.supervisor.state == "ready" else EXIT_NOT_READY


TITLES = ("SERVICE", "STATE", "PID", "RESTARTS", "UP", "CPU", "MEMORY", "MESSAGE")


def headline(status: Status) -> str:
    """Say in one line how the whole is.

    Examples
    --------
    >>> headline(Status(SupervisorStatus(11, "ready", 80.0, (), 31_457_280, 0.1), ()))
    'supervisor  ready  0 of 0 services ready  pid 11  up 1m20s  30 MiB'
    """
    top = status.supervisor
    if top.pid is None:
        return f"supervisor  {top.state}"
    ready = sum(service.state == "ready" for service in status.services)
    memory = f"  {top.rss_bytes / 2**20:.0f} MiB" if top.rss_bytes else ""
    return (
        f"supervisor  {top.state}  {ready} of {len(status.services)} services ready  "
        f"pid {top.pid}  up {duration(top.uptime_s)}{memory}"
    )


def row(service: ServiceStatus) -> tuple[str, ...]:
    """Write the cells of one service, in the order of `TITLES`.

    Examples
    --------
    >>> row(ServiceStatus("web", "ready", 12, 0, 75.0, 31_457_280, "serves", 1.5))
    ('web', 'ready', '12', '0', '1m15s', '1.5%', '30 MiB', 'serves')
    """
    message = service.message
    if service.state in {"ready", "starting"} and service.last_failure:
        message = f"{message}; last failure: {service.last_failure}".removeprefix("; ")
    if service.pid is None:
        return (service.name, service.state, "-", str(service.restarts), "-", "-", "-", message)
    return (
        service.name,
        service.state,
        str(service.pid),
        str(service.restarts),
        duration(service.uptime_s),
        f"{service.cpu_percent:.1f}%",
        f"{service.rss_bytes / 2**20:.0f} MiB",
        message,
    )


def as_lines(status: Status) -> list[str]:
    """Draw the table for a person.

    Examples
    --------
    >>> service = ServiceStatus("web", "ready", 12, 0, 75.0, 31_457_280, "serves")
    >>> for line in as_lines(Status(SupervisorStatus(11, "degraded", 80.0, ("disk: 5 MB free",)), (service,))):
    ...     print(line)
    supervisor  degraded  1 of 1 services ready  pid 11  up 1m20s
    ! disk: 5 MB free
    SERVICE  STATE  PID  RESTARTS  UP     CPU   MEMORY  MESSAGE
    web      ready  12   0         1m15s  0.0%  30 MiB  serves
    """
    rows = [TITLES, *(row(service) for service in status.services)]
    last = len(TITLES) - 1
    widths = [max(len(cells[column]) for cells in rows) for column in range(last)]
    table = [
        "  ".join((*(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)), cells[last]))
        for cells in rows
    ]
    warnings = [f"! {remark}" for remark in status.supervisor.remarks]
    return [headline(status), *warnings, *(line.rstrip() for line in table)]


def duration(seconds: float) -> str:
    """Write a duration with its two largest units.

    Examples
    --------
    >>> duration(4.2), duration(75), duration(90_061)
    ('4s', '1m15s', '1d1h')
    """
    whole = int(seconds)
    parts = [(whole // 86_400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    first = next((index for index, (amount, _) in enumerate(parts) if amount), 3)
    return "".join(f"{amount}{unit}" for amount, unit in parts[first : first + 2] if amount or unit == "s")
