"""The run lock: one retrainer at a time, for all models, because a training uses the whole machine.

It is a kernel lock on ``retrain.lock`` in the artifact folder, free when the run and its worker have ended. The file also
names the run, for messages and for the status.
"""

import os
import time
from pathlib import Path

import msgspec

from bgpdrift.errors import AlreadyRunningError, TransientError
from bgpdrift.process.identity import ProcessIdentity, identify_self, is_alive, is_alive_in, record
from bgpdrift.process.locks import DISK_RETRY_S, FileLock

LOCK_NAME = "retrain.lock"
_MAX_HOLDER_BYTES = 4096


class RunHolder(msgspec.Struct, frozen=True):
    """The run that holds the lock."""

    model: str = ""
    owner: ProcessIdentity = ProcessIdentity()
    since: float = 0.0
    """Wall clock, epoch seconds."""

    def __str__(self) -> str:
        if not is_alive(self.owner):
            return "a dry run, or a run that has not written its name yet"
        since = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(self.since))
        return f"retrain_{self.model}, {self.owner}, since {since}"


class RunLock:
    """The lock, held until `close`, or until this process and its forks have ended.

    Parameters
    ----------
    folder : Path
        The artifact folder; created if it does not exist.
    model : str
        The model to train.
    now : float
        Wall clock, epoch seconds.
    read_only : bool
        For a dry run: take the lock if the file exists, but write nothing.

    Raises
    ------
    AlreadyRunningError
        Another run holds the lock; the message names it.
    TransientError
        The lock file cannot be opened.
    """

    def __init__(self, folder: Path, model: str, now: float, read_only: bool = False) -> None:
        self._lock: FileLock | None = None
        path = folder / LOCK_NAME
        try:
            if not read_only:
                folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path, create=not read_only)
        except FileNotFoundError:
            return  # a dry run before the first real run
        except OSError as error:
            raise TransientError(f"{path}: cannot be opened: {error.strerror}", DISK_RETRY_S) from error
        if not self._lock.try_acquire():
            holder = _decode(self._lock.read_holder())
            self.close()
            raise AlreadyRunningError(f"another run holds {path}: {holder}", holder.owner.pid)
        if not read_only:
            self._lock.write_holder(msgspec.json.encode(RunHolder(model, record(identify_self(), folder), now)))

    def close(self) -> None:
        """Close this process's copy; the lock is free when no fork has one."""
        if self._lock is not None:
            self._lock.close()


def read_run_holder(folder: Path) -> RunHolder | None:
    """Return the run that holds the lock, also one that a person started; None if none does or it has not written its name.

    The file is only read. Taking the lock for a test could make a run that starts at this moment fail.
    """
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        holder = _decode(os.read(descriptor, _MAX_HOLDER_BYTES))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return holder if is_alive_in(holder.owner, folder) else None


def _decode(raw: bytes) -> RunHolder:
    try:
        return msgspec.json.decode(raw, type=RunHolder)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return RunHolder()
