"""The model loop: one step of retraining requests, runs and probation, after the drift checks.

This module decides only the order: ended runs are collected, flagged requests follow them, the probation examines the active
versions, new requests are decided, and the next run starts. Each step holds a kernel lock, so that of several monitors on one
artifact folder one acts. Changes in the store are compare-and-set, so that monitors with separate folders and one store also
act once. All times are event times.
"""

from bgpdrift.clock import Clock
from bgpdrift.errors import LockHeldError
from bgpdrift.monitor.active_versions import ActiveVersions
from bgpdrift.monitor.flagged_requests import FlaggedRequests
from bgpdrift.monitor.probation import Probation
from bgpdrift.monitor.retrainer_process import RetrainerRunner, Runner
from bgpdrift.monitor.retraining_requests import RetrainingRequests
from bgpdrift.monitor.retraining_runs import RetrainingRuns
from bgpdrift.process.locks import hold_lock
from bgpdrift.settings import Settings
from bgpdrift.store import Store

LOCK = "model_loop.lock"


class ModelLoop:
    """Retrains models, watches new versions and rolls bad ones back.

    Parameters
    ----------
    settings, store, clock
        Settings, store and clock of the drift monitor.
    runner : Runner, optional
        Starts retrainers; real processes by default.
    """

    def __init__(self, settings: Settings, store: Store, clock: Clock, runner: Runner | None = None) -> None:
        self._folder = settings.artifacts_path
        active_versions = ActiveVersions(self._folder)
        self._runs = RetrainingRuns(settings, store, clock, runner or RetrainerRunner(settings))
        self._flagged = FlaggedRequests(settings, store, clock, self._runs, active_versions)
        self._requests = RetrainingRequests(settings, store, clock, active_versions, self._flagged.drop_flag)
        self._probation = Probation(settings, store, clock, active_versions)

    def step(self, event_now: int) -> bool:
        """Do one step; return whether something changed and another step should follow at once.

        Parameters
        ----------
        event_now : int
            End of the newest folded window, epoch seconds.

        Raises
        ------
        TransientError
            The store or the disk is unavailable; the next step continues where this one stopped.
        """
        try:
            with hold_lock(self._folder / LOCK, "another monitor holds the lock of the model loop"):
                self._runs.collect(event_now)
                changed = self._flagged.step(event_now)
                changed |= self._probation.step(event_now)
                changed |= self._requests.step(event_now)
                return self._runs.start_next(event_now) or changed
        except LockHeldError:
            return False
