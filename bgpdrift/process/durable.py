"""How bytes come to lie on a disk for good: a new file, flushed and synced, then one rename, then the directory synced.

A reader of the name sees the old file or the new one, never none and never half. While it is written a file is a hidden
stage, locked by its writer: a stage nobody holds was left by a dead one, and `sweep_stages` may remove it.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bgpdrift.errors import TransientError

MODE = 0o640
STAGE_SUFFIX = ".stage"
RETRY_S = 10.0


@contextmanager
def staged(path: Path, raw: bytes) -> Iterator[Path]:
    """Write bytes to a new hidden file beside ``path``, durably; it is gone after the block unless renamed.

    Yields
    ------
    Path
        The stage. Its writer's lock lasts as long as the block.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    stage, descriptor = _new_stage(path)
    try:
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(raw)
            file.flush()
        os.fsync(descriptor)
        yield stage
    finally:
        with suppress(OSError):  # a folder gone read-only: what counts is the error that brought us here
            stage.unlink(missing_ok=True)
        os.close(descriptor)


def write_whole(path: Path, raw: bytes) -> None:
    """Put bytes under a name, atomically and durably.

    Raises
    ------
    TransientError
        The disk is full, read-only or fails; what was there before is untouched.
    """
    try:
        with staged(path, raw) as stage:
            stage.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise TransientError(f"{path}: cannot be written: {error.strerror}", RETRY_S) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable; the folder a symbolic link leads to, not the link."""
    descriptor = os.open(folder.resolve(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep_stages(folder: Path) -> list[Path]:
    """Remove stages whose writer is gone; those at work are left alone."""
    removed = []
    for stage in sorted(folder.glob(f".*{STAGE_SUFFIX}")):
        try:
            descriptor = os.open(stage, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            continue  # gone meanwhile, or none of ours
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stage.unlink()
            removed.append(stage)
        except OSError:
            continue  # its writer lives
        finally:
            os.close(descriptor)
    return removed


def _new_stage(path: Path) -> tuple[Path, int]:
    for number in range(100):
        stage = path.parent / f".{path.name}.{os.getpid()}-{number}{STAGE_SUFFIX}"
        try:
            descriptor = os.open(stage, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, MODE)
        except FileExistsError:
            continue  # of another thread, or of an earlier process that had our pid
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                return stage, descriptor
        os.close(descriptor)  # swept between its creation and its lock
    raise FileExistsError(17, "a hundred stages are in the way", str(path.parent))
