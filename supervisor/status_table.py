"""The status table on a terminal, in colour, once or repeatedly. Only a ready service is green."""

from collections.abc import Callable, Iterator

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bgpdrift.terminal import make_console
from supervisor.status import TITLES, Status, format_headline, format_remarks, format_row

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


def print_table(status: Status, console: Console | None = None) -> None:
    """Print the table."""
    (console or make_console()).print(build_table(status))


def watch_table(statuses: Iterator[Status], wait: Callable[[], None], console: Console | None = None) -> None:
    """Draw each status in place of the one before, and call ``wait`` in between; ends with the iterator."""
    with Live(console=console or make_console(), auto_refresh=False) as live:
        for status in statuses:
            live.update(build_table(status), refresh=True)
            wait()


def build_table(status: Status) -> Group:
    """Build the headline, the remarks and the rows."""
    state = status.supervisor.state
    head = Text(format_headline(status))
    head.highlight_words([f"  {state}"], _colour(state))
    remarks = [Text(remark, "yellow") for remark in format_remarks(status)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in TITLES:
        table.add_column(title.lower(), justify="right" if title in _RIGHT else "left")
    for service in status.services:
        name, service_state, *rest, message = format_row(service)
        cells = (Text(name), Text(service_state, _colour(service_state)), *map(Text, rest), Text(message))
        table.add_row(*cells)
    return Group(head, *remarks, table)


def _colour(state: str) -> str:
    return _COLOURS.get(state, "bold red")
