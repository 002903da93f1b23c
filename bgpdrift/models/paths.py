"""The paths of the model files; nothing here writes.

``<model>.safetensors`` is the active model, ``<model>_backup_<UTC stamp>[-n].safetensors`` an earlier one,
``candidates/<model>_<version>.safetensors`` a candidate. ``rejected/`` holds rejected files, each with a note. Versions are
counters. The stamp of a new backup is always later than that of the newest one, also if the clock was set back, so that
the newest name is the newest backup.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import InputError

SUFFIX = ".safetensors"
REASON_SUFFIX = ".reason.json"
CANDIDATES, REJECTED = "candidates", "rejected"
STAMP_FORM = "%Y%m%dT%H%M%SZ"
_BACKUP = re.compile(r"_backup_(\d{8}T\d{6}Z)(?:-(\d+))?$")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}")


def current_path(folder: Path, model: str) -> Path:
    """Return the path of the active model."""
    return folder / f"{model}{SUFFIX}"


def publish_lock_path(folder: Path, model: str) -> Path:
    """Return the lock file of everything that changes which file of a model is active."""
    return folder / f"publish_{model}.lock"


def backup_paths(folder: Path, model: str) -> list[Path]:
    """List the backups of a model, the newest first."""
    paths = [path for path in folder.glob(f"{model}_backup_*{SUFFIX}") if _BACKUP.search(path.stem)]
    return sorted(paths, key=_backup_order, reverse=True)


def candidate_path(folder: Path, model: str, version: str) -> Path:
    """Return the path of a candidate."""
    return folder / CANDIDATES / f"{model}_{version}{SUFFIX}"


def candidate_paths(folder: Path, model: str) -> list[Path]:
    """List the candidates of a model, the newest version first."""
    return _numbered(folder / CANDIDATES, model)


def rejected_paths(folder: Path, model: str) -> list[Path]:
    """List the rejected files of a model, the newest version first."""
    return _numbered(folder / REJECTED, model)


def note_path(file: Path) -> Path:
    """Return the path of the note beside a rejected file."""
    return file.with_name(file.name.removesuffix(SUFFIX) + REASON_SUFFIX)


def backup_stamp(now: float, newest: Path | None) -> str:
    """Return the stamp of the next backup: the time, or the newest stamp with a number if the clock is not later.

    Examples
    --------
    >>> backup_stamp(1_767_225_600, None)
    '20260101T000000Z'
    >>> backup_stamp(1_767_225_600, Path("lstm_backup_20260101T000000Z.safetensors"))
    '20260101T000000Z-2'
    >>> backup_stamp(0, Path("lstm_backup_20260101T000000Z-9.safetensors"))
    '20260101T000000Z-10'
    """
    stamp = datetime.fromtimestamp(now, UTC).strftime(STAMP_FORM)
    if newest is None:
        return stamp
    last, number = _backup_order(newest)
    return stamp if stamp > last else f"{last}-{number + 1}"


def next_version(folder: Path, model: str, known: Iterable[str] = ()) -> str:
    """Return the counter after the largest version in the files and in ``known`` (from the store).

    Versions that are not counters, such as ``default-1``, are ignored.
    """
    from bgpdrift.errors import ArtifactError
    from bgpdrift.models import artifact

    versions = list(known)
    named = [*candidate_paths(folder, model), *rejected_paths(folder, model)]
    versions += [version_in_name(path, model) for path in named]
    for path in (current_path(folder, model), *backup_paths(folder, model)):
        try:
            versions.append(artifact.read(path, model).version)
        except ArtifactError:
            continue
    return str(1 + max((int(version) for version in versions if version.isdecimal()), default=0))


def version_in_name(path: Path, model: str) -> str:
    """Read the version in the name of a candidate or a rejected file.

    Examples
    --------
    >>> version_in_name(Path("candidates/isolation_forest_12.safetensors"), "isolation_forest")
    '12'
    """
    return path.stem.removeprefix(f"{model}_").partition("~")[0]


def check_names(model: str, version: str = "1") -> None:
    """Refuse names that would give a path outside the folder."""
    if not _NAME.fullmatch(model):
        raise InputError(f"model: expected one of {', '.join(MODELS)}, found {model!r}")
    if not _VERSION.fullmatch(version):
        raise InputError(f"version: expected a counter such as 12, found {version!r}")


def _numbered(folder: Path, model: str) -> list[Path]:
    # No model name followed by "_" is the beginning of another, so the name determines the model.
    paths = [path for path in folder.glob(f"{model}_*{SUFFIX}") if not path.name.startswith(".")]
    return sorted(paths, key=lambda path: _counter(version_in_name(path, model)), reverse=True)


def _counter(version: str) -> tuple[int, str]:
    return (int(version), version) if version.isdecimal() else (-1, version)


def _backup_order(path: Path) -> tuple[str, int]:
    match = _BACKUP.search(path.stem)
    return (match[1], int(match[2] or 1)) if match else ("", 0)
