"""What a person should be told: rows that wait to be sent, each key once.

Decides that the same thing is not said twice: a key that is known is not written again. Who sends them is not decided here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from bgpdrift.store.database import Database
from bgpdrift.store.rows import prepared
from bgpdrift.store.schema import notifications


class NotificationQueries(Database):
    """Queries on ``notifications``."""

    def notify(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write notices whose key is not known yet."""
        if rows:
            with self.writing() as connection:
                self._notify(connection, rows)

    def notifications(self, limit: int = 50, state: str | None = None) -> list[dict[str, Any]]:
        """Read the last notices, newest first."""
        query = select(notifications).order_by(notifications.c.id.desc()).limit(limit)
        return self.rows(query if state is None else query.where(notifications.c.state == state))

    def _notify(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in prepared(notifications, rows, self._clock.now()):
            known = connection.execute(select(notifications.c.id).where(notifications.c.key == row["key"])).first()
            if known is None:
                connection.execute(notifications.insert(), [row])
