"""What a person should be told: rows that wait to be sent, each key once.

Decides that the same thing is not said twice: a key that is known is not written again. Who sends them is not decided here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from bgpdrift.store.codec import decode_row, encode_row
from bgpdrift.store.database import AnyCursor, Database
from bgpdrift.store.request_records import Alert
from bgpdrift.store.rows import prepared
from bgpdrift.store.schema import notifications, service_events


class NotificationQueries(Database):
    """Queries on ``notifications``, and on the events of services that give rise to them."""

    def notify(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write notices whose key is not known yet."""
        if rows:
            with self.writing() as connection:
                self._notify(connection, rows)

    def raise_alerts(self, alerts: Sequence[Alert]) -> None:
        """Write the alerts whose key is not known yet."""
        self.notify([encode_row(alert) for alert in alerts])

    def alerts(self, limit: int = 50, state: str | None = None) -> list[Alert]:
        """Read the last alerts, newest first."""
        return [decode_row(Alert, row, "alerts") for row in self.notifications(limit, state)]

    def record_service_events(
        self,
        events: Sequence[Mapping[str, Any]],
        notices: Sequence[Mapping[str, Any]],
        cursor: AnyCursor,
        expected: AnyCursor | None,
    ) -> bool:
        """Keep events read from elsewhere, what follows from them for people, and how far was read, all or nothing.

        Parameters
        ----------
        events : sequence of mapping
            Rows of ``service_events``.
        notices : sequence of mapping
            Rows of ``notifications``; a key that is known is not written again.
        cursor : Cursor
            How far they reach.
        expected : Cursor or None
            Where they begin; None for the first ones.

        Returns
        -------
        bool
            False if another reader moved the cursor meanwhile: nothing was written.
        """
        with self.writing() as connection:
            now_at = self.locked_cursor(connection, cursor.name)
            if (now_at.position if now_at else 0) != (expected.position if expected else 0):
                return False
            if events:
                rows = prepared(service_events, events, self._clock.now())
                connection.execute(service_events.insert(), rows)
            self._notify(connection, notices)
            self.write_cursor(connection, cursor)
            return True

    def notifications(self, limit: int = 50, state: str | None = None) -> list[dict[str, Any]]:
        """Read the last notices, newest first."""
        query = select(notifications).order_by(notifications.c.id.desc()).limit(limit)
        return self.rows(query if state is None else query.where(notifications.c.state == state))

    def _notify(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in prepared(notifications, rows, self._clock.now()):
            known = connection.execute(select(notifications.c.id).where(notifications.c.key == row["key"])).first()
            if known is None:
                connection.execute(notifications.insert(), [row])
