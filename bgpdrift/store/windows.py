"""Feature windows: written by the aggregator, read by detectors in the order of their ids or of time."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select

from bgpdrift.store.database import AnyCursor, Database
from bgpdrift.store.schema import feature_windows, scores, verdicts

WindowRow = dict[str, Any]
"""A row of ``feature_windows`` by column name, ``evidence`` parsed."""

KEY = ("collector", "peer", "window_start")
NEWEST_WINDOWS = 200
"""Windows that determine the current event time, so that a single one with a wrong time does not move it back."""


class WindowQueries(Database):
    """Queries on ``feature_windows``."""

    def write_windows(
        self,
        rows: Sequence[Mapping[str, Any]],
        cursor: AnyCursor | None,
        recounted: Iterable[tuple[str, int]] = (),
    ) -> None:
        """Write windows and the writer's position in one transaction that survives a power loss.

        The transaction is durable, because the aggregator then deletes the spool segments from which the windows were built.

        Parameters
        ----------
        rows : sequence of mapping
            Columns of ``feature_windows``; those left out are 0. A window written before is overwritten and keeps
            its id, so that a reader past it does not meet it again.
        cursor : Cursor or None
            Position from which the writer continues after a restart.
        recounted : iterable of (str, int)
            Collector and start of windows with other data than before, because a clock was wrong. The earlier windows are removed
            with their scores and verdicts, so that readers meet the new ones.

        Raises
        ------
        StoreError
            A row that cannot be stored, named; nothing is written.
        StoreBusyError
            Locked, full or away; nothing is written.
        """
        with self.writing(durable=cursor is not None) as connection:
            for collector, start in sorted(recounted):
                for table in (feature_windows, scores, verdicts):
                    is_replaced = (table.c.collector == collector) & (table.c.window_start == start)
                    connection.execute(delete(table).where(is_replaced))
            self.upsert(connection, feature_windows, rows, KEY)
            self.write_cursor(connection, cursor)

    def windows_after(self, row_id: int, limit: int, last_id: int | None = None) -> list[WindowRow]:
        """Read the next windows by id, at most ``limit``, none after ``last_id``.

        On PostgreSQL, ids become visible out of order when several writers insert at once, and a reader could step
        over one. Here each collector is written by one aggregator and read by readers of its shard.
        """
        table = feature_windows
        query = select(table).where(table.c.id > row_id)
        if last_id is not None:
            query = query.where(table.c.id <= last_id)
        return self.rows(query.order_by(table.c.id).limit(limit))

    def windows_between(
        self, start: int, end: int, collector: str | None = None, peer: str | None = None
    ) -> list[WindowRow]:
        """Read windows that start in ``[start, end)``, epoch seconds, in order of time.

        Parameters
        ----------
        start, end : int
            Event time.
        collector : str, optional
            Only this one.
        peer : str, optional
            Only this one; ``""`` is the whole collector. Default: collectors and peers.
        """
        table = feature_windows
        query = select(table).where(table.c.window_start >= start, table.c.window_start < end)
        if collector is not None:
            query = query.where(table.c.collector == collector)
        if peer is not None:
            query = query.where(table.c.peer == peer)
        return self.rows(query.order_by(table.c.window_start, table.c.collector, table.c.peer))

    def recent_windows(self, collector: str, peer: str, before_start: int, limit: int) -> list[WindowRow]:
        """Read the last ``limit`` windows of one collector or peer before ``before_start``, oldest first."""
        table = feature_windows
        query = (
            select(table)
            .where(table.c.collector == collector, table.c.peer == peer, table.c.window_start < before_start)
            .order_by(table.c.window_start.desc())
            .limit(limit)
        )
        return self.rows(query)[::-1]

    def newest_window_id(self) -> int:
        """Read the id of the window that was written last; 0 without windows."""
        return self.newest(feature_windows, "id") or 0

    def newest_window_start(self) -> int | None:
        """Read the event time of the newest window, epoch seconds; None without windows."""
        return self.newest(feature_windows, "window_start")

    def oldest_window_start(self) -> int | None:
        """Read the event time of the oldest window, epoch seconds; None without windows."""
        value = self.rows(select(func.min(feature_windows.c.window_start).label("value")))[0]["value"]
        return None if value is None else int(value)

    def latest_window_start(self) -> int | None:
        """Read the event time of the windows that were written last; None without windows.

        This is not always the newest window of all: a clock that was set back leaves windows of a future time.
        """
        table = feature_windows
        last = select(table.c.window_start).order_by(table.c.id.desc()).limit(NEWEST_WINDOWS).subquery()
        value = self.rows(select(func.max(last.c.window_start).label("value")))[0]["value"]
        return None if value is None else int(value)

    def last_window_written_at(self) -> float | None:
        """Read the wall-clock time at which the newest row was written, epoch seconds; None without windows."""
        table = feature_windows
        rows = self.rows(select(table.c.written_at).order_by(table.c.id.desc()).limit(1))
        return float(rows[0]["written_at"]) if rows else None

    def window_groups(self, start: int, end: int) -> list[tuple[str, str, int]]:
        """Count windows that start in ``[start, end)`` by (collector, peer), in that order; peer "" is the collector."""
        table = feature_windows
        query = select(table.c.collector, table.c.peer, func.count()).group_by(table.c.collector, table.c.peer)
        query = query.where(table.c.window_start >= start, table.c.window_start < end)
        with self.reading() as connection:
            rows = connection.execute(query.order_by(table.c.collector, table.c.peer)).fetchall()
        return [(str(collector), str(peer), int(count)) for collector, peer, count in rows]

    def clean_minutes(self, start: int, end: int, marks: Sequence[str]) -> dict[str, dict[int, int]]:
        """Count the windows of each collector without any of some marks, by hour.

        Parameters
        ----------
        start, end : int
            Event time, ``[start, end)``.
        marks : sequence of str
            Quality marks.

        Returns
        -------
        dict of str to dict of int to int
            By collector: start of the hour, epoch seconds, to the number of windows. Hours without any are left out.
        """
        table = feature_windows
        hour = table.c.window_start - table.c.window_start % 3_600
        query = (
            select(table.c.collector, hour.label("hour"), func.count())
            .where(table.c.peer == "", table.c.window_start >= start, table.c.window_start < end)
            .where(*(table.c[mark] == 0 for mark in marks))
            .group_by(table.c.collector, "hour")
        )
        counts: dict[str, dict[int, int]] = {}
        with self.reading() as connection:
            for collector, begin, count in connection.execute(query):
                counts.setdefault(str(collector), {})[int(begin)] = int(count)
        return counts

    def warming_since(self, newest_s: int, length_s: int) -> dict[str, int]:
        """Find the collectors whose newest window is marked ``warming``, and since when.

        Parameters
        ----------
        newest_s : int
            Event time of the newest window of all.
        length_s : int
            Longest time for which windows are marked.

        Returns
        -------
        dict of str to int
            By collector: start of its first window with the mark within that time, epoch seconds.
        """
        table = feature_windows
        recent = (table.c.peer == "") & (table.c.window_start > newest_s - length_s)
        newest = (
            select(table.c.collector, func.max(table.c.window_start).label("newest"))
            .where(recent)
            .group_by(table.c.collector)
            .subquery()
        )
        is_warming = select(table.c.collector).join(
            newest,
            (newest.c.collector == table.c.collector)
            & (newest.c.newest == table.c.window_start)
            & (table.c.peer == "")
            & (table.c.warming != 0),
        )
        query = (
            select(table.c.collector, func.min(table.c.window_start))
            .where(recent, table.c.warming != 0, table.c.collector.in_(is_warming))
            .group_by(table.c.collector)
        )
        with self.reading() as connection:
            return {str(collector): int(start) for collector, start in connection.execute(query)}

    def window_columns(
        self, names: Sequence[str], collector: str, peer: str, start: int, end: int
    ) -> list[tuple[Any, ...]]:
        """Read some columns of one group's windows that start in ``[start, end)``, in order of time.

        The rows are plain tuples: a training span has millions of values, and a dict for each row takes ten times as
        long.
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

    def window_columns_after(self, names: Sequence[str], row_id: int, limit: int) -> list[tuple[Any, ...]]:
        """Read some columns of the next windows by id, at most ``limit``, as plain tuples."""
        return self.columns_after(feature_windows, names, row_id, limit)
