"""`bgpdrift check`: check the detectors for drift, without recording it or as the monitor does.

`bgpdrift.monitor` decides what is checked and what follows from a verdict.
"""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from bgpdrift.commands.model_argument import MODEL
from bgpdrift.detector_registry import MODELS
from bgpdrift.terminal import echo, echo_json

if TYPE_CHECKING:
    from bgpdrift.drift.report import DriftReport
    from bgpdrift.monitor.drift_judgement import Judgement
    from bgpdrift.settings import Settings
    from bgpdrift.store import Store

EXIT_NO_DRIFT, EXIT_NOT_ENOUGH, EXIT_DRIFT = 0, 4, 10


@click.command("check", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", required=False, type=MODEL)
@click.option(
    "--window-days", type=click.IntRange(1, 30), help="Length of the current window in days, instead of the preset."
)
@click.option("--once", is_flag=True, help="Do what the drift monitor does: fold, run the due checks, act. For cron.")
@click.option(
    "--dry-run", is_flag=True, help="Write nothing and print what would follow; also with --once and --watch."
)
@click.option("--watch", is_flag=True, help="Repeat --once until interrupted.")
@click.option(
    "--interval",
    default=3600.0,
    show_default=True,
    type=click.FloatRange(1.0),
    help="Seconds between two checks of --watch.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one drift report as JSON for each model, one a line.")
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

    Without --once and --watch nothing is written: no check is recorded and no model is retrained.

    Exit codes: 0 every model was checked and none drifts, 10 drift (also if an incident holds it), 4 not enough data for
    a verdict on each model, 2 bad input, 1 the store cannot be reached or another error occurred.
    """
    from bgpdrift.drift.policies import describe_unused_settings
    from bgpdrift.errors import InputError
    from bgpdrift.settings import load_existing

    if window_days is not None and (once or watch):
        raise InputError(
            "check: --window-days cannot be combined with --once or --watch, which use the setting drift.preset"
        )
    settings = load_existing()
    for line in describe_unused_settings(settings.drift):
        echo(f"note: {line}", err=True)
    while True:
        acts = (once or watch) and not dry_run
        reports = (
            _run_monitor(settings, model)
            if acts
            else _check_store(settings, model, window_days, dry_run and not as_json)
        )
        _print_reports(reports, as_json)
        if not watch:
            break
        try:
            time.sleep(interval)
        except KeyboardInterrupt:
            break
    raise SystemExit(choose_exit_code(reports, 1 if model else len(MODELS)))


def choose_exit_code(reports: Sequence["DriftReport"], models: int) -> int:
    """Choose the exit code for the reports of so many models. A model without a verdict is not a success."""
    if any(report.verdict in ("drift", "held") for report in reports):
        return EXIT_DRIFT
    has_all = len(reports) == models and all(report.verdict != "not_enough_data" for report in reports)
    return EXIT_NO_DRIFT if has_all else EXIT_NOT_ENOUGH


def _check_store(
    settings: "Settings", model: str | None, window_days: int | None, explain: bool
) -> list["DriftReport"]:
    from bgpdrift.clock import SystemClock
    from bgpdrift.monitor.drift_checks import DriftChecks
    from bgpdrift.store import open_store

    reports = []
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        _note_unfolded(store)
        checks = DriftChecks(settings, store, SystemClock())
        for name in (model,) if model else MODELS:
            hours = None if window_days is None else 24 * window_days
            judged = checks.judge_newest(name, hours)
            if judged is None:
                echo(f"{name}: no scores in the newest day of data", err=True)
                continue
            reports.append(judged.report)
            if explain:
                echo(f"{name}: {_describe_outcome(judged)}")
    return reports


def _run_monitor(settings: "Settings", model: str | None) -> list["DriftReport"]:
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
    reports = []
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        checks = DriftChecks(settings, store, clock)
        for name in (model,) if model else MODELS:
            report = checks.read_last_report(name)
            if report is not None:
                reports.append(report)
    return reports


def _describe_outcome(judged: "Judgement") -> str:
    verdict = judged.report.verdict.replace("_", " ")
    request = "a retraining would be requested" if judged.requests_retraining else "no retraining would be requested"
    return f"would be recorded as {verdict} (consecutive checks with drift: {judged.persistence.checks}); {request}"


def _note_unfolded(store: "Store") -> None:
    behind = store.newest_score_id() - store.read_position("drift_monitor:scores")
    if behind > 0:
        echo(
            f"note: {behind:,} scores are not folded into hours yet and are ignored; the drift monitor or --once folds them",
            err=True,
        )


def _print_reports(reports: Sequence["DriftReport"], as_json: bool) -> None:
    if as_json:
        import msgspec

        for report in reports:
            echo_json(msgspec.json.encode(report.as_fields()))
        return
    from rich.table import Table

    from bgpdrift.formatting import format_time
    from bgpdrift.terminal import make_console

    if not reports:
        echo("not enough data for any check yet")
        return
    table = Table(box=None)
    for name in ("model", "version", "checked (UTC)", "verdict", "severity"):
        table.add_column(name, no_wrap=True)
    table.add_column("p", justify="right")
    table.add_column("PSI", justify="right")
    table.add_column("detectable shift", justify="right")
    for report in reports:
        psi = report.measure("psi")
        table.add_row(
            report.model,
            report.model_version,
            format_time(report.at),
            report.verdict.replace("_", " "),
            report.severity,
            "" if report.p_value is None else f"{report.p_value:.2g}",
            "" if psi is None or psi.value is None else f"{psi.value:.3f}",
            "" if report.smallest_shift is None else f"{report.smallest_shift:.0%}",
        )
    console = make_console()
    console.print(table)
    for report in reports:
        console.print(f"{report.model}: {report.reason}")
