"""The records of the model registry in the store: states of versions and events.

A model becomes active even if its record cannot be written. A record that the store refuses is kept and written before the next
one, or by `RegistryRecords.write_unwritten`. If the process ends before, `bgpdrift.models.model_registry.ModelRegistry.reconcile`
records what the files show.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.detector_registry import BY_NAME
from bgpdrift.errors import BgpdriftError, StoreError
from bgpdrift.models.artifact import Artifact, from_bytes
from bgpdrift.store.model_records import ModelState, ModelVersion, RetrainEvent, VersionDetails

MAX_UNWRITTEN = 20
"""Records that are kept for later."""


class Transition(NamedTuple):
    """A change of versions, as `bgpdrift.store.models.ModelQueries.record_transition` writes it."""

    versions: Sequence[ModelVersion]
    states: Sequence[tuple[str, str, ModelState]]
    event: RetrainEvent | None
    at: float


class RegistryStore(Protocol):
    """The queries of `bgpdrift.store.Store` that the registry uses."""

    def retrain_events(self, model: str | None = None, limit: int = 50) -> list[RetrainEvent]:
        """Read the last events, newest first."""
        ...

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
        self._unwritten: list[Transition] = []

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

    def find_conflict(self, artifact: Artifact) -> str:
        """Find why an artifact is not the recorded version of its number; "" if it is, or if the store is away."""
        try:
            return find_conflict(artifact, self._store.model_versions(artifact.content.model)) if self._store else ""
        except BgpdriftError:
            return ""

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
        transition = Transition(versions, states, event, self._clock.now())
        try:
            self.write_unwritten()
            self._store.record_transition(*transition)
        except BgpdriftError as error:
            self._unwritten = [*self._unwritten, transition][-MAX_UNWRITTEN:]
            self._log.warning("model.unrecorded", model=model, reason=str(error))

    def write_unwritten(self) -> None:
        """Write the records that the store refused before, oldest first.

        Raises
        ------
        BgpdriftError
            The store refuses one again; a record that it can never take is removed.
        """
        while self._store is not None and self._unwritten:
            transition = self._unwritten[0]
            if self._is_recorded(transition.event):  # it was written, but the answer was lost
                transition = transition._replace(event=None)
            try:
                self._store.record_transition(*transition)
            except StoreError:
                del self._unwritten[0]
                raise
            del self._unwritten[0]

    def _is_recorded(self, event: RetrainEvent | None) -> bool:
        if event is None or event.id or self._store is None:
            return False
        recorded = self._store.retrain_events(event.model, MAX_UNWRITTEN)
        return any(msgspec.structs.replace(other, id=0) == event for other in recorded)


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


def find_conflict(artifact: Artifact, recorded: Sequence[ModelVersion]) -> str:
    """Find why an artifact is not the recorded version of its number; "" if it is, or if the number is not recorded.

    The digest decides, never the number, since another installation counts its versions from 1 as well. A row of scores
    names a version, so that one version must be one file. The packaged default has one number in all versions of bgpdrift.
    """
    model = artifact.content.model
    other = next((one.digest for one in recorded if one.version == artifact.version), artifact.digest)
    if other == artifact.digest or artifact.digest == _read_default_digest(model):
        return ""
    return (
        f"{model}: version {artifact.version} is recorded with digest {other[:12]}, this file has {artifact.digest[:12]}: "
        "it is another model with the same number, perhaps of another installation"
    )


def _read_default_digest(model: str) -> str:
    record = BY_NAME.get(model)
    raw = record.read_default_model() if record else None
    return from_bytes(raw, f"packaged default of {model}", model).digest if raw else ""


def state_or(recorded: str, allowed: tuple[ModelState, ...] = ("active",)) -> ModelState:
    """Return the recorded state if it is one that the files allow, else the first of these."""
    return next((state for state in allowed if state == recorded), allowed[0])
