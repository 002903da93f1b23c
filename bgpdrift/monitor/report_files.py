"""Drift report files: ``drift_report_<model>_<UTC stamp>.json`` in the artifact folder, complete or absent.

This module decides their names, how many are kept and which files are reports. `bgpdrift.drift.report_json` decides the
content. The stamp is the event time of the check, so a repeated check writes the same file. A file that a killed process left
incomplete has a hidden name and is not a report.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from bgpdrift.drift.report import DriftReport
from bgpdrift.drift.report_json import decode, encode
from bgpdrift.errors import InputError, TransientError
from bgpdrift.models.paths import STAMP_FORM, check_names
from bgpdrift.process.durable import write_durably

_NAME = re.compile(r"drift_report_([a-z][a-z0-9_]*)_(\d{8}T\d{6}Z)\.json")
MAX_BYTES = 16_000_000
"""A larger file is not a drift report."""


def report_path(folder: Path, model: str, at: int) -> Path:
    """Return the path of the report of a check at an event time, epoch seconds.

    Examples
    --------
    >>> report_path(Path("model_artifacts"), "lstm", 1_767_225_600).name
    'drift_report_lstm_20260101T000000Z.json'
    """
    check_names(model)
    return folder / f"drift_report_{model}_{datetime.fromtimestamp(at, UTC).strftime(STAMP_FORM)}.json"


def write_report(folder: Path, report: DriftReport, keep: int) -> Path:
    """Write a report atomically and durably, then delete all but the newest ``keep`` reports of its model.

    Returns
    -------
    Path
        Path of the report.

    Raises
    ------
    TransientError
        The disk is full, read-only or fails. No older report was deleted.
    """
    path = report_path(folder, report.model, report.at)
    write_durably(path, encode(report))
    for old in list_reports(folder, report.model)[keep:]:
        if old != path:
            with suppress(OSError):  # another monitor deleted it, or the next report will
                old.unlink()
    return path


def list_reports(folder: Path, model: str) -> list[Path]:
    """List the reports of a model, newest first by event time."""
    paths = [path for path in folder.glob(f"drift_report_{model}_*.json") if _is_report_of(path.name, model)]
    return sorted(paths, key=lambda path: path.name, reverse=True)


def read_report(path: Path) -> DriftReport:
    """Read a report.

    Raises
    ------
    InputError
        The file is missing, too large or not a report; the message names the place.
    TransientError
        The file cannot be read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path}: this drift report does not exist") from error
    except OSError as error:
        raise TransientError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > MAX_BYTES:
        raise InputError(f"{path}: more than {MAX_BYTES:,} bytes, too large for a drift report")
    return decode(raw, str(path))


def _is_report_of(name: str, model: str) -> bool:
    match = _NAME.fullmatch(name)
    return match is not None and match[1] == model
