"""How a model comes into force: the publish protocol, step by step.

Decides when a file may become the current one, not which: the gate, a person or probation chose it. Each step has a name
in `STEPS`, and ``at_step`` is called before it, so that a test can end the process there. Wherever it ends, a reader
loads the old model or the new one, whole; after ``sync`` the new one survives a power loss. What comes after (events,
sidecars, old versions) is `bgpdrift.models.model_registry`; what a dead process left behind, `bgpdrift.models.recovery`.

A symbolic link in place of the current file is replaced by the new file: never written through, and what it led to is
copied as the backup. The folder itself may be one.
"""

import errno
import os
import stat as stat_module
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bgpdrift.clock import Clock
from bgpdrift.errors import ArtifactError, DigestMismatchError, PublishRefusedError, TransientError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.artifact import Artifact
from bgpdrift.models.paths import (
    SUFFIX,
    backup_paths,
    backup_stamp,
    candidate_path,
    candidate_paths,
    check_names,
    current_path,
    next_version,
    publish_lock_path,
)
from bgpdrift.models.recovery import recover
from bgpdrift.models.rejection import reject, second_name, set_aside
from bgpdrift.models.verification import DEFAULT_HISTORY_MINUTES, Verify, verify_file
from bgpdrift.process.durable import RETRY_S, STAGE_SUFFIX, stage_file, sync_directory, write_durably
from bgpdrift.process.locks import hold_lock

__all__ = [
    "STAGE_STEPS",
    "STEPS",
    "SUFFIX",
    "Publication",
    "active_version",
    "backup_paths",
    "candidate_paths",
    "current_path",
    "next_version",
    "publish",
    "recover",
    "reject",
    "stage",
    "write_durably",
]

STAGE_STEPS = ("room", "write", "verify", "keep", "sync_candidates")
"""Steps 1 to 3 of the protocol: a candidate is written, tried, and only then seen."""
PUBLISH_STEPS = ("lock", "read_active", "check", "guard", "backup", "sync_backup", "replace", "sync", "unlock")
"""Steps 0 and 4 to 6: ``replace`` is the commit, ``sync`` makes it durable."""
STEPS = STAGE_STEPS + PUBLISH_STEPS
SPACE_FACTOR = 3
ATTEMPTS = 2
"""A failed write is tried once more with a new file: a repeated fsync of the same one may lie."""
_HOPELESS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True, slots=True)
class Publication:
    """What came into force, and what it took the place of.

    Attributes
    ----------
    version, parent_version : str
        Now, and before; the latter empty if nothing usable was in force.
    path, backup : Path
        The current file; where the one before it is kept, None if there was none.
    digest : str
        Of the new file.
    seconds : float
        From ``lock`` to ``sync``, monotonic.
    artifact : Artifact
        What was read and check_names, for sidecars and records.
    """

    version: str
    parent_version: str
    path: Path
    backup: Path | None
    digest: str
    seconds: float
    artifact: Artifact


def _no_step(_: str) -> None:
    return


def _no_guard() -> None:
    return


def active_version(folder: Path, model: str) -> str:
    """The version in the current file; empty if there is none, or none that can be read whole."""
    active = _read_active(current_path(folder, model), model)
    return active.version if active else ""


def stage(
    folder: Path,
    model: str,
    version: str,
    raw: bytes,
    *,
    history_minutes: int = DEFAULT_HISTORY_MINUTES,
    at_step: Callable[[str], None] = _no_step,
    verify: Verify = verify_file,
) -> Path:
    """Write a model into ``candidates/``, durably, and let a child process try it before anybody sees it.

    Parameters
    ----------
    folder : Path
        The artifact directory.
    model, version : str
        What the bytes must say they are.
    raw : bytes
        A whole artifact.
    history_minutes : int
        Setting ``detectors.history_minutes``, with which detectors will run it.
    at_step : callable
        Called with the name of each step before it.
    verify : callable
        How the file is tried.

    Returns
    -------
    Path
        ``candidates/<model>_<version>.safetensors``.

    Raises
    ------
    ArtifactError
        These bytes are no model this program can run.
    PublishRefusedError
        There is a candidate of this version already.
    TransientError
        Too little space (three times the size is asked for), or the disk fails.
    """
    check_names(model, version)
    found = artifacts.from_bytes(raw, f"{model} {version}", model)
    if found.version != version:
        raise ArtifactError(f"{model}: version {found.version!r} in the file, {version!r} expected")
    path = candidate_path(folder, model, version)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            at_step("room")
            _require_room(folder, len(raw))
            _stage_once(path, raw, lambda file: verify(file, model, history_minutes), at_step)
            return path
        except FileExistsError as error:
            if _holds(path, raw):
                return path  # of an earlier attempt at the same
            raise PublishRefusedError(f"{path}: there already; a version is made once") from error
        except DigestMismatchError as error:
            # The bytes were good in memory: it is the disk that does not keep them.
            if attempt == ATTEMPTS:
                raise TransientError(f"{path}: the disk does not give back what was written: {error}", 60.0) from error
        except OSError as error:
            if attempt == ATTEMPTS or error.errno in _HOPELESS:
                raise TransientError(f"{path}: cannot be written: {error.strerror}", RETRY_S) from error
    raise AssertionError("unreachable")


def publish(
    folder: Path,
    model: str,
    candidate: Path,
    *,
    expected_active: str,
    guard: Callable[[], None] = _no_guard,
    clock: Clock,
    disappointed: str = "",
    at_step: Callable[[str], None] = _no_step,
) -> Publication:
    """Make a staged candidate the current file.

    Parameters
    ----------
    folder : Path
        The artifact directory.
    model : str
        Whose current file.
    candidate : Path
        As `stage` returned it; it is moved. Its bytes are checked against their digest here; whether they run was found
        out when they were staged.
    expected_active : str
        The version that was in force (`active_version`) when the work on the candidate began; empty for none.
    guard : callable
        Raises if the caller may no longer publish, e.g. because its claim was lost; asked before anything is changed
        and again just before the commit.
    clock : Clock
        Names the backup and measures.
    disappointed : str
        Why the version in force must go, in a rollback: then it is kept in ``rejected/``, not as a backup, which a
        detector might fall back to.

    Raises
    ------
    PublishRefusedError
        Another version is in force than was expected; nothing was changed.
    ArtifactError
        The candidate is damaged.
    TransientError
        Another process is publishing this model, or the disk failed: the old model is in force, the candidate waits.
    """
    check_names(model)
    path = current_path(folder, model)
    begun = clock.monotonic()
    at_step("lock")
    with hold_lock(publish_lock_path(folder, model), f"{model}: another process is publishing it"):
        try:
            at_step("read_active")
            active = _read_active(path, model)
            _require_unmoved(model, active, expected_active)
            at_step("check")
            new = artifacts.read(candidate, model)
            if active is not None and new.version == active.version:
                raise PublishRefusedError(f"{model} {new.version}: in force already")
            _require_room(folder, candidate.stat().st_size)
            at_step("guard")
            guard()
            at_step("backup")
            backup = _keep_old(folder, model, active, disappointed, clock.now())
            at_step("sync_backup")
            if backup is not None:
                sync_directory(backup.parent)
            guard()
            at_step("replace")
            candidate.replace(path)
            try:
                at_step("sync")
                sync_directory(folder)
                sync_directory(candidate.parent)
            except OSError:
                _undo(path, candidate, backup)
                raise
        except OSError as error:
            raise TransientError(f"{path}: cannot be published: {error.strerror}", RETRY_S) from error
        at_step("unlock")
    parent = active.version if active else ""
    return Publication(new.version, parent, path, backup, new.digest, clock.monotonic() - begun, new)


def _stage_once(path: Path, raw: bytes, verify: Callable[[Path], None], at_step: Callable[[str], None]) -> None:
    at_step("write")
    with stage_file(path, raw) as file:
        at_step("verify")
        verify(file)
        at_step("keep")
        os.link(file, path)  # unlike a rename, refuses to replace a candidate of the same version
    at_step("sync_candidates")
    sync_directory(path.parent)


def _holds(path: Path, raw: bytes) -> bool:
    try:
        return artifacts.read_once(path).raw == raw
    except (ArtifactError, OSError):
        return False


def _read_active(path: Path, model: str) -> Artifact | None:
    try:
        if not stat_module.S_ISREG(path.stat().st_mode):
            return None
        return artifacts.read(path, model)
    except (ArtifactError, OSError):
        return None


def _require_unmoved(model: str, active: Artifact | None, expected: str) -> None:
    found = active.version if active else ""
    if found != expected:
        raise PublishRefusedError(
            f"{model}: version {found or 'none'} is in force, {expected or 'none'} was when this began; decide anew"
        )


def _require_room(folder: Path, size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    free = os.statvfs(folder)
    if free.f_bavail * free.f_frsize < SPACE_FACTOR * size:
        raise OSError(errno.ENOSPC, f"less than {SPACE_FACTOR * size:,} bytes free, {SPACE_FACTOR} times the model")


def _keep_old(folder: Path, model: str, active: Artifact | None, disappointed: str, now: float) -> Path | None:
    """Give the current file a second name, so that nothing is lost however this ends; None if there is none."""
    if active is None:
        return None
    path, backups = current_path(folder, model), backup_paths(folder, model)
    if disappointed:
        return set_aside(folder, path, model, active.version, disappointed, now)
    newest = backups[0] if backups else None
    if newest is not None:
        with suppress(OSError):
            if newest.samefile(path):
                return newest  # made by a publish that ended before its commit
    backup = folder / f"{model}_backup_{backup_stamp(now, newest)}{SUFFIX}"
    second_name(path, backup)
    return backup


def _undo(path: Path, candidate: Path, old: Path | None) -> None:
    """Take back a commit that could not be made durable, as far as the disk still lets us."""
    with suppress(OSError):
        os.link(path, candidate)
    with suppress(OSError):
        if old is None:
            path.unlink()
            return
        again = path.with_name(f".{path.name}.undo{STAGE_SUFFIX}")
        again.unlink(missing_ok=True)
        os.link(old, again)
        again.replace(path)
