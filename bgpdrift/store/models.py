"""Model versions, and the events that made them or changed their state."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from bgpdrift.errors import StoreError
from bgpdrift.store.database import Database
from bgpdrift.store.rows import partial, prepared
from bgpdrift.store.schema import model_retrain_events, model_versions

EVENT_KINDS = ("retrain", "publish_default", "promote", "rollback", "reject", "recover")
"""Kinds of rows in ``model_retrain_events``."""


class ModelQueries(Database):
    """Queries on ``model_versions`` and ``model_retrain_events``."""

    def record_model_version(self, row: Mapping[str, Any]) -> None:
        """Write a model version; an existing row of the same version is overwritten."""
        with self.writing() as connection:
            self.upsert(connection, model_versions, [row], ("model", "version"))

    def model_versions(self, model: str | None = None) -> list[dict[str, Any]]:
        """Read model versions, of one model or of all, oldest first."""
        query = select(model_versions).order_by(model_versions.c.id)
        return self.rows(query if model is None else query.where(model_versions.c.model == model))

    def record_retrain_event(self, row: Mapping[str, Any]) -> int:
        """Write an event, finished or just begun; return its id, for `finish_retrain_event`.

        ``model`` and ``started_at`` are required, ``kind`` is one of `EVENT_KINDS`.
        """
        with self.writing(durable=True) as connection:
            return self._insert_event(connection, row)

    def finish_retrain_event(self, event_id: int, row: Mapping[str, Any]) -> None:
        """Complete an event with its result: any columns, among them ``finished_at``.

        Raises
        ------
        StoreError
            There is no such event.
        """
        values = partial(model_retrain_events, row)
        with self.writing(durable=True) as connection:
            change = update(model_retrain_events).where(model_retrain_events.c.id == event_id).values(values)
            if connection.execute(change).rowcount != 1:
                raise StoreError(f"model_retrain_events: no event {event_id}")

    def retrain_events(self, model: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Read the last ``limit`` events, of one model or of all, newest first."""
        query = select(model_retrain_events).order_by(model_retrain_events.c.id.desc()).limit(limit)
        return self.rows(query if model is None else query.where(model_retrain_events.c.model == model))

    def record_transition(
        self,
        versions: Sequence[Mapping[str, Any]],
        states: Sequence[tuple[str, str, str]],
        event: Mapping[str, Any] | None,
        at: float,
    ) -> int | None:
        """Write a change of what is in force in one durable transaction: versions, states of others, the event.

        Parameters
        ----------
        versions : sequence of mapping
            Rows of ``model_versions``; those known are overwritten.
        states : sequence of (model, version, state)
            Versions that reach a state; unknown ones are passed over.
        event : mapping, optional
            A row of ``model_retrain_events``.
        at : float
            Wall clock, epoch seconds.

        Returns
        -------
        int or None
            The id of the event.
        """
        with self.writing(durable=True) as connection:
            self.upsert(connection, model_versions, versions, ("model", "version"))
            for model, version, state in states:
                self._set_state(connection, model, version, state, at)
            return None if event is None else self._insert_event(connection, event)

    def _set_state(self, connection: Connection, model: str, version: str, state: str, at: float) -> bool:
        values = {"state": state, "state_at": int(at)} | ({"activated_at": int(at)} if state == "active" else {})
        change = update(model_versions).where(model_versions.c.model == model, model_versions.c.version == version)
        return connection.execute(change.values(partial(model_versions, values))).rowcount == 1

    def _insert_event(self, connection: Connection, row: Mapping[str, Any]) -> int:
        kind = row.get("kind", "retrain")
        if kind not in EVENT_KINDS:
            raise StoreError(f"model_retrain_events.kind = {kind!r}: expected one of {', '.join(EVENT_KINDS)}")
        (ready,) = prepared(model_retrain_events, [row], self._clock.now())
        key = connection.execute(model_retrain_events.insert().values(ready)).inserted_primary_key
        assert key is not None
        return int(key[0])
