"""Retrainer processes: started in a session of their own, collected when they end, killed when they exceed their limits.

A retrainer writes to files and does not depend on the monitor, so a run survives the end of the monitor and the next monitor
finds it by the identity in the store. It enforces its own limits of time and memory (`bgpdrift.process.limited_worker`). The
monitor kills only a run that exceeds its time limit by `TIME_LIMIT_MARGIN_S`. `bgpdrift.monitor.retraining_runs` decides when a
run starts and what its end means.

``<logs>/retrain_<model>.ndjson`` holds the progress of the last run, one JSON object a line: ``retrain.started``, then
``retrain.progress`` (``phase``, ``share`` of the phase, ``done`` of the whole, 0 to 1), one line for each finished phase, and
``retrain.finished`` with ``outcome``, ``reason`` and ``exit_code``. ``retrain_<model>.log`` holds its log and the traceback of a
bug.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bgpdrift.errors import TransientError
from bgpdrift.process.child import RUN_VARIABLE, Child, build_environment, kill_if
from bgpdrift.process.identity import ProcessIdentity, identify, is_alive, measure_age_s
from bgpdrift.process.parent import PARENT_VARIABLE
from bgpdrift.settings import Settings

TIME_LIMIT_MARGIN_S = 120.0
"""Beyond ``retrain.time_limit_s``: time for imports, clean-up and the grace period of the worker."""
PAUSE_S = 60.0
"""A longer time between two looks at a run is a pause of the machine, in which the run could not work either."""

CommandBuilder = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run of this monitor that has ended."""

    model: str
    exit_code: int
    """Negative for the signal that killed it."""


class Runner(Protocol):
    """Starts and ends retrainers."""

    def start(self, model: str) -> ProcessIdentity:
        """Start the run that answers the flag of a model."""
        ...

    def collect(self) -> EndedRun | None:
        """Return a run of this runner that has ended, once."""
        ...

    def kill_if_overdue(self, owner: ProcessIdentity) -> bool:
        """Kill a run that exceeds its time limit by the margin; return whether it was killed."""
        ...


def build_command(model: str) -> Sequence[str]:
    """Return the command of the retrainer that answers the flag of a model."""
    return (sys.executable, "-m", "retrainers", model, "--from-flag", "--json")


class RetrainerRunner:
    """Runner of real processes.

    Parameters
    ----------
    settings : Settings
        Log folder and time limit.
    build_command : callable
        Returns the command for a model.
    margin_s : float
        Seconds beyond the time limit after which a run is killed.
    measure_age_s : callable
        Returns the seconds since the start of a run; None if it has ended.
    """

    def __init__(
        self,
        settings: Settings,
        build_command: CommandBuilder = build_command,
        margin_s: float = TIME_LIMIT_MARGIN_S,
        measure_age_s: Callable[[ProcessIdentity], float | None] = measure_age_s,
    ) -> None:
        self._logs, self._limit_s = settings.logs_path, settings.retrain.time_limit_s + margin_s
        self._build_command = build_command
        self._running: tuple[str, Child] | None = None
        self._measure_age_s = measure_age_s
        self._observed: tuple[ProcessIdentity, float, float] | None = None
        """The run that was looked at last, its age then, and how much of that were pauses; seconds."""

    def start(self, model: str) -> ProcessIdentity:
        """Start a run.

        Raises
        ------
        TransientError
            The process cannot be created, or its files cannot be written.
        """
        command, environment = list(self._build_command(model)), build_retrainer_environment(os.environ)
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            child = Child(command, environment, progress_path(self._logs, model), log_path(self._logs, model))
        except OSError as error:
            raise TransientError(f"retrain_{model}: cannot be started: {error.strerror or error}", 10.0) from error
        self._running = (model, child)
        return identify(child.pid) or ProcessIdentity(pid=child.pid)

    def collect(self) -> EndedRun | None:
        """Return a run of this runner that has ended, once; it is reaped and the rest of its group is killed."""
        if self._running is None:
            return None
        model, child = self._running
        exit_code = child.collect()
        if exit_code is None:
            return None
        self._running = None
        return EndedRun(model, exit_code)

    def kill_if_overdue(self, owner: ProcessIdentity) -> bool:
        """Kill a run that exceeds its time limit by the margin, with its group; return whether it was killed."""
        age_s = self._measure_age_s(owner)
        if age_s is None:
            return False
        before_s, paused_s = self._observed[1:] if self._observed and self._observed[0] == owner else (age_s, 0.0)
        if age_s - before_s > PAUSE_S:
            paused_s += age_s - before_s
        self._observed = (owner, age_s, paused_s)
        if age_s - paused_s < self._limit_s:
            return False
        return kill_if(owner.pid, lambda _: is_alive(owner), group=True)


def progress_path(logs: Path, model: str) -> Path:
    """Return the file into which a run writes its progress."""
    return logs / f"retrain_{model}.ndjson"


def log_path(logs: Path, model: str) -> Path:
    """Return the file into which a run writes its log."""
    return logs / f"retrain_{model}.log"


def build_retrainer_environment(base: Mapping[str, str]) -> dict[str, str]:
    """Build the environment of a retrainer, which is not a service and may outlive the supervisor's run.

    Examples
    --------
    >>> env = build_retrainer_environment({"LANG": "C", "BGPDRIFT_RUN": "7", "BGPDRIFT_DATA_DIR": "/var/lib/bgpdrift"})
    >>> "BGPDRIFT_RUN" in env, env["BGPDRIFT_DATA_DIR"]
    (False, '/var/lib/bgpdrift')
    """
    return build_environment(base, PARENT_VARIABLE, RUN_VARIABLE)
