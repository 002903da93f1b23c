"""The status table on a terminal, in colour, once or repeatedly. Only a ready service is green."""

from collections.abc import Callable, Iterator

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bgpdrift.attention import EXIT_ACTION, EXIT_OK, Attention
from bgpdrift.formatting import escape_control
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


def print_table(status: Status, attention: Attention, console: Console | None = None) -> None:
    """Print the table."""
    console = console or make_console()
    console.print(Group(*_build_attention(attention), build_table(status, attention, console.width)))


def watch_table(
    statuses: Iterator[tuple[Status, Attention]], wait: Callable[[], None], console: Console | None = None
) -> None:
    """Draw each status in place of the one before, and call ``wait`` in between; ends with the iterator."""
    console = console or make_console()
    with Live(console=console, auto_refresh=False) as live:
        for status, attention in statuses:
            live.update(fit_screen(status, attention, console), refresh=True)
            wait()


def fit_screen(status: Status, attention: Attention, console: Console) -> Group:
    """Build what fits the screen: the table, and what needs a person in the lines that it leaves free, one line each."""
    table = build_table(status, attention, console.width)
    # The last line of the screen is for the cursor.
    free = console.height - 1 - len(console.render_lines(table, pad=False))
    return Group(*_build_short_attention(attention, console.width, free), table)


def _build_attention(attention: Attention) -> Iterator[RenderableType]:
    if attention.headline:
        yield _build_headline(attention)
    for number, action in enumerate(attention.actions, 1):
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(f" {number}.", Text(escape_control(action.message), _choose_style(action.exit_code)))
        for command in action.commands:
            grid.add_row("", Text.assemble("  ", (command.command, "bold cyan"), "   ", (command.effect, "dim")))
        yield grid


def _build_short_attention(attention: Attention, width: int, free_lines: int) -> Iterator[RenderableType]:
    if attention.headline:
        yield _build_headline(attention)
    shown = attention.actions
    if len(shown) > free_lines - 1:
        shown = shown[: max(0, free_lines - 2)]
    for number, action in enumerate(shown, 1):
        line = Text(f" {number}. {escape_control(action.message)}", _choose_style(action.exit_code))
        line.truncate(width, overflow="ellipsis")
        yield line
    if len(shown) < len(attention.actions):
        yield Text(f" {len(attention.actions) - len(shown)} more: check_drift_status lists them", "dim")


def _build_headline(attention: Attention) -> Text:
    return Text(f"{attention.headline}.", "bold green" if attention.exit_code == EXIT_OK else "bold red")


def _choose_style(exit_code: int) -> str:
    return "" if exit_code == EXIT_ACTION else "bold red"


def build_table(status: Status, attention: Attention, width: int) -> Group:
    """Build the supervisor and one line for each service; a message that does not fit is cut.

    The remarks of the supervisor are left out if they are among the actions.
    """
    state = status.supervisor.state
    head = Text(format_headline(status))
    head.highlight_words([f"  {state}"], _colour(state))
    remarks = [] if attention.actions else [Text(remark, "yellow") for remark in format_remarks(status)]
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
