"""Scores: one row for each window and detector, with the version of the model."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select, tuple_

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

    def score_columns_after(self, names: Sequence[str], row_id: int, limit: int) -> list[tuple[Any, ...]]:
        """Read some columns of the next scores by id, at most ``limit``, as plain tuples; JSON columns as text.

        The reader parses the JSON, so that a damaged value in one row does not prevent it from reading the next rows.
        """
        return self.columns_after(scores, names, row_id, limit, parse_json=False)

    def oldest_score_start(self) -> int | None:
        """Read the start of the oldest window that still has scores; None without scores."""
        value = self.rows(select(func.min(scores.c.window_start).label("value")))[0]["value"]
        return None if value is None else int(value)

    def newest_score_start(self) -> int | None:
        """Read the start of the newest window with a score; None without scores."""
        return self.newest(scores, "window_start")

    def newest_score_id(self) -> int:
        """Read the id of the score that was written last; 0 without scores."""
        return self.newest(scores, "id") or 0

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
