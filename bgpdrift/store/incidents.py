"""Incidents and their history: written by the correlation engine, annotated by operators.

The engine chooses the ids, since it is the only writer of new incidents, so that the same changes written twice are the
same incidents. It never overwrites the columns of operators (``acknowledged_by``, ``acknowledged_at``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Executable, func, or_, select, update

from bgpdrift.errors import StoreError
from bgpdrift.store.alerts import AlertQueries
from bgpdrift.store.codec import decode_column, encode_columns
from bgpdrift.store.database import AnyCursor
from bgpdrift.store.evidence_records import IncidentExplanation
from bgpdrift.store.request_records import Alert
from bgpdrift.store.rows import partial
from bgpdrift.store.schema import incident_events, incidents

IncidentRow = dict[str, Any]
"""A row of ``incidents`` by column name; ``explanation`` is an `IncidentExplanation`, other JSON is parsed."""

OPERATORS_COLUMNS = ("acknowledged_by", "acknowledged_at")


@dataclass(frozen=True)
class IncidentChanges:
    """The changes of one step of the correlation engine.

    Examples
    --------
    >>> IncidentChanges(updates=[{"id": 3, "state": "closed", "closed_at": 1_700_000_000}]).is_empty
    False
    """

    inserts: Sequence[Mapping[str, Any]] = ()
    """New incidents, each with the ``id`` its writer chose: see `IncidentQueries.next_incident_id`."""
    updates: Sequence[Mapping[str, Any]] = ()
    """``id`` and the columns that changed."""
    events: Sequence[Mapping[str, Any]] = ()
    """Rows of ``incident_events``; (incident_id, at, kind) is their key."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.inserts or self.updates or self.events)


class IncidentQueries(AlertQueries):
    """Queries on ``incidents`` and ``incident_events``."""

    def next_incident_id(self) -> int:
        """Return the id for the next new incident; the newest incident is never deleted, so ids are never re-used."""
        found = self.rows(select(func.max(incidents.c.id).label("newest")))
        return int(found[0]["newest"] or 0) + 1

    def open_incidents(self) -> list[IncidentRow]:
        """Read incidents that are not closed, by id."""
        return self._decode_incidents(select(incidents).where(incidents.c.state != "closed").order_by(incidents.c.id))

    def incidents_closed_since(self, closed_at: int) -> list[IncidentRow]:
        """Read incidents that closed at or after ``closed_at`` (event time) and were not merged into another, by id."""
        query = select(incidents).where(incidents.c.state == "closed", incidents.c.closed_at >= closed_at)
        return self._decode_incidents(query.where(incidents.c.merged_into.is_(None)).order_by(incidents.c.id))

    def incidents_between(self, start: int, end: int) -> list[IncidentRow]:
        """Read incidents that touch ``[start, end)``, event time, by start; open ones touch all that follows."""
        query = select(incidents).where(
            incidents.c.started_at < end, or_(incidents.c.state != "closed", incidents.c.last_seen_at >= start)
        )
        return self._decode_incidents(query.order_by(incidents.c.started_at, incidents.c.id))

    def incident(self, incident_id: int) -> IncidentRow | None:
        """Read one incident; None if there is none."""
        found = self._decode_incidents(select(incidents).where(incidents.c.id == incident_id))
        return found[0] if found else None

    def incident_events(self, incident_id: int) -> list[dict[str, Any]]:
        """Read the history of one incident, oldest first."""
        query = select(incident_events).where(incident_events.c.incident_id == incident_id)
        return self.rows(query.order_by(incident_events.c.at, incident_events.c.id))

    def _decode_incidents(self, query: Executable) -> list[IncidentRow]:
        return [decode_column(row, "incidents", "explanation", IncidentExplanation) for row in self.rows(query)]

    def apply_incidents(self, changes: IncidentChanges, cursor: AnyCursor | None, alerts: Sequence[Alert] = ()) -> None:
        """Write all changes, the alerts about them and the engine's position in one transaction.

        Doing it twice changes nothing: an alert whose key is known is not written again.

        Raises
        ------
        StoreError
            An insert without id, or an update or event of an incident that does not exist; nothing is written.
        """
        if any("id" not in row for row in (*changes.inserts, *changes.updates)):
            raise StoreError("incidents: a row without id; `next_incident_id()` gives one")
        with self.writing() as connection:
            self.upsert(
                connection, incidents, [encode_columns(row) for row in changes.inserts], ("id",), keep=OPERATORS_COLUMNS
            )
            for row in changes.updates:
                values = partial(incidents, encode_columns(row))
                statement = update(incidents).where(incidents.c.id == row["id"]).values(values)
                if values and connection.execute(statement).rowcount != 1:
                    raise StoreError(f"incidents: no incident {row['id']} to update")
            self.upsert(connection, incident_events, changes.events, ("incident_id", "at", "kind"))
            self._raise_alerts(connection, alerts)
            self.write_cursor(connection, cursor)
