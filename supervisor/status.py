"""What ``status`` says: one document for machines, a table for people, an exit code for scripts. Pure."""

from collections.abc import Sequence

import msgspec

EXIT_OK, EXIT_NOT_READY, EXIT_USAGE, EXIT_NOT_RUNNING = 0, 1, 2, 3
EXIT_ALREADY_RUNNING = 3


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


class SupervisorStatus(msgspec.Struct, frozen=True):
    """The supervisor itself."""

    pid: int | None
    state: str
    """``starting``, ``ready`` (all services are), ``degraded`` (one is not), ``stopping``, ``stopped``."""
    uptime_s: float


class Status(msgspec.Struct, frozen=True):
    """The document that ``status --json`` prints."""

    supervisor: SupervisorStatus
    services: tuple[ServiceStatus, ...]


def overall_state(states: Sequence[str], was_ready: bool, stopping: bool) -> str:
    """Give the supervisor's state from its services'.

    Examples
    --------
    >>> overall_state(["ready", "starting"], was_ready=False, stopping=False)
    'starting'
    >>> overall_state(["ready", "backoff"], was_ready=False, stopping=False)
    'degraded'
    """
    if stopping:
        return "stopping"
    if all(state == "ready" for state in states):
        return "ready"
    failing = any(state in {"backoff", "crashloop", "aborting"} for state in states)
    return "degraded" if was_ready or failing else "starting"


def not_running(names: Sequence[str]) -> Status:
    """Give the document for a system that is down: the same shape, nothing green."""
    services = tuple(ServiceStatus(name, "stopped", None, 0, 0.0, 0, "") for name in names)
    return Status(SupervisorStatus(None, "stopped", 0.0), services)


def exit_code(status: Status) -> int:
    """0 if all is ready, 3 if nothing runs, else 1."""
    if status.supervisor.pid is None:
        return EXIT_NOT_RUNNING
    return EXIT_OK if status.supervisor.state == "ready" else EXIT_NOT_READY


def as_lines(status: Status) -> list[str]:
    """Draw the table for a person.

    Examples
    --------
    >>> service = ServiceStatus("web", "ready", 12, 0, 75.0, 31_457_280, "serves")
    >>> for line in as_lines(Status(SupervisorStatus(11, "ready", 80.0), (service,))):
    ...     print(line)
    supervisor  ready  pid 11  up 1m20s
    SERVICE  STATE  PID  RESTARTS  UP     MEMORY  MESSAGE
    web      ready  12   0         1m15s  30 MiB  serves
    """
    top = status.supervisor
    head = f"supervisor  {top.state}  pid {top.pid}  up {duration(top.uptime_s)}"
    rows = [("SERVICE", "STATE", "PID", "RESTARTS", "UP", "MEMORY", "MESSAGE")]
    for service in status.services:
        up = duration(service.uptime_s) if service.pid else "-"
        memory = f"{service.rss_bytes / 2**20:.0f} MiB" if service.pid else "-"
        pid = str(service.pid or "-")
        rows.append((service.name, service.state, pid, str(service.restarts), up, memory, service.message))
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    table = [
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[6])) for row in rows
    ]
    return [head, *(line.rstrip() for line in table)]


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
