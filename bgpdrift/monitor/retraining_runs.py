"""Retrainer runs: decides which flag file starts the next run, and how long to pause after a run that failed.

Any flag file is answered, whether the monitor, a person or the API dropped it. One run is active at a time. A run that cannot
start, or dies before it claims its flag, is repeated after a pause that doubles each time. The active run is recorded in the
store, so that the next monitor continues with it. `bgpdrift.monitor.flagged_requests` decides what the end of a run means for a
request.
"""

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import TransientError
from bgpdrift.models import flags
from bgpdrift.models.run_lock import read_run_holder
from bgpdrift.monitor.request_progress import MAX_ATTEMPTS
from bgpdrift.monitor.retrainer_process import EndedRun, Runner, progress_path
from bgpdrift.process.identity import ProcessIdentity, is_alive_in, record
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import RUN_CURSOR, RunState
from bgpdrift.store.database import StateCursor

FIRST_PAUSE_S, MAX_PAUSE_S = 5.0, 600.0
LOCKED_PAUSE_S = 30.0
COMPLETED_EXIT_CODES = (0, 3, 4, 6)
"""Exit codes of a run that completed: promoted, rejected by the gate, not enough data, timed out."""
UNCOUNTED_EXIT_CODES = (5, 130, 143)
"""Exit codes that are not a failure of the request: another run held the lock, or the run was interrupted."""


class RetrainingRuns:
    """Starts and watches runs.

    Parameters
    ----------
    settings, store, clock
        Settings, store and clock of the monitor.
    runner : Runner
        Starts retrainers.
    """

    def __init__(self, settings: Settings, store: Store, clock: Clock, runner: Runner) -> None:
        self._settings, self._store, self._clock, self._runner = settings, store, clock, runner
        self._folder, self._log = settings.artifacts_path, logs.get_logger()
        self._pauses: dict[str, tuple[float, float]] = {}
        """By model: monotonic time before which no run starts, and the pause after the next failure, seconds."""
        self._child: tuple[str, ProcessIdentity] | None = None
        self._unrecorded: StateCursor[RunState] | None = None
        self._ended: EndedRun | None = None
        """A run that has ended and whose end is not yet stored."""

    def collect(self, at: int) -> None:
        """Collect a run that has ended, and requeue the flags whose retrainer died."""
        if self._ended is None:
            self._ended = self._runner.collect()
        if self._ended is not None:
            self._handle_end(self._ended, at)
            self._ended = None
        for model in flags.requeue_abandoned(self._folder):
            self._log.warning("retrain.requeued", model=model, reason="the retrainer that claimed the flag is gone")
            self.pause(model)

    def start_next(self, at: int) -> bool:
        """Start the run for the oldest flag unless a run is active; return whether one was started."""
        if self._child is not None:
            self._record_run()
            self._kill_if_overdue(*self._child)
            return False
        recorded = self._read_recorded_run()
        if recorded is not None:
            self._kill_if_overdue(*recorded)
            return False
        if read_run_holder(self._folder) is not None:
            return False
        self._forget_run(at)
        candidates = [
            (flag.requested_at, model, flag)
            for model in MODELS
            if not self._is_paused(model)
            and flags.read_claim(self._folder, model) is None
            and (flag := flags.read_flag(self._folder, model)) is not None
            and flag.attempts < MAX_ATTEMPTS
        ]
        if not candidates:
            return False
        _, model, flag = min(candidates, key=lambda candidate: candidate[:2])
        try:
            owner = self._runner.start(model)
        except TransientError as error:
            self.pause(model)
            self._log.error("retrain.not_started", model=model, reason=str(error))
            return False
        self._child = (model, owner)
        request_id = flag.cause.request_id
        self._log.info("retrain.started", model=model, pid=owner.pid, request_id=request_id)
        state = RunState(
            model=model,
            owner=record(owner, self._settings.data_path),
            started_at=self._clock.now(),
            request_id=request_id,
            attempts=flag.attempts,
            progress_path=str(progress_path(self._settings.logs_path, model)),
        )
        self._unrecorded = StateCursor(RUN_CURSOR, at, state)
        self._record_run()
        return True

    def is_active(self, model: str) -> bool:
        """Return whether a run of a model is active, whoever started it."""
        holder = read_run_holder(self._folder)
        if holder is not None and holder.model == model:
            return True
        return any(run is not None and run[0] == model for run in (self._child, self._read_recorded_run()))

    def pause(self, model: str) -> None:
        """Start no run of a model for a while; each pause is twice as long as the one before."""
        _, pause_s = self._pauses.get(model, (0.0, FIRST_PAUSE_S))
        self._pauses[model] = (self._clock.monotonic() + pause_s, min(2.0 * pause_s, MAX_PAUSE_S))

    def end_pause(self, model: str) -> None:
        """Allow a run of a model at once."""
        self._pauses.pop(model, None)

    def _is_paused(self, model: str) -> bool:
        until, _ = self._pauses.get(model, (0.0, 0.0))
        return self._clock.monotonic() < until

    def _handle_end(self, ended: EndedRun, at: int) -> None:
        """Store that no run is active; then count the death of a run and begin its pause."""
        model = ended.model
        died = ended.exit_code not in (*COMPLETED_EXIT_CODES, *UNCOUNTED_EXIT_CODES)
        died_before_claim = died and flags.read_claim(self._folder, model) is None and self._has_flag_of_run(model)
        self._forget_run(at)
        self._child = None
        self._log.info("retrain.ended", model=model, exit_code=ended.exit_code)
        if ended.exit_code in COMPLETED_EXIT_CODES:
            self.end_pause(model)
        elif ended.exit_code in UNCOUNTED_EXIT_CODES:
            self._pauses[model] = (self._clock.monotonic() + LOCKED_PAUSE_S, FIRST_PAUSE_S)
        else:
            if died_before_claim:
                self._count_death(ended)
            self.pause(model)

    def _count_death(self, ended: EndedRun) -> None:
        """Count a run that died before it claimed its flag; the death of a run with a claim is counted by the claim."""
        attempts = flags.count_attempt(self._folder, ended.model)
        if attempts:
            self._log.error("retrain.died", model=ended.model, exit_code=ended.exit_code, attempts=attempts)

    def _has_flag_of_run(self, model: str) -> bool:
        """Return whether the flag that exists is the one the run was started for, and not a later one."""
        cursor = self._store.read_state(RUN_CURSOR, RunState)
        flag = flags.read_flag(self._folder, model)
        return flag is not None and flag.requested_at <= (cursor.state.started_at if cursor else 0.0)

    def _read_recorded_run(self) -> tuple[str, ProcessIdentity] | None:
        """Return the run that this or an earlier monitor started, if it is still active."""
        cursor = self._store.read_state(RUN_CURSOR, RunState)
        if cursor is None or not is_alive_in(cursor.state.owner, self._settings.data_path):
            return None
        return cursor.state.model, cursor.state.owner

    def _record_run(self) -> None:
        """Record the active run; after a failed write, the next step tries again."""
        if self._unrecorded is not None:
            self._store.put_cursor(self._unrecorded)
            self._unrecorded = None

    def _forget_run(self, at: int) -> None:
        self._unrecorded = None
        if self._store.read_state(RUN_CURSOR, RunState) is not None:
            self._store.clear_cursor(RUN_CURSOR, at)

    def _kill_if_overdue(self, model: str, owner: ProcessIdentity) -> None:
        if self._runner.kill_if_overdue(owner):
            reason = "the run exceeded retrain.time_limit_s by far"
            self._log.error("retrain.killed", model=model, pid=owner.pid, reason=reason)
