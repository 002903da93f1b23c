"""One supervisor a data directory: a kernel lock, which is freed at death and so cannot lie as a pid file can.

The file also holds who took the lock, for messages only; nothing is decided by it.
"""

import fcntl
import os
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


class InstanceLock:
    """The lock on a data directory, held until this process and its forks are gone."""

    def __init__(self, path: Path, now: float) -> None:
        """Take it.

        Raises
        ------
        AlreadyRunningError
            Another supervisor has it; the message says which and since when.
        """
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for attempt in range(_TRIES):  # `status` looks at the lock for a moment; that is no other supervisor
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt + 1 < _TRIES:
                    time.sleep(_TRY_EVERY_S)
        else:
            os.close(self._descriptor)
            holder = _read(path)
            since = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(holder.since)) if holder.pid else "an unknown time"
            raise AlreadyRunningError(
                f"already running for {path.parents[1]}: supervisor pid {holder.pid} since {since}", holder.pid
            )
        self.name_holder(now)

    def name_holder(self, now: float) -> None:
        """Write down this process as the holder; the daemon does it again after its fork."""
        data = msgspec.json.encode(Holder(os.getpid(), now))
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, data, 0)

    def close(self) -> None:
        """Close this process's copy; the lock is free once no fork of it has one."""
        os.close(self._descriptor)


def holder_of(path: Path) -> Holder | None:
    """Say who holds the lock; None when nobody does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    finally:
        os.close(descriptor)
    return None


def _read(path: Path) -> Holder:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Holder)
    except (OSError, msgspec.DecodeError):
        return Holder(0, 0.0)
