"""File locks of the kernel (``flock``), which frees a lock when its holder and the forks of the holder have ended.

A lock file is never removed: a new file of the same name would be a second lock.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bgpdrift.errors import LockHeldError, TransientError
from bgpdrift.process.waiting import report_wait

RETRY_S = 5.0
"""Wait before another attempt to take a lock that another process holds."""
DISK_RETRY_S = 10.0
"""Wait before another attempt when the lock file cannot be opened."""
_POLL_S = 0.05
_MAX_HOLDER_BYTES = 4096


def try_lock(descriptor: int, *, shared: bool = False) -> bool:
    """Lock an open file or directory without waiting; False if another process holds the lock.

    Raises
    ------
    OSError
        The file system does not support locks.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class FileLock:
    """A lock on one file, which may also hold a text that names the holder.

    Parameters
    ----------
    path : Path
        The lock file, or a directory.
    mode : int
        Permissions of a new file.
    create : bool
        False opens an existing file or directory for reading, and changes nothing on the disk.

    Raises
    ------
    OSError
        The file cannot be opened.
    """

    def __init__(self, path: Path, *, mode: int = 0o640, create: bool = True) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW if create else os.O_RDONLY
        self._path = path
        self._descriptor = os.open(path, flags | os.O_CLOEXEC, mode)

    def __enter__(self) -> "FileLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Take the lock without waiting; False if another process holds it."""
        return try_lock(self._descriptor, shared=shared)

    def acquire(self, timeout_s: float | None = None) -> bool:
        """Take the lock; False if another process still holds it after ``timeout_s``. None waits without a limit."""
        if timeout_s is None:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX)
            return True
        deadline = time.monotonic() + timeout_s
        while not self.try_acquire():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
            report_wait()
        return True

    def is_in_place(self) -> bool:
        """Whether the path still names the locked file; if not, another process can lock a new file of that name."""
        try:
            found = self._path.lstat()
        except OSError:
            return False
        return os.path.samestat(found, os.fstat(self._descriptor))

    def write_holder(self, raw: bytes) -> None:
        """Replace the text that names the holder."""
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, raw, 0)

    def read_holder(self) -> bytes:
        """Return the text that names the holder, or named the last one."""
        return os.pread(self._descriptor, _MAX_HOLDER_BYTES, 0)

    def close(self) -> None:
        """Close this process's copy; the lock is free when no fork has one. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@contextmanager
def hold_lock(path: Path, busy: str) -> Iterator[None]:
    """Hold a lock for the length of the block; never waits.

    Raises
    ------
    LockHeldError
        Another process holds it; ``busy`` is the message.
    TransientError
        The file cannot be opened.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
    except OSError as error:
        raise TransientError(f"{path}: cannot be locked: {error.strerror}", DISK_RETRY_S) from error
    with lock:
        try:
            acquired = lock.try_acquire()
        except OSError as error:
            raise TransientError(f"{path}: cannot be locked: {error.strerror}", DISK_RETRY_S) from error
        if not acquired:
            raise LockHeldError(busy, RETRY_S)
        yield
