"""The status table on a terminal, in colour, once or over and over; nothing that is down looks green."""

from collections.abc import Callable, Iterator

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from supervisor.status import TITLES, Status, headline, row

_COLOURS = {
    "ready": "green",
    "starting": "yellow",
    "waiting": "yellow",
    "restarting": "yellow",
    "stopping": "yellow",
    "degraded": "bold yellow",
    "stopped": "dim",
}
_RIGHT = {"PID", "RESTARTS", "UP", "CPU", "MEMORY"}


def draw(status: Status, console: Console | None = None) -> None:
    """Print it."""
    (console or Console()).print(table(status))


def watch(statuses: Iterator[Status], wait: Callable[[], None], console: Console | None = None) -> None:
    """Draw each over the one before, calling ``wait`` in between; ends with the iterator."""
    with Live(console=console or Console(), auto_refresh=False) as live:
        for status in statuses:
            live.update(table(status), refresh=True)
            wait()


def table(status: Status) -> Group:
    """Make the headline, the remarks and the rows."""
    state = status.supervisor.state
    head = Text(headline(status))
    head.highlight_words([f"  {state}"], _colour(state))
    warnings = [Text(f"! {remark}", "yellow") for remark in status.supervisor.remarks]
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in TITLES:
        drawn.add_column(title.lower(), justify="right" if title in _RIGHT else "left")
    for service in status.services:
        name, service_state, *rest, message = row(service)
        drawn.add_row(name, Text(service_state, _colour(service_state)), *rest, Text(message))
    return Group(head, *warnings, drawn)


def _colour(state: str) -> str:
    return _COLOURS.get(state, "bold red")
