"""Prints the report of a demo: tables of incidents, models, steps and figures, the result, and the next commands."""

import re
import sys
from pathlib import Path

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bgpdrift.formatting import format_time
from bgpdrift.lab.demo.judge import Report
from bgpdrift.lab.demo.training import TrainedModel
from bgpdrift.terminal import make_console


def show(report: Report, svg: Path | None = None) -> None:
    """Print a report, and save it as a picture if `svg` names a file."""
    console = make_console(record=svg is not None, width=78 if svg else None)
    console.print(_incidents(report))
    for summary in report.change_incidents:
        console.print(_indented(f"began with the change: {summary}"))
    for summary in report.false_incidents:
        console.print(_indented(f"false: {summary}"))
    if report.models:
        console.print(_models(report))
    for model in report.models:
        if not model.passed:
            console.print(_indented(_describe_failure(model)))
    if report.steps:
        console.print(_steps(report))
    console.print(_figures(report))
    for problem in report.problems:
        console.print(f"problem: {problem}", markup=False)
    found = sum(1 for finding in report.findings if finding.found)
    result = "passed" if report.passed else "FAILED"
    shown = sum(step.passed for step in report.steps)
    steps = f"{shown} of {len(report.steps)} steps shown, " if report.steps else ""
    console.print(
        f"demo {result}: {steps}{found} of {len(report.findings)} incidents found, {len(report.false_incidents)} false, "
        f"{report.missing} windows missing",
        markup=False,
    )
    if svg is not None:
        picture = console.export_svg(title="make demo")
        # Rich refers to a font on a web server; a picture in a README must not load anything.
        svg.write_text(re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL), encoding="utf-8")


def next_commands(report: Report, data: Path) -> list[str]:
    """Return commands that show the result of the demo, as they can be typed in the current directory."""
    programs = _relative(Path(sys.executable).parent)
    numbers = [finding.found[0] for finding in report.findings if finding.found]
    commands = ["check_drift_status", "bgpdrift report"]
    if numbers:
        commands.insert(1, f"bgpdrift incidents {numbers[0]}")
    return [f"BGPDRIFT_DATA_DIR={_relative(data)} {programs}/{command}" for command in commands]


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _incidents(report: Report) -> Table:
    table = Table(title="Incidents of the simulated Internet, and what was found", title_justify="left")
    for column in ("incident", "began (UTC)", "lasted", "found as", "after"):
        table.add_column(column)
    for finding in report.findings:
        lasted = f"{(finding.end - finding.start) / 60:.0f} min"
        after = "-" if finding.delay_s is None else f"{finding.delay_s / 60:.0f} min"
        found_as = finding.found_as if finding.found else "NOT FOUND"
        table.add_row(finding.kind, format_time(finding.start), lasted, found_as, after)
    return table


def _models(report: Report) -> Table:
    table = Table(title="Models trained on the history, and their votes after it", title_justify="left")
    for column in ("model", "version"):
        table.add_column(column)
    for column in ("windows", "training", "votes in", "alarms in"):
        table.add_column(column, justify="right")
    for model in report.models:
        share, alarms = f"{100 * model.votes / max(model.verdicts, 1):.1f} %", f"{model.alarms} min"
        version, windows = (model.version, f"{model.windows:,}") if not model.exit_code else ("-", "-")
        table.add_row(model.model, version, windows, f"{model.seconds:.0f} s", share, alarms)
    return table


def _steps(report: Report) -> Table:
    table = Table(title="What the system did by itself", title_justify="left")
    table.add_column("step", no_wrap=True)
    table.add_column("found, in simulated time")
    for step in report.steps:
        table.add_row(step.name if step.passed else f"NOT: {step.name}", step.finding)
    return table


def _indented(text: str) -> Padding:
    return Padding(Text(text), (0, 0, 0, 2))


def _describe_failure(model: TrainedModel) -> str:
    if model.exit_code:
        return f"{model.model} was not trained (exit {model.exit_code}): {model.outcome}"
    return f"{model.model} {model.version} is active and has no vote"


def _figures(report: Report) -> Table:
    table = Table(title="Figures of the services", title_justify="left", show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    memory = sum(report.memory.values()) / 2**20
    rows = (
        ("simulated time", f"{report.simulated_hours:.1f} h in {report.seconds:.0f} s"),
        ("frames received", f"{report.frames:,} ({report.frames / report.seconds:,.0f} a second)"),
        ("frames dropped", f"{report.dropped:,}"),
        ("duplicate frames", f"{report.duplicates:,}"),
        ("windows", f"{report.windows:,} of {report.expected:,}"),
        ("windows missing", f"{report.missing:,}"),
        ("windows twice", f"{report.doubled:,}"),
        ("session resets explained", f"{report.explained_resets} (of {report.session_resets})"),
        ("false incidents", f"{len(report.false_incidents)}"),
        ("memory of all services", f"{memory:.0f} MiB"),
        ("largest service", _largest(report)),
    )
    for name, value in rows:
        table.add_row(name, value)
    return table


def _largest(report: Report) -> str:
    if not report.memory:
        return "-"
    name = max(report.memory, key=lambda service: report.memory[service])
    return f"{name} {report.memory[name] / 2**20:.0f} MiB"
