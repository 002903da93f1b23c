"""The status table on a terminal, in colour; nothing that is down looks green."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from supervisor.status import Status, duration

_COLOURS = {
    "ready": "green",
    "starting": "yellow",
    "waiting": "yellow",
    "restarting": "yellow",
    "stopping": "yellow",
    "stopped": "dim",
}


def draw(status: Status, console: Console | None = None) -> None:
    """Print it."""
    top = status.supervisor
    head = Text.assemble(
        "supervisor ", (top.state, _colour(top.state)), f"  pid {top.pid}  up {duration(top.uptime_s)}"
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("service", "state", "pid", "restarts", "up", "memory", "message"):
        table.add_column(title, justify="right" if title in {"pid", "restarts", "up", "memory"} else "left")
    for service in status.services:
        runs = service.pid is not None
        table.add_row(
            service.name,
            Text(service.state, _colour(service.state)),
            str(service.pid) if runs else "-",
            str(service.restarts),
            duration(service.uptime_s) if runs else "-",
            f"{service.rss_bytes / 2**20:.0f} MiB" if runs else "-",
            Text(service.message),
        )
    console = console or Console()
    console.print(head)
    console.print(table)


def _colour(state: str) -> str:
    return _COLOURS.get(state, "bold red")
