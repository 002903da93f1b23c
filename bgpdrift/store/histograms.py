"""Hourly histograms of scores and features: what drift is measured on."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from bgpdrift.store.database import Cursor, Database
from bgpdrift.store.schema import hourly_histograms

HistogramRow = dict[str, Any]
"""A row of ``hourly_histograms`` by column name, ``bins`` as bytes."""

KEY = ("series", "model_version", "collector", "hour_start")


class HistogramQueries(Database):
    """Queries on ``hourly_histograms``."""

    def upsert_histograms(self, rows: Sequence[Mapping[str, Any]], cursor: Cursor | None) -> None:
        """Write whole histograms, not increments, and the monitor's position, in one transaction."""
        with self.writing() as connection:
            self.upsert(connection, hourly_histograms, rows, KEY)
            self.write_cursor(connection, cursor)

    def histograms_between(
        self, series: str, start: int, end: int, model_version: str | None = None, collector: str | None = None
    ) -> list[HistogramRow]:
        """Read the histograms of one series whose hour starts in ``[start, end)``, in order of time."""
        table = hourly_histograms
        query = select(table).where(table.c.series == series, table.c.hour_start >= start, table.c.hour_start < end)
        if model_version is not None:
            query = query.where(table.c.model_version == model_version)
        if collector is not None:
            query = query.where(table.c.collector == collector)
        return self.rows(query.order_by(table.c.hour_start, table.c.model_version, table.c.collector))
