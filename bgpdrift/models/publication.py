"""The publish protocol: how a candidate becomes the active model, step by step.

====  ==============================================  ======================================================
step  name in `STEPS`                                 what it does
====  ==============================================  ======================================================
0     room                                            require three times the size of the model as free space
1, 2  write                                           write a hidden stage on the same file system and sync it
3     verify, keep, sync_candidates                   a child process tries it; then it is a candidate
0     lock, read_active, check, guard                 lock, compare the active version, check the digest
4     backup, sync_backup                             hard-link the current file as the backup
5     replace                                         rename the candidate onto the current name: the commit
6     sync                                            sync the directory: the commit is durable
7     unlock                                          afterwards `bgpdrift.models.model_registry` records it
====  ==============================================  ======================================================

``at_step`` is called before each step, so that a test can kill the process there. At any step a reader loads the old model
or the new one, never a partial file. `bgpdrift.models.recovery` cleans up after a kill. The gate, a person or probation
chose the candidate before.

A symbolic link in place of the current file is replaced by the new file; its target is copied as the backup and is not
changed. The folder itself may be a symbolic link.
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
    check_names,
    current_path,
    publish_lock_path,
)
from bgpdrift.models.quarantine import add_link, link_into_rejected
from bgpdrift.models.verification import DEFAULT_HISTORY_MINUTES, Verify, verify_file
from bgpdrift.process.durable import RETRY_S, STAGE_SUFFIX, stage_file, sync_directory
from bgpdrift.process.locks import hold_lock

STAGE_STEPS = ("room", "write", "verify", "keep", "sync_candidates")
PUBLISH_STEPS = ("lock", "read_active", "check", "guard", "backup", "sync_backup", "replace", "sync", "unlock")
STEPS = STAGE_STEPS + PUBLISH_STEPS
SPACE_FACTOR = 3
MAX_ATTEMPTS = 2
"""A failed write is repeated once with a new file, because a repeated fsync of the same file may report success wrongly."""
_PERMANENT_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}

AtStep = Callable[[str], None]
Guard = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Publication:
    """A version that became active, and the one that it replaced.

    Attributes
    ----------
    version, parent_version : str
        The new and the old version; the latter empty if there was no readable one.
    path, backup : Path
        The current file, and where the old one is kept; None if there was none.
    seconds : float
        From ``lock`` to ``sync``, monotonic.
    artifact : Artifact
        The new model.
    """

    version: str
    parent_version: str
    path: Path
    backup: Path | None
    seconds: float
    artifact: Artifact


def active_version(folder: Path, model: str) -> str:
    """Read the version of the current file; empty if there is none or it cannot be read."""
    active = _read_active(current_path(folder, model), model)
    return active.version if active else ""


def stage(
    folder: Path,
    model: str,
    version: str,
    raw: bytes,
    *,
    history_minutes: int = DEFAULT_HISTORY_MINUTES,
    at_step: AtStep = lambda _: None,
    verify: Verify = verify_file,
) -> Path:
    """Write a model into ``candidates/``, durably; a child process tries it before it is visible.

    Parameters
    ----------
    folder : Path
        The artifact directory.
    model, version : str
        The model and version in the metadata.
    raw : bytes
        A whole artifact.
    history_minutes : int
        Setting ``detectors.history_minutes``, which detectors will run it with.
    at_step : callable
        Called with the name of each step before it.
    verify : callable
        Tries the file.

    Returns
    -------
    Path
        ``candidates/<model>_<version>.safetensors``.

    Raises
    ------
    ArtifactError
        This program cannot run the model.
    PublishRefusedError
        Another candidate of this version exists.
    TransientError
        There is too little space, or the disk fails.
    """
    check_names(model, version)
    artifact = artifacts.from_bytes(raw, f"{model} {version}", model)
    if artifact.version != version:
        raise ArtifactError(f"{model}: expected version {version!r} in the metadata, found {artifact.version!r}")
    path = candidate_path(folder, model, version)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        try:
            at_step("room")
            _require_space(folder, len(raw))
            _write_candidate(path, raw, lambda file: verify(file, model, history_minutes), at_step)
            return path
        except FileExistsError as error:
            if _has_content(path, raw):
                return path  # written by an earlier attempt
            raise PublishRefusedError(f"{path}: another candidate of this version exists") from error
        except DigestMismatchError as error:
            # The bytes were good in memory, so the disk is at fault.
            if attempt == MAX_ATTEMPTS:
                raise TransientError(
                    f"{path}: the disk returns other bytes than were written: {error}", 60.0
                ) from error
        except OSError as error:
            if attempt == MAX_ATTEMPTS or error.errno in _PERMANENT_ERRORS:
                raise TransientError(f"{path}: cannot be written: {error.strerror}", RETRY_S) from error
    raise AssertionError("unreachable")


def publish(
    folder: Path,
    model: str,
    candidate: Path,
    *,
    expected_active: str,
    guard: Guard = lambda: None,
    clock: Clock,
    rollback_reason: str = "",
    at_step: AtStep = lambda _: None,
) -> Publication:
    """Make a staged candidate the current file.

    Parameters
    ----------
    folder : Path
        The artifact directory.
    model : str
        The model.
    candidate : Path
        As `stage` returned it; it is moved. Its digest is checked here; that it runs was checked when it was staged.
    expected_active : str
        The version that was active (`active_version`) when the work on the candidate began; empty for none.
    guard : callable
        Raises if the caller may no longer publish, for example because it lost its claim. Called before anything changes
        and again just before the commit.
    clock : Clock
        Names the backup and measures the duration.
    rollback_reason : str
        In a rollback, why the active version is replaced. It is then kept in ``rejected/`` and not as a backup, because a
        detector may fall back to a backup.

    Raises
    ------
    PublishRefusedError
        Another version than the expected one is active; nothing was changed.
    ArtifactError
        The candidate is damaged.
    TransientError
        Another process is publishing this model, or the disk failed: the old model is active, the candidate remains.
    """
    check_names(model)
    path = current_path(folder, model)
    begun = clock.monotonic()
    at_step("lock")
    with hold_lock(publish_lock_path(folder, model), f"{model}: another process is publishing it"):
        try:
            at_step("read_active")
            active = _read_active(path, model)
            _require_expected(model, active, expected_active)
            at_step("check")
            new = artifacts.read(candidate, model)
            if active is not None and new.version == active.version:
                raise PublishRefusedError(f"{model}: version {new.version} is active already")
            _require_space(folder, candidate.stat().st_size)
            at_step("guard")
            guard()
            at_step("backup")
            backup = _keep_old(folder, model, active, rollback_reason, clock.now())
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
                _undo_commit(path, candidate, backup)
                raise
        except OSError as error:
            raise TransientError(f"{path}: cannot be published: {error.strerror}", RETRY_S) from error
        at_step("unlock")
    parent = active.version if active else ""
    return Publication(new.version, parent, path, backup, clock.monotonic() - begun, new)


def _write_candidate(path: Path, raw: bytes, verify: Callable[[Path], None], at_step: AtStep) -> None:
    at_step("write")
    with stage_file(path, raw) as file:
        at_step("verify")
        verify(file)
        at_step("keep")
        os.link(file, path)  # unlike a rename, it does not replace a candidate of the same version
    at_step("sync_candidates")
    sync_directory(path.parent)


def _has_content(path: Path, raw: bytes) -> bool:
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


def _require_expected(model: str, active: Artifact | None, expected: str) -> None:
    version = active.version if active else ""
    if version != expected:
        raise PublishRefusedError(
            f"{model}: expected {expected or 'none'} as the active version, found {version or 'none'}; "
            "it changed since this candidate was begun"
        )


def _require_space(folder: Path, size: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    status = os.statvfs(folder)
    if status.f_bavail * status.f_frsize < SPACE_FACTOR * size:
        raise OSError(errno.ENOSPC, f"less than {SPACE_FACTOR * size:,} bytes free, {SPACE_FACTOR} times the model")


def _keep_old(folder: Path, model: str, active: Artifact | None, rollback_reason: str, now: float) -> Path | None:
    """Return the current file a second name as backup, or in ``rejected/``; None if there is no current file."""
    if active is None:
        return None
    path, backups = current_path(folder, model), backup_paths(folder, model)
    if rollback_reason:
        return link_into_rejected(folder, path, model, active.version, rollback_reason, now)
    newest = backups[0] if backups else None
    if newest is not None:
        with suppress(OSError):
            if newest.samefile(path):
                return newest  # of a publish that was killed before its commit
    backup = folder / f"{model}_backup_{backup_stamp(now, newest)}{SUFFIX}"
    add_link(path, backup)
    return backup


def _undo_commit(path: Path, candidate: Path, old: Path | None) -> None:
    """Undo a commit that could not be made durable, as far as the disk permits."""
    with suppress(OSError):
        os.link(path, candidate)
    with suppress(OSError):
        if old is None:
            path.unlink()
            return
        restored = path.with_name(f".{path.name}.undo{STAGE_SUFFIX}")
        restored.unlink(missing_ok=True)
        os.link(old, restored)
        restored.replace(path)
