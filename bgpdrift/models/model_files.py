"""The files of a model in the artifact directory, with what their metadata state.

A file that cannot be read is listed with the reason. `bgpdrift.models.verification` tests whether a readable file runs.
`bgpdrift.models.selection` and `bgpdrift.models.retention` choose among the files.
"""

from dataclasses import dataclass
from pathlib import Path

from bgpdrift.errors import ArtifactError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.metadata import NO_METRICS, NO_TRAINING, EvaluationMetrics, TrainingRecord
from bgpdrift.models.paths import backup_paths, candidate_paths, current_path, rejected_paths, version_in_name
from bgpdrift.models.quarantine import read_rejection_reason


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file.

    Attributes
    ----------
    path : Path
        Path of the file.
    version : str
        From its metadata; from its name if it cannot be read, empty if the name has none.
    problem : str
        Why it cannot be read; empty if it can.
    reason : str
        Why it was rejected, for files in ``rejected/``.
    metrics, training : EvaluationMetrics, TrainingRecord
        From its metadata.
    created_at : int
        Epoch seconds; 0 if unknown.
    parent_version : str
        The version that it was trained to replace.
    """

    path: Path
    version: str
    problem: str = ""
    reason: str = ""
    metrics: EvaluationMetrics = NO_METRICS
    training: TrainingRecord = NO_TRAINING
    created_at: int = 0
    parent_version: str = ""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """All files of one model; the newest first."""

    model: str
    current: ModelFile | None
    backups: tuple[ModelFile, ...]
    candidates: tuple[ModelFile, ...]
    rejected: tuple[ModelFile, ...]

    @property
    def has_any(self) -> bool:
        """Whether there is any file."""
        return bool(self.current or self.backups or self.candidates or self.rejected)

    @property
    def active_version(self) -> str:
        """The active version; empty if no current file can be read."""
        return self.current.version if self.current and not self.current.problem else ""


def list_model_files(folder: Path, model: str) -> ModelFiles:
    """Read all files of a model."""
    path = current_path(folder, model)
    return ModelFiles(
        model,
        _read_file(path, model) if path.exists() or path.is_symlink() else None,
        tuple(_read_file(path, model) for path in backup_paths(folder, model)),
        tuple(_read_file(path, model, version_in_name(path, model)) for path in candidate_paths(folder, model)),
        tuple(_read_file(path, model, version_in_name(path, model)) for path in rejected_paths(folder, model)),
    )


def _read_file(path: Path, model: str, named_version: str = "") -> ModelFile:
    reason = read_rejection_reason(path)
    try:
        artifact = artifacts.read(path, model)
    except ArtifactError as error:
        return ModelFile(path, named_version, str(error), reason)
    return ModelFile(
        path,
        artifact.version,
        "",
        reason,
        artifact.metrics,
        artifact.training,
        artifact.created_at,
        artifact.parent_version,
    )
