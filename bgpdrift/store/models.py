"""Model versions and what services report of themselves."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from bgpdrift.store.database import Database
from bgpdrift.store.rows import prepared
from bgpdrift.store.schema import model_versions, service_events


class ModelQueries(Database):
    """Queries on ``model_versions`` and ``service_events``."""

    def record_model_version(self, row: Mapping[str, Any]) -> None:
        """Write what is known of a model version; the same version written before is overwritten."""
        with self.writing() as connection:
            self.upsert(connection, model_versions, [row], ("model", "version"))

    def model_versions(self, model: str | None = None) -> list[dict[str, Any]]:
        """Read model versions, of one model or of all, oldest first."""
        query = select(model_versions).order_by(model_versions.c.id)
        return self.rows(query if model is None else query.where(model_versions.c.model == model))

    def record_service_event(self, at: float, service: str, event: str, details: Mapping[str, Any]) -> None:
        """Note that something happened to a service.

        Parameters
        ----------
        at : float
            Wall clock, epoch seconds.
        service, event : str
            Who, and what in a word: ``started``, ``model_loaded``, ``gave_up``.
        details : mapping
            Figures and reasons, as JSON.
        """
        row = {"at": at, "service": service, "event": event, "details": dict(details)}
        with self.writing() as connection:
            connection.execute(service_events.insert(), prepared(service_events, [row], at))

    def service_events(self, limit: int, service: str | None = None) -> list[dict[str, Any]]:
        """Read the last ``limit`` events, of one service or of all, newest first."""
        query = select(service_events).order_by(service_events.c.id.desc()).limit(limit)
        return self.rows(query if service is None else query.where(service_events.c.service == service))
