"""Retraining requests, and what is written together with their changes: approval requests, alerts, the cooldown.

This module ensures that a request changes only from the state that its reader saw, so that of two monitors one acts.
`bgpdrift.monitor.request_states` decides which state may follow which.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, update

from bgpdrift.store.alerts import AlertQueries
from bgpdrift.store.approvals import ApprovalQueries
from bgpdrift.store.codec import decode_row, encode, encode_row
from bgpdrift.store.database import AnyCursor
from bgpdrift.store.request_records import (
    Alert,
    ApprovalAnswer,
    ApprovalRequest,
    RequestReason,
    RequestState,
    RetrainRequest,
)
from bgpdrift.store.rows import partial, prepared
from bgpdrift.store.schema import retrain_requests


class RetrainRequestQueries(ApprovalQueries, AlertQueries):
    """Queries on ``retrain_requests``."""

    def retrain_requests(
        self, model: str | None = None, states: Sequence[RequestState] = (), limit: int | None = None
    ) -> list[RetrainRequest]:
        """Read retraining requests, newest first: all, or those of one model or in some states."""
        table = retrain_requests
        query = select(table).order_by(table.c.id.desc())
        if model is not None:
            query = query.where(table.c.model == model)
        if states:
            query = query.where(table.c.state.in_(list(states)))
        rows = self.rows(query if limit is None else query.limit(limit))
        return [decode_row(RetrainRequest, row, "retrain_requests", {"reason": RequestReason}) for row in rows]

    def add_retrain_request(self, request: RetrainRequest, *, newest: int | None = None) -> int | None:
        """Write a retraining request; return its id.

        Parameters
        ----------
        request : RetrainRequest
            Its ``id`` is ignored.
        newest : int, optional
            Write it only if the model's newest request still has this id, 0 for no request; return None otherwise.
        """
        table = retrain_requests
        (row,) = prepared(table, [encode_row(request)], self._clock.now())
        with self.writing(durable=True) as connection:
            if newest is not None:
                last = select(func.max(table.c.id)).where(table.c.model == request.model)
                if (connection.execute(last).scalar() or 0) != newest:
                    return None
            return int(connection.execute(table.insert().values(row).returning(table.c.id)).scalar_one())

    def change_retrain_request(
        self,
        request_id: int,
        before: RequestState,
        after: RequestState,
        *,
        reason: RequestReason | None = None,
        refusal_reason: str | None = None,
        cursor: AnyCursor | None = None,
        approval: ApprovalRequest | None = None,
        answer: ApprovalAnswer | None = None,
        alerts: Sequence[Alert] = (),
    ) -> bool:
        """Change a request, and everything that belongs to the change, in one durable transaction.

        Parameters
        ----------
        request_id : int
            Which one.
        before, after : str
            State that the request must have, and the state that it gets.
        reason : RequestReason, optional
            Replaces the whole reason.
        refusal_reason : str, optional
            One sentence.
        cursor : StateCursor, optional
            Written with the change.
        approval : ApprovalRequest, optional
            Written with the change.
        answer : ApprovalAnswer, optional
            Recorded with the change if the approval request is still pending.
        alerts : sequence of Alert
            Written with the change, except those whose key is known.

        Returns
        -------
        bool
            False if the request was not in the state ``before``; nothing is written.
        """
        table, values = retrain_requests, dict[str, Any](state=after)
        if reason is not None:
            values["reason"] = encode(reason)
        if refusal_reason is not None:
            values["refusal_reason"] = refusal_reason
        with self.writing(durable=True) as connection:
            change = update(table).where(table.c.id == request_id, table.c.state == before)
            if connection.execute(change.values(partial(table, values))).rowcount != 1:
                return False
            self.write_cursor(connection, cursor)
            if approval is not None:
                self._request_approval(connection, approval)
            if answer is not None:
                self._answer_approval(connection, answer)
            self._raise_alerts(connection, alerts)
            return True
