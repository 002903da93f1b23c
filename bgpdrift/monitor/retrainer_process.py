"""Starts a retrainer as a process of its own, and ends one that outlives its limits; one at a time, over all models.

The process stands in a session of its own and writes to files, so that the monitor's end is not its end: the next monitor
finds it by what the store remembers of it. It holds itself to limits of time and memory (`retrainers.limits`); here only
one that fails to is killed, with its group. Decides nothing about when to start one, or what its end means.

``<logs>/retrain_<model>.ndjson`` holds what the run of that model says, one JSON object a line, emptied when one begins:
``retrain.started``, then ``retrain.progress`` (``phase``, ``share`` of the phase, ``done`` of the whole, 0 to 1), a line a
finished phase, and ``retrain.finished`` with ``outcome``, ``reason`` and ``exit_code``. What it logs beside that, and the
traceback of a bug, stand in ``retrain_<model>.log``.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from bgpdrift.errors import TransientError
from bgpdrift.process.identity import Owner, age_s, is_alive, of_process
from bgpdrift.settings import Settings

MARGIN_S = 120.0
"""Beyond ``retrain.time_limit_s``: importing, tidying, the grace it gives its own worker."""
OUR_OWN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "MAINPID", "BGPDRIFT_PARENT_PID", "BGPDRIFT_RUN")
"""What the supervisor told this service and must not reach a retrainer, which is no service and may outlive it."""
RUN_LOCK = "retrain.lock"
_EMPTIED = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND

Command = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Over:
    """A run that we started, and how it ended."""

    model: str
    exit_code: int
    """Negative: the signal that killed it."""


class Runner(Protocol):
    """What the loop asks of whoever runs retrainers."""

    def start(self, model: str) -> Owner:
        """Begin a run that answers the flag of a model; which process that is."""
        ...

    def over(self) -> Over | None:
        """Give a run that we started and that has ended, once."""
        ...

    def end_if_overdue(self, owner: Owner) -> bool:
        """Kill a run that outlived its limit; True if that was done."""
        ...


def flag_command(model: str) -> Sequence[str]:
    """How a retrainer is told to answer a flag."""
    return (sys.executable, "-m", f"retrainers.{model}", "--from-flag", "--json")


class RetrainerRunner:
    """Starts real processes.

    Parameters
    ----------
    settings : Settings
        Where logs lie, how long a run may take.
    command : callable
        Gives the command of a model's retrainer.
    """

    def __init__(self, settings: Settings, command: Command = flag_command, margin_s: float = MARGIN_S) -> None:
        self._logs, self._limit_s, self._command = settings.logs_path, settings.retrain.time_limit_s + margin_s, command
        self._running: tuple[str, int] | None = None

    def start(self, model: str) -> Owner:
        """Begin a run.

        Raises
        ------
        TransientError
            No process can be made, or its files cannot be written.
        """
        command = list(self._command(model))
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            pid = os.posix_spawnp(
                command[0],
                command,
                environment(os.environ),
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_OPEN, 1, str(progress_path(self._logs, model)), _EMPTIED, 0o640),
                    (os.POSIX_SPAWN_OPEN, 2, str(log_path(self._logs, model)), _EMPTIED, 0o640),
                ],
                setsid=True,
                setsigmask=[],
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            )
        except OSError as error:
            raise TransientError(f"retrain_{model}: cannot be started: {error.strerror or error}", 10.0) from error
        self._running = (model, pid)
        return of_process(pid) or Owner(pid=pid)

    def over(self) -> Over | None:
        """Give a run that we started and that has ended, once; it is reaped, and what is left of its group killed."""
        if self._running is None:
            return None
        model, pid = self._running
        # Looked at before it is reaped: until then the number of its group is nobody else's.
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        _kill_group(pid)
        self._running = None
        return Over(model, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

    def end_if_overdue(self, owner: Owner) -> bool:
        """Kill a run that outlived its limit by the margin, with its group; True if that was done."""
        age = age_s(owner)
        if age is None or age < self._limit_s:
            return False
        with suppress(OSError):
            descriptor = os.pidfd_open(owner.pid)
            try:
                if is_alive(owner):  # the very process, and the number is kept for it while we hold this
                    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                    _kill_group(owner.pid)
                    return True
            finally:
                os.close(descriptor)
        return False


def progress_path(logs: Path, model: str) -> Path:
    """Where a run says how far it is."""
    return logs / f"retrain_{model}.ndjson"


def log_path(logs: Path, model: str) -> Path:
    """Where a run logs."""
    return logs / f"retrain_{model}.log"


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """Give a retrainer's environment.

    Examples
    --------
    >>> environment({"LANG": "C", "BGPDRIFT_RUN": "7", "BGPDRIFT_DATA_DIR": "/var/lib/bgpdrift"})
    {'LANG': 'C', 'BGPDRIFT_DATA_DIR': '/var/lib/bgpdrift'}
    """
    return {name: value for name, value in base.items() if name not in OUR_OWN}


class _Holder(msgspec.Struct, frozen=True):
    model: str = ""
    owner: Owner = Owner()


def at_work(folder: Path) -> tuple[str, Owner] | None:
    """Which retrainer holds the lock of all of them, anybody's; None if none does, or it has not said its name.

    Read, never taken: one that begins just now must not find it taken by us.
    """
    try:
        holder = msgspec.json.decode((folder / RUN_LOCK).read_bytes(), type=_Holder)
    except (OSError, msgspec.MsgspecError):
        return None
    return (holder.model, holder.owner) if is_alive(holder.owner) else None


def _kill_group(pid: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
