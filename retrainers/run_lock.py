"""The lock of all retrainers: one run at a time, for all models, because a training uses the whole machine.

It is a kernel lock on ``retrain.lock`` in the artifact folder, free when the run and its worker have ended. The file also
names the holder, for messages only.
"""

import time
from pathlib import Path

import msgspec

from bgpdrift.errors import AlreadyRunningError, TransientError
from bgpdrift.process.identity import ProcessIdentity, identify_self, is_alive
from bgpdrift.process.locks import FileLock

NAME = "retrain.lock"


class Holder(msgspec.Struct, frozen=True):
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
    """The lock, held until `close`, or until this process and its forks have ended."""

    def __init__(self, folder: Path, model: str, now: float, leave_no_trace: bool = False) -> None:
        """Take the lock.

        Parameters
        ----------
        folder : Path
            The artifact folder; created if it does not exist.
        model : str
            The model to train.
        now : float
            Wall clock, epoch seconds.
        leave_no_trace : bool
            For a dry run: take the lock if the file exists, but write nothing.

        Raises
        ------
        AlreadyRunningError
            Another run holds it; the message says which.
        TransientError
            The lock file cannot be opened.
        """
        self._lock: FileLock | None = None
        path = folder / NAME
        try:
            if not leave_no_trace:
                folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(path, create=not leave_no_trace)
        except FileNotFoundError:
            return  # a dry run before the first real run
        except OSError as error:
            raise TransientError(f"{path}: cannot be opened: {error.strerror}", 10.0) from error
        if not self._lock.try_acquire():
            holder = _decode_holder(self._lock.read_holder())
            self.close()
            raise AlreadyRunningError(f"another run holds {path}: {holder}", holder.owner.pid)
        if not leave_no_trace:
            self._lock.write_holder(msgspec.json.encode(Holder(model, identify_self(), now)))

    def close(self) -> None:
        """Close this process's copy; the lock is free when no fork has one."""
        if self._lock is not None:
            self._lock.close()


def _decode_holder(raw: bytes) -> Holder:
    try:
        return msgspec.json.decode(raw, type=Holder)
    except msgspec.MsgspecError:
        return Holder()
