"""Approval requests to a person, and their answers.

This module ensures that an approval request is answered once. `bgpdrift.monitor` decides which answers exist and what
follows from them.
"""

from typing import Any

from sqlalchemy import Connection, select, update

from bgpdrift.errors import StoreError
from bgpdrift.store.codec import decode, decode_row, encode_row
from bgpdrift.store.database import Database
from bgpdrift.store.request_records import Answer, ApprovalAnswer, ApprovalRequest, HoldApproval, RetrainApproval
from bgpdrift.store.rows import Row, prepared
from bgpdrift.store.schema import approvals

DETAILS: dict[str, type[RetrainApproval] | type[HoldApproval]] = {
    "retrain": RetrainApproval,
    "attack_or_new_normal": HoldApproval,
}
"""Type of the details by kind of approval request."""


class ApprovalQueries(Database):
    """Queries on ``approvals``."""

    def approval_requests(
        self,
        state: str | None = None,
        kind: str | None = None,
        subject: str | None = None,
        limit: int | None = None,
    ) -> list[ApprovalRequest]:
        """Read approval requests, newest first: all, or those in one state, of one kind, about one subject."""
        query = select(approvals).order_by(approvals.c.id.desc())
        for column, value in ((approvals.c.state, state), (approvals.c.kind, kind), (approvals.c.subject, subject)):
            if value is not None:
                query = query.where(column == value)
        return [_decode(row) for row in self.rows(query if limit is None else query.limit(limit))]

    def approval_request(self, approval_id: int) -> ApprovalRequest | None:
        """Read one approval request; None if it does not exist."""
        rows = self.rows(select(approvals).where(approvals.c.id == approval_id))
        return _decode(rows[0]) if rows else None

    def request_approval(self, approval: ApprovalRequest) -> int:
        """Write an approval request; return its id."""
        with self.writing(durable=True) as connection:
            return self._request_approval(connection, approval)

    def answer_approval(self, approval_id: int, state: Answer, answered_by: str, answered_at: int) -> bool:
        """Record an answer, see `ApprovalAnswer`; False if the approval request does not exist or is not pending."""
        with self.writing(durable=True) as connection:
            return self._answer_approval(connection, ApprovalAnswer(approval_id, state, answered_by, answered_at))

    def _request_approval(self, connection: Connection, approval: ApprovalRequest) -> int:
        (row,) = prepared(approvals, [encode_row(approval)], self._clock.now())
        return int(connection.execute(approvals.insert().values(row).returning(approvals.c.id)).scalar_one())

    def _answer_approval(self, connection: Connection, answer: ApprovalAnswer) -> bool:
        change = update(approvals).where(approvals.c.id == answer.approval_id, approvals.c.state == "pending")
        values: dict[str, Any] = {"answered_by": answer.answered_by, "answered_at": int(answer.answered_at)}
        return connection.execute(change.values(state=answer.state, **values)).rowcount == 1


def _decode(row: Row) -> ApprovalRequest:
    place = f"approvals row {row['id']}"
    if row["kind"] not in DETAILS:
        raise StoreError(f"{place}: expected kind {' or '.join(DETAILS)}, found {row['kind']!r}")
    details = decode(DETAILS[row["kind"]], row["details"], f"{place}, details")
    return decode_row(ApprovalRequest, row | {"details": details}, "approvals")
