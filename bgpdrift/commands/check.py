"""`bgpdrift check`: do the detectors still fit? A look at the store, or the monitor's own check with all that follows.

Parses, has it checked and prints; what is checked and what follows `bgpdrift.services.drift_monitor` and its parts decide.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bgpdrift.commands.model_argument import MODEL
from bgpdrift.detector_registry import MODELS

if TYPE_CHECKING:
    from bgpdrift.drift.report import DriftReport
    from bgpdrift.monitor.drift_judgement import Judgement
    from bgpdrift.settings import Settings
    from bgpdrift.store import Store

EXIT_NO_DRIFT, EXIT_NOT_ENOUGH, EXIT_DRIFT = 0, 4, 10


@click.command("check", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", required=False, type=MODEL)
@click.option("--window-days", type=click.IntRange(1, 30), help="Look at the last so many days instead of the preset.")
@click.option("--once", is_flag=True, help="Do what the service would do now: fold, check what is due, act. For cron.")
@click.option("--dry-run", is_flag=True, help="Write nothing, and say what would follow; also of --once and --watch.")
@click.option("--watch", is_flag=True, help="Like --once, again and again until interrupted.")
@click.option("--interval", default=3600.0, show_default=True, type=click.FloatRange(1.0), help="Seconds of --watch.")
@click.option("--json", "as_json", is_flag=True, help="One drift report as JSON a model and line.")
def command(
    model: str | None,
    window_days: int | None,
    once: bool,
    dry_run: bool,
    watch: bool,
    interval: float,
    as_json: bool,
) -> None:
    """Check whether the detectors, or MODEL alone, still fit the scores of the last days.

    Without --once and --watch it looks and writes nothing: no check is recorded, no model retrained.

    Exit codes: 0 no drift, 10 drift (also one that an incident holds back), 4 nothing could be checked yet, 2 bad input,
    1 the store is away or something else failed.
    """
    from bgpdrift.errors import InputError
    from bgpdrift.settings import load

    if window_days is not None and (once or watch):
        raise InputError("check: --window-days is for a look; --once and --watch use drift.preset of the settings")
    settings = load()
    while True:
        acts = (once or watch) and not dry_run
        reports = _act(settings, model) if acts else _look(settings, model, window_days, dry_run and not as_json)
        _print(reports, as_json)
        if not watch:
            break
        try:
            time.sleep(interval)
        except KeyboardInterrupt:
            break
    raise SystemExit(exit_code(reports))


def exit_code(reports: Sequence["DriftReport"]) -> int:
    """Say what was found as an exit code."""
    if any(report.verdict in ("drift", "held") for report in reports):
        return EXIT_DRIFT
    enough = any(report.verdict != "not_enough_data" for report in reports)
    return EXIT_NO_DRIFT if enough else EXIT_NOT_ENOUGH


def _look(settings: "Settings", model: str | None, window_days: int | None, say: bool) -> list["DriftReport"]:
    from bgpdrift.clock import SystemClock
    from bgpdrift.monitor.drift_checks import DriftChecks
    from bgpdrift.store import open_store

    found = []
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        _say_what_waits(store)
        checks = DriftChecks(settings, store, SystemClock())
        for name in (model,) if model else MODELS:
            hours = None if window_days is None else 24 * window_days
            judged = checks.judge_newest(name, hours)
            if judged is None:
                click.echo(f"{name}: no scores in the last day of data", err=True)
                continue
            found.append(judged.report)
            if say:
                click.echo(f"{name}: {_would(judged)}")
    return found


def _act(settings: "Settings", model: str | None) -> list["DriftReport"]:
    from bgpdrift.clock import SystemClock
    from bgpdrift.monitor.drift_checks import DriftChecks
    from bgpdrift.services.drift_monitor import build
    from bgpdrift.store import open_store

    clock = SystemClock()
    monitor = build(settings, clock)
    try:
        while monitor.step():
            pass
    finally:
        monitor.close()
    found = []
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        checks = DriftChecks(settings, store, clock)
        for name in (model,) if model else MODELS:
            report = checks.read_last_report(name)
            if report is not None:
                found.append(report)
    return found


def _would(judged: "Judgement") -> str:
    said = f"would be recorded as {judged.report.verdict.replace('_', ' ')}, check {judged.persistence.checks} running"
    return f"{said}; {'a wish to retrain would follow' if judged.requests_retraining else 'no wish to retrain'}"


def _say_what_waits(store: "Store") -> None:
    from bgpdrift.store.schema import scores

    cursor, newest = store.read_cursor("drift_monitor:scores"), store.newest_id(scores)
    behind = (newest or 0) - (cursor.position if cursor else 0)
    if behind > 0:
        click.echo(f"note: {behind:,} scores are not folded yet; the drift monitor or --once does that", err=True)


def _print(reports: Sequence["DriftReport"], as_json: bool) -> None:
    if as_json:
        import msgspec

        for report in reports:
            click.echo(msgspec.json.encode(report.as_fields()))
        return
    from rich.console import Console
    from rich.table import Table

    if not reports:
        click.echo("nothing could be checked yet")
        return
    table = Table(box=None)
    for name in ("model", "version", "checked (UTC)", "verdict", "severity"):
        table.add_column(name, no_wrap=True)
    table.add_column("p", justify="right")
    table.add_column("PSI", justify="right")
    table.add_column("would see", justify="right")
    for report in reports:
        psi = report.measure("psi")
        table.add_row(
            report.model,
            report.model_version,
            time.strftime("%Y-%m-%d %H:%M", time.gmtime(report.at)),
            report.verdict.replace("_", " "),
            report.severity,
            "" if report.p_value is None else f"{report.p_value:.2g}",
            "" if psi is None or psi.value is None else f"{psi.value:.3f}",
            "" if report.smallest_shift is None else f"{report.smallest_shift:.0%}",
        )
    console = Console(highlight=False, markup=False)
    console.print(table)
    for report in reports:
        console.print(f"{report.model}: {report.reason}")
