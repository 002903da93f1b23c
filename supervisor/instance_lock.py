"""One supervisor for each data directory, by kernel locks, which are free when the holder has ended.

There are two locks. The lock on ``run/supervisor.lock`` also names the holder, for messages. The lock on the data directory
itself still holds when a person empties ``run/`` under a running supervisor.
"""

import contextlib
import os
import time
from pathlib import Path

import msgspec

from bgpdrift.errors import AlreadyRunningError
from bgpdrift.process.locks import FileLock

LOCK_NAME = "supervisor.lock"
_WAIT_S = 0.2
"""`find_holder` holds the lock for a moment; that must not look like another supervisor."""
_FILE_MODE = 0o600


class Holder(msgspec.Struct, frozen=True):
    """The supervisor that holds the lock."""

    pid: int
    since: float
    """Epoch seconds."""

    def __str__(self) -> str:
        """Describe it for a message.

        Examples
        --------
        >>> print(Holder(11, 0.0))
        supervisor pid 11 since 1970-01-01 00:00:00Z
        >>> print(Holder(0, 0.0))
        a supervisor that its lock file does not name
        """
        if not self.pid:
            return "a supervisor that its lock file does not name"
        return f"supervisor pid {self.pid} since {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(self.since))}"


class InstanceLock:
    """The lock on a data directory, held until this process and its forks have ended.

    Parameters
    ----------
    path : Path
        The lock file, ``run/supervisor.lock`` in the data directory.
    now : float
        Epoch seconds, to name the holder.

    Raises
    ------
    AlreadyRunningError
        Another supervisor holds it; the message names it.
    """

    def __init__(self, path: Path, now: float) -> None:
        self._path, self._since = path, now
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as opened:
            self._directory = opened.enter_context(FileLock(path.parents[1], create=False))
            self._file = opened.enter_context(FileLock(path, mode=_FILE_MODE))
            if not (_acquire_directory(self._directory) and self._file.acquire(_WAIT_S)):
                holder = _read_holder(path)
                raise AlreadyRunningError(f"already running for {path.parents[1]}: {holder}", holder.pid)
            self.name_holder(now)
            opened.pop_all()

    def name_holder(self, now: float) -> None:
        """Write this process into the lock file; the daemon does so again after its fork."""
        self._since = now
        with contextlib.suppress(OSError):  # the lock is held also if the disk is full
            self._file.write_holder(msgspec.json.encode(Holder(os.getpid(), now)))

    def restore(self) -> None:
        """Create the lock file again if it was removed.

        Raises
        ------
        OSError
            It cannot be created; the data directory stays locked.
        """
        if self._path.exists():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        before, self._file = self._file, FileLock(self._path, mode=_FILE_MODE)
        before.close()
        self._file.acquire(_WAIT_S)
        self.name_holder(self._since)

    def close(self) -> None:
        """Close this process's copies; the lock is free when no fork has one."""
        self._file.close()
        self._directory.close()


def find_holder(path: Path) -> Holder | None:
    """Return the supervisor that holds the lock; None if it is free, a pid of 0 if the file does not name the holder."""
    for place in (path, path.parents[1]):
        try:
            lock = FileLock(place, create=False)
        except FileNotFoundError:
            continue
        # Where the file system does not support the lock, the other one decides.
        with lock, contextlib.suppress(OSError):
            if not lock.try_acquire(shared=True):
                return _read_holder(path)
    return None


def _acquire_directory(lock: FileLock) -> bool:
    try:
        return lock.acquire(_WAIT_S)
    except OSError:  # some file systems cannot lock a directory: the lock on the file decides alone
        return True


def _read_holder(path: Path) -> Holder:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return Holder(0, 0.0)
