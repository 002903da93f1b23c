"""Verdicts of the ensemble, one for each window."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Executable, select

from bgpdrift.store.codec import decode_column, encode_columns
from bgpdrift.store.database import AnyCursor, Database
from bgpdrift.store.evidence_records import VerdictEvidence
from bgpdrift.store.schema import verdicts

VerdictRow = dict[str, Any]
"""A row of ``verdicts`` by column name; ``evidence`` is a `VerdictEvidence`, other JSON is parsed."""

KEY = ("window_start", "collector", "peer")


class VerdictQueries(Database):
    """Queries on ``verdicts``."""

    def write_verdicts(self, rows: Sequence[Mapping[str, Any]], cursor: AnyCursor | None) -> None:
        """Write verdicts and the coordinator's position in one transaction; one written before is overwritten."""
        with self.writing() as connection:
            self.upsert(connection, verdicts, [encode_columns(row) for row in rows], KEY)
            self.write_cursor(connection, cursor)

    def verdicts_after(self, row_id: int, limit: int) -> list[VerdictRow]:
        """Read the next verdicts by id, at most ``limit``."""
        return self._decode_verdicts(
            select(verdicts).where(verdicts.c.id > row_id).order_by(verdicts.c.id).limit(limit)
        )

    def newest_verdict_start(self) -> int | None:
        """Read the start of the newest window with a verdict; None without verdicts."""
        return self.newest(verdicts, "window_start")

    def newest_verdict_id(self) -> int:
        """Read the id of the verdict that was written last; 0 without verdicts."""
        return self.newest(verdicts, "id") or 0

    def verdicts_between(self, start: int, end: int) -> list[VerdictRow]:
        """Read verdicts of windows that start in ``[start, end)``, epoch seconds, in order of time."""
        query = select(verdicts).where(verdicts.c.window_start >= start, verdicts.c.window_start < end)
        return self._decode_verdicts(query.order_by(verdicts.c.window_start, verdicts.c.collector, verdicts.c.peer))

    def _decode_verdicts(self, query: Executable) -> list[VerdictRow]:
        return [decode_column(row, "verdicts", "evidence", VerdictEvidence) for row in self.rows(query)]
