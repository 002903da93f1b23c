"""Alerts, and the events of services from which they follow.

This module writes each alert key once. Who sends alerts is decided elsewhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from bgpdrift.store.codec import decode_row, encode_row
from bgpdrift.store.cursor_states import EventsFileState
from bgpdrift.store.database import Database, StateCursor
from bgpdrift.store.request_records import Alert, ServiceEvent
from bgpdrift.store.rows import prepared
from bgpdrift.store.schema import alerts, service_events


class AlertQueries(Database):
    """Queries on ``alerts`` and ``service_events``."""

    def raise_alerts(self, raised: Sequence[Alert]) -> None:
        """Write the alerts whose key is not known yet."""
        if raised:
            with self.writing() as connection:
                self._raise_alerts(connection, raised)

    def alerts(self, limit: int = 50, state: str | None = None) -> list[Alert]:
        """Read the last alerts, newest first."""
        query = select(alerts).order_by(alerts.c.id.desc()).limit(limit)
        rows = self.rows(query if state is None else query.where(alerts.c.state == state))
        return [decode_row(Alert, row, "alerts") for row in rows]

    def has_alert(self, key: str) -> bool:
        """Whether an alert of this key was written and is not expired."""
        return bool(self.rows(select(alerts.c.id).where(alerts.c.key == key).limit(1)))

    def record_service_event(self, at: float, service: str, event: str, details: Mapping[str, Any]) -> None:
        """Write an event of a service.

        Parameters
        ----------
        at : float
            Wall clock, epoch seconds.
        service, event : str
            The service, and the event as one word: ``started``, ``model_loaded``, ``gave_up``.
        details : mapping
            Numbers and reasons, as JSON.
        """
        with self.writing() as connection:
            self._write_service_events(
                connection, [ServiceEvent(at=at, service=service, event=event, details=dict(details))]
            )

    def record_service_events(
        self,
        events: Sequence[ServiceEvent],
        raised: Sequence[Alert],
        cursor: StateCursor[EventsFileState],
        expected: StateCursor[EventsFileState] | None,
    ) -> bool:
        """Write events of the supervisor's event file, the alerts that follow and the position in one transaction.

        Parameters
        ----------
        events : sequence of ServiceEvent
            Their ids are ignored.
        raised : sequence of Alert
            Those whose key is known are not written again.
        cursor : StateCursor
            Position behind the events.
        expected : StateCursor or None
            Position before them; None at the first time.

        Returns
        -------
        bool
            False if another reader moved the cursor meanwhile; nothing is written.
        """
        with self.writing() as connection:
            if self.lock_position(connection, cursor.name) != (expected.position if expected else 0):
                return False
            self._write_service_events(connection, events)
            self._raise_alerts(connection, raised)
            self.write_cursor(connection, cursor)
            return True

    def service_events(self, limit: int, service: str | None = None) -> list[ServiceEvent]:
        """Read the last ``limit`` events, of one service or of all, newest first."""
        query = select(service_events).order_by(service_events.c.id.desc()).limit(limit)
        rows = self.rows(query if service is None else query.where(service_events.c.service == service))
        return [decode_row(ServiceEvent, row, "service_events") for row in rows]

    def _write_service_events(self, connection: Connection, events: Sequence[ServiceEvent]) -> None:
        rows = prepared(service_events, [encode_row(event) for event in events], self._clock.now())
        if rows:
            connection.execute(service_events.insert(), rows)

    def _raise_alerts(self, connection: Connection, raised: Sequence[Alert]) -> None:
        rows = [encode_row(alert) for alert in raised]
        for row in prepared(alerts, rows, self._clock.now()):
            if connection.execute(select(alerts.c.id).where(alerts.c.key == row["key"])).first() is None:
                connection.execute(alerts.insert(), [row])
