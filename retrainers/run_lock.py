"""One retrainer at a time, for all models: training wants the whole machine, and two would fight over it.

A kernel lock on ``retrain.lock`` in the artifact folder, which the kernel frees when its holder and the holder's worker
are gone. The file also says who holds it, for messages; nothing is decided by that.
"""

import fcntl
import os
import time
from pathlib import Path

import msgspec

from bgpdrift.errors import AlreadyRunningError, TransientError
from bgpdrift.process.identity import Owner, is_alive, this_process

NAME = "retrain.lock"


class Holder(msgspec.Struct, frozen=True):
    """Who holds the lock."""

    model: str = ""
    owner: Owner = Owner()
    since: float = 0.0
    """Wall clock, epoch seconds."""

    def __str__(self) -> str:
        if not is_alive(self.owner):
            return "a dry run, or one that has not said its name"
        since = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(self.since))
        return f"retrain_{self.model}, {self.owner}, since {since}"


class RunLock:
    """The lock, held until this process and its forks are gone, or until `close`."""

    def __init__(self, folder: Path, model: str, now: float, leave_no_trace: bool = False) -> None:
        """Take it.

        Parameters
        ----------
        folder : Path
            The artifact folder; made if it is not there.
        model : str
            What will be trained.
        now : float
            Wall clock, epoch seconds.
        leave_no_trace : bool
            For a dry run: hold off others if there is a lock file, but write nothing.

        Raises
        ------
        AlreadyRunningError
            Another run holds it; the message says which.
        TransientError
            The folder cannot be written.
        """
        self._descriptor: int | None = None
        flags = os.O_RDONLY if leave_no_trace else os.O_RDWR | os.O_CREAT
        try:
            if not leave_no_trace:
                folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(folder / NAME, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
        except FileNotFoundError:
            return  # a dry run before the first real one
        except OSError as error:
            raise TransientError(f"{folder / NAME}: cannot be opened: {error.strerror}", 10.0) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _read(self._descriptor)
            self.close()
            raise AlreadyRunningError(f"another run holds {folder / NAME}: {holder}", holder.owner.pid) from None
        if not leave_no_trace:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, msgspec.json.encode(Holder(model, this_process(), now)), 0)

    def close(self) -> None:
        """Close this process's copy; the lock is free once no fork has one."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _read(descriptor: int) -> Holder:
    try:
        return msgspec.json.decode(os.pread(descriptor, 4_096, 0), type=Holder)
    except (OSError, msgspec.MsgspecError):
        return Holder()
