"""How many old files are kept. Which go is decided here, purely; `collect` removes them.

Never removed: the current file, and the only copy of the active version, of its parent or of an accepted one, however old.
Damaged files take no place among those kept, and go when they are older than all of these.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bgpdrift.models.model_files import ModelFile, ModelFiles
from bgpdrift.models.paths import REASON_SUFFIX, SUFFIX
from bgpdrift.process.durable import sync_directory


@dataclass(frozen=True, slots=True)
class RetentionPolicy:
    """Files kept a model, besides protected versions: settings section ``models``."""

    backups: int = 5
    candidates: int = 3
    rejected: int = 5


def expired(files: Sequence[ModelFile], keep: int, protected: Collection[str]) -> list[ModelFile]:
    """Say which files go.

    Parameters
    ----------
    files : sequence of ModelFile
        Of one kind, newest first.
    keep : int
        Good files kept; 0 keeps only protected ones.
    protected : collection of str
        Versions of which one copy stays.

    Examples
    --------
    >>> files = [ModelFile(Path(v), v) for v in "54321"]
    >>> [file.version for file in expired(files, 2, {"1", "4"})]
    ['3', '2']
    """
    going: list[ModelFile] = []
    kept, copies = 0, set[str]()
    for file in files:
        if file.problem:
            if kept >= keep:
                going.append(file)
            continue
        only_copy = file.version in protected and file.version not in copies
        if kept < keep:
            kept += 1
        elif not only_copy:
            going.append(file)
            continue
        copies.add(file.version)
    return going


def protected_versions(files: ModelFiles, accepted: Collection[str]) -> set[str]:
    """Versions that must stay: the one in force, its parent, those that are accepted."""
    parent = files.current.parent_version if files.current else ""
    return {version for version in (files.active_version, parent, *accepted) if version}


def collect(
    files: ModelFiles, policy: RetentionPolicy, accepted: Collection[str], also: Collection[str] = ()
) -> list[Path]:
    """Remove what is not kept; what cannot be removed stays for the next time.

    Parameters
    ----------
    files : ModelFiles
        As they lie now.
    policy : RetentionPolicy
        How many stay.
    accepted : collection of str
        Versions in state ``accepted``.
    also : collection of str
        More versions to protect, e.g. the one that was in force until now.

    Returns
    -------
    list of Path
        Files that are gone.
    """
    protected = protected_versions(files, accepted) | set(also)
    going = [
        *expired(files.backups, policy.backups, protected),
        *expired(files.candidates, policy.candidates, ()),
        *expired(files.rejected, policy.rejected, ()),
    ]
    removed: list[Path] = []
    for file in going:
        with suppress(OSError):
            file.path.unlink()
            removed.append(file.path)
            file.path.with_name(file.path.name.removesuffix(SUFFIX) + REASON_SUFFIX).unlink(missing_ok=True)
    for folder in {path.parent for path in removed}:
        with suppress(OSError):
            sync_directory(folder)
    return removed
