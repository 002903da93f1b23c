"""Queries on model versions and on the events that made them or changed their state.

This module ensures that states and the event of one change are written together. `bgpdrift.models.lifecycle`
decides which changes are legal.
"""

from collections.abc import Sequence
from typing import get_args

from sqlalchemy import Connection, select, update

from bgpdrift.errors import StoreError
from bgpdrift.store.codec import decode_row, encode_row
from bgpdrift.store.database import Database
from bgpdrift.store.model_records import EventKind, EventReason, ModelState, ModelVersion, RetrainEvent, VersionDetails
from bgpdrift.store.rows import partial, prepared
from bgpdrift.store.schema import model_retrain_events, model_versions

EVENT_KINDS: tuple[EventKind, ...] = get_args(EventKind)


class ModelQueries(Database):
    """Queries on ``model_versions`` and ``model_retrain_events``."""

    def record_model_version(self, version: ModelVersion) -> None:
        """Write a model version; an existing row of the same version is overwritten."""
        with self.writing() as connection:
            self._upsert_versions(connection, [version])

    def model_versions(self, model: str | None = None) -> list[ModelVersion]:
        """Read model versions, of one model or of all, oldest first."""
        query = select(model_versions).order_by(model_versions.c.id)
        rows = self.rows(query if model is None else query.where(model_versions.c.model == model))
        return [decode_row(ModelVersion, row, "model_versions", {"details": VersionDetails}) for row in rows]

    def record_retrain_event(self, event: RetrainEvent) -> int:
        """Write an event; return its id.

        Parameters
        ----------
        event : RetrainEvent
            With an ``id`` it replaces that event, which was begun earlier; without one it is added.

        Raises
        ------
        StoreError
            There is no event of this id, or the kind is not one of `EVENT_KINDS`.
        """
        with self.writing(durable=True) as connection:
            return self._write_event(connection, event)

    def retrain_events(self, model: str | None = None, limit: int = 50) -> list[RetrainEvent]:
        """Read the last ``limit`` events, of one model or of all, newest first."""
        query = select(model_retrain_events).order_by(model_retrain_events.c.id.desc()).limit(limit)
        rows = self.rows(query if model is None else query.where(model_retrain_events.c.model == model))
        return [decode_row(RetrainEvent, row, "model_retrain_events", {"reason_json": EventReason}) for row in rows]

    def record_transition(
        self,
        versions: Sequence[ModelVersion],
        states: Sequence[tuple[str, str, ModelState]],
        event: RetrainEvent | None,
        at: float,
    ) -> int | None:
        """Write a change of the active version in one durable transaction: versions, states of others, the event.

        Parameters
        ----------
        versions : sequence of ModelVersion
            Existing rows of the same versions are overwritten.
        states : sequence of (model, version, state)
            Versions that reach a state; unknown versions are ignored.
        event : RetrainEvent, optional
            Written as by `record_retrain_event`.
        at : float
            Wall clock, epoch seconds.

        Returns
        -------
        int or None
            The id of the event.
        """
        with self.writing(durable=True) as connection:
            self._upsert_versions(connection, versions)
            for model, version, state in states:
                self._set_state(connection, model, version, state, at)
            return None if event is None else self._write_event(connection, event)

    def _upsert_versions(self, connection: Connection, versions: Sequence[ModelVersion]) -> None:
        self.upsert(connection, model_versions, [encode_row(version) for version in versions], ("model", "version"))

    def _set_state(self, connection: Connection, model: str, version: str, state: ModelState, at: float) -> None:
        values = {"state": state, "state_at": int(at)} | ({"activated_at": int(at)} if state == "active" else {})
        change = update(model_versions).where(model_versions.c.model == model, model_versions.c.version == version)
        connection.execute(change.values(partial(model_versions, values)))

    def _write_event(self, connection: Connection, event: RetrainEvent) -> int:
        table = model_retrain_events
        if event.kind not in EVENT_KINDS:
            raise StoreError(f"{table.name}.kind = {event.kind!r}: expected one of {', '.join(EVENT_KINDS)}")
        (values,) = prepared(table, [encode_row(event)], self._clock.now())
        if not event.id:
            return int(connection.execute(table.insert().values(values).returning(table.c.id)).scalar_one())
        if connection.execute(update(table).where(table.c.id == event.id).values(values)).rowcount != 1:
            raise StoreError(f"{table.name}: no event {event.id}")
        return event.id
