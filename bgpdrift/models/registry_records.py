"""The records of the model registry in the store: states of versions and events.

A model becomes active whether its record can be written or not: if the store is away, only a line is logged, and
`bgpdrift.models.model_registry.ModelRegistry.reconcile` writes the record later.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.errors import BgpdriftError
from bgpdrift.models.artifact import Artifact
from bgpdrift.models.lifecycle import State


class RegistryStore(Protocol):
    """The queries of `bgpdrift.store.Store` that the registry uses."""

    def model_versions(self, model: str | None = None) -> list[dict[str, Any]]:
        """Read rows of ``model_versions``."""
        ...

    def record_transition(
        self,
        versions: Sequence[Mapping[str, Any]],
        states: Sequence[tuple[str, str, str]],
        event: Mapping[str, Any] | None,
        at: float,
    ) -> int | None:
        """Write versions, states and an event in one transaction."""
        ...

    def finish_retrain_event(self, event_id: int, row: Mapping[str, Any]) -> None:
        """Complete an event."""
        ...


class RegistryRecords:
    """Reads and writes the records; errors of the store are logged, not raised."""

    def __init__(self, store: RegistryStore | None, clock: Clock) -> None:
        self._store, self._clock, self._log = store, clock, logs.get_logger()

    @property
    def has_store(self) -> bool:
        """Whether there is a store."""
        return self._store is not None

    def read_states(self, model: str) -> dict[str, str]:
        """Read the state of each version; {} if the store is away."""
        if self._store is None:
            return {}
        try:
            return {str(row["version"]): str(row["state"]) for row in self._store.model_versions(model)}
        except BgpdriftError as error:
            self._log.warning("model.states_unknown", model=model, reason=str(error))
            return {}

    def build_event(self, model: str, kind: str, version: str, path: Path, begun: float) -> dict[str, Any]:
        """Build a row of ``model_retrain_events`` that ends now."""
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
        event_id: int | None = None,
    ) -> None:
        """Write versions, states and an event; with ``event_id`` an earlier event is completed instead."""
        if self._store is None:
            self._log.warning("model.unrecorded", model=model, reason="no store")
            return
        try:
            self._store.record_transition(versions, states, None if event_id is not None else event, self._clock.now())
            if event is not None and event_id is not None:
                fixed = {"model", "started_at", "kind"}
                row = {name: value for name, value in event.items() if name not in fixed}
                self._store.finish_retrain_event(event_id, row)
        except BgpdriftError as error:
            self._log.warning("model.unrecorded", model=model, reason=str(error))


def version_row(artifact: Artifact, state: State, path: Path, activated_at: float | None, now: float) -> dict[str, Any]:
    """Build a row of ``model_versions``."""
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
        "details": {
            "training": msgspec.to_builtins(artifact.training),
            "metrics": msgspec.to_builtins(artifact.metrics),
        },
    }


def state_or(recorded: str, allowed: tuple[State, ...] = ("active",)) -> State:
    """Give the recorded state if it is one that the files allow, else the first of these."""
    return next((state for state in allowed if state == recorded), allowed[0])
