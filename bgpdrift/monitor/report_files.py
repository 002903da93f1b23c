"""Files of drift reports: ``drift_report_<model>_<UTC stamp>.json`` in the artifact directory, whole or not at all.

Decides their names, how many are kept and what counts as one. What they say is `bgpdrift.drift.report_json`'s affair. The stamp
is the event time of the check, so a check done twice writes the same file twice. What a dead process left half written has
a hidden name of its own and is no report.
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
MOST_BYTES = 16_000_000
"""A larger file is none of ours."""


def report_path(folder: Path, model: str, at: int) -> Path:
    """Name the report of a check at an event time, epoch seconds.

    Examples
    --------
    >>> report_path(Path("model_artifacts"), "lstm", 1_767_225_600).name
    'drift_report_lstm_20260101T000000Z.json'
    """
    check_names(model)
    return folder / f"drift_report_{model}_{datetime.fromtimestamp(at, UTC).strftime(STAMP_FORM)}.json"


def write_report(folder: Path, report: DriftReport, keep: int) -> Path:
    """Write a report atomically and durably, then delete all but the newest ``keep`` of its model.

    Returns
    -------
    Path
        Where it lies.

    Raises
    ------
    TransientError
        The disk is full, read-only or fails. Nothing is lost: no older report was touched, and the check itself is in the
        store.
    """
    path = report_path(folder, report.model, report.at)
    write_durably(path, encode(report))
    for old in report_paths(folder, report.model)[keep:]:
        if old != path:
            with suppress(OSError):  # another monitor was quicker, or it stays until the next one
                old.unlink()
    return path


def report_paths(folder: Path, model: str) -> list[Path]:
    """Reports of a model, newest first by event time."""
    found = [path for path in folder.glob(f"drift_report_{model}_*.json") if _is_of(path.name, model)]
    return sorted(found, key=lambda path: path.name, reverse=True)


def read_report(path: Path) -> DriftReport:
    """Read a report.

    Raises
    ------
    InputError
        The file is missing, too large or no report; the message says what is wrong where.
    TransientError
        The disk fails.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such drift report") from error
    except OSError as error:
        raise TransientError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > MOST_BYTES:
        raise InputError(f"{path}: more than {MOST_BYTES:,} bytes, too large for a drift report")
    return decode(raw, str(path))


def _is_of(name: str, model: str) -> bool:
    match = _NAME.fullmatch(name)
    return match is not None and match[1] == model
