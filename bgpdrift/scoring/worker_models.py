"""The models of a detector worker: the loaded one, the previous one until the loaded one has scored, and the records about both.

This module decides that a model whose version is recorded with another digest never scores, and that a new model is proven
by its first written batch. Until then the previous model is kept, and a model
that fails on live windows is replaced by it. Records are written after the windows, so that no record delays a score.
`bgpdrift.models.loading` decides which file is loaded, `bgpdrift.models.reloading` when.
"""

from typing import Any

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.models.loading import LoadAttempt, LoadedModel, Refusal
from bgpdrift.models.registry_records import build_version, find_conflict
from bgpdrift.models.reloading import ModelReloader
from bgpdrift.store import Store
from bgpdrift.store.request_records import Alert

RECORD_VERSION_AFTER_S = 5.0
"""The publisher of a version records it. The worker records a version only if it is not recorded after this time, in seconds."""


class WorkerModels:
    """Takes over models and records it.

    Parameters
    ----------
    reloader : ModelReloader
        Loads models.
    store, clock
        Store and clock of the worker.
    model, service : str
        Name of the detector, and of the service for its events.
    """

    def __init__(self, reloader: ModelReloader, store: Store, clock: Clock, model: str, service: str) -> None:
        self._reloader, self._store, self._clock = reloader, store, clock
        self._model, self._service, self._log = model, service, logs.get_logger()
        self.loaded: LoadedModel | None = None
        """Model that scores; None before the first one."""
        self.previous: LoadedModel | None = None
        """Model that takes over if the loaded one fails; None once the loaded one is proven."""
        self.is_unproven = False
        self.refusal_reason = ""
        """Reason for which the newest file was refused; "" if it was not."""
        self._problem = ""
        self._waiting: LoadAttempt | None = None
        self._events: list[tuple[float, str, dict[str, Any]]] = []
        self._unrecorded: tuple[float, LoadedModel] | None = None

    @property
    def has_events(self) -> bool:
        """Whether events wait to be recorded."""
        return bool(self._events)

    def take_over(self) -> None:
        """Take over the models that were loaded since the last call."""
        while (attempt := self._waiting or self._reloader.take()) is not None:
            self._waiting = attempt  # if the store cannot be read now, the next call continues here
            recorded = self._store.model_versions(self._model) if attempt.loaded else []
            conflict = find_conflict(attempt.loaded.artifact, recorded) if attempt.loaded else ""
            self._waiting = None
            self._handle(attempt)
            if attempt.loaded is None:
                continue
            if conflict:
                self._log.error("model.conflict", model=self._model, version=attempt.loaded.version, reason=conflict)
                self._reloader.report_failure(attempt.loaded, conflict, has_other=self.loaded is not None)
                continue
            # Of two models that were loaded at once the first never scored, so the model before both stays the previous one.
            self.previous = self.previous if self.is_unproven and self.previous else self.loaded
            self.loaded, self.is_unproven = attempt.loaded, True
            if not attempt.refused:
                self.refusal_reason = ""
            self._log.info(
                "model.loaded", model=self._model, version=attempt.loaded.version, source=attempt.loaded.source
            )
            self._events.append((self._clock.now(), "model_loaded", self._describe_load(attempt.loaded)))
            delay_s = RECORD_VERSION_AFTER_S if self.previous else 0.0
            self._unrecorded = (self._clock.monotonic() + delay_s, attempt.loaded)

    def prove(self) -> None:
        """Mark the loaded model as proven by its first written batch, and release the previous one."""
        loaded = self.loaded
        self.is_unproven, self.previous = False, None
        if loaded is not None and self._events and loaded.changed_at is not None:
            details = self._events[-1][2]
            if "change_to_taken_ms" in details:
                now = self._clock.now()
                delay_ms = round(1e3 * (now - loaded.changed_at), 3)
                details.update(change_to_first_score_ms=delay_ms, first_score_at=now)

    def reject(self, reason: str) -> None:
        """Replace a loaded model that failed on live windows by the previous one."""
        loaded, previous = self.loaded, self.previous
        assert loaded is not None
        self._log.error("model.failed_live", model=self._model, version=loaded.version, reason=reason)
        self._reloader.report_failure(loaded, reason, has_other=previous is not None)
        self.loaded, self.previous, self.is_unproven = previous, None, False
        self._unrecorded = None

    def describe_problems(self) -> list[str]:
        """Describe what prevents or delays a new model."""
        refused = f"refused: {self.refusal_reason}" if self.refusal_reason else ""
        return [problem for problem in (refused, self._problem, self._reloader.problem) if problem]

    def record(self) -> None:
        """Write the events, and the version if its publisher has not recorded it in time."""
        while self._events:
            at, event, details = self._events[0]
            self._store.record_service_event(at, self._service, event, details)
            if event == "model_refused":
                self._store.raise_alerts([self._build_alert(at, details)])
            del self._events[0]
        if self._unrecorded is not None and self._clock.monotonic() >= self._unrecorded[0]:
            self._record_version(self._unrecorded[1])
            self._unrecorded = None

    def _handle(self, attempt: LoadAttempt) -> None:
        for refusal in attempt.refused:
            self._handle_refusal(refusal)
        if attempt.problem and attempt.problem != self._problem:
            self._log.warning("model.problem", model=self._model, reason=attempt.problem)
        self._problem = attempt.problem

    def _handle_refusal(self, refusal: Refusal) -> None:
        self.refusal_reason = refusal.reason
        details = {
            "model": self._model,
            "file": refusal.file,
            "reason": refusal.reason,
            "moved_to": refusal.moved_to,
            "active_version": self.loaded.version if self.loaded else "",
        }
        self._log.error("model.refused", **details)
        self._events.append((self._clock.now(), "model_refused", details))

    def _build_alert(self, at: float, details: dict[str, Any]) -> Alert:
        active = (
            f"version {details['active_version']} continues" if details["active_version"] else "there is no other model"
        )
        return Alert(
            at=at,
            key=f"model_refused:{self._model}:{int(at)}",
            severity="high",
            title=f"{self._model}: the model file {details['file']} was refused; {active}",
            body=str(details["reason"]),
        )

    def _describe_load(self, loaded: LoadedModel) -> dict[str, Any]:
        details = {
            "version": loaded.version,
            "source": loaded.source,
            "digest": loaded.artifact.digest,
            "load_ms": round(1e3 * loaded.load_s, 3),
            "replaces": self.previous.version if self.previous else "",
        }
        if loaded.changed_at is not None and self.previous is not None:
            details["change_to_taken_ms"] = round(1e3 * (self._clock.now() - loaded.changed_at), 3)
        return details

    def _record_version(self, loaded: LoadedModel) -> None:
        artifact, now = loaded.artifact, self._clock.now()
        versions = self._store.model_versions(self._model)
        if any(version.version == loaded.version and version.digest == artifact.digest for version in versions):
            return
        self._store.record_model_version(build_version(artifact, "active", loaded.source, now, now))
