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
FULL_WIDTH = 110
"""Columns from which on all figures are shown."""
_COLUMN_MARGIN = 3
"""Columns between two cells, with room for the edge."""
_WIDE_ONLY = {"PID", "RESTARTS", "CPU"}
"""Figures that a narrower terminal does not show, so that names and states stay whole."""


def print_table(status: Status, console: Console | None = None) -> None:
    """Print the table."""
    console = console or make_console()
    console.print(build_table(status, console.width))


def watch_table(statuses: Iterator[Status], wait: Callable[[], None], console: Console | None = None) -> None:
    """Draw each status in place of the one before, and call ``wait`` in between; ends with the iterator."""
    console = console or make_console()
    with Live(console=console, auto_refresh=False) as live:
        for status in statuses:
            live.update(build_table(status, console.width), refresh=True)
            wait()


def build_table(status: Status, width: int) -> Group:
    """Build the headline, the remarks and one line for each service; a message that does not fit is cut."""
    state = status.supervisor.state
    head = Text(format_headline(status))
    head.highlight_words([f"  {state}"], _colour(state))
    remarks = [Text(remark, "yellow") for remark in format_remarks(status)]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    shown = [title for title in TITLES if width >= FULL_WIDTH or title not in _WIDE_ONLY]
    rows = [dict(zip(TITLES, format_row(service), strict=True)) for service in status.services]
    widths = {title: max(map(len, (title, *(row[title] for row in rows)))) for title in shown if title != "MESSAGE"}
    message_width = max(width - sum(widths.values()) - _COLUMN_MARGIN * len(shown), len("message"))
    for title in shown:
        table.add_column(title.lower(), justify="right" if title in _RIGHT else "left", no_wrap=True)
    for row in rows:
        cells = {title: Text(row[title]) for title in shown}
        cells["STATE"].stylize(_colour(row["STATE"]))
        cells["MESSAGE"].truncate(message_width, overflow="ellipsis")
        table.add_row(*cells.values())
    return Group(head, *remarks, table)


def _colour(state: str) -> str:
    return _COLOURS.get(state, "bold red")
