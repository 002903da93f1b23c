"""One at a time: a lock the kernel gives back when its holder dies, however it dies.

The file stays; removing it could split the lock between two processes.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bgpdrift.errors import LockHeldError, TransientError

RETRY_S = 5.0


@contextmanager
def exclusive(path: Path, busy: str) -> Iterator[None]:
    """Hold a lock for the length of the block; never waits.

    Raises
    ------
    LockHeldError
        Another process holds it; ``busy`` is what that one is doing.
    TransientError
        The file cannot be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError as error:
        raise TransientError(f"{path}: cannot be locked: {error.strerror}", 10.0) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockHeldError(busy, RETRY_S) from None
        except OSError as error:
            raise TransientError(f"{path}: cannot be locked: {error.strerror}", 10.0) from error
        yield
    finally:
        os.close(descriptor)


def publish_lock(folder: Path, model: str) -> Path:
    """The lock of all who change which file of a model is in force."""
    return folder / f"publish_{model}.lock"
