"""Draws the status for a person: what needs them first, then everything else; readable at 80 columns and without colour.

Decides words, order and widths. Colour repeats what a word says already. What is said comes from `facts`.
"""

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bgpdrift.status.messages import of_model, verdict_words
from bgpdrift.status.snapshot import EXIT_BLIND, Model, Monitor, Retraining, Status
from bgpdrift.status.spark import ASCII_BLOCKS, BLOCKS, bar, moment, span, spark

RATE = "alarm_rate"
DRAWN = (("psi", "PSI", 0.2), ("ks", "KS", 0.1), (RATE, "alarms, 24 h", 0.05))
"""Series in the overview: name, title, and the value at which a line is full if nothing exceeds it."""
HISTORY_ROWS = 6
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
    """Print it; ``only`` one model, with all its measures."""
    console.print(Group(*parts(status, console.width, not console.encoding.startswith("utf"), only)))


def parts(status: Status, width: int, ascii_only: bool = False, only: str = "") -> Iterator[RenderableType]:
    """Give what is printed, in order.

    Parameters
    ----------
    status : Status
        Already cut down to one model where ``only`` names one.
    width : int
        Columns.
    ascii_only : bool
        Draw lines without block characters.
    only : str
        The model asked for; "" for all.
    """
    blocks = ASCII_BLOCKS if ascii_only else BLOCKS
    yield _head(status)
    yield from _todo(status)
    yield _title("Drift monitor")
    yield Padding(_monitor(status.monitor, status.at), (0, 0, 0, 2), expand=False)
    yield _title("Models")
    yield Padding(_models(status.models), (0, 0, 0, 2), expand=False)
    if any(value is not None for model in status.models for series in model.series for value in series.values):
        yield _title("Last seven days, newest on the right")
        yield Padding(_lines(status.models, width, blocks), (0, 0, 0, 2), expand=False)
    yield _title("What the checks say")
    yield Padding(_sayings(status), (0, 0, 0, 2), expand=False)
    if only:
        yield from _measures(status.models[0])
    yield _title("Retraining")
    yield Padding(Group(*_retraining(status, ascii_only)), (0, 0, 0, 2), expand=False)
    if status.reports:
        yield _title("Newest report of each model that drifted")
        yield Padding(Group(*_reports(status)), (0, 0, 0, 2), expand=False)


def _title(text: str) -> Text:
    return Text.assemble("\n", (text, "bold"))


def _head(status: Status) -> Text:
    style = "bold green" if not status.todo else "bold red"
    shout = status.headline[:1].upper() + status.headline[1:]
    return Text.assemble((f"{shout}.", style), ("  bgpdrift, ", "dim"), (f"{_stamp(status.at)} UTC", "dim"))


def _todo(status: Status) -> Iterator[RenderableType]:
    for number, item in enumerate(status.todo, 1):
        grid = Table.grid(padding=(0, 1))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(
            Text(f" {number}.", "bold red"), Text(item.sentence, "bold red" if item.exit_code == EXIT_BLIND else "")
        )
        yield Text("")
        yield grid
        commands = Table.grid(padding=(0, 3))
        commands.add_column(no_wrap=True)
        commands.add_column(overflow="fold")
        for command in item.commands:
            commands.add_row(Text(command.command, "bold cyan"), Text(command.does, "dim"))
        yield Padding(commands, (0, 0, 0, 6), expand=False)


def _monitor(monitor: Monitor, now: float) -> Text:
    words = {
        "ready": "runs",
        "not_running": "does not run",
        "elsewhere": "not under this supervisor, but checks are made (cron, systemd?)",
        "no_answer": "no answer from the supervisor",
        "off": "switched off (drift.enabled)",
    }
    style = {"ready": "green", "elsewhere": "green", "off": "yellow"}.get(monitor.state, "bold red")
    process = f", pid {monitor.pid}, up {span(monitor.uptime_s or 0)}" if monitor.pid else ""
    line = Text.assemble((words.get(monitor.state, monitor.state), style), process)
    if monitor.last_check_at is not None:
        checked = f"; last check {moment(monitor.last_check_at, now)}"
        if monitor.next_check_at is not None:
            checked += f", next {moment(monitor.next_check_at, now)}"
        line.append(checked)
    elif monitor.store == "ok":
        line.append("; no check yet")
    if monitor.data_until is not None:
        line.append(f"\ndata until {moment(monitor.data_until, now)}, {span(monitor.data_age_s or 0)} old")
        line.append("; checks follow the time of the data", "dim")
    return line


def _models(models: Sequence[Model]) -> Table:
    table = _plain_table()
    for title in ("model", "version", "in force", "state", "verdict", "severity"):
        table.add_column(Text(title, "dim"), justify="right" if title == "in force" else "left", no_wrap=True)
    for model in models:
        table.add_row(
            model.model,
            model.version or "–",
            span(model.age_s) if model.age_s is not None else "–",
            Text(model.state if model.state != "none" else "no model", STATE_STYLES.get(model.state, "")),
            Text(verdict_words(model), VERDICT_STYLES.get(model.verdict, "dim")),
            Text("–" if model.severity == "none" else model.severity, SEVERITY_STYLES.get(model.severity, "")),
        )
    return table


def _lines(models: Sequence[Model], width: int, blocks: str) -> Table:
    table = _plain_table()
    table.add_column(no_wrap=True)
    longest = max(len(model.model) for model in models)
    each = max(8, (width - 2 - longest - 2) // len(DRAWN) - 10)
    for _, title, _ in DRAWN:
        table.add_column(Text(title, "dim"), no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
    for model in models:
        cells: list[RenderableType] = [model.model]
        for name, _, top in DRAWN:
            series = next((one for one in model.series if one.name == name), None)
            values = series.values if series else ()
            full = (series.threshold if series else None) or top
            last = _newest(name, values)
            over = series is not None and series.threshold is not None and last is not None and last > series.threshold
            cells.append(Text(spark(values, each, full, blocks, name == RATE), "red" if over else "cyan"))
            cells.append(Text("–" if last is None else _figure(name, last), "bold red" if over else ""))
        table.add_row(*cells)
    return table


def _newest(name: str, values: Sequence[float | None]) -> float | None:
    """The newest figure; of a rate, which is no more than noise in one hour, the mean of the last day."""
    present = [value for value in (values[-24:] if name == RATE else values) if value is not None]
    if not present:
        return None
    return sum(present) / len(present) if name == RATE else present[-1]


def _figure(name: str, value: float) -> str:
    return f"{value:.1%}" if name == RATE else f"{value:.2f}"


def _sayings(status: Status) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for model in status.models:
        said = Text(" ".join(of_model(model, status.at, status.monitor.data_until)))
        grid.add_row(Text(model.model, VERDICT_STYLES.get(model.verdict, "")), said)
    return grid


def _measures(model: Model) -> Iterator[RenderableType]:
    windows = list(dict.fromkeys(row.window for row in model.measures if row.window))
    names = list(dict.fromkeys(row.name for row in model.measures if row.window))
    found = {(row.window, row.name): row for row in model.measures}
    if windows:
        yield _title("Measures of the newest check: value, and p-value where it is tested")
        table = _plain_table()
        table.add_column(no_wrap=True)
        for window in windows:
            table.add_column(Text(window, "dim"), justify="right", no_wrap=True)
        for name in names:
            cells = []
            for window in windows:
                row = found.get((window, name))
                p = f" {row.p_value:.0e}" if row and row.p_value is not None else ""
                value = "–" if row is None or row.value is None else f"{row.value:.3g}{p}"
                cells.append(
                    Text(value, SEVERITY_STYLES.get(row.severity, "") if row and row.severity != "none" else "")
                )
            table.add_row(name, *cells)
        yield Padding(table, (0, 0, 0, 2), expand=False)
    signals = [row for row in model.measures if not row.window]
    if signals:
        yield _title("Signals beside the scores")
        moved = [row for row in signals if row.severity != "none" or ":" not in row.name]
        table = _plain_table()
        for title in ("signal", "value", "from", "p", "severity"):
            table.add_column(
                Text(title, "dim"), no_wrap=True, justify="left" if title in ("signal", "severity") else "right"
            )
        for row in moved:
            table.add_row(
                row.name,
                "–" if row.value is None else f"{row.value:.3g}",
                "–" if row.threshold is None else f"{row.threshold:.3g}",
                "–" if row.p_value is None else f"{row.p_value:.1e}",
                Text("–" if row.severity == "none" else row.severity, SEVERITY_STYLES.get(row.severity, "")),
            )
        yield Padding(table, (0, 0, 0, 2), expand=False)
        if len(signals) > len(moved):
            yield Text(f"  {len(signals) - len(moved)} more without drift: --json lists them", "dim")


def _retraining(status: Status, ascii_only: bool) -> Iterator[RenderableType]:
    if status.running is not None:
        run = status.running
        how = f"retrain_{run.model} runs, pid {run.pid}, for {span(status.at - run.since)}"
        full, empty = ("#", ".") if ascii_only else ("█", "░")
        done = f"  {bar(run.done, 20, full, empty)} {run.done:.0%}" if run.done is not None else ""
        yield Text.assemble((how, "bold yellow"), done, f" {run.phase}" if run.phase else "")
    for model in status.models:
        if model.flag is not None and not (status.running and status.running.model == model.model):
            by = f" by {model.flag.requested_by}" if model.flag.requested_by else ""
            words = {
                "waiting": "waits for a run",
                "claimed": "is being worked on",
                "orphaned": "lost its run; it is tried again",
            }
            asked = moment(model.flag.requested_at, status.at)
            yield Text(f"retrain_{model.model}.flag {words[model.flag.state]}, asked {asked}{by}", "yellow")
    if not status.history:
        yield Text("nothing yet", "dim")
        return
    table = _plain_table(headed=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for event in status.history[:HISTORY_ROWS]:
        table.add_row(moment(event.started_at, status.at), event.model, _result_word(event), Text(_why(event)))
    yield table


def _result_word(event: Retraining) -> Text:
    styles = {
        "published": "green",
        "running": "yellow",
        "rejected": "red",
        "failed": "bold red",
        "taken back": "bold red",
    }
    version = f" {event.version}" if event.version and event.verdict != "rejected" else ""
    return Text(f"{event.verdict}{version}", styles.get(event.verdict, ""))


def _why(event: Retraining) -> str:
    return "; ".join(part for part in (event.because, event.result) if part)


def _reports(status: Status) -> Iterator[RenderableType]:
    newest = {report.model: report for report in reversed(status.reports)}
    for report in sorted(newest.values(), key=lambda report: -report.at):
        severity = f" ({report.severity})" if report.severity != "none" else ""
        said = f"{moment(report.at, status.at)}  {report.model} {report.verdict}{severity}  "
        yield Text.assemble(said, (report.path.rpartition("/")[2], "dim"))
    yield Text("`bgpdrift report MODEL` draws one", "dim")


def _plain_table(headed: bool = True) -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, show_edge=False, show_header=headed)


def _stamp(at: float) -> str:
    return moment(at, at + 400 * 86_400)
