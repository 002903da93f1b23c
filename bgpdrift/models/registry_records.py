"""The records of the model registry in the store: states of versions and events.

A model becomes active even if its record cannot be written: if the store is not reachable, a line is logged, and
`bgpdrift.models.model_registry.ModelRegistry.reconcile` writes the record later.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.errors import BgpdriftError
from bgpdrift.models.artifact import Artifact
from bgpdrift.store.model_records import ModelState, ModelVersion, RetrainEvent, VersionDetails


class RegistryStore(Protocol):
    """The queries of `bgpdrift.store.Store` that the registry uses."""

    def model_versions(self, model: str | None = None) -> list[ModelVersion]:
        """Read model versions."""
        ...

    def record_transition(
        self,
        versions: Sequence[ModelVersion],
        states: Sequence[tuple[str, str, ModelState]],
        event: RetrainEvent | None,
        at: float,
    ) -> int | None:
        """Write versions, states and an event in one transaction."""
        ...


class RegistryRecords:
    """Reads and writes the records of changes in files; errors of the store are logged, not raised.

    A change that exists in the store only is written by `write_or_raise`.
    """

    def __init__(self, store: RegistryStore | None, clock: Clock) -> None:
        self._store, self._clock, self._log = store, clock, logs.get_logger()

    @property
    def has_store(self) -> bool:
        """Whether there is a store."""
        return self._store is not None

    def read_states(self, model: str) -> dict[str, ModelState]:
        """Read the state of each version; {} if the store is away."""
        if self._store is None:
            return {}
        try:
            return {version.version: version.state for version in self._store.model_versions(model)}
        except BgpdriftError as error:
            self._log.warning("model.states_unknown", model=model, reason=str(error))
            return {}

    def write_or_raise(self, states: Sequence[tuple[str, str, ModelState]]) -> None:
        """Write states that no file shows; without a store, nothing is written.

        Raises
        ------
        TransientError
            The store refuses the change for now.
        StoreError
            The store cannot hold the change.
        """
        if self._store is not None:
            self._store.record_transition([], states, None, self._clock.now())

    def write(
        self,
        model: str,
        versions: Sequence[ModelVersion],
        states: Sequence[tuple[str, str, ModelState]],
        event: RetrainEvent | None,
    ) -> None:
        """Write versions, states and an event; an event with an id completes the one that was begun earlier."""
        if self._store is None:
            self._log.warning("model.unrecorded", model=model, reason="no store")
            return
        try:
            self._store.record_transition(versions, states, event, self._clock.now())
        except BgpdriftError as error:
            self._log.warning("model.unrecorded", model=model, reason=str(error))


def build_version(
    artifact: Artifact, state: ModelState, path: Path | str, activated_at: float | None, now: float
) -> ModelVersion:
    """Build the record of a version that reaches a state now."""
    return ModelVersion(
        model=artifact.content.model,
        version=artifact.version,
        state=state,
        parent_version=artifact.parent_version or None,
        digest=artifact.digest,
        artifact_path=str(path),
        created_at=artifact.created_at,
        activated_at=None if activated_at is None else int(activated_at),
        state_at=int(now),
        details=VersionDetails(
            training=msgspec.to_builtins(artifact.training), metrics=msgspec.to_builtins(artifact.metrics)
        ),
    )


def state_or(recorded: str, allowed: tuple[ModelState, ...] = ("active",)) -> ModelState:
    """Return the recorded state if it is one that the files allow, else the first of these."""
    return next((state for state in allowed if state == recorded), allowed[0])
