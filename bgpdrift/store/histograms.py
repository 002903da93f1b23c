"""Hourly histograms of scores and features, from which drift is measured.

Histograms are read, merged by the caller's rule and written in one transaction with the position of the writer, and only
if no other process has moved that position. Two monitors therefore add every row once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, or_, select

from bgpdrift.store.database import AnyCursor, Database
from bgpdrift.store.schema import feature_windows, hourly_histograms

HistogramRow = dict[str, Any]
"""A row of ``hourly_histograms`` by column name, ``bins`` as bytes."""
HistogramKey = tuple[str, str, str, int]
"""(series, model_version, collector, hour_start)"""
Merge = Callable[[Sequence[HistogramRow]], Sequence[Mapping[str, Any]]]

KEY = ("series", "model_version", "collector", "hour_start")
HOUR_S = 3600


class HistogramQueries(Database):
    """Queries on ``hourly_histograms``."""

    def upsert_histograms(self, rows: Sequence[Mapping[str, Any]], cursor: AnyCursor | None) -> None:
        """Write whole histograms, not increments, and the monitor's position, in one transaction."""
        with self.writing() as connection:
            self.upsert(connection, hourly_histograms, rows, KEY)
            self.write_cursor(connection, cursor)

    def fold_histograms(self, cursor: AnyCursor, expected: int, keys: Collection[HistogramKey], merge: Merge) -> bool:
        """Merge rows into histograms, only if the cursor still has the position at which the reader began.

        Parameters
        ----------
        cursor : Cursor
            The new position.
        expected : int
            The position before; 0 if the cursor does not exist.
        keys : collection of HistogramKey
            Histograms that change.
        merge : callable
            Takes those of them that exist, returns all as they are to be written.

        Returns
        -------
        bool
            False if another process moved the cursor; nothing is written.
        """
        table = hourly_histograms
        groups: dict[tuple[str, str], tuple[set[str], set[int]]] = {}
        for series, version, collector, hour in keys:
            names, hours = groups.setdefault((version, collector), (set(), set()))
            names.add(series)
            hours.add(hour)
        with self.writing() as connection:
            if self.lock_position(connection, cursor.name) != expected:
                return False
            known: list[HistogramRow] = []
            for (version, collector), (names, hours) in groups.items():
                query = select(table).where(
                    table.c.series.in_(sorted(names)),
                    table.c.model_version == version,
                    table.c.collector == collector,
                    table.c.hour_start.in_(sorted(hours)),
                )
                known += [dict(row) for row in connection.execute(query).mappings()]
            self.upsert(connection, table, merge(known), KEY)
            self.write_cursor(connection, cursor)
        return True

    def hours_between(self, series: str, model_version: str, start: int, end: int) -> list[tuple[Any, ...]]:
        """Read ``(collector, hour_start, alarms, value_sum, value_sum_squares, bins)`` of one series and version.

        As plain tuples, in order of collector and time: a check reads thousands of them.
        """
        table = hourly_histograms
        names = ("collector", "hour_start", "alarms", "value_sum", "value_sum_squares", "bins")
        query = select(*(table.c[name] for name in names)).where(
            table.c.series == series,
            table.c.model_version == model_version,
            table.c.hour_start >= start,
            table.c.hour_start < end,
        )
        with self.reading() as connection:
            found = connection.execute(query.order_by(table.c.collector, table.c.hour_start))
            return [tuple(row) for row in found]

    def hours_of_many(
        self, names: Sequence[str], model_version: str, start: int, end: int
    ) -> dict[str, list[tuple[Any, ...]]]:
        """Read the same of several series in one query, by name; a name without hours is left out."""
        table = hourly_histograms
        columns = ("series", "collector", "hour_start", "alarms", "value_sum", "value_sum_squares", "bins")
        query = select(*(table.c[name] for name in columns)).where(
            table.c.series.in_(list(names)),
            table.c.model_version == model_version,
            table.c.hour_start >= start,
            table.c.hour_start < end,
        )
        found: dict[str, list[tuple[Any, ...]]] = {}
        with self.reading() as connection:
            for row in connection.execute(query.order_by(table.c.series, table.c.collector, table.c.hour_start)):
                found.setdefault(row[0], []).append(tuple(row[1:]))
        return found

    def series_versions(self, series: str, start: int, end: int) -> list[tuple[str, int, int, int]]:
        """List the versions with hours of a series in ``[start, end)``: ``(version, first, last hour, newest row)``.

        They are in the order in which their newest rows were first written, also if two versions share an hour.
        """
        table = hourly_histograms
        newest = func.max(table.c.id)
        query = (
            select(table.c.model_version, func.min(table.c.hour_start), func.max(table.c.hour_start), newest)
            .where(table.c.series == series, table.c.hour_start >= start, table.c.hour_start < end)
            .group_by(table.c.model_version)
            .order_by(newest)
        )
        with self.reading() as connection:
            return [(str(a), int(b), int(c), int(d)) for a, b, c, d in connection.execute(query)]

    def hours_with(self, series: str, start: int, end: int) -> list[int]:
        """Hours of a series that start in ``[start, end)``, of any version and collector, rising, each once."""
        table = hourly_histograms
        query = select(table.c.hour_start).where(table.c.series == series)
        query = query.where(table.c.hour_start >= start, table.c.hour_start < end).distinct()
        with self.reading() as connection:
            return sorted(int(row[0]) for row in connection.execute(query))

    def hourly_alarms(self, series: Sequence[str], start: int, end: int) -> list[tuple[str, int, int, int]]:
        """Sum over collectors and versions: ``(series, hour_start, n, alarms)`` of hours in ``[start, end)``, oldest first."""
        table = hourly_histograms
        query = select(table.c.series, table.c.hour_start, func.sum(table.c.n), func.sum(table.c.alarms)).where(
            table.c.series.in_(list(series)), table.c.hour_start >= start, table.c.hour_start < end
        )
        query = query.group_by(table.c.series, table.c.hour_start).order_by(table.c.hour_start)
        with self.reading() as connection:
            return [(str(a), int(b), int(c), int(d)) for a, b, c, d in connection.execute(query)]

    def series_names(self, prefix: str, start: int, end: int) -> list[str]:
        """Names of the series that begin with ``prefix`` and have an hour in ``[start, end)``, sorted."""
        table = hourly_histograms
        # A range, and no LIKE: the index serves it on every database.
        query = select(table.c.series).where(table.c.series >= prefix, table.c.series < prefix + "\x7f")
        query = query.where(table.c.hour_start >= start, table.c.hour_start < end).distinct()
        return sorted(str(row["series"]) for row in self.rows(query))

    def marked_windows(self, hours: Collection[int], marks: Sequence[str]) -> list[tuple[Any, ...]]:
        """Read ``(collector, window_start, *marks)`` of whole collectors' windows in some hours that carry a mark."""
        table = feature_windows
        columns = [table.c[name] for name in marks]
        found: list[tuple[Any, ...]] = []
        for start, end in _stretches(hours):
            query = select(table.c.collector, table.c.window_start, *columns).where(
                table.c.window_start >= start,
                table.c.window_start < end,
                table.c.peer == "",
                or_(*(column > 0 for column in columns)),
            )
            with self.reading() as connection:
                found += [tuple(row) for row in connection.execute(query)]
        return found


def _stretches(hours: Collection[int]) -> list[tuple[int, int]]:
    """Hours as stretches without a gap.

    Examples
    --------
    >>> _stretches([0, 7200, 3600, 36000])
    [(0, 10800), (36000, 39600)]
    """
    found: list[tuple[int, int]] = []
    for hour in sorted(hours):
        if found and found[-1][1] == hour:
            found[-1] = (found[-1][0], hour + HOUR_S)
        else:
            found.append((hour, hour + HOUR_S))
    return found
