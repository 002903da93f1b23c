"""One supervisor a data directory: a kernel lock, which is freed at death and so cannot lie as a pid file can.

Two locks, of which one would do while nobody tidies up: that on the file also says who took it, for messages only; that
on the data directory itself holds when somebody empties ``run/`` under a running supervisor, which would otherwise let a
second one in.
"""

import contextlib
import fcntl
import os
import stat
import time
from pathlib import Path

import msgspec

from bgpdrift.errors import AlreadyRunningError

_TRIES, _TRY_EVERY_S = 5, 0.05


class Holder(msgspec.Struct, frozen=True):
    """Who holds the lock."""

    pid: int
    since: float
    """Epoch seconds."""

    def __str__(self) -> str:
        """Say it to a person.

        Examples
        --------
        >>> print(Holder(11, 0.0))
        supervisor pid 11 since 1970-01-01 00:00:00Z
        >>> print(Holder(0, 0.0))
        a supervisor that is not named in its lock file
        """
        if not self.pid:
            return "a supervisor that is not named in its lock file"
        return f"supervisor pid {self.pid} since {time.strftime('%Y-%m-%d %H:%M:%SZ', time.gmtime(self.since))}"


class InstanceLock:
    """The lock on a data directory, held until this process and its forks are gone."""

    def __init__(self, path: Path, now: float) -> None:
        """Take it.

        Raises
        ------
        AlreadyRunningError
            Another supervisor has it; the message says which and since when.
        """
        self._path, self._since = path, now
        path.parent.mkdir(parents=True, exist_ok=True)
        self._directory = os.open(path.parents[1], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._descriptor = -1
        try:
            self._descriptor = _open(path)
            if not (_take(self._directory) and _take(self._descriptor)):
                raise AlreadyRunningError(f"already running for {path.parents[1]}: {_read(path)}", _read(path).pid)
            self.name_holder(now)
        except BaseException:
            self.close()
            raise

    def name_holder(self, now: float) -> None:
        """Write down this process as the holder; the daemon does it again after its fork."""
        self._since = now
        data = msgspec.json.encode(Holder(os.getpid(), now))
        with contextlib.suppress(OSError):  # a full disk: the lock is held all the same
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, data, 0)

    def ensure(self) -> None:
        """Make the file anew if somebody removed it, so that others read who we are.

        Raises
        ------
        OSError
            It cannot be made; the data directory stays locked.
        """
        if self._path.exists():
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        before, self._descriptor = self._descriptor, _open(self._path)
        os.close(before)
        _take(self._descriptor)
        self.name_holder(self._since)

    def close(self) -> None:
        """Close this process's copy; the lock is free once no fork of it has one."""
        for descriptor in (self._descriptor, self._directory):
            if descriptor >= 0:
                os.close(descriptor)


def holder_of(path: Path) -> Holder | None:
    """Say who holds the lock; None when nobody does, a pid of 0 when it is not written down."""
    for place in (path, path.parents[1]):
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(path)
        except OSError:  # a file system that does not lock this: the other one tells
            continue
        finally:
            os.close(descriptor)
    return None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _take(descriptor: int) -> bool:
    """Lock; False if somebody else has it. Directories of some file systems cannot be locked: the file then decides."""
    for attempt in range(_TRIES):  # `status` looks at the lock for a moment; that is no other supervisor
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if attempt + 1 < _TRIES:
                time.sleep(_TRY_EVERY_S)
        except OSError:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise
            return True
        else:
            return True
    return False


def _read(path: Path) -> Holder:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return Holder(0, 0.0)
