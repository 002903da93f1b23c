"""The worker of a detector service: reads new windows and writes each window's score once, with the version that scored it.

This module decides the order of a step. A new model takes over between two batches. If it fails on its first batch, nothing of
it was written and the previous model scores the same windows. A model that scores a later window as NaN is refused as well.
Without a model the position follows the newest window, so that no other service waits for scores.
`bgpdrift.scoring.worker_models` decides which model scores.
"""

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.errors import ArtifactError, TransientError
from bgpdrift.models.loading import LoadedModel, ModelSource, builder, publish_default
from bgpdrift.models.paths import current_path
from bgpdrift.models.publication import active_version
from bgpdrift.models.reloading import ModelReloader, PollingReloader, WatchingReloader
from bgpdrift.scoring.batches import BatchSize, build_score_rows
from bgpdrift.scoring.detector_waiting import DetectorWaiting
from bgpdrift.scoring.histories import Columns, Group, Histories, select_columns
from bgpdrift.scoring.worker_models import WorkerModels
from bgpdrift.settings import Settings
from bgpdrift.store import StateCursor, Store, open_store
from bgpdrift.store.cursor_states import DetectorState
from bgpdrift.store.model_records import RetrainEvent
from bgpdrift.verdicts.ensemble import WAITING

HEARTBEAT_S = 5.0
MAX_WINDOWS_PER_STEP = 256
"""Limits a step whatever the batch size in the settings, because of the watchdog and the memory."""
FIRST_BATCH_DIVISOR = 4
"""The first batch of a new model is this many times smaller: its scores appear early, and a failure repeats little work."""
SWITCH_INTERVAL_S = 0.001
"""Longest turn of the scoring thread while another thread loads a model; the default of Python is 5 ms."""
DEFAULT_PREFIX = "default-"
"""Beginning of the version of a packaged default."""
_KEY_COLUMNS = ("id", "collector", "peer")


class DetectorWorker:
    """Worker of one detector service.

    Parameters
    ----------
    settings, store, clock
        Settings, store and clock of this process; the store is closed with the worker.
    model, service : str
        Name of the detector, and of the service for its cursor and events.
    reloader : ModelReloader, optional
        Loads models; by default they are loaded between steps, on this thread.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        model: str,
        service: str,
        reloader: ModelReloader | None = None,
    ) -> None:
        self._settings, self._store, self._clock, self._model, self._service = settings, store, clock, model, service
        self._reloader = reloader or PollingReloader(open_model_source(settings, model, clock, store), clock)
        self._models = WorkerModels(self._reloader, store, clock, model, service)
        self._position = store.read_position(service)
        self._scored = self._alarms = 0
        self._batch_size = BatchSize(max_windows=min(settings.detectors.batch_windows, MAX_WINDOWS_PER_STEP))
        self._histories = Histories(
            lambda columns, group, start, end: store.window_columns(columns, group[0], group[1], start, end)
        )
        self._waiting = DetectorWaiting(store, clock, model, settings.windows.warming_minutes)
        self._next_heartbeat = clock.monotonic()
        self._models.take_over()
        self._record()

    def step(self) -> bool:
        """Score the next windows; return whether more wait."""
        self._reloader.yield_to_load()
        self._models.take_over()
        if self._models.loaded is None:
            self._record()
            self._follow_windows()
            return False
        is_first = self._models.is_unproven
        limit = max(1, self._batch_size.windows // FIRST_BATCH_DIVISOR) if is_first else self._batch_size.windows
        begun = self._clock.monotonic()
        columns = self._select_columns()
        windows = self._store.window_columns_after((*_KEY_COLUMNS, *columns), self._position, limit)
        if not windows:
            self._record()
            return False
        try:
            rows = self._score_with_fallback(columns, windows)
            if rows is None:
                return True
            self._write(rows, int(windows[-1][0]))
        finally:
            self._histories.discard()
        if not is_first:
            self._batch_size.add_batch(len(windows), self._clock.monotonic() - begun)
        self._record()
        return len(windows) == limit

    def status(self) -> str:
        """Describe what the detector waits for, the loaded model, the scored windows and the problems."""
        loaded = self._models.loaded
        parts = list(self._waiting.describe(has_model=loaded is not None))
        if loaded is None:
            parts.append(f"{WAITING} ({self._model}.safetensors in {self._settings.artifacts_path})")
        else:
            parts.append(f"model {loaded.version}, {self._scored:,} windows scored, {self._alarms:,} alarms")
        return "; ".join((*parts, *self._models.describe_problems()))

    @property
    def wake_fd(self) -> int | None:
        """A descriptor that is readable when a new model is loaded; None if there is none."""
        return self._reloader.wake_fd

    def close(self) -> None:
        """Stop loading models and close the store."""
        self._reloader.close()
        self._store.close()

    def _select_columns(self) -> Columns:
        """Return the columns to read; for an unproven model also those of the previous one."""
        models = [model for model in (self._models.loaded, self._models.previous) if model is not None]
        return select_columns(*(model.artifact.content.feature_names for model in models))

    def _score_with_fallback(self, columns: Columns, windows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]] | None:
        """Score the windows; if the model fails, score them with the previous one, or return None without one.

        Any error of an unproven model is a defect of the model. Of a proven one only an `ArtifactError` is, such as a score
        that is not a number; any other error is a bug, which ends the process.
        """
        loaded = self._models.loaded
        assert loaded is not None
        try:
            return self._score(columns, windows, loaded)
        except TransientError:
            raise
        except Exception as error:
            if not self._models.is_unproven and not isinstance(error, ArtifactError):
                raise
            reason = f"{loaded.source}: version {loaded.version} fails on live windows: {type(error).__name__}: {error}"
            previous = self._models.previous
            # If the previous model fails as well, the cause is not the model but a bug, which ends the process.
            rows = self._score(columns, windows, previous) if previous is not None else None
        self._models.reject(reason)
        self._next_heartbeat = self._clock.monotonic() + HEARTBEAT_S  # a backup may load before windows are skipped
        return rows

    def _score(self, columns: Columns, windows: Sequence[tuple[Any, ...]], loaded: LoadedModel) -> list[dict[str, Any]]:
        groups: dict[Group, list[tuple[Any, ...]]] = {}
        for _, collector, peer, *row in windows:
            groups.setdefault((collector, peer), []).append(tuple(row))
        rows: list[dict[str, Any]] = []
        for group, new in groups.items():
            frame, is_new = self._histories.build_frame(group, columns, new, loaded.detector.history_minutes)
            scores = loaded.detector.score(frame)
            rows += build_score_rows(
                scores,
                loaded.calibration.p_value(scores.score),
                is_new,
                group=group,
                model=self._model,
                version=loaded.version,
                alarm_p=loaded.calibration.alarm_p(self._settings.detectors.false_alarms_per_day),
                scored_at=self._clock.now(),
            )
        return rows

    def _write(self, rows: list[dict[str, Any]], position: int) -> None:
        self._store.write_scores(rows, StateCursor(self._service, position, self._build_state()))
        self._position = position
        self._histories.commit()
        self._scored += len(rows)
        self._alarms += sum(bool(row["is_alarm"]) for row in rows)
        if self._models.is_unproven:
            self._models.prove()

    def _build_state(self) -> DetectorState:
        loaded, reason = self._models.loaded, self._models.refusal_reason
        if loaded is None:
            return DetectorState(phase="waiting for a model", refusal_reason=reason)
        return DetectorState(model_version=loaded.version, refusal_reason=reason)

    def _follow_windows(self) -> None:
        """Move the position to the newest window: windows older than the first model are not scored."""
        if self._clock.monotonic() < self._next_heartbeat:
            return
        position = max(self._store.newest_window_id(), self._position)
        cursor = StateCursor(self._service, position, self._build_state())
        if self._store.read_state(self._service, DetectorState) != cursor:
            self._store.put_cursor(cursor)
        self._position = cursor.position
        self._next_heartbeat = self._clock.monotonic() + HEARTBEAT_S

    def _record(self) -> None:
        if self._models.has_events and self._models.loaded is not None:
            self._store.put_cursor(StateCursor(self._service, self._position, self._build_state()))
        self._models.record()


def open_model_source(settings: Settings, model: str, clock: Clock, store: Store | None = None) -> ModelSource:
    """Open the source of a detector's models; the packaged default is published and recorded if there is no model file."""
    path = current_path(settings.artifacts_path, model)
    if publish_default(settings.artifacts_path, model):
        logs.get_logger().info("model.published", model=model, source="packaged default")
    if store is not None:
        _record_default(path, store, model, int(clock.now()))
    build = builder(model, settings.detectors.history_minutes)
    return ModelSource(settings.artifacts_path, model, build, clock, settle_s=settings.detectors.model_settle_s)


def _record_default(path: Path, store: Store, model: str, now: int) -> None:
    """Record that the packaged default was published, unless an event of the model exists.

    The file is written before the event. A process that ends in between, or whose write is refused, leaves the file
    without an event, which the next start records.
    """
    version = active_version(path.parent, model)
    if not version.startswith(DEFAULT_PREFIX) or store.retrain_events(model, 1):
        return
    event = RetrainEvent(
        model=model,
        version=version,
        kind="publish_default",
        started_at=now,
        finished_at=now,
        promoted=True,
        artifact_path=str(path),
        exit_code=0,
    )
    store.record_retrain_event(event)


def build_worker_factory(model: str, service: str) -> Callable[[Settings, Clock], DetectorWorker]:
    """Return the function that `bgpdrift.services.runtime` calls to build the worker."""

    def build(settings: Settings, clock: Clock) -> DetectorWorker:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        with ExitStack() as stack:  # if this fails, the runtime builds another worker once the store is available again
            store = open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s)
            stack.callback(store.close)
            source = open_model_source(settings, model, clock, store)
            reloader = WatchingReloader(source, clock, settings.detectors.model_poll_s)
            stack.callback(reloader.close)
            worker = DetectorWorker(settings, store, clock, model, service, reloader)
            stack.pop_all()  # the worker closes both from now on
        return worker

    return build
