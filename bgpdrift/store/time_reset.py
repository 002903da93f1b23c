"""Removes what the store derived from data after an event time, so that windows can be counted again from there.

This module decides which tables hold such data and what becomes of the positions in event time. Labels, requests, approvals,
model versions and events of services are kept: people made them, or they concern the system and not the data.
"""

from typing import Final

from sqlalchemy import CursorResult, delete, func, or_, select, update

from bgpdrift.store import schema
from bgpdrift.store.cursor_states import PERFORMANCE_CURSOR, AggregatorState, CorrelationState
from bgpdrift.store.database import Database, StateCursor

AGGREGATOR_CURSOR: Final = "feature_aggregator"
CORRELATION_CURSOR: Final = "correlation_engine"
SPANS_S: Final[dict[str, tuple[str, int]]] = {
    "feature_windows": ("window_start", 60),
    "scores": ("window_start", 60),
    "verdicts": ("window_start", 60),
    "hourly_histograms": ("hour_start", 3_600),
    "performance_metrics": ("day_start", 86_400),
    "drift_metrics": ("timestamp", 1),
    "incidents": ("started_at", 1),
}
"""Tables derived from data: column of the event time, and seconds that a row covers from there."""
TIME_CURSORS: Final = ("drift:%", "cooldown:%", "probation:%", PERFORMANCE_CURSOR)
"""Cursors whose position is an event time (SQL patterns); one after the time is removed, and its owner begins anew."""


class TimeResetQueries(Database):
    """Counts and removes rows after an event time."""

    def count_after(self, time: int) -> dict[str, int]:
        """Count the rows of each derived table that cover data after an event time, epoch seconds."""
        counts = {}
        with self.reading() as connection:
            for name, (column, length_s) in SPANS_S.items():
                table = schema.metadata.tables[name]
                query = select(func.count()).select_from(table).where(table.c[column] + length_s > time)
                counts[name] = int(connection.execute(query).scalar_one())
        return counts

    def reset_time(self, time: int) -> dict[str, int]:
        """Remove the derived rows after an event time and move positions back to it, in one transaction.

        Parameters
        ----------
        time : int
            Epoch seconds, the start of a minute.

        Returns
        -------
        dict of str to int
            Removed rows by table.
        """
        aggregator = self.read_state(AGGREGATOR_CURSOR, AggregatorState)
        correlation = self.read_state(CORRELATION_CURSOR, CorrelationState)
        removed = {}
        with self.writing(durable=True) as connection:
            for name, (column, length_s) in SPANS_S.items():
                table = schema.metadata.tables[name]
                result: CursorResult[tuple[()]] = connection.execute(
                    delete(table).where(table.c[column] + length_s > time)
                )
                removed[name] = result.rowcount
            incidents = schema.incidents
            for column in ("last_seen_at", "closed_at"):
                connection.execute(update(incidents).where(incidents.c[column] > time).values({column: time}))
            cursors = schema.cursors
            names = or_(*(cursors.c.name.like(pattern) for pattern in TIME_CURSORS))
            connection.execute(delete(cursors).where(names, cursors.c.position > time))
            if aggregator is not None:
                self.write_cursor(connection, _limit_aggregator(aggregator, time))
            if correlation is not None:
                clocks = {name: min(at, time) for name, at in correlation.state.clocks.items()}
                state = CorrelationState(clocks=clocks)
                self.write_cursor(connection, StateCursor(correlation.name, correlation.position, state))
        return removed


def _limit_aggregator(cursor: StateCursor[AggregatorState], time: int) -> StateCursor[AggregatorState]:
    state = cursor.state
    closed = {name: min(start, time) for name, start in state.closed_by_collector.items()}
    limited = AggregatorState(
        closed_before_s=min(state.closed_before_s, time),
        closed_by_collector=closed,
        messages=state.messages,
        duplicates=state.duplicates,
        event_time=min(state.event_time, float(time)),
    )
    return StateCursor(cursor.name, cursor.position, limited)
