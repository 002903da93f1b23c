"""Changes of a retraining request before its flag file exists: the event, the reason and the log line in one place.

The row is written first and the flag file after it. If the monitor dies in between, `bgpdrift.monitor.flagged_requests` drops
the flag. The store applies a change only to the state that was read, so that of two monitors one acts.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from bgpdrift import logs
from bgpdrift.monitor.request_states import REQUEST_LIFECYCLE, Event
from bgpdrift.store import Store
from bgpdrift.store.request_records import Alert, ApprovalAnswer, ApprovalRequest, RetrainRequest


class RequestChanges:
    """Writes changes.

    Parameters
    ----------
    store : Store
        Requests, approvals, events.
    drop_flag : callable
        Drops the flag file of a request.
    """

    def __init__(self, store: Store, drop_flag: Callable[[RetrainRequest], None]) -> None:
        self._store, self._drop_flag, self._log = store, drop_flag, logs.get_logger()

    def apply(
        self,
        request: RetrainRequest,
        event: Event,
        explanation: str,
        at: int,
        answer: ApprovalAnswer | None = None,
        **reason_fields: Any,
    ) -> bool:
        """Apply an event; return False, and write nothing, if the request has changed since it was read.

        Parameters
        ----------
        request : RetrainRequest
            As it was read.
        event : str
            Event of the life cycle.
        explanation : str
            One sentence for people; "" for none.
        at : int
            Event time.
        answer : ApprovalAnswer, optional
            Recorded with the change if the approval request is still pending.
        **reason_fields
            Fields of the reason that change.
        """
        state = REQUEST_LIFECYCLE.next_state(request.state, event)
        if state == "refused":
            reason_fields["ended_at"] = at
        reason = replace(request.reason, **reason_fields)
        if not self._store.change_retrain_request(
            request.id, request.state, state, reason=reason, refusal_reason=explanation, answer=answer
        ):
            return False
        self._log.info(f"retrain.{state}", model=request.model, request_id=request.id, reason=explanation)
        return True

    def flag(self, request: RetrainRequest, at: int, answer: ApprovalAnswer | None = None) -> bool:
        """Move a request to ``flagged`` and drop its flag file; return False if it has changed since it was read."""
        newest = self._store.retrain_events(request.model, 1)
        reason = replace(request.reason, flagged_at=at, attempts=0, after_event_id=newest[0].id if newest else 0)
        state = REQUEST_LIFECYCLE.next_state(request.state, "flag")
        if not self._store.change_retrain_request(
            request.id, request.state, state, reason=reason, refusal_reason="", answer=answer
        ):
            return False
        self._log.info("retrain.flagged", model=request.model, request_id=request.id, reason=reason.summary)
        self._drop_flag(replace(request, state=state, reason=reason))
        return True

    def request_approval(
        self, request: RetrainRequest, explanation: str, approval: ApprovalRequest, alert: Alert
    ) -> bool:
        """Move a request to ``waiting_approval`` and write the approval request and its alert."""
        state = REQUEST_LIFECYCLE.next_state(request.state, "request_approval")
        changed = self._store.change_retrain_request(
            request.id, request.state, state, refusal_reason=explanation, approval=approval, alerts=[alert]
        )
        if changed:
            self._log.warning(
                "retrain.approval_requested",
                model=request.model,
                request_id=request.id,
                summary=approval.details.summary,
            )
        return changed
