"""The loop from a wish to a better model, and back where it is none: what the drift monitor does beside its checks.

One `step` looks at everything there is: wishes and safeguards (`wishes`), flags and runs (`retraining_runs`), the version
on probation (`probation`). Several monitors may run on one artifact folder: each step holds a lock that the kernel gives
back at death, so that of two one acts; and each change is written compare-and-set, so that hosts with folders of their
own over one store do one set of actions too. All times are event time. Decides the order and nothing else.
"""

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.errors import LockHeldError
from bgpdrift.monitor.probation import Probation
from bgpdrift.monitor.retrainer_process import RetrainerRunner, Runner
from bgpdrift.monitor.retraining_requests import ActiveVersions, Wishes
from bgpdrift.monitor.retraining_runs import RetrainingRuns
from bgpdrift.process.locks import hold_lock
from bgpdrift.settings import Settings
from bgpdrift.store import Store

LOCK = "model_loop.lock"


class ModelLoop:
    """Retrains, watches and takes back.

    Parameters
    ----------
    settings, store, clock
        Of the drift monitor.
    runner : Runner, optional
        Starts retrainers; real processes by default.
    """

    def __init__(self, settings: Settings, store: Store, clock: Clock, runner: Runner | None = None) -> None:
        self._folder, self._log = settings.artifacts_path, logs.get_logger()
        active_versions = ActiveVersions(self._folder)
        self._runs = RetrainingRuns(settings, store, clock, runner or RetrainerRunner(settings), active_versions)
        self._wishes = Wishes(settings, store, clock, active_versions, self._runs.drop)
        self._probation = Probation(settings, store, clock, active_versions)

    def step(self, event_now: int) -> bool:
        """Do what is to be done now; True if something moved and another step should follow at once.

        Parameters
        ----------
        event_now : int
            End of the newest window that was folded, epoch seconds.

        Raises
        ------
        TransientError
            Store or disk are away for now; the next step goes on where this one stopped.
        """
        try:
            with hold_lock(self._folder / LOCK, "another monitor is at it"):
                moved = self._runs.step(event_now)
                moved |= self._probation.step(event_now)
                moved |= self._wishes.step(event_now)
                return self._runs.start_next(event_now) or moved
        except LockHeldError:
            return False
