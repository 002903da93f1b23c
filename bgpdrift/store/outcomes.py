"""Labels of incidents and time ranges by operators, and the daily figures that follow from them.

An incident has one label, the last; earlier ones stay in its history. What a label makes of a detector's
votes, `bgpdrift.verdicts.performance` decides.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Integer, cast, delete, func, select

from bgpdrift.errors import StoreError
from bgpdrift.store.database import AnyCursor, Database
from bgpdrift.store.rows import prepared
from bgpdrift.store.schema import incident_events, incidents, outcomes, performance_metrics, scores, verdicts

OutcomeRow = dict[str, Any]
"""A row of ``outcomes`` by column name."""

ENSEMBLE = "ensemble"
"""Name of the verdicts among the detectors."""
LABELLED = "labelled"


class OutcomeQueries(Database):
    """Queries on ``outcomes`` and ``performance_metrics``."""

    def record_outcome(self, row: Mapping[str, Any], at: int) -> int:
        """Write a label, in place of an earlier one of the same incident, and note it in the incident's history.

        Parameters
        ----------
        row : mapping
            Columns of ``outcomes``.
        at : int
            Event time of the history's entry.

        Returns
        -------
        int
            Id of the label.

        Raises
        ------
        StoreError
            No such incident; nothing is written.
        """
        (ready,) = prepared(outcomes, [row], self._clock.now())
        incident_id = ready["incident_id"]
        with self.writing(durable=True) as connection:
            if incident_id is not None:
                if connection.execute(select(incidents.c.id).where(incidents.c.id == incident_id)).first() is None:
                    raise StoreError(f"outcomes: no incident {incident_id} to label")
                connection.execute(delete(outcomes).where(outcomes.c.incident_id == incident_id))
                self._note(
                    connection, incident_id, at, {name: ready[name] for name in ("label", "labelled_by", "notes")}
                )
            return int(connection.execute(outcomes.insert().values(ready).returning(outcomes.c.id)).scalar_one())

    def remove_outcome(self, outcome_id: int, at: int, removed_by: str) -> OutcomeRow | None:
        """Remove a label and record that in the incident's history; return the removed row, None if there is none."""
        with self.writing(durable=True) as connection:
            found = connection.execute(select(outcomes).where(outcomes.c.id == outcome_id)).mappings().first()
            if found is None:
                return None
            connection.execute(delete(outcomes).where(outcomes.c.id == outcome_id))
            if found["incident_id"] is not None:
                details = {"label": None, "was": found["label"], "labelled_by": removed_by}
                self._note(connection, found["incident_id"], at, details)
            return dict(found)

    def _note(self, connection: Any, incident_id: int, at: int, details: Mapping[str, Any]) -> None:
        taken = select(func.max(incident_events.c.at)).where(
            incident_events.c.incident_id == incident_id, incident_events.c.kind == LABELLED
        )
        last = connection.execute(taken).scalar()
        # (incident, time, kind) is the key: a second label in the same second must not overwrite the first.
        moment = at if last is None else max(at, int(last) + 1)
        row = {"incident_id": incident_id, "at": moment, "kind": LABELLED, "details": dict(details)}
        connection.execute(incident_events.insert(), prepared(incident_events, [row], self._clock.now()))

    def outcomes_between(self, start: int, end: int) -> list[OutcomeRow]:
        """Read labels of ranges that overlap ``[start, end)``, event time, in order of time."""
        query = select(outcomes).where(outcomes.c.starts_at < end, outcomes.c.ends_at > start)
        return self.rows(query.order_by(outcomes.c.starts_at, outcomes.c.id))

    def count_votes_between(self, start: int, end: int, collectors: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Count the votes and alarms of each detector and the ensemble on windows that start in ``[start, end)``.

        Parameters
        ----------
        start, end : int
            Event time.
        collectors : sequence of str
            Only these; empty means all.

        Returns
        -------
        list of dict
            ``model``, ``model_version`` ("" for the ensemble), ``votes`` (windows without an abstention) and ``alarms``.
        """
        alarms = func.sum(cast(scores.c.is_alarm, Integer)).label("alarms")
        query = select(scores.c.model, scores.c.model_version, func.count().label("votes"), alarms).where(
            scores.c.window_start >= start, scores.c.window_start < end, scores.c.abstained == ""
        )
        anomalies = func.sum(cast(verdicts.c.is_anomaly, Integer)).label("alarms")
        together = select(func.count().label("votes"), anomalies).where(
            verdicts.c.window_start >= start, verdicts.c.window_start < end
        )
        if collectors:
            query = query.where(scores.c.collector.in_(collectors))
            together = together.where(verdicts.c.collector.in_(collectors))
        found = self.rows(query.group_by(scores.c.model, scores.c.model_version))
        ensemble = [{"model": ENSEMBLE, "model_version": "", **row} for row in self.rows(together) if row["votes"]]
        rows = [{**row, "votes": int(row["votes"]), "alarms": int(row["alarms"])} for row in (*found, *ensemble)]
        return sorted(rows, key=lambda row: (str(row["model"]), str(row["model_version"])))

    def label_of_incident(self, incident_id: int) -> str:
        """Read the label of an incident; "" if it has none."""
        query = select(outcomes.c.label).where(outcomes.c.incident_id == incident_id).order_by(outcomes.c.id.desc())
        rows = self.rows(query.limit(1))
        return str(rows[0]["label"]) if rows else ""

    def replace_performance(self, day_start: int, rows: Sequence[Mapping[str, Any]], cursor: AnyCursor | None) -> None:
        """Write the figures of a day, in place of all it had, and the writer's position in one transaction."""
        kept = {(row["model"], row["model_version"]) for row in rows}
        with self.writing() as connection:
            table = performance_metrics
            known = connection.execute(
                select(table.c.id, table.c.model, table.c.model_version).where(table.c.day_start == day_start)
            )
            gone = [row.id for row in known if (row.model, row.model_version) not in kept]
            connection.execute(delete(table).where(table.c.id.in_(gone)))
            self.upsert(connection, table, rows, ("model", "model_version", "day_start"))
            self.write_cursor(connection, cursor)

    def performance_between(self, start: int, end: int) -> list[dict[str, Any]]:
        """Read daily figures of days that begin in ``[start, end)``, by day, model and version."""
        table = performance_metrics
        query = select(table).where(table.c.day_start >= start, table.c.day_start < end)
        return self.rows(query.order_by(table.c.day_start, table.c.model, table.c.model_version))
