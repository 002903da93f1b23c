"""How the report of a demo reads to a person: one table of the incidents, one of the figures, one sentence at the end."""

import re
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bgpdrift.lab.demo.judge import Report
from bgpdrift.lab.demo.training import TrainedModel


def show(report: Report, svg: Path | None = None) -> None:
    """Print a report, and save it as a picture where asked."""
    console = Console(record=svg is not None, width=78 if svg else None)
    console.print(_incidents(report))
    for summary in report.change_seen_as:
        console.print(_indented(f"the change itself: {summary}"))
    for summary in report.false_incidents:
        console.print(_indented(f"false: {summary}"))
    if report.models:
        console.print(_models(report))
    for model in report.models:
        if not model.passed:
            console.print(_indented(_unheard(model)))
    if report.steps:
        console.print(_steps(report))
    console.print(_figures(report))
    for problem in report.problems:
        console.print(f"problem: {problem}", markup=False)
    found = sum(1 for finding in report.findings if finding.found)
    verdict = "passed" if report.passed else "FAILED"
    shown = sum(step.passed for step in report.steps)
    loop = f"{shown} of {len(report.steps)} steps of the loop, " if report.steps else ""
    console.print(
        f"demo {verdict}: {loop}{found} of {len(report.findings)} incidents found, {len(report.false_incidents)} false, "
        f"{report.missing} windows missing",
        markup=False,
    )
    if svg is not None:
        picture = console.export_svg(title="make demo")
        # Rich asks a web server for its font; a picture in a README should ask nobody.
        svg.write_text(re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL), encoding="utf-8")


def _incidents(report: Report) -> Table:
    table = Table(title="What happened in the simulated Internet, and what was found", title_justify="left")
    for column in ("incident", "began (UTC)", "lasted", "found as", "after"):
        table.add_column(column)
    for finding in report.findings:
        began = datetime.fromtimestamp(finding.start, UTC).strftime("%Y-%m-%d %H:%M")
        lasted = f"{(finding.end - finding.start) / 60:.0f} min"
        after = "-" if finding.delay_s is None else f"{finding.delay_s / 60:.0f} min"
        table.add_row(finding.kind, began, lasted, finding.found_as if finding.found else "NOT FOUND", after)
    return table


def _models(report: Report) -> Table:
    table = Table(title="What was trained on the history, and had a say after it", title_justify="left")
    for column in ("model", "version"):
        table.add_column(column)
    for column in ("windows", "took", "had a say in", "alarmed in"):
        table.add_column(column, justify="right")
    for model in report.models:
        share, alarms = f"{100 * model.votes / max(model.verdicts, 1):.1f} %", f"{model.alarms} min"
        version, windows = (model.version, f"{model.windows:,}") if not model.exit_code else ("-", "-")
        table.add_row(model.model, version, windows, f"{model.seconds:.0f} s", share, alarms)
    return table


def _steps(report: Report) -> Table:
    table = Table(title="What the loop did, with nobody there", title_justify="left")
    table.add_column("what", no_wrap=True)
    table.add_column("found, in simulated time")
    for step in report.steps:
        table.add_row(step.what if step.passed else f"NOT: {step.what}", step.found)
    return table


def _indented(text: str) -> Padding:
    return Padding(Text(text), (0, 0, 0, 2))


def _unheard(model: TrainedModel) -> str:
    if model.exit_code:
        return f"{model.model} was not trained (exit {model.exit_code}): {model.outcome}"
    return f"{model.model} {model.version} is in force and was never heard"


def _figures(report: Report) -> Table:
    table = Table(title="What the services did", title_justify="left", show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    memory = sum(report.memory.values()) / 2**20
    rows = (
        ("simulated time", f"{report.simulated_hours:.1f} h in {report.seconds:.0f} s"),
        ("frames received", f"{report.frames:,} ({report.frames / report.seconds:,.0f} a second)"),
        ("frames dropped", f"{report.dropped:,}"),
        ("repetitions left out", f"{report.duplicates:,}"),
        ("windows", f"{report.windows:,} of {report.expected:,}"),
        ("windows missing", f"{report.missing:,}"),
        ("windows twice", f"{report.doubled:,}"),
        ("session resets explained", f"{report.explained_resets} (of {report.session_resets})"),
        ("false incidents", f"{len(report.false_incidents)}"),
        ("memory of all services", f"{memory:.0f} MiB"),
        ("largest", _largest(report)),
    )
    for name, value in rows:
        table.add_row(name, value)
    return table


def _largest(report: Report) -> str:
    if not report.memory:
        return "-"
    name = max(report.memory, key=lambda service: report.memory[service])
    return f"{name} {report.memory[name] / 2**20:.0f} MiB"
