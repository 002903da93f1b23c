"""Labels of incidents and time ranges by operators, and the daily figures that follow from them.

An incident has one label, the last; earlier ones stay in its history. `bgpdrift.verdicts.performance` decides whether a
detector's votes agree with a label.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Integer, cast, delete, func, select

from bgpdrift.errors import StoreError
from bgpdrift.store.codec import decode_row, encode_row
from bgpdrift.store.database import AnyCursor, Database
from bgpdrift.store.rows import prepared
from bgpdrift.store.schema import incident_events, incidents, outcomes, performance_metrics, scores, verdicts

ENSEMBLE = "ensemble"
"""Name of the verdicts among the detectors."""
LABELLED = "labelled"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``outcomes``: the label of an incident or of a time range; times are event times, epoch seconds."""

    id: int = 0
    """0 before it is written."""
    incident_id: int | None = None
    """None for the label of a time range."""
    starts_at: int
    ends_at: int
    collector: str = ""
    """Empty for all collectors."""
    label: str
    """A key of `bgpdrift.verdicts.outcomes.IS_ANOMALY`."""
    labelled_by: str = ""
    labelled_at: float | None = None
    """Wall clock, epoch seconds; None: when it is written."""
    notes: str = ""


class VoteCount(msgspec.Struct, frozen=True, kw_only=True):
    """The votes of one version of a detector in a range of event time."""

    model: str
    """A detector, or `ENSEMBLE`."""
    model_version: str
    """Empty for the ensemble."""
    votes: int
    """Windows without an abstention."""
    alarms: int


class DailyPerformance(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``performance_metrics``: the labels of one day, judged for one version of a detector."""

    day_start: int
    """Epoch seconds, UTC midnight."""
    model: str
    model_version: str = ""
    true_positives: int
    false_positives: int
    true_negatives: int
    false_negatives: int
    labels: int
    accuracy: float | None = None
    """This and the rates below are None with too few labels."""
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None


class OutcomeQueries(Database):
    """Queries on ``outcomes`` and ``performance_metrics``."""

    def record_outcome(self, outcome: Outcome, at: int) -> Outcome:
        """Write a label, in place of an earlier one of the same incident, and add it to the incident's history.

        Parameters
        ----------
        outcome : Outcome
            Its ``id`` is ignored.
        at : int
            Event time of the entry in the history.

        Returns
        -------
        Outcome
            The label as it is stored.

        Raises
        ------
        StoreError
            There is no such incident; nothing is written.
        """
        (ready,) = prepared(outcomes, [encode_row(outcome)], self._clock.now())
        incident_id = ready["incident_id"]
        with self.writing(durable=True) as connection:
            if incident_id is not None:
                if connection.execute(select(incidents.c.id).where(incidents.c.id == incident_id)).first() is None:
                    raise StoreError(f"outcomes: no incident {incident_id} to label")
                connection.execute(delete(outcomes).where(outcomes.c.incident_id == incident_id))
                self._add_to_history(connection, outcome, at)
            key = connection.execute(outcomes.insert().values(ready).returning(outcomes.c.id)).scalar_one()
        return decode_row(Outcome, {**ready, "id": key}, "outcomes")

    def remove_outcome(self, outcome_id: int, at: int, removed_by: str) -> Outcome | None:
        """Remove a label, and add that to the incident's history; return the label, None if there is none."""
        with self.writing(durable=True) as connection:
            row = connection.execute(select(outcomes).where(outcomes.c.id == outcome_id)).mappings().first()
            if row is None:
                return None
            connection.execute(delete(outcomes).where(outcomes.c.id == outcome_id))
            outcome = decode_row(Outcome, dict(row), "outcomes")
            if outcome.incident_id is not None:
                details = {"label": None, "was": outcome.label, "labelled_by": removed_by}
                self._note(connection, outcome.incident_id, at, details)
            return outcome

    def _add_to_history(self, connection: Connection, outcome: Outcome, at: int) -> None:
        if outcome.incident_id is not None:
            details = {"label": outcome.label, "labelled_by": outcome.labelled_by, "notes": outcome.notes}
            self._note(connection, outcome.incident_id, at, details)

    def _note(self, connection: Connection, incident_id: int, at: int, details: Mapping[str, Any]) -> None:
        taken = select(func.max(incident_events.c.at)).where(
            incident_events.c.incident_id == incident_id, incident_events.c.kind == LABELLED
        )
        last = connection.execute(taken).scalar()
        # (incident, time, kind) is the key: a second label in the same second must not overwrite the first.
        moment = at if last is None else max(at, int(last) + 1)
        row = {"incident_id": incident_id, "at": moment, "kind": LABELLED, "details": dict(details)}
        connection.execute(incident_events.insert(), prepared(incident_events, [row], self._clock.now()))

    def outcomes_between(self, start: int, end: int) -> list[Outcome]:
        """Read labels of ranges that overlap ``[start, end)``, event time, in order of time."""
        query = select(outcomes).where(outcomes.c.starts_at < end, outcomes.c.ends_at > start)
        rows = self.rows(query.order_by(outcomes.c.starts_at, outcomes.c.id))
        return [decode_row(Outcome, row, "outcomes") for row in rows]

    def count_votes_between(self, start: int, end: int, collectors: Sequence[str] = ()) -> list[VoteCount]:
        """Count the votes and alarms of each detector and the ensemble on windows that start in ``[start, end)``.

        Parameters
        ----------
        start, end : int
            Event time.
        collectors : sequence of str
            Only these; empty means all.
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
        counts = [decode_row(VoteCount, row, "scores") for row in rows]
        return sorted(counts, key=lambda count: (count.model, count.model_version))

    def label_of_incident(self, incident_id: int) -> str:
        """Read the label of an incident; "" if it has none."""
        query = select(outcomes.c.label).where(outcomes.c.incident_id == incident_id).order_by(outcomes.c.id.desc())
        rows = self.rows(query.limit(1))
        return str(rows[0]["label"]) if rows else ""

    def replace_performance(self, day_start: int, rows: Sequence[DailyPerformance], cursor: AnyCursor | None) -> None:
        """Write the figures of a day, in place of all it had, and the writer's position in one transaction."""
        kept = {(row.model, row.model_version) for row in rows}
        with self.writing() as connection:
            table = performance_metrics
            known = connection.execute(
                select(table.c.id, table.c.model, table.c.model_version).where(table.c.day_start == day_start)
            )
            gone = [row.id for row in known if (row.model, row.model_version) not in kept]
            connection.execute(delete(table).where(table.c.id.in_(gone)))
            self.upsert(connection, table, [encode_row(row) for row in rows], ("model", "model_version", "day_start"))
            self.write_cursor(connection, cursor)

    def performance_between(self, start: int, end: int) -> list[DailyPerformance]:
        """Read daily figures of days that begin in ``[start, end)``, by day, model and version."""
        table = performance_metrics
        query = select(table).where(table.c.day_start >= start, table.c.day_start < end)
        rows = self.rows(query.order_by(table.c.day_start, table.c.model, table.c.model_version))
        return [decode_row(DailyPerformance, row, "performance_metrics") for row in rows]
