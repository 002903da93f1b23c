"""Decides how many old model files are kept, and removes the others.

Never removed: the current file, and the only copy of the active version, of its parent or of an accepted version, however
old. Unreadable files do not count as kept; they are removed when there are enough newer readable ones.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bgpdrift.models.model_files import ModelFile, ModelFiles
from bgpdrift.models.paths import note_path
from bgpdrift.process.durable import sync_directory
from bgpdrift.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPolicy:
    """Files kept per model, besides protected versions: settings section ``models``."""

    backups: int = 5
    candidates: int = 3
    rejected: int = 5

    @classmethod
    def from_settings(cls, settings: Settings) -> "RetentionPolicy":
        """Read the policy from the settings."""
        kept = settings.models
        return cls(backups=kept.keep_backups, candidates=kept.keep_candidates, rejected=kept.keep_rejected)


def choose_expired(files: Sequence[ModelFile], keep: int, protected: Collection[str]) -> list[ModelFile]:
    """Choose the files to remove.

    Parameters
    ----------
    files : sequence of ModelFile
        Files of one kind, the newest first.
    keep : int
        Readable files to keep; 0 keeps only protected versions.
    protected : collection of str
        Versions of which one copy stays.

    Examples
    --------
    >>> files = [ModelFile(Path(v), v) for v in "54321"]
    >>> [file.version for file in choose_expired(files, 2, {"1", "4"})]
    ['3', '2']
    """
    expired: list[ModelFile] = []
    kept, kept_versions = 0, set[str]()
    for file in files:
        if file.problem:
            if kept >= keep:
                expired.append(file)
            continue
        is_only_copy = file.version in protected and file.version not in kept_versions
        if kept < keep:
            kept += 1
        elif not is_only_copy:
            expired.append(file)
            continue
        kept_versions.add(file.version)
    return expired


def list_protected(files: ModelFiles, accepted: Collection[str]) -> set[str]:
    """List the versions that stay: the active one, its parent and the accepted ones."""
    parent = files.current.parent_version if files.current else ""
    return {version for version in (files.active_version, parent, *accepted) if version}


def remove_expired(
    files: ModelFiles, policy: RetentionPolicy, accepted: Collection[str], also_protected: Collection[str] = ()
) -> list[Path]:
    """Remove the files that are not kept. A file that cannot be removed is tried again the next time.

    Parameters
    ----------
    files : ModelFiles
        All files of the model.
    policy : RetentionPolicy
        How many are kept.
    accepted : collection of str
        Versions in state ``accepted``.
    also_protected : collection of str
        More versions to keep, for example the one that was active until now.

    Returns
    -------
    list of Path
        Removed files.
    """
    protected = list_protected(files, accepted) | set(also_protected)
    expired = [
        *choose_expired(files.backups, policy.backups, protected),
        *choose_expired(files.candidates, policy.candidates, ()),
        *choose_expired(files.rejected, policy.rejected, ()),
    ]
    removed: list[Path] = []
    for file in expired:
        with suppress(OSError):
            file.path.unlink()
            removed.append(file.path)
            note_path(file.path).unlink(missing_ok=True)
    for folder in {path.parent for path in removed}:
        with suppress(OSError):
            sync_directory(folder)
    return removed
