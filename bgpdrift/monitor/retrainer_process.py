"""Starts a retrainer as a process of its own, and ends one that outlives its limits; one at a time, over all models.

The process stands in a session of its own and writes to files, so that the monitor's end is not its end: the next monitor
finds it by what the store remembers of it. It holds itself to limits of time and memory (`bgpdrift.process.limited_worker`).
A process that fails to do so is killed here, with its group. Decides nothing about when to start one, or what its end means.

``<logs>/retrain_<model>.ndjson`` holds what the run of that model says, one JSON object a line, emptied when one begins:
``retrain.started``, then ``retrain.progress`` (``phase``, ``share`` of the phase, ``done`` of the whole, 0 to 1), a line a
finished phase, and ``retrain.finished`` with ``outcome``, ``reason`` and ``exit_code``. What it logs beside that, and the
traceback of a bug, stand in ``retrain_<model>.log``.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from bgpdrift.errors import TransientError
from bgpdrift.process.child import RUN_VARIABLE, Child, build_environment, kill_if
from bgpdrift.process.identity import ProcessIdentity, identify, is_alive, measure_age_s
from bgpdrift.process.parent import PARENT_VARIABLE
from bgpdrift.settings import Settings

MARGIN_S = 120.0
"""Beyond ``retrain.time_limit_s``: importing, tidying, the grace it gives its own worker."""
RUN_LOCK = "retrain.lock"

Command = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Over:
    """A run that we started, and how it ended."""

    model: str
    exit_code: int
    """Negative: the signal that killed it."""


class Runner(Protocol):
    """What the loop asks of whoever runs retrainers."""

    def start(self, model: str) -> ProcessIdentity:
        """Begin a run that answers the flag of a model; which process that is."""
        ...

    def over(self) -> Over | None:
        """Give a run that we started and that has ended, once."""
        ...

    def end_if_overdue(self, owner: ProcessIdentity) -> bool:
        """Kill a run that outlived its limit; True if that was done."""
        ...


def flag_command(model: str) -> Sequence[str]:
    """How a retrainer is told to answer a flag."""
    return (sys.executable, "-m", "retrainers", model, "--from-flag", "--json")


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
        self._running: tuple[str, Child] | None = None

    def start(self, model: str) -> ProcessIdentity:
        """Begin a run.

        Raises
        ------
        TransientError
            No process can be made, or its files cannot be written.
        """
        command = list(self._command(model))
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            child = Child(
                command, environment(os.environ), progress_path(self._logs, model), log_path(self._logs, model)
            )
        except OSError as error:
            raise TransientError(f"retrain_{model}: cannot be started: {error.strerror or error}", 10.0) from error
        self._running = (model, child)
        return identify(child.pid) or ProcessIdentity(pid=child.pid)

    def over(self) -> Over | None:
        """Return a run that this object started and that has ended, once; it is reaped and the rest of its group killed."""
        if self._running is None:
            return None
        model, child = self._running
        exit_code = child.collect()
        if exit_code is None:
            return None
        self._running = None
        return Over(model, exit_code)

    def end_if_overdue(self, owner: ProcessIdentity) -> bool:
        """Kill a run that exceeds its time limit by the margin, with its group; True if it was killed."""
        age_s = measure_age_s(owner)
        if age_s is None or age_s < self._limit_s:
            return False
        return kill_if(owner.pid, lambda _: is_alive(owner), group=True)


def progress_path(logs: Path, model: str) -> Path:
    """Where a run says how far it is."""
    return logs / f"retrain_{model}.ndjson"


def log_path(logs: Path, model: str) -> Path:
    """Where a run logs."""
    return logs / f"retrain_{model}.log"


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """Build the environment of a retrainer, which is no service and may outlive the supervisor's run.

    Examples
    --------
    >>> env = environment({"LANG": "C", "BGPDRIFT_RUN": "7", "BGPDRIFT_DATA_DIR": "/var/lib/bgpdrift"})
    >>> "BGPDRIFT_RUN" in env, env["BGPDRIFT_DATA_DIR"]
    (False, '/var/lib/bgpdrift')
    """
    return build_environment(base, PARENT_VARIABLE, RUN_VARIABLE)


class _Holder(msgspec.Struct, frozen=True):
    model: str = ""
    owner: ProcessIdentity = ProcessIdentity()


def at_work(folder: Path) -> tuple[str, ProcessIdentity] | None:
    """Which retrainer holds the lock of all of them, anybody's; None if none does, or it has not said its name.

    Read, never taken: one that begins just now must not find it taken by us.
    """
    try:
        holder = msgspec.json.decode((folder / RUN_LOCK).read_bytes(), type=_Holder)
    except (OSError, msgspec.MsgspecError):
        return None
    return (holder.model, holder.owner) if is_alive(holder.owner) else None
