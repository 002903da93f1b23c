"""Draws the status document for a terminal: what needs a person first, then everything else.

This module decides words, order and widths. The table fits 80 columns, and colour only repeats what a word states. Text
from outside is escaped.
"""

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bgpdrift.attention import EXIT_ACTION, EXIT_OK
from bgpdrift.formatting import escape_control, format_duration, format_time_near
from bgpdrift.models.waiting import describe_warming
from bgpdrift.status.messages import describe_model, format_verdict
from bgpdrift.status.snapshot import Model, ModelEvent, Monitor, Status
from bgpdrift.status.sparkline import ASCII_BLOCKS, BLOCKS, draw_bar, draw_sparkline

ALARM_RATE = "alarm_rate"
SERIES = (("psi", "PSI", 0.2), ("ks", "KS", 0.1), (ALARM_RATE, "alarms, 24 h", 0.05))
"""Series in the overview: name, title, and the value of the highest block if no value exceeds it."""
MAX_EVENTS = 6
SEVERITY_STYLES = {
    "none": "green",
    "low": "cyan",
    "medium": "yellow",
    "high": "bold red",
    "critical": "bold red reverse",
}
VERDICT_STYLES = {"none": "green", "drift": "bold red", "held": "yellow", "incident": "yellow", "immaterial": "cyan"}
STATE_STYLES = {"accepted": "green", "probation": "yellow", "none": "bold red", "damaged": "bold red"}


def draw(status: Status, console: Console, only: str = "") -> None:
    """Print the status; ``only`` names a single model, which is shown with all its measures."""
    console.print(Group(*build_parts(status, console.width, not console.encoding.startswith("utf"), only)))


def build_parts(status: Status, width: int, ascii_only: bool = False, only: str = "") -> Iterator[RenderableType]:
    """Build the parts of the output, in order.

    Parameters
    ----------
    status : Status
        Limited to one model if ``only`` names one.
    width : int
        Columns.
    ascii_only : bool
        Draw series without block characters.
    only : str
        The model asked for; empty for all.
    """
    blocks = ASCII_BLOCKS if ascii_only else BLOCKS
    yield _build_head(status)
    yield from _build_actions(status)
    yield _title("Drift monitor")
    yield Padding(_build_monitor(status.monitor, status.at), (0, 0, 0, 2), expand=False)
    yield _title("Models")
    yield Padding(_build_models(status.models), (0, 0, 0, 2), expand=False)
    if any(value is not None for model in status.models for series in model.series for value in series.values):
        yield _title("Last seven days, newest on the right")
        yield Padding(_build_series(status.models, width, blocks), (0, 0, 0, 2), expand=False)
    yield _title("Newest check")
    yield Padding(_build_descriptions(status), (0, 0, 0, 2), expand=False)
    if only:
        yield from _build_measures(status.models[0])
    yield _title("Retraining")
    yield Padding(Group(*_build_history(status, ascii_only)), (0, 0, 0, 2), expand=False)
    if status.reports:
        yield _title("Newest drift report of each model")
        yield Padding(Group(*_build_reports(status)), (0, 0, 0, 2), expand=False)


def _title(text: str) -> Text:
    return Text.assemble("\n", (text, "bold"))


def _build_head(status: Status) -> Text:
    style = "bold green" if status.exit_code == EXIT_OK else "bold red"
    time = format_time_near(status.at, status.at + 400 * 86_400)
    return Text.assemble((f"{status.headline}.", style), ("  bgpdrift, ", "dim"), (f"{time} UTC", "dim"))


def _build_actions(status: Status) -> Iterator[RenderableType]:
    for number, action in enumerate(status.actions, 1):
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(
            Text(f" {number}.", "bold red"),
            Text(escape_control(action.message), "" if action.exit_code == EXIT_ACTION else "bold red"),
        )
        yield Text("")
        yield grid
        commands = Table.grid(padding=(0, 3))
        commands.add_column(no_wrap=True)
        commands.add_column(overflow="fold")
        for command in action.commands:
            commands.add_row(Text(command.command, "bold cyan"), Text(command.effect, "dim"))
        yield Padding(commands, (0, 0, 0, 6), expand=False)


def _build_monitor(monitor: Monitor, now: float) -> Text:
    words = {
        "ready": "runs",
        "not_running": "does not run",
        "elsewhere": "does not run under this supervisor, but another program makes the checks",
        "no_answer": "unknown: the supervisor does not answer",
        "off": "switched off (drift.enabled)",
    }
    style = {"ready": "green", "elsewhere": "green", "off": "yellow"}.get(monitor.state, "bold red")
    process = f", pid {monitor.pid}, up {format_duration(monitor.uptime_s or 0)}" if monitor.pid else ""
    line = Text.assemble((words.get(monitor.state, monitor.state), style), process)
    if monitor.last_check_at is not None:
        checked = f"; last check {format_time_near(monitor.last_check_at, now)}"
        if monitor.next_check_at is not None:
            checked += f", next {format_time_near(monitor.next_check_at, now)}"
        line.append(checked)
    elif monitor.store == "ok":
        line.append("; no check yet")
    if monitor.data_until is not None:
        line.append(
            f"\ndata until {format_time_near(monitor.data_until, now)}, {format_duration(monitor.data_age_s or 0)} old"
        )
        line.append("; checks use the time of the data", "dim")
    return line


def _build_models(models: Sequence[Model]) -> Table:
    table = _plain_table()
    for title in ("model", "version", "active for", "state", "verdict", "severity"):
        table.add_column(Text(title, "dim"), justify="right" if title == "active for" else "left", no_wrap=True)
    for model in models:
        table.add_row(
            model.model,
            model.version or "–",
            format_duration(model.age_s) if model.age_s is not None else "–",
            Text(model.state if model.state != "none" else "no model", STATE_STYLES.get(model.state, "")),
            Text(format_verdict(model), VERDICT_STYLES.get(model.verdict, "dim")),
            Text("–" if model.severity == "none" else model.severity, SEVERITY_STYLES.get(model.severity, "")),
        )
    return table


def _build_series(models: Sequence[Model], width: int, blocks: str) -> Table:
    table = _plain_table()
    table.add_column(no_wrap=True)
    longest = max(len(model.model) for model in models)
    each = max(8, (width - 2 - longest - 2) // len(SERIES) - 10)
    for _, title, _ in SERIES:
        table.add_column(Text(title, "dim"), no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
    for model in models:
        cells: list[RenderableType] = [model.model]
        for name, _, top in SERIES:
            series = next((one for one in model.series if one.name == name), None)
            values = series.values if series else ()
            full = (series.threshold if series else None) or top
            last = _read_newest(name, values)
            over = series is not None and series.threshold is not None and last is not None and last > series.threshold
            cells.append(
                Text(draw_sparkline(values, each, full, blocks, name == ALARM_RATE), "red" if over else "cyan")
            )
            cells.append(Text("–" if last is None else _format_value(name, last), "bold red" if over else ""))
        table.add_row(*cells)
    return table


def _read_newest(name: str, values: Sequence[float | None]) -> float | None:
    """Return the newest value; of the alarm rate, the mean of the last day, because one hour is mostly noise."""
    present = [value for value in (values[-24:] if name == ALARM_RATE else values) if value is not None]
    if not present:
        return None
    return sum(present) / len(present) if name == ALARM_RATE else present[-1]


def _format_value(name: str, value: float) -> str:
    return f"{value:.1%}" if name == ALARM_RATE else f"{value:.2f}"


def _build_descriptions(status: Status) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    monitor = status.monitor
    warming = describe_warming(monitor.warming_until, monitor.collectors, monitor.data_until or 0)
    for model in status.models:
        text = " ".join(describe_model(model, status.at, monitor.data_until, warming))
        grid.add_row(Text(model.model, VERDICT_STYLES.get(model.verdict, "")), Text(escape_control(text)))
    return grid


def _build_measures(model: Model) -> Iterator[RenderableType]:
    windows = list(dict.fromkeys(row.window for row in model.measures if row.window))
    names = list(dict.fromkeys(row.name for row in model.measures if row.window))
    by_key = {(row.window, row.name): row for row in model.measures}
    if windows:
        yield _title("Measures of the newest check: value, and p-value if it is tested")
        table = _plain_table()
        table.add_column(no_wrap=True)
        for window in windows:
            table.add_column(Text(window, "dim"), justify="right", no_wrap=True)
        for name in names:
            cells = []
            for window in windows:
                row = by_key.get((window, name))
                p = f" {row.p_value:.0e}" if row and row.p_value is not None else ""
                value = "–" if row is None or row.value is None else f"{row.value:.3g}{p}"
                cells.append(
                    Text(value, SEVERITY_STYLES.get(row.severity, "") if row and row.severity != "none" else "")
                )
            table.add_row(name, *cells)
        yield Padding(table, (0, 0, 0, 2), expand=False)
    signals = [row for row in model.measures if not row.window]
    if signals:
        yield _title("Signals")
        shown = [row for row in signals if row.severity != "none" or ":" not in row.name]
        table = _plain_table()
        for title in ("signal", "value", "threshold", "p", "severity"):
            table.add_column(
                Text(title, "dim"), no_wrap=True, justify="left" if title in ("signal", "severity") else "right"
            )
        for row in shown:
            table.add_row(
                row.name,
                "–" if row.value is None else f"{row.value:.3g}",
                "–" if row.threshold is None else f"{row.threshold:.3g}",
                "–" if row.p_value is None else f"{row.p_value:.1e}",
                Text("–" if row.severity == "none" else row.severity, SEVERITY_STYLES.get(row.severity, "")),
            )
        yield Padding(table, (0, 0, 0, 2), expand=False)
        if len(signals) > len(shown):
            yield Text(f"  {len(signals) - len(shown)} more without drift; --json lists them", "dim")


def _build_history(status: Status, ascii_only: bool) -> Iterator[RenderableType]:
    if status.running is not None:
        run = status.running
        text = f"retrain_{run.model} runs, pid {run.pid}, for {format_duration(status.at - run.since)}"
        full, empty = ("#", ".") if ascii_only else ("█", "░")
        done = f"  {draw_bar(run.done, 20, full, empty)} {run.done:.0%}" if run.done is not None else ""
        yield Text.assemble((text, "bold yellow"), done, f" {run.phase}" if run.phase else "")
    for model in status.models:
        if model.flag is not None and not (status.running and status.running.model == model.model):
            by = f" by {model.flag.requested_by}" if model.flag.requested_by else ""
            words = {
                "waiting": "waits for a retrainer",
                "claimed": "is claimed by a retrainer",
                "orphaned": "lost its retrainer; another one is started",
            }
            requested = format_time_near(model.flag.requested_at, status.at)
            text = f"retrain_{model.model}.flag {words[model.flag.state]}, requested {requested}{by}"
            yield Text(escape_control(text), "yellow")
    if not status.history:
        yield Text("none yet", "dim")
        return
    table = _plain_table(headed=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for event in status.history[:MAX_EVENTS]:
        started = format_time_near(event.started_at, status.at)
        reason = escape_control("; ".join(part for part in (event.reason, event.result) if part))
        table.add_row(started, event.model, _format_result(event), Text(reason))
    yield table


def _format_result(event: ModelEvent) -> Text:
    styles = {
        "published": "green",
        "running": "yellow",
        "rejected": "red",
        "failed": "bold red",
        "rolled back": "bold red",
    }
    version = f" {event.version}" if event.version and event.verdict != "rejected" else ""
    return Text(f"{event.verdict}{version}", styles.get(event.verdict, ""))


def _build_reports(status: Status) -> Iterator[RenderableType]:
    newest = {report.model: report for report in reversed(status.reports)}
    for report in sorted(newest.values(), key=lambda report: -report.at):
        severity = f" ({report.severity})" if report.severity != "none" else ""
        text = f"{format_time_near(report.at, status.at)}  {report.model} {report.verdict}{severity}  "
        yield Text.assemble(text, (report.path.rpartition("/")[2], "dim"))
    yield Text("`bgpdrift report MODEL` writes a page with plots", "dim")


def _plain_table(headed: bool = True) -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False, show_header=headed)
