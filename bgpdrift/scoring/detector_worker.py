"""What the three detector services share: new windows in, scores out, each once, with the model version that gave it.

Also waits for a model where there is none yet, which is work too: the cursor follows the newest window and says so, so
that nobody waits for us. How a window is scored is the detector's affair, which file is the model `ModelSource`'s, when
to look for it `ModelReloader`'s. A new model takes over between two batches. One that verified but fails on live windows is
taken back before anything of it was written: the model before it scores those same windows.
"""

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.errors import TransientError
from bgpdrift.models import artifact as artifacts
from bgpdrift.models.loading import LoadAttempt, LoadedModel, ModelSource, Refusal, builder, publish_default
from bgpdrift.models.paths import current_path
from bgpdrift.models.reloading import ModelReloader, PollingReloader, WatchingReloader
from bgpdrift.scoring.batch_size import BatchSize
from bgpdrift.scoring.histories import Columns, Group, Histories, columns_for
from bgpdrift.scoring.score_rows import score_rows
from bgpdrift.settings import Settings
from bgpdrift.store import StateCursor, Store, open_store
from bgpdrift.store.cursor_states import DetectorState
from bgpdrift.verdicts.ensemble import WAITING

HEARTBEAT_S = 5.0
RECORD_VERSION_AFTER_S = 5.0
"""Whoever published a version records it; we only add one that came by hand, once they had their time."""
WINDOWS_A_STEP = 256
"""Bounds a step whatever the batch in the settings: the watchdog must hear from us, and memory stay small."""
FIRST_BATCH_SHARE = 4
SWITCH_INTERVAL_S = 0.001
"""How long scoring keeps the interpreter when another thread has a model to load; Python's default is 5 ms a turn."""
_READ = ("id", "collector", "peer")


class ScoringService:
    """Worker of one detector service.

    Parameters
    ----------
    settings, store, clock
        Of this process; the store is closed with the service.
    model, service : str
        Whose scores, and under which name the cursor stands.
    models : ModelReloader, optional
        Where models come from; default: looked for between steps, on this thread.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        model: str,
        service: str,
        models: ModelReloader | None = None,
    ) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._model, self._service, self._log = model, service, logs.get_logger()
        self._models = models or PollingReloader(source_of(settings, model, clock, store), clock)
        self._loaded: LoadedModel | None = None
        self._previous: LoadedModel | None = None
        self._unproven = False
        self._position = store.read_position(service)
        self._scored = self._alarms = 0
        self._refused = self._notice = ""
        self._batch = BatchSize(most=min(settings.detectors.batch_windows, WINDOWS_A_STEP))
        self._histories = Histories(
            lambda columns, group, start, end: store.window_columns(columns, group[0], group[1], start, end)
        )
        self._budget = settings.detectors.false_alarms_per_day
        self._next_heartbeat = clock.monotonic()
        self._events: list[tuple[float, str, dict[str, Any]]] = []
        self._unrecorded: tuple[float, LoadedModel] | None = None
        self._take_over()
        self._record()

    def step(self) -> bool:
        """Score the next windows; True if more are waiting."""
        self._models.yield_to_load()
        self._take_over()
        if self._loaded is None:
            self._record()
            self._wait_for_model()
            return False
        # The first batch of a new model is a short one: what it says is seen soon, and little is done twice if it fails.
        first = self._unproven
        limit = max(1, self._batch.windows // FIRST_BATCH_SHARE) if first else self._batch.windows
        begun = self._clock.monotonic()
        columns = self._columns()
        windows = self._store.window_columns_after((*_READ, *columns), self._position, limit)
        if not windows:
            self._record()
            return False
        try:
            rows = self._score_and_prove(columns, windows)
            if rows is None:
                return True
            self._write(rows, int(windows[-1][0]))
        finally:
            self._histories.forget()
        if not first:
            self._batch.took(len(windows), self._clock.monotonic() - begun)
        self._record()
        return len(windows) == limit

    def status(self) -> str:
        """Model in force, what was done, what is wrong."""
        parts = [f"refused: {self._refused}"] if self._refused else []
        parts += [self._notice] if self._notice else []
        parts += [self._models.problem] if self._models.problem else []
        wrong = "".join(f"; {part}" for part in parts)
        if self._loaded is None:
            return f"{WAITING} ({self._model}.safetensors in {self._settings.artifacts_path}){wrong}"
        return f"model {self._loaded.version}, {self._scored:,} windows scored, {self._alarms:,} alarms{wrong}"

    @property
    def wake_fd(self) -> int | None:
        """Readable when a new model is there."""
        return self._models.wake_fd

    def close(self) -> None:
        """Stop looking for models and close the store."""
        self._models.close()
        self._store.close()

    # Models.

    def _take_over(self) -> None:
        while (look := self._models.take()) is not None:
            self._note(look)
            if look.loaded is not None:
                # Of two models that came at once the first never scored: the one to go back to is the last that did.
                self._previous = self._previous if self._unproven and self._previous else self._loaded
                self._loaded, self._unproven = look.loaded, True
                if not look.refused:
                    self._refused = ""
                self._log.info(
                    "model.loaded", model=self._model, version=look.loaded.version, source=look.loaded.source
                )
                self._events.append((self._clock.now(), "model_loaded", self._loaded_details(look.loaded)))
                delay_s = RECORD_VERSION_AFTER_S if self._previous else 0.0
                self._unrecorded = (self._clock.monotonic() + delay_s, look.loaded)

    def _note(self, look: LoadAttempt) -> None:
        for refusal in look.refused:
            self._note_refusal(refusal)
        if look.problem and look.problem != self._notice:
            self._log.warning("model.problem", model=self._model, problem=look.problem)
        self._notice = look.problem

    def _note_refusal(self, refusal: Refusal) -> None:
        self._refused = refusal.reason
        details = {
            "model": self._model,
            "file": refusal.file,
            "reason": refusal.reason,
            "moved_to": refusal.moved_to,
            "active_version": self._loaded.version if self._loaded else "",
        }
        self._log.error("model.refused", **details)
        self._events.append((self._clock.now(), "model_refused", details))

    def _loaded_details(self, loaded: LoadedModel) -> dict[str, Any]:
        details = {
            "version": loaded.version,
            "source": loaded.source,
            "digest": loaded.artifact.digest,
            "load_ms": round(1e3 * loaded.load_s, 3),
            "replaces": self._previous.version if self._previous else "",
        }
        if loaded.changed_at is not None and self._previous is not None:
            details["change_to_taken_ms"] = round(1e3 * (self._clock.now() - loaded.changed_at), 3)
        return details

    # Scoring.

    def _columns(self) -> Columns:
        """What to read: for a model that has not proved itself also what the one before it needs."""
        asked = [loaded for loaded in (self._loaded, self._previous) if loaded is not None]
        return columns_for(*(loaded.artifact.content.feature_names for loaded in asked))

    def _score_and_prove(self, columns: Columns, windows: Sequence[tuple[Any, ...]]) -> list[dict[str, Any]] | None:
        """Score; with a model that never scored before and cannot, go back to the one before. None: look again."""
        loaded = self._loaded
        assert loaded is not None
        if not self._unproven:
            return self._score(columns, windows, loaded)
        try:
            return self._score(columns, windows, loaded)
        except TransientError:
            raise
        except Exception as error:
            reason = f"{loaded.source}: version {loaded.version} fails on live windows: {type(error).__name__}: {error}"
            previous = self._previous
            # If the model before fails as well, it is not the model: that is a bug, and ends the process.
            rows = self._score(columns, windows, previous) if previous is not None else None
        self._log.error("model.failed_live", model=self._model, version=loaded.version, reason=reason)
        self._models.report_failure(loaded, reason, has_other=previous is not None)
        self._loaded, self._previous, self._unproven = previous, None, False
        self._unrecorded = None
        self._next_heartbeat = self._clock.monotonic() + HEARTBEAT_S  # time for a backup, before windows are given up
        return rows

    def _score(self, columns: Columns, windows: Sequence[tuple[Any, ...]], loaded: LoadedModel) -> list[dict[str, Any]]:
        groups: dict[Group, list[tuple[Any, ...]]] = {}
        for _, collector, peer, *row in windows:
            groups.setdefault((collector, peer), []).append(tuple(row))
        rows: list[dict[str, Any]] = []
        for group, new in groups.items():
            frame, wanted = self._histories.frame(group, columns, new, loaded.detector.history_minutes)
            scores = loaded.detector.score(frame)
            rows += score_rows(
                scores,
                loaded.calibration.p_value(scores.score),
                wanted,
                group=group,
                model=self._model,
                version=loaded.version,
                limit_p=loaded.calibration.alarm_p(self._budget),
                scored_at=self._clock.now(),
            )
        return rows

    def _write(self, rows: list[dict[str, Any]], position: int) -> None:
        loaded = self._loaded
        assert loaded is not None
        self._store.write_scores(rows, StateCursor(self._service, position, self._state(loaded)))
        self._position = position
        self._histories.keep()
        self._scored += len(rows)
        self._alarms += sum(bool(row["is_alarm"]) for row in rows)
        if self._unproven:
            self._unproven, self._previous = False, None  # the old model goes with its last batch
            if self._events and loaded.changed_at is not None and "change_to_taken_ms" in self._events[-1][2]:
                now = self._clock.now()
                waited_ms = round(1e3 * (now - loaded.changed_at), 3)
                self._events[-1][2].update(change_to_first_score_ms=waited_ms, first_score_at=now)

    def _state(self, loaded: LoadedModel) -> DetectorState:
        return DetectorState(model_version=loaded.version, refusal_reason=self._refused)

    def _wait_for_model(self) -> None:
        """Move the position to the newest window: windows older than the first model are not scored."""
        if self._clock.monotonic() < self._next_heartbeat:
            return
        self._next_heartbeat = self._clock.monotonic() + HEARTBEAT_S
        newest = self._store.newest_window_id()
        state = DetectorState(phase="waiting for a model", refusal_reason=self._refused)
        cursor = StateCursor(self._service, max(newest, self._position), state)
        if self._store.read_state(self._service, DetectorState) != cursor:
            self._store.put_cursor(cursor)
            self._position = cursor.position

    # Records, which come after the windows: nothing about a model may keep a window waiting.

    def _record(self) -> None:
        if self._events and self._loaded is not None:
            self._store.put_cursor(StateCursor(self._service, self._position, self._state(self._loaded)))
        while self._events:
            at, event, details = self._events[0]
            self._store.record_service_event(at, self._service, event, details)
            del self._events[0]
        if self._unrecorded is not None and self._clock.monotonic() >= self._unrecorded[0]:
            self._record_version(self._unrecorded[1])
            self._unrecorded = None

    def _record_version(self, loaded: LoadedModel) -> None:
        metadata = loaded.artifact
        known = [row for row in self._store.model_versions(self._model) if row["version"] == loaded.version]
        if known and known[0]["digest"] == metadata.digest:
            return
        self._store.record_model_version(
            {
                "model": self._model,
                "version": loaded.version,
                "state": "active",
                "parent_version": metadata.parent_version or None,
                "digest": metadata.digest,
                "artifact_path": loaded.source,
                "created_at": metadata.created_at,
                "activated_at": int(self._clock.now()),
                "details": {
                    "training": msgspec.to_builtins(metadata.training),
                    "metrics": msgspec.to_builtins(metadata.metrics),
                },
            }
        )


def source_of(settings: Settings, model: str, clock: Clock, store: Store | None = None) -> ModelSource:
    """Make the source of a detector's models; the packaged default is put in place, on record, where there is nothing."""
    if publish_default(settings.artifacts_path, model):
        path, now = current_path(settings.artifacts_path, model), int(clock.now())
        version = artifacts.read(path, model).version
        logs.get_logger().info("model.published", model=model, version=version, source="packaged default")
        event = {"model": model, "kind": "publish_default", "version": version, "promoted": True, "exit_code": 0}
        if store is not None:
            with contextlib.suppress(TransientError):  # its version is recorded when it is loaded
                store.record_retrain_event({**event, "started_at": now, "finished_at": now, "artifact_path": str(path)})
    return ModelSource(settings.artifacts_path, model, builder(model, settings.detectors.history_minutes), clock)


def build_for(model: str, service: str) -> Any:
    """Make the builder that `runtime.run` asks for."""

    def build(settings: Settings, clock: Clock) -> ScoringService:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        store = open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s)
        models = WatchingReloader(source_of(settings, model, clock, store), clock, settings.detectors.model_poll_s)
        try:
            return ScoringService(settings, store, clock, model, service, models)
        except BaseException:
            models.close()  # made anew when the store is back
            store.close()
            raise

    return build
