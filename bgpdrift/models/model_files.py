"""What lies in the artifact directory: every file of a model, read and named, for those who choose among them.

Decides nothing. A file that cannot be read is listed with the reason; whether a good one runs is `verify_file`'s affair.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift.errors import ArtifactError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.artifact import Artifact
from bgpdrift.models.paths import (
    REASON_SUFFIX,
    SUFFIX,
    backup_paths,
    candidate_paths,
    current_path,
    rejected_paths,
    version_in_name,
)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file.

    Attributes
    ----------
    path : Path
        Where it lies.
    version : str
        What its bytes say; what its name says if they cannot be read, empty if that says nothing either.
    problem : str
        Why it cannot be read; empty if it can.
    reason : str
        Why it was set aside, for files in ``rejected/``.
    metrics, training : mapping
        From its metadata.
    created_at : int
        Epoch seconds; 0 if unknown.
    parent_version : str
        Which version it was trained to replace.
    """

    path: Path
    version: str
    problem: str = ""
    reason: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    created_at: int = 0
    parent_version: str = ""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """All files of one model; lists newest first."""

    model: str
    current: ModelFile | None
    backups: tuple[ModelFile, ...]
    candidates: tuple[ModelFile, ...]
    rejected: tuple[ModelFile, ...]

    @property
    def has_any(self) -> bool:
        """Whether there is any file at all."""
        return bool(self.current or self.backups or self.candidates or self.rejected)

    @property
    def active_version(self) -> str:
        """The version in force; empty if no current file can be read."""
        return self.current.version if self.current and not self.current.problem else ""


def list_model_files(folder: Path, model: str) -> ModelFiles:
    """Read every file of a model."""
    path = current_path(folder, model)
    return ModelFiles(
        model,
        read_file(path, model) if path.exists() or path.is_symlink() else None,
        tuple(read_file(path, model) for path in backup_paths(folder, model)),
        tuple(read_file(path, model, version_in_name(path, model)) for path in candidate_paths(folder, model)),
        tuple(read_file(path, model, version_in_name(path, model)) for path in rejected_paths(folder, model)),
    )


def read_file(path: Path, model: str, named: str = "") -> ModelFile:
    """Read one file."""
    reason = _reason(path)
    try:
        found: Artifact = artifacts.read(path, model)
    except ArtifactError as error:
        return ModelFile(path, named, str(error), reason)
    return ModelFile(
        path,
        found.version,
        "",
        reason,
        found.metrics,
        found.training,
        found.created_at,
        found.parent_version,
    )


def _reason(path: Path) -> str:
    note = path.with_name(path.name.removesuffix(SUFFIX) + REASON_SUFFIX)
    try:
        return str(msgspec.json.decode(note.read_bytes())["reason"])
    except (OSError, msgspec.MsgspecError, KeyError, TypeError):
        return ""
