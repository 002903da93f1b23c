"""Scores: one row a window and detector, with the model version that gave it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select, tuple_

from bgpdrift.store.database import AnyCursor, Database
from bgpdrift.store.schema import scores

ScoreRow = dict[str, Any]
"""A row of ``scores`` by column name, JSON parsed."""

WindowKey = tuple[str, str, int]
"""``(collector, peer, window_start)``."""

KEY = ("window_start", "collector", "peer", "model")
_KEYS_A_QUERY = 500  # three values each, far below SQLite's limit of 32,766


class ScoreQueries(Database):
    """Queries on ``scores``."""

    def write_scores(self, rows: Sequence[Mapping[str, Any]], cursor: AnyCursor | None) -> None:
        """Write scores and the detector's position in one transaction; a score written before is overwritten."""
        with self.writing() as connection:
            self.upsert(connection, scores, rows, KEY)
            self.write_cursor(connection, cursor)

    def scores_after(self, row_id: int, limit: int, model: str | None = None) -> list[ScoreRow]:
        """Read the next scores by id, at most ``limit``, of one model or of all."""
        query = select(scores).where(scores.c.id > row_id)
        if model is not None:
            query = query.where(scores.c.model == model)
        return self.rows(query.order_by(scores.c.id).limit(limit))

    def scores_for(self, window_keys: Iterable[WindowKey]) -> list[ScoreRow]:
        """Read all models' scores of some windows, ordered by time, collector, peer, model."""
        keys = sorted({(start, collector, peer) for collector, peer, start in window_keys})
        columns = tuple_(scores.c.window_start, scores.c.collector, scores.c.peer)
        found: list[ScoreRow] = []
        for first in range(0, len(keys), _KEYS_A_QUERY):
            query = select(scores).where(columns.in_(keys[first : first + _KEYS_A_QUERY]))
            found += self.rows(query)
        return sorted(found, key=lambda row: tuple(row[name] for name in KEY))

    def scores_between(
        self, start: int, end: int, model: str | None = None, collector: str | None = None
    ) -> list[ScoreRow]:
        """Read scores of windows that start in ``[start, end)``, epoch seconds, in order of time."""
        query = select(scores).where(scores.c.window_start >= start, scores.c.window_start < end)
        if model is not None:
            query = query.where(scores.c.model == model)
        if collector is not None:
            query = query.where(scores.c.collector == collector)
        return self.rows(query.order_by(scores.c.window_start, scores.c.collector, scores.c.peer, scores.c.model))
