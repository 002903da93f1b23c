"""The status document: its types, its table for people, the exit code of ``status`` for scripts. Pure."""

from collections.abc import Sequence

import msgspec

from bgpdrift.attention import EXIT_NOT_RUNNING, EXIT_OK, EXIT_UNRELIABLE, EXIT_USAGE, Attention
from bgpdrift.formatting import escape_control, format_duration

__all__ = ["EXIT_ALREADY_RUNNING", "EXIT_NOT_READY", "EXIT_NOT_RUNNING", "EXIT_OK", "EXIT_USAGE"]

EXIT_NOT_READY = EXIT_UNRELIABLE
EXIT_ALREADY_RUNNING = EXIT_NOT_RUNNING
TITLES = ("SERVICE", "STATE", "PID", "RESTARTS", "UP", "CPU", "MEMORY", "MESSAGE")

_FAILING = frozenset({"backoff", "crashloop", "aborting", "recycling", "degraded"})


class ServiceStatus(msgspec.Struct, frozen=True):
    """One service."""

    name: str
    state: str
    pid: int | None
    restarts: int
    """New processes since the supervisor started, without the first."""
    uptime_s: float
    """Of the present process."""
    rss_bytes: int
    message: str
    cpu_percent: float = 0.0
    """Of one processor, between the supervisor's last two measurements."""
    memory_limit_bytes: int = 0
    """0 without a limit."""
    required: bool = True
    last_failure: str = ""
    """Why the last process that ended without a request did so; "" if none has."""
    instability: str = ""
    """Why a service that is up may fail again soon; "" if nothing indicates it."""


class SupervisorStatus(msgspec.Struct, frozen=True):
    """The supervisor itself."""

    pid: int | None
    state: str
    """``starting``, ``ready`` (every wanted and required service works), ``degraded``, ``stopping`` or ``stopped``."""
    uptime_s: float
    remarks: tuple[str, ...] = ()
    """What is wrong or unusual, the worst first."""
    rss_bytes: int = 0
    cpu_percent: float = 0.0
    failed_steps: int = 0
    """Steps of the supervisor that failed since it started, such as a process that could not be created."""


class Status(msgspec.Struct, frozen=True):
    """The document that ``status --json`` prints."""

    supervisor: SupervisorStatus
    services: tuple[ServiceStatus, ...]


def assess_overall_state(
    services: Sequence[ServiceStatus], was_ready: bool, is_stopping: bool, problems: Sequence[str]
) -> str:
    """Return the state of the supervisor.

    Parameters
    ----------
    services : sequence of ServiceStatus
        A ``stopped`` service was stopped on purpose and does not count.
    was_ready : bool
        Whether all services were ready once since the supervisor started.
    is_stopping : bool
        Whether all services are being stopped.
    problems : sequence of str
        Problems beside the services, for example of the disk.

    Examples
    --------
    >>> def state(*states: str, required: bool = True, **other) -> str:
    ...     services = [ServiceStatus("s", state, 1, 0, 1.0, 0, "", required=required) for state in states]
    ...     return assess_overall_state(
    ...         services, **({"was_ready": False, "is_stopping": False, "problems": ()} | other)
    ...     )
    >>> state("ready", "starting"), state("ready", "starting", was_ready=True), state("ready", "backoff")
    ('starting', 'degraded', 'degraded')
    >>> state("ready", "stopped"), state("crashloop", required=False), state("ready", problems=["disk"])
    ('ready', 'ready', 'degraded')
    """
    if is_stopping:
        return "stopping"
    states = {service.state for service in services if service.required} - {"ready", "stopped"}
    is_unstable = any(service.instability for service in services if service.required)
    if not states and not problems and not is_unstable:
        return "ready"
    return "degraded" if was_ready or problems or is_unstable or states & _FAILING else "starting"


def list_remarks(services: Sequence[ServiceStatus], problems: Sequence[str] = ()) -> tuple[str, ...]:
    """Return one line for each problem: first required services, last the services that were stopped on purpose.

    Examples
    --------
    >>> list_remarks([ServiceStatus("web", "stopped", None, 0, 0.0, 0, ""),
    ...          ServiceStatus("lstm_detector", "crashloop", None, 6, 0.0, 0, "crashloop (6 in 12 s): exit 1")], ["disk low"])
    ('disk low', 'lstm_detector: crashloop (6 in 12 s): exit 1', 'web: stopped on purpose')
    """
    worst_first = sorted(services, key=lambda service: (not service.required, service.state != "crashloop"))
    failing = [
        f"{service.name}: {_format_state(service)}" + ("" if service.required else " (not required)")
        for service in worst_first
        if service.state in _FAILING or service.instability
    ]
    stopped = [f"{service.name}: stopped on purpose" for service in services if service.state == "stopped"]
    return (*problems, *failing, *stopped)


def _format_state(service: ServiceStatus) -> str:
    if service.instability:
        return service.instability
    if service.message.startswith(service.state):
        return service.message
    return f"{service.state}: {service.message}" if service.message else service.state


def build_stopped_status(names: Sequence[str]) -> Status:
    """Build the document of a system without a supervisor: every service is stopped."""
    services = tuple(ServiceStatus(name, "stopped", None, 0, 0.0, 0, "") for name in names)
    return Status(SupervisorStatus(None, "stopped", 0.0), services)


def choose_exit_code(status: Status) -> int:
    """Return 0 if the supervisor is ready, 3 if none runs, else 1."""
    if status.supervisor.pid is None:
        return EXIT_NOT_RUNNING
    return EXIT_OK if status.supervisor.state == "ready" else EXIT_NOT_READY


def attend_to_services(status: Status) -> Attention:
    """Decide from the services alone; the whole decision, with data, incidents and models, is `bgpdrift.status.decision`."""
    return Attention("", choose_exit_code(status))


def format_headline(status: Status) -> str:
    """Format the supervisor and the number of ready services in one line.

    Examples
    --------
    >>> format_headline(Status(SupervisorStatus(11, "ready", 80.0, (), 31_457_280, 0.1), ()))
    'supervisor  ready  0 of 0 services ready  pid 11  up 1 min  30 MiB'
    """
    top = status.supervisor
    if top.pid is None:
        return f"supervisor  {top.state}"
    ready = sum(service.state == "ready" for service in status.services)
    memory = f"  {top.rss_bytes / 2**20:.0f} MiB" if top.rss_bytes else ""
    return (
        f"supervisor  {top.state}  {ready} of {len(status.services)} services ready  "
        f"pid {top.pid}  up {format_duration(top.uptime_s)}{memory}"
    )


def format_remarks(status: Status) -> list[str]:
    """Format what is wrong, a line each."""
    return [f"! {escape_control(remark)}" for remark in status.supervisor.remarks]


def format_row(service: ServiceStatus) -> tuple[str, ...]:
    """Format the cells of one service, in the order of `TITLES`.

    Examples
    --------
    >>> format_row(ServiceStatus("web", "ready", 12, 0, 75.0, 31_457_280, "serves", 1.5))
    ('web', 'ready', '12', '0', '1 min', '1.5%', '30 MiB', 'serves')
    """
    message = escape_control(service.message)
    if service.state in {"ready", "starting"} and service.last_failure:
        message = f"{message}; last failure: {escape_control(service.last_failure)}".removeprefix("; ")
    if service.pid is None:
        return (service.name, service.state, "-", str(service.restarts), "-", "-", "-", message)
    return (
        service.name,
        service.state,
        str(service.pid),
        str(service.restarts),
        format_duration(service.uptime_s),
        f"{service.cpu_percent:.1f}%",
        f"{service.rss_bytes / 2**20:.0f} MiB",
        message,
    )


def format_actions(attention: Attention) -> list[str]:
    """Format what needs a person, with the commands to type.

    Examples
    --------
    >>> from bgpdrift.attention import Action, Command
    >>> start = Command("python run_all_services.py start", "starts all services")
    >>> for line in format_actions(Attention("1 thing needs you", 3, (Action("supervisor", "", 3, "No.", (start,)),))):
    ...     print(line)
    1 thing needs you.
     1. No.
          python run_all_services.py start   starts all services
    """
    lines = [f"{attention.headline}."] if attention.headline else []
    for number, action in enumerate(attention.actions, 1):
        lines.append(f" {number}. {escape_control(action.message)}")
        width = max((len(command.command) for command in action.commands), default=0)
        lines += [f"      {command.command:<{width}}   {command.effect}" for command in action.commands]
    return lines


def format_table(status: Status, attention: Attention | None = None) -> list[str]:
    """Format what needs a person, or else the remarks, then the supervisor and a row for each service.

    Examples
    --------
    >>> service = ServiceStatus("web", "ready", 12, 0, 75.0, 31_457_280, "serves")
    >>> for line in format_table(Status(SupervisorStatus(11, "degraded", 80.0, ("disk: 5 MB free",)), (service,))):
    ...     print(line)
    supervisor  degraded  1 of 1 services ready  pid 11  up 1 min
    ! disk: 5 MB free
    SERVICE  STATE  PID  RESTARTS  UP     CPU   MEMORY  MESSAGE
    web      ready  12   0         1 min  0.0%  30 MiB  serves
    """
    rows = [TITLES, *(format_row(service) for service in status.services)]
    last = len(TITLES) - 1
    widths = [max(len(cells[column]) for cells in rows) for column in range(last)]
    table = [
        "  ".join((*(cell.ljust(width) for cell, width in zip(cells, widths, strict=False)), cells[last]))
        for cells in rows
    ]
    top = format_actions(attention) if attention else []
    remarks = [] if attention and attention.actions else format_remarks(status)
    return [*top, format_headline(status), *remarks, *(line.rstrip() for line in table)]
