"""`bgpdrift report`: a page about the newest drift check of a model, with plots, for a browser or for paper."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bgpdrift.commands.model_argument import MODEL
from bgpdrift.terminal import echo

if TYPE_CHECKING:
    from bgpdrift.drift.hours import Hours
    from bgpdrift.drift.report import DriftReport
    from bgpdrift.settings import Settings
    from bgpdrift.store import Store
    from bgpdrift.store.drift_records import DriftCheck, DriftSignal


@click.command("report", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", required=False, type=MODEL)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; - is standard output.")
@click.option("--days", default=7, show_default=True, type=click.IntRange(1, 366), help="Days of past checks to plot.")
def command(model: str | None, out: Path | None, days: int) -> None:
    """Write a page about the newest drift check of MODEL, or one for each model: drift_report_<model>.html.

    The page is one self-contained file with the verdict, both distributions and every measure over time.
    """
    from bgpdrift.detector_registry import MODELS
    from bgpdrift.errors import InputError
    from bgpdrift.settings import load_existing
    from bgpdrift.store import open_store

    if model is None and out is not None:
        raise InputError("report: expected MODEL with --out, because --out names the file of one page")
    settings = load_existing()
    written = 0
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        for one in (model,) if model else MODELS:
            text = _render_report(settings, store, one, days)
            if text is None:
                continue
            written += 1
            _write_page(text, out or Path(f"drift_report_{one}.html"))
    if not written:
        raise InputError(f"no drift check of {model or 'any model'} yet; the drift monitor checks hourly")


def _write_page(text: str, path: Path) -> None:
    from bgpdrift.errors import InputError

    if str(path) == "-":
        echo(text, nl=False)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    echo(f"{path}: {len(text.encode()):,} bytes")


def _render_report(settings: "Settings", store: "Store", model: str, days: int) -> str | None:
    from bgpdrift import __version__
    from bgpdrift.commands.report_rows import build_histories
    from bgpdrift.drift.report_page import render_page
    from bgpdrift.formatting import format_time

    newest = next(iter(store.drift_checks_between(model=model, limit=1)), None)
    if newest is None:
        return None
    at = newest.timestamp
    checks = store.drift_checks_between(at - 86_400 * days, at + 1, model)
    past = [(check, store.signals_of_check(check.id)) for check in checks]
    report = _read_report(newest, next(signals for check, signals in past if check.id == newest.id))
    return render_page(
        report,
        _read_hours(settings, store, report),
        build_histories(past, newest.window),
        title=f"Drift of {model}, version {report.model_version or 'unknown'}",
        written=f"Check of {format_time(at)} UTC (event time). Written by bgpdrift {__version__}",
    )


def _read_report(check: "DriftCheck", signals: "list[DriftSignal]") -> "DriftReport":
    """Read the report file of the check, which is complete; otherwise what the store keeps."""
    from bgpdrift.errors import BgpdriftError
    from bgpdrift.monitor.check_records import build_report
    from bgpdrift.monitor.report_files import read_report

    if check.report_path:
        try:
            return read_report(Path(check.report_path))
        except BgpdriftError as error:
            echo(f"bgpdrift: {error}; the page shows what the store keeps", err=True)
    return build_report(check, signals)


def _read_hours(settings: "Settings", store: "Store", report: "DriftReport") -> "list[Hours]":
    """Read the scores of both windows by collector: live scores and the reference hours of the artifact."""
    from bgpdrift.drift.windows import merge_series
    from bgpdrift.monitor.check_inputs import CheckInputReader

    inputs = CheckInputReader(settings, store).read(report.model, report.at)
    if inputs is None or inputs.version != report.model_version:
        return []
    return list(merge_series(merge_series(inputs.hours.profile, inputs.hours.first), inputs.hours.live).values())
