"""Queries other parts asked for; add yours as a method at the END of the class, with a contract test."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import JSON, Select, Table, Text, bindparam, func, select, type_coerce

from bgpdrift.store.database import Database
from bgpdrift.store.schema import feature_windows, incidents, metadata


class ExtraQueries(Database):
    """Queries that belong to no other file yet."""

    def newest(self, table: Table) -> int | None:
        """Give the youngest ``window_start`` in a table of windows, scores or verdicts; None if it is empty."""
        value = self.rows(select(func.max(table.c.window_start).label("value")))[0]["value"]
        return None if value is None else int(value)

    def newest_id(self, table: Table) -> int | None:
        """Give the largest row number of a table; None if it is empty."""
        value = self.rows(select(func.max(table.c.id).label("value")))[0]["value"]
        return None if value is None else int(value)

    def newest_window_id(self) -> int:
        """Give the id of the window written last; 0 without windows."""
        found = self.rows(select(func.max(feature_windows.c.id).label("newest")))
        return int(found[0]["newest"] or 0)

    def incidents_closed_since(self, closed_at: int) -> list[dict[str, Any]]:
        """Read incidents that closed at or after ``closed_at`` (event time) and were not merged away, by id."""
        query = select(incidents).where(incidents.c.state == "closed", incidents.c.closed_at >= closed_at)
        return self.rows(query.where(incidents.c.merged_into.is_(None)).order_by(incidents.c.id))

    def window_groups(self, start: int, end: int) -> list[tuple[str, str, int]]:
        """Count windows that start in ``[start, end)`` by (collector, peer), in that order; peer "" is the collector."""
        table = feature_windows
        query = select(table.c.collector, table.c.peer, func.count()).group_by(table.c.collector, table.c.peer)
        query = query.where(table.c.window_start >= start, table.c.window_start < end)
        with self.reading() as connection:
            found = connection.execute(query.order_by(table.c.collector, table.c.peer)).fetchall()
        return [(str(collector), str(peer), int(count)) for collector, peer, count in found]

    def window_columns(
        self, names: Sequence[str], collector: str, peer: str, start: int, end: int
    ) -> list[tuple[Any, ...]]:
        """Read some columns of one group's windows that start in ``[start, end)``, in order of time.

        As plain tuples: a training span is millions of values, and a dict a row takes ten times as long.
        """
        table = feature_windows
        query = select(*(table.c[name] for name in names)).where(
            table.c.collector == collector,
            table.c.peer == peer,
            table.c.window_start >= start,
            table.c.window_start < end,
        )
        with self.reading() as connection:
            return [tuple(row) for row in connection.execute(query.order_by(table.c.window_start))]

    def windows_after_as(self, names: Sequence[str], row_id: int, limit: int) -> list[tuple[Any, ...]]:
        """Read some columns of the next windows by id, at most ``limit``, as plain tuples: what a detector does all day."""
        query, given = _rows_after("feature_windows", tuple(names)), {"row_id": row_id, "most": limit}
        with self.reading() as connection:
            return [tuple(row) for row in connection.execute(query, given)]

    def scores_after_as(self, names: Sequence[str], row_id: int, limit: int) -> list[tuple[Any, ...]]:
        """Read some columns of the next scores by id, at most ``limit``, as plain tuples; JSON as it is stored.

        Not parsed: one row that somebody damaged must not keep its reader from all that follow.
        """
        query, given = _rows_after("scores", tuple(names)), {"row_id": row_id, "most": limit}
        with self.reading() as connection:
            return [tuple(row) for row in connection.execute(query, given)]


@lru_cache(maxsize=16)
def _rows_after(name: str, names: tuple[str, ...]) -> Select[Any]:
    # Made once: of a statement with seventy columns the making costs more than the reading of a few rows.
    table = metadata.tables[name]
    columns = (table.c[name] for name in names)
    raw = name == "scores"
    query = select(*(type_coerce(c, Text) if raw and isinstance(c.type, JSON) else c for c in columns))
    query = query.where(table.c.id > bindparam("row_id"))
    return query.order_by(table.c.id).limit(bindparam("most"))
