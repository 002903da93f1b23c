"""Questions to a person and their answers.

Decides that a question is answered once: whoever comes later learns that it was. Which answers there are and what follows
from them, `bgpdrift.monitor.approvals` and those who asked decide.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from bgpdrift.errors import StoreError
from bgpdrift.store.codec import decode, decode_row, encode_row, rename_fields
from bgpdrift.store.database import Database
from bgpdrift.store.request_records import ApprovalRequest, HoldApproval, RetrainApproval
from bgpdrift.store.rows import prepared
from bgpdrift.store.schema import approvals

ApprovalRow = dict[str, Any]
"""A row of ``approvals`` by column name, ``details`` parsed."""


DETAILS: dict[str, type[RetrainApproval] | type[HoldApproval]] = {
    "retrain": RetrainApproval,
    "attack_or_new_normal": HoldApproval,
}
"""Type of the details by kind of approval request."""


def approval_row(approval: ApprovalRequest) -> dict[str, Any]:
    """Convert an approval request to a row."""
    return rename_fields(encode_row(approval), {"requested_at": "asked_at"})


def _record(row: ApprovalRow) -> ApprovalRequest:
    if row["kind"] not in DETAILS:
        raise StoreError(f"approvals row {row['id']}: expected kind {' or '.join(DETAILS)}, found {row['kind']!r}")
    fields = rename_fields(row, {"asked_at": "requested_at"})
    details = decode(DETAILS[row["kind"]], row["details"], f"approvals row {row['id']}, details")
    return decode_row(ApprovalRequest, fields | {"details": details}, "approvals")


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

    def approval_requests(
        self,
        state: str | None = None,
        kind: str | None = None,
        subject: str | None = None,
        limit: int | None = None,
    ) -> list[ApprovalRequest]:
        """Read approval requests, newest first: all, or those in one state, of one kind, about one subject."""
        return [_record(row) for row in self.approvals(state, kind, subject, limit)]

    def approval_request(self, approval_id: int) -> ApprovalRequest | None:
        """Read one approval request; None if it does not exist."""
        row = self.approval(approval_id)
        return None if row is None else _record(row)

    def request_approval(self, approval: ApprovalRequest) -> int:
        """Write an approval request; return its id."""
        return self.ask_approval(approval_row(approval))

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
