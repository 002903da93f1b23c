"""What the three detector services share: new windows in, scores out, each once, with the model version that gave it.

Also waits for a model where there is none yet, which is work too: the cursor follows the newest window and says so, so
that nobody waits for us. How a window is scored is the detector's affair, which file is the model `ModelSource`'s.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.detectors.heuristic import NAME as HEURISTIC
from bgpdrift.detectors.interface import MINUTE_S, frame_from_rows
from bgpdrift.models.loading import LoadedModel, ModelSource, builder, publish_default
from bgpdrift.settings import Settings
from bgpdrift.store import Cursor, Store, WindowRow, open_store
from bgpdrift.verdicts.calibration import alarm_p
from bgpdrift.verdicts.ensemble import WAITING

LOOK_EVERY_S = 2.0
HEARTBEAT_S = 5.0
WINDOWS_A_STEP = 256
"""Bounds a step whatever the batch in the settings: the watchdog must hear from us, and memory stay small."""


class ScoringService:
    """Worker of one detector service."""

    def __init__(self, settings: Settings, store: Store, clock: Clock, model: str, service: str) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._model, self._service, self._log = model, service, logs.get_logger()
        build = builder(model, settings.detectors.history_minutes)
        self._source = ModelSource(settings.artifacts_path, model, build)
        self._loaded: LoadedModel | None = None
        cursor = store.read_cursor(service)
        self._position = cursor.position if cursor else 0
        self._scored = 0
        self._alarms = 0
        self._refused = ""
        self._history: dict[tuple[str, str], list[WindowRow]] = {}
        self._next_look = self._next_heartbeat = clock.monotonic()
        if publish_default(settings.artifacts_path, model):
            self._log.info("model.published", model=model, source="packaged default")
        self._look()

    def step(self) -> bool:
        """Score the next windows; True if more are waiting."""
        if self._clock.monotonic() >= self._next_look:
            self._look()
        if self._loaded is None:
            self._wait_for_model()
            return False
        limit = min(self._settings.detectors.batch_windows, WINDOWS_A_STEP)
        windows = self._store.windows_after(self._position, limit)
        if not windows:
            return False
        rows = self._score(windows, self._loaded)
        position = int(windows[-1]["id"])
        details = {"state": "scoring", "model_version": self._loaded.version}
        self._store.write_scores(rows, Cursor(self._service, position, details))
        self._position = position
        self._scored += len(rows)
        self._alarms += sum(bool(row["is_alarm"]) for row in rows)
        return len(windows) == limit

    def status(self) -> str:
        """Model in force and what was done."""
        refused = f"; refused: {self._refused}" if self._refused else ""
        if self._loaded is None:
            return f"{WAITING} ({self._model}.safetensors in {self._settings.artifacts_path}){refused}"
        return f"model {self._loaded.version}, {self._scored:,} windows scored, {self._alarms:,} alarms{refused}"

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _look(self) -> None:
        self._next_look = self._clock.monotonic() + LOOK_EVERY_S
        look = self._source.look()
        for reason in look.refused:
            self._refused = reason
            self._log.error("model.refused", model=self._model, reason=reason)
        if look.loaded is None:
            return
        loaded = look.loaded
        now = self._clock.now()
        row = {
            "model": self._model,
            "version": loaded.version,
            "state": "active",
            "parent_version": loaded.artifact.parent_version or None,
            "digest": loaded.artifact.digest,
            "artifact_path": loaded.source,
            "created_at": loaded.artifact.created_at,
            "activated_at": int(now),
            "details": {"training": dict(loaded.artifact.training), "metrics": dict(loaded.artifact.metrics)},
        }
        known = [v for v in self._store.model_versions(self._model) if v["version"] == loaded.version]
        if not known or known[0]["digest"] != loaded.artifact.digest:
            self._store.record_model_version(row)
        self._store.record_service_event(
            now, self._service, "model_loaded", {"version": loaded.version, "source": loaded.source}
        )
        self._loaded = loaded
        if not look.refused:
            self._refused = ""
        self._log.info("model.loaded", model=self._model, version=loaded.version, source=loaded.source)

    def _wait_for_model(self) -> None:
        """Let the position follow the newest window: what comes before a model is nobody's to score."""
        if self._clock.monotonic() < self._next_heartbeat:
            return
        self._next_heartbeat = self._clock.monotonic() + HEARTBEAT_S
        newest = self._store.newest_window_id()
        cursor = Cursor(self._service, max(newest, self._position), {"state": WAITING})
        if cursor.position != self._position or self._store.read_cursor(self._service) != cursor:
            self._store.write_scores([], cursor)
            self._position = cursor.position

    def _score(self, windows: Sequence[WindowRow], loaded: LoadedModel) -> list[dict[str, Any]]:
        groups: dict[tuple[str, str], list[WindowRow]] = {}
        for window in windows:
            groups.setdefault((str(window["collector"]), str(window["peer"])), []).append(_lean(window))
        rows: list[dict[str, Any]] = []
        limit = alarm_p(self._settings.detectors.false_alarms_per_day)
        now, rule_based = self._clock.now(), self._model == HEURISTIC
        for key, new in groups.items():
            history = self._history_of(key, new, loaded.detector.history_minutes)
            frame = frame_from_rows([*history, *new], len(history))
            scores = loaded.detector.score(frame)
            p_values = loaded.calibration.p_value(scores.score)
            for i, start in enumerate(scores.window_start.tolist()):
                has_opinion = not scores.abstained[i]
                fired = any(not rule.get("explained_by") for rule in scores.rules_fired[i])
                rows.append(
                    {
                        "window_start": start,
                        "collector": key[0],
                        "peer": key[1],
                        "model": self._model,
                        "model_version": loaded.version,
                        "score": float(scores.score[i]) if has_opinion else 0.0,
                        "p_value": float(p_values[i]) if has_opinion else 1.0,
                        # An alarm that no rule of a rule-based detector explains would be nothing to act on.
                        "is_alarm": has_opinion and bool(p_values[i] <= limit) and (fired or not rule_based),
                        "abstained": scores.abstained[i],
                        "rules_fired": scores.rules_fired[i],
                        "top_features": scores.top_features[i],
                        "scored_at": now,
                    }
                )
            kept = sorted([*history, *new], key=_start)
            horizon = _start(kept[-1]) - loaded.detector.history_minutes * MINUTE_S
            self._history[key] = [row for row in kept if _start(row) > horizon]
        return rows

    def _history_of(self, key: tuple[str, str], new: Sequence[WindowRow], minutes: int) -> list[WindowRow]:
        """Windows before the new ones: from memory, or from the store after a start or when one came late."""
        first = min(_start(row) for row in new)
        known = self._history.get(key)
        if known is None or (known and _start(known[-1]) >= first):
            begin = first - minutes * MINUTE_S
            rows = self._store.windows_between(begin, first, collector=key[0], peer=key[1])
            return [_lean(row) for row in rows]
        return [row for row in known if _start(row) >= first - minutes * MINUTE_S]


def _start(row: Mapping[str, Any]) -> int:
    return int(row["window_start"])


def _lean(row: WindowRow) -> WindowRow:
    return {name: value for name, value in row.items() if name != "evidence"}


def build_for(model: str, service: str) -> Any:
    """Make the builder that `runtime.run` asks for."""

    def build(settings: Settings, clock: Clock) -> ScoringService:
        return ScoringService(
            settings,
            open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s),
            clock,
            model,
            service,
        )

    return build
