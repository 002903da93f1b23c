"""Wishes to retrain, and what is written together with their changes: approvals, notices, the loop's own notes.

Decides that a wish changes only from the state its reader saw: of two monitors one acts. Which state may follow which is
`bgpdrift.monitor.request_states`'.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

from sqlalchemy import func, select, update

from bgpdrift.store.alerts import NotificationQueries
from bgpdrift.store.approvals import ApprovalQueries, approval_row
from bgpdrift.store.codec import decode_row, encode, encode_row, rename_fields
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
from bgpdrift.store.schema import retrain_triggers

TriggerRow = dict[str, Any]
"""A row of ``retrain_triggers`` by column name, ``reason`` parsed."""


def request_row(request: RetrainRequest) -> dict[str, Any]:
    """Convert a retraining request to a row."""
    return rename_fields(encode_row(request), {"refusal_reason": "refused_because"})


def _record(row: TriggerRow) -> RetrainRequest:
    fields = rename_fields(row, {"refused_because": "refusal_reason"})
    state = "requested" if row["state"] == "wanted" else row["state"]
    return decode_row(RetrainRequest, fields | {"state": state}, "retrain_requests", {"reason": RequestReason})


class TriggerQueries(ApprovalQueries, NotificationQueries):
    """Queries on ``retrain_triggers``."""

    def triggers(
        self, model: str | None = None, states: Sequence[str] = (), limit: int | None = None
    ) -> list[TriggerRow]:
        """Read wishes, of one model or of all, newest first.

        Parameters
        ----------
        model : str, optional
            Only of this one.
        states : sequence of str
            Only in one of these; empty means all.
        limit : int, optional
            At most so many.
        """
        table = retrain_triggers
        query = select(table).order_by(table.c.id.desc())
        if model is not None:
            query = query.where(table.c.model == model)
        if states:
            query = query.where(table.c.state.in_(list(states)))
        return self.rows(query if limit is None else query.limit(limit))

    def retrain_requests(
        self, model: str | None = None, states: Sequence[RequestState] = (), limit: int | None = None
    ) -> list[RetrainRequest]:
        """Read retraining requests, newest first: all, or those of one model or in some states."""
        return [_record(row) for row in self.triggers(model, states, limit)]

    def add_retrain_request(self, request: RetrainRequest, *, newest: int | None = None) -> int | None:
        """Write a retraining request; return its id.

        Parameters
        ----------
        request : RetrainRequest
            Its ``id`` is ignored.
        newest : int, optional
            Write it only if the model's newest request still has this id; return None otherwise.
        """
        return self.add_trigger(request_row(request), newest=newest)

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
        return self.change_trigger(
            request_id,
            before,
            after,
            reason=None if reason is None else encode(reason),
            refused_because=refusal_reason,
            cursor=cursor,
            asked=None if approval is None else approval_row(approval),
            answered=None if answer is None else astuple(answer),
            notices=[encode_row(alert) for alert in alerts],
        )

    def add_trigger(self, row: Mapping[str, Any], *, newest: int | None = None) -> int | None:
        """Write a wish; its id.

        Parameters
        ----------
        row : mapping
            Columns of ``retrain_triggers``.
        newest : int, optional
            Write it only if this is still the model's newest wish; None is returned otherwise.
        """
        table = retrain_triggers
        (ready,) = prepared(table, [row], self._clock.now())
        with self.writing(durable=True) as connection:
            if newest is not None:
                found = connection.execute(select(func.max(table.c.id)).where(table.c.model == row["model"])).scalar()
                if found != newest:
                    return None
            return int(connection.execute(table.insert().values(ready).returning(table.c.id)).scalar_one())

    def change_trigger(
        self,
        trigger_id: int,
        before: str,
        after: str,
        *,
        reason: Mapping[str, Any] | None = None,
        refused_because: str | None = None,
        cursor: AnyCursor | None = None,
        asked: Mapping[str, Any] | None = None,
        answered: tuple[int, str, str, int] | None = None,
        notices: Sequence[Mapping[str, Any]] = (),
    ) -> bool:
        """Change a wish and all that goes with it in one durable transaction; False, and nothing, if it had moved.

        Parameters
        ----------
        trigger_id : int
            Which one.
        before, after : str
            State it must have, and gets.
        reason : mapping, optional
            Its new ``reason``, whole.
        refused_because : str, optional
            Sentence.
        cursor : Cursor, optional
            Written with it.
        asked : mapping, optional
            A row of ``approvals`` that is asked with it.
        answered : tuple of (approval, state, by, event time), optional
            An approval that is answered with it; was it answered already, it stays as it is.
        notices : sequence of mapping
            Rows of ``notifications``; a key that is known is not written again.
        """
        table = retrain_triggers
        values: dict[str, Any] = {"state": after}
        if reason is not None:
            values["reason"] = dict(reason)
        if refused_because is not None:
            values["refused_because"] = refused_because
        with self.writing(durable=True) as connection:
            change = update(table).where(table.c.id == trigger_id, table.c.state == before)
            if connection.execute(change.values(partial(table, values))).rowcount != 1:
                return False
            self.write_cursor(connection, cursor)
            if asked is not None:
                self._ask(connection, asked)
            if answered is not None:
                self._answer(connection, *answered)
            self._notify(connection, notices)
            return True
