"""Questions to a person and their answers.

Decides that a question is answered once: whoever comes later learns that it was. Which answers there are and what follows
from them, `bgpdrift.monitor.approvals` and those who asked decide.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from bgpdrift.store.database import Database
from bgpdrift.store.rows import prepared
from bgpdrift.store.schema import approvals

ApprovalRow = dict[str, Any]
"""A row of ``approvals`` by column name, ``details`` parsed."""


class ApprovalQueries(Database):
    """Queries on ``approvals``."""

    def approvals(
        self, state: str | None = None, kind: str | None = None, subject: str | None = None, limit: int | None = None
    ) -> list[ApprovalRow]:
        """Read questions, newest first: all, or those in one state, of one kind, about one subject."""
        query = select(approvals).order_by(approvals.c.id.desc())
        for column, wanted in ((approvals.c.state, state), (approvals.c.kind, kind), (approvals.c.subject, subject)):
            if wanted is not None:
                query = query.where(column == wanted)
        return self.rows(query if limit is None else query.limit(limit))

    def approval(self, approval_id: int) -> ApprovalRow | None:
        """Read one question; None if there is none."""
        found = self.rows(select(approvals).where(approvals.c.id == approval_id))
        return found[0] if found else None

    def ask_approval(self, row: Mapping[str, Any]) -> int:
        """Write a question; its id."""
        with self.writing(durable=True) as connection:
            return self._ask(connection, row)

    def answer_approval(self, approval_id: int, state: str, by: str, at: int) -> bool:
        """Answer a question that waits; False if it does not, or there is none.

        Parameters
        ----------
        approval_id : int
            Which one.
        state : str
            ``approved``, ``rejected`` or ``expired``.
        by : str
            Who says so.
        at : int
            Event time.
        """
        with self.writing(durable=True) as connection:
            return self._answer(connection, approval_id, state, by, at)

    def _ask(self, connection: Connection, row: Mapping[str, Any]) -> int:
        (ready,) = prepared(approvals, [row], self._clock.now())
        return int(connection.execute(approvals.insert().values(ready).returning(approvals.c.id)).scalar_one())

    def _answer(self, connection: Connection, approval_id: int, state: str, by: str, at: int) -> bool:
        change = update(approvals).where(approvals.c.id == approval_id, approvals.c.state == "pending")
        values = {"state": state, "answered_by": by, "answered_at": int(at)}
        return connection.execute(change.values(values)).rowcount == 1
