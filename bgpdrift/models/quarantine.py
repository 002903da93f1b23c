"""Files in ``rejected/``: kept with a note that states the reason, never loaded or published without a person.

The gate, a reader of the current file, probation or a person decides that a file is rejected. This module moves it, and
never moves a file that was published in its place.
"""

import errno
import os
import stat as stat_module
from contextlib import suppress
from pathlib import Path

import msgspec

from bgpdrift.errors import ArtifactError, TransientError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.artifact import Identity, is_same_content
from bgpdrift.models.paths import REJECTED, SUFFIX, backup_stamp, note_path, publish_lock_path
from bgpdrift.process.durable import RETRY_S, STAGE_SUFFIX, sync_directory, write_durably
from bgpdrift.process.locks import hold_lock


class RejectionNote(msgspec.Struct, frozen=True):
    """Content of ``rejected/<model>_<version>.reason.json``."""

    reason: str
    model: str = ""
    version: str = ""
    rejected_at: int = 0
    """Wall clock, epoch seconds."""
    file: str = ""
    """Name of the file before."""


def quarantine_file(folder: Path, file: Path, model: str, reason: str, now: float) -> Path:
    """Move a file into ``rejected/`` with a note.

    The caller holds the publish lock if this is the current file. `quarantine_current` does.

    Returns
    -------
    Path
        The new path.

    Raises
    ------
    TransientError
        The folder cannot be written.
    """
    try:
        version = artifacts.read(file, model).version
    except ArtifactError:
        version = ""
    try:
        target = link_into_rejected(folder, file, model, version, reason, now)
        file.unlink()
        sync_directory(file.parent)
    except OSError as error:
        raise TransientError(f"{file}: cannot be moved to {REJECTED}/: {error.strerror}", RETRY_S) from error
    return target


def quarantine_current(path: Path, model: str, identity: Identity, reason: str, now: float) -> Path | None:
    """Move the current file into ``rejected/`` if it still is the file that failed.

    Parameters
    ----------
    path : Path
        The current file.
    model : str
        Its model.
    identity : Identity
        Identity of the file that failed.
    reason : str
        For the note.
    now : float
        Wall clock, epoch seconds.

    Returns
    -------
    Path or None
        The new path. None if the file is gone or replaced, or is a symbolic link or no regular file; a link belongs to
        the person who made it.

    Raises
    ------
    TransientError
        Another process is publishing this model, or the folder cannot be written.
    """
    if not _is_still(path, identity):
        return None
    folder = path.parent
    with hold_lock(publish_lock_path(folder, model), f"{model}: another process is publishing it"):
        if not _is_still(path, identity):
            return None
        # A person's `mv` takes no lock. The rename takes whatever file is there in one step; another file goes back.
        taken = folder / REJECTED / f".{path.name}.{os.getpid()}{STAGE_SUFFIX}"  # recovery removes it after a kill
        try:
            taken.parent.mkdir(parents=True, exist_ok=True)
            path.rename(taken)
            if not _is_still(taken, identity):
                with suppress(FileExistsError):
                    os.link(taken, path)
                taken.unlink()
                return None
        except OSError as error:
            raise TransientError(f"{path}: cannot be moved to {REJECTED}/: {error.strerror}", RETRY_S) from error
        return quarantine_file(folder, taken, model, reason, now)


def link_into_rejected(folder: Path, file: Path, model: str, version: str, reason: str, now: float) -> Path:
    """Return a file a second name in ``rejected/``, with a note."""
    stem = f"{model}_{version or backup_stamp(now, None)}"
    target, number = folder / REJECTED / f"{stem}{SUFFIX}", 1
    target.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            add_link(file, target)
            break
        except FileExistsError:
            number += 1
            target = target.with_name(f"{stem}~{number}{SUFFIX}")
    note = RejectionNote(reason, model, version, int(now), file.name)
    write_durably(note_path(target), msgspec.json.encode(note))
    return target


def read_rejection_reason(path: Path) -> str:
    """Read the reason in the note of a file; "" without a note."""
    try:
        return msgspec.json.decode(note_path(path).read_bytes(), type=RejectionNote).reason
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def add_link(file: Path, name: Path) -> None:
    """Add a hard link to a file; copy the target of a symbolic link."""
    if not file.is_symlink():
        os.link(file, name)
    elif name.exists():
        raise FileExistsError(errno.EEXIST, "the name exists", str(name))
    else:
        write_durably(name, file.read_bytes())


def _is_still(path: Path, identity: Identity) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat_module.S_ISREG(status.st_mode) and is_same_content(artifacts.identity_of(status), identity)
