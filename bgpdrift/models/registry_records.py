"""How moves are written down: rows for the store, and what happens when it is away (a line in the log, nothing else)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.errors import BgpdriftError
from bgpdrift.models.artifact import Artifact
from bgpdrift.models.lifecycle import State


class RegistryStore(Protocol):
    """What is asked of a `bgpdrift.store.Store`."""

    def model_versions(self, model: str | None = None) -> list[dict[str, Any]]:
        """Rows of ``model_versions``."""
        ...

    def record_transition(
        self,
        versions: Sequence[Mapping[str, Any]],
        states: Sequence[tuple[str, str, str]],
        event: Mapping[str, Any] | None,
        at: float,
    ) -> int | None:
        """Versions, states and an event in one transaction."""
        ...

    def finish_retrain_event(self, event_id: int, row: Mapping[str, Any]) -> None:
        """Complete an event."""
        ...


class RegistryRecords:
    """Writes moves into a store that may be away: a model in force must not wait for its record."""

    def __init__(self, store: RegistryStore | None, clock: Clock) -> None:
        self._store, self._clock, self._log = store, clock, logs.get_logger()

    @property
    def is_open(self) -> bool:
        """Whether there is a store at all."""
        return self._store is not None

    def states(self, model: str) -> dict[str, str]:
        """State by version, as far as the store can be asked."""
        if self._store is None:
            return {}
        try:
            return {str(row["version"]): str(row["state"]) for row in self._store.model_versions(model)}
        except BgpdriftError as error:
            self._log.warning("model.states_unknown", model=model, reason=str(error))
            return {}

    def event(self, model: str, kind: str, version: str, path: Path, begun: float) -> dict[str, Any]:
        """Begin a row of ``model_retrain_events`` that ends now."""
        return {
            "model": model,
            "version": version,
            "kind": kind,
            "started_at": int(begun),
            "finished_at": int(self._clock.now()),
            "artifact_path": str(path),
        }

    def write(
        self,
        model: str,
        versions: Sequence[Mapping[str, Any]],
        states: Sequence[tuple[str, str, str]],
        event: Mapping[str, Any] | None,
        event_id: int | None,
    ) -> None:
        """Write a move; with ``event_id`` the event begun earlier is completed."""
        if self._store is None:
            self._log.warning("model.unrecorded", model=model, reason="no store")
            return
        try:
            self._store.record_transition(versions, states, None if event_id is not None else event, self._clock.now())
            if event is not None and event_id is not None:
                begun_before = {"model", "started_at", "kind"}
                row = {name: value for name, value in event.items() if name not in begun_before}
                self._store.finish_retrain_event(event_id, row)
        except BgpdriftError as error:
            self._log.warning("model.unrecorded", model=model, reason=str(error))


def version_row(artifact: Artifact, state: State, path: Path, activated_at: float | None, now: float) -> dict[str, Any]:
    """Make a row of ``model_versions``."""
    return {
        "model": artifact.content.model,
        "version": artifact.version,
        "state": state,
        "parent_version": artifact.parent_version or None,
        "digest": artifact.digest,
        "artifact_path": str(path),
        "created_at": artifact.created_at,
        "activated_at": None if activated_at is None else int(activated_at),
        "state_at": int(now),
        "details": {"training": dict(artifact.training), "metrics": dict(artifact.metrics)},
    }


def state_or(found: str, allowed: tuple[State, ...] = ("active",)) -> State:
    """A state as the store has it, if it is one of those the files allow; else the first of these."""
    return next((state for state in allowed if state == found), allowed[0])
