"""`bgpdrift report`: a page on a model's newest drift check, with plots, for a browser or for paper."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bgpdrift.commands.model_argument import MODEL

if TYPE_CHECKING:
    from bgpdrift.drift.hours import Hours
    from bgpdrift.drift.report import DriftReport
    from bgpdrift.settings import Settings
    from bgpdrift.store import Store


@click.command("report", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", required=False, type=MODEL)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; - is standard output.")
@click.option("--days", default=7, show_default=True, type=click.IntRange(1, 366), help="Days of past checks drawn.")
def command(model: str | None, out: Path | None, days: int) -> None:
    """Write a page on the newest drift check of MODEL, or one for each model: drift_report_<model>.html.

    One self-contained file: verdict and reason, both distributions, every measure and how it went over time.
    """
    from bgpdrift.detector_registry import MODELS
    from bgpdrift.errors import InputError
    from bgpdrift.settings import load
    from bgpdrift.store import open_store

    if model is None and out is not None:
        raise InputError("--out names one page: say which MODEL")
    settings = load()
    written = 0
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        for one in (model,) if model else MODELS:
            text = _page(settings, store, one, days)
            if text is None:
                continue
            written += 1
            _write(text, out or Path(f"drift_report_{one}.html"))
    if not written:
        raise InputError(f"no drift check of {model or 'any model'} yet; the drift monitor checks hourly")


def _write(text: str, path: Path) -> None:
    from bgpdrift.errors import InputError

    if str(path) == "-":
        click.echo(text, nl=False)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    click.echo(f"{path}: {len(text.encode()):,} bytes")


def _page(settings: "Settings", store: "Store", model: str, days: int) -> str | None:
    from bgpdrift import __version__
    from bgpdrift.commands.report_rows import histories
    from bgpdrift.drift.report_page import render
    from bgpdrift.drift.summary import moment

    newest = store.drift_checks(model, limit=1)
    if not newest:
        return None
    check, at = newest[0], int(newest[0]["timestamp"])
    past = [(row, store.drift_signals(row["id"])) for row in store.drift_checks(model, at - 86_400 * days, at + 1)]
    report = _report(check, next(signals for row, signals in past if row["id"] == check["id"]))
    return render(
        report,
        _hours(settings, store, report),
        histories(past, check["window"]),
        title=f"Drift of {model}, version {report.model_version or 'unknown'}",
        written=f"Check of {moment(at)} UTC (event time). Made by bgpdrift {__version__}",
    )


def _report(check: "dict[str, object]", signals: "list[dict[str, object]]") -> "DriftReport":
    """Read the file of the check, which says most; else what the store kept."""
    from bgpdrift.commands.report_rows import report_of
    from bgpdrift.errors import BgpdriftError
    from bgpdrift.monitor.report_files import read_report

    if check["report_path"]:
        try:
            return read_report(Path(str(check["report_path"])))
        except BgpdriftError as error:
            click.echo(f"bgpdrift: {error}; the page shows what the store kept", err=True)
    return report_of(check, signals)


def _hours(settings: "Settings", store: "Store", report: "DriftReport") -> "list[Hours]":
    """Scores of both windows, by collector: live ones, and those the artifact brought along."""
    from bgpdrift.drift.windows import merge_series
    from bgpdrift.monitor.check_inputs import CheckInputReader

    inputs = CheckInputReader(settings, store).read(report.model, report.at)
    if inputs is None or inputs.version != report.model_version:
        return []
    return list(merge_series(merge_series(inputs.hours.profile, inputs.hours.first), inputs.hours.live).values())
