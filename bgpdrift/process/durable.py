"""Writing a file so that a reader sees the old content or the new one, also after a crash.

The content goes to a stage, a second file in the same directory. One rename puts the stage in place of the file.
`replace_file` is for a file with one writer. `stage_file` and `write_durably` are for several: the writer locks its stage, so
that `remove_stale_stages` recognizes the stages of dead writers.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from bgpdrift.errors import TransientError
from bgpdrift.process.locks import try_lock

FILE_MODE = 0o640
STAGE_SUFFIX = ".stage"
UNUSABLE_SUFFIX = ".unusable"
RETRY_S = 10.0
_MAX_STAGES = 100


@contextmanager
def replace_file(path: Path, *, mode: int = FILE_MODE, sync: bool = True) -> Iterator[BinaryIO]:
    """Write a new file in place of ``path`` within the block; the old file stays if the block raises.

    The ``name`` of the yielded file is the path of the stage.
    Only one process may write ``path``. The stage is ``<name>.new``, which the next writer overwrites after a crash.

    Parameters
    ----------
    path : Path
        The file; its directory must exist.
    mode : int
        Permissions of the new file.
    sync : bool
        Wait until the content and the rename are on the disk. False keeps the replacement atomic, but the new content
        may be lost with the power.

    Raises
    ------
    OSError
        The disk is full, read-only or fails; the old file is unchanged.
    """
    stage = path.with_name(path.name + ".new")
    try:
        with open(str(stage), "wb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, mode)) as file:
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        stage.replace(path)
    except BaseException:
        with suppress(OSError):
            stage.unlink(missing_ok=True)
        raise
    if sync:
        sync_directory(path.parent)


@contextmanager
def stage_file(path: Path, raw: bytes) -> Iterator[Path]:
    """Write bytes to a new hidden file beside ``path``, durably; the stage is removed after the block unless renamed.

    Yields
    ------
    Path
        The stage, locked by this process for the length of the block.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stage, descriptor = _open_stage(path)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(raw)
            file.flush()
        os.fsync(descriptor)
        yield stage
    finally:
        with suppress(OSError):  # the directory may have become read-only; the first error is the one to report
            stage.unlink(missing_ok=True)
        os.close(descriptor)


def write_durably(path: Path, raw: bytes) -> None:
    """Replace the content of ``path``, atomically and durably; several processes may do so at once.

    Raises
    ------
    TransientError
        The disk is full, read-only or fails; the old content is unchanged.
    """
    try:
        with stage_file(path, raw) as stage:
            stage.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        raise TransientError(f"{path}: cannot be written: {error.strerror}", RETRY_S) from error


def set_aside(path: Path) -> Path:
    """Rename a state file that cannot be used, so that its reader starts without it and a person can look at it.

    The file becomes ``<name>.unusable``; an earlier one of that name is replaced.

    Raises
    ------
    OSError
        The directory is read-only or fails.
    """
    target = path.with_name(path.name + UNUSABLE_SUFFIX)
    path.replace(target)
    return target


def sync_directory(directory: Path) -> None:
    """Make renames and removals in a directory durable. A symbolic link is resolved first."""
    descriptor = os.open(directory.resolve(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_stale_stages(directory: Path) -> list[Path]:
    """Remove the stages whose writer has ended, and return them; stages of live writers stay."""
    removed = []
    for stage in sorted(directory.glob(f".*{STAGE_SUFFIX}")):
        try:
            descriptor = os.open(stage, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue  # removed in the meantime, or not a stage
        try:
            if try_lock(descriptor):
                stage.unlink()
                removed.append(stage)
        except OSError:
            continue
        finally:
            os.close(descriptor)
    return removed


def _open_stage(path: Path) -> tuple[Path, int]:
    for number in range(_MAX_STAGES):
        stage = path.parent / f".{path.name}.{os.getpid()}-{number}{STAGE_SUFFIX}"
        try:
            descriptor = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, FILE_MODE)
        except FileExistsError:
            continue  # of another thread, or of an earlier process with this pid
        if try_lock(descriptor) and os.fstat(descriptor).st_nlink:
            return stage, descriptor
        os.close(descriptor)  # removed between its creation and its lock
    raise FileExistsError(17, f"{_MAX_STAGES} stages exist already", str(path.parent))
