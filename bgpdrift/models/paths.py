"""Where the files of a model lie and what they are called; names only, nothing here writes.

``<model>.safetensors`` is the model in force, ``<model>_backup_<UTC stamp>[-n].safetensors`` what was in force before,
``candidates/<model>_<version>.safetensors`` waits, ``rejected/`` keeps what was refused, with its reason. Versions are
counters. A backup's stamp never runs backwards, whatever the clock does, so that the newest name is the newest backup.
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
    """Where the model in force lies."""
    return folder / f"{model}{SUFFIX}"


def publish_lock_path(folder: Path, model: str) -> Path:
    """Return the lock file of everything that changes which file of a model is active."""
    return folder / f"publish_{model}.lock"


def backup_paths(folder: Path, model: str) -> list[Path]:
    """Backups of a model, newest first."""
    found = [path for path in folder.glob(f"{model}_backup_*{SUFFIX}") if _BACKUP.search(path.stem)]
    return sorted(found, key=_backup_order, reverse=True)


def candidate_path(folder: Path, model: str, version: str) -> Path:
    """Where a version waits for its publication."""
    return folder / CANDIDATES / f"{model}_{version}{SUFFIX}"


def candidate_paths(folder: Path, model: str) -> list[Path]:
    """Candidates of a model, newest version first."""
    return _numbered(folder / CANDIDATES, model)


def rejected_paths(folder: Path, model: str) -> list[Path]:
    """Refused files of a model, newest version first."""
    return _numbered(folder / REJECTED, model)


def backup_stamp(now: float, newest: Path | None) -> str:
    """Name the next backup: now, or just after the newest one where the clock stands behind it.

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
    """Count on from every version of a model there ever was, as far as files and ``known`` (the store) tell.

    Versions that are no counter, such as ``default-1``, do not count.
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
    """The version a candidate's or refused file's name says.

    Examples
    --------
    >>> version_in_name(Path("candidates/isolation_forest_12.safetensors"), "isolation_forest")
    '12'
    """
    return path.stem.removeprefix(f"{model}_").partition("~")[0]


def check_names(model: str, version: str = "1") -> None:
    """Refuse names that would lead out of the folder."""
    if not _NAME.fullmatch(model):
        raise InputError(f"{model!r} is no name of a model; expected one of {', '.join(MODELS)}")
    if not _VERSION.fullmatch(version):
        raise InputError(f"{version!r} is no version; expected a counter such as 12")


def _numbered(folder: Path, model: str) -> list[Path]:
    # No model's name is the beginning of another's, followed by "_": the name tells whose file it is.
    found = [path for path in folder.glob(f"{model}_*{SUFFIX}") if not path.name.startswith(".")]
    return sorted(found, key=lambda path: _counter(version_in_name(path, model)), reverse=True)


def _counter(version: str) -> tuple[int, str]:
    return (int(version), version) if version.isdecimal() else (-1, version)


def _backup_order(path: Path) -> tuple[str, int]:
    match = _BACKUP.search(path.stem)
    return (match[1], int(match[2] or 1)) if match else ("", 0)
