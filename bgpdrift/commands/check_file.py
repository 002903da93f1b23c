"""`bgpdrift check-file`: check scores or features in CSV files for drift, without store, model or service."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from bgpdrift.settings_sections import DriftPolicyName, WindowPresetName
from bgpdrift.terminal import echo, echo_json

if TYPE_CHECKING:
    from bgpdrift.drift.report import DriftReport
    from bgpdrift.lab.score_log import ScoreLog

EXIT_DRIFT, EXIT_NOT_ENOUGH = 10, 4


@click.command("check-file", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("scores", required=False, type=click.Path(path_type=Path))
@click.option("--reference", type=click.Path(path_type=Path), help="Reference file, instead of SCORES.")
@click.option("--current", type=click.Path(path_type=Path), help="File to compare with the reference file.")
@click.option(
    "--time", "time_column", default="", metavar="COLUMN", help="Column of times; found by name if not given."
)
@click.option(
    "--score", "score_column", default="", metavar="COLUMN", help="Column of scores; found by name if not given."
)
@click.option("--preset", type=click.Choice(get_args(WindowPresetName)), help="Windows within SCORES.")
@click.option(
    "--policy",
    type=click.Choice(get_args(DriftPolicyName)),
    help="What decides the verdict: the drift rule or a textbook policy.",
)
@click.option(
    "--skip-missing",
    is_flag=True,
    help="Leave out and count rows without a finite score, or whose time is in another unit or far behind the others.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the drift report as JSON.")
@click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Also write a page with plots.")
def command(
    scores: Path | None,
    reference: Path | None,
    current: Path | None,
    time_column: str,
    score_column: str,
    preset: WindowPresetName | None,
    policy: DriftPolicyName | None,
    skip_missing: bool,
    as_json: bool,
    page: Path | None,
) -> None:
    """Check a log of SCORES for drift: its newest day and the seven days before, or --current and --reference.

    The file is CSV with a header and may be compressed; - is standard input. Columns are found by name: a time (epoch
    seconds or milliseconds, or ISO 8601, UTC), a score or any feature, optionally is_anomaly (alarms) and label
    (truth).

    Exit codes: 0 no drift, 10 drift, 4 not enough data (no verdict: not a success), 2 bad input.
    """
    import msgspec

    from bgpdrift.drift.policies import describe_unused_settings
    from bgpdrift.drift.report_json import encode
    from bgpdrift.errors import InputError
    from bgpdrift.lab.score_log import read_score_log, read_score_logs
    from bgpdrift.lab.score_log_check import check_log, check_logs, compute_current_s, compute_needed_s
    from bgpdrift.settings import load

    settings = load().drift
    settings = msgspec.structs.replace(settings, preset=preset or settings.preset, policy=policy or settings.policy)

    if scores is not None and reference is None and current is None:
        logs = [
            read_score_log(
                scores,
                time=time_column,
                score=score_column,
                skip_missing=skip_missing,
                keep_s=compute_needed_s(settings.preset),
                current_s=compute_current_s(settings.preset),
            )
        ]
        report = check_log(logs[0], settings)
    elif scores is None and reference is not None and current is not None:
        if preset:
            raise InputError(
                "--preset: expected one file of SCORES, found --reference and --current, which are the two windows"
            )
        logs = list(
            read_score_logs(reference, current, time=time_column, score=score_column, skip_missing=skip_missing)
        )
        report = check_logs(logs[0], logs[1], settings)
    else:
        raise InputError("check-file: expected one file of SCORES, or both --reference and --current")
    for line in describe_unused_settings(settings):
        echo(f"note: {line}", err=True)
    for log in logs:
        for line in log.left_out:
            echo(f"left out: {line}", err=True)
    if page is not None:
        _write_page(page, report, logs)
    if as_json:
        echo_json(encode(report).rstrip())
    else:
        _show(report, logs)
    sys.exit({"drift": EXIT_DRIFT, "not_enough_data": EXIT_NOT_ENOUGH}.get(report.verdict, 0))


def _show(report: "DriftReport", logs: "list[ScoreLog]") -> None:
    from bgpdrift.commands.drift_text import show_report

    show_report(report, " and ".join(log.name for log in logs))
    for log in logs:
        labels = f", labels from {log.columns.names[log.columns.label]!r}" if log.columns.label is not None else ""
        skipped = f", {log.skipped:,} left out" if log.skipped else ""
        echo(
            f"\n{log.name}: {log.rows:,} rows read, times from {log.columns.names[log.columns.time]!r}, scores from "
            f"{log.columns.names[log.columns.score]!r}{labels}{skipped}"
        )


def _write_page(page: Path, report: "DriftReport", logs: "list[ScoreLog]") -> None:
    from bgpdrift import __version__
    from bgpdrift.drift.report_page import render_page
    from bgpdrift.errors import InputError

    title = f"Drift of {' and '.join(Path(log.name).name for log in logs)}"
    text = render_page(report, [log.hours for log in logs], title=title, written=f"Written by bgpdrift {__version__}")
    try:
        page.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{page}: cannot be written: {error.strerror}") from error
