"""Typed rows for people: retraining requests, approval requests and their answers, alerts, events of services.

This module decides the fields and how version 1 of the JSON among them is read. `bgpdrift.monitor` decides
which state may follow which.
"""

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bgpdrift.store.codec import StoredValue, rename_fields, without_none
from bgpdrift.store.cursor_states import DriftVerdict, Severity

RequestState = Literal["requested", "waiting_approval", "postponed", "flagged", "claimed", "done", "failed", "refused"]
OPEN_REQUEST_STATES: tuple[RequestState, ...] = ("requested", "waiting_approval", "postponed", "flagged", "claimed")
"""States of a retraining request that is not concluded."""
ApprovalKind = Literal["retrain", "attack_or_new_normal"]
ApprovalState = Literal["pending", "approved", "rejected", "expired"]
Answer = Literal["approved", "rejected", "expired"]
AlertState = Literal["pending", "sent", "failed", "suppressed"]


class RequestReason(StoredValue, frozen=True, kw_only=True):
    """Why a retraining was requested, and what has happened to the request since. Times are event times, epoch seconds."""

    summary: str = ""
    """One sentence for people."""
    severity: Severity = "none"
    verdict: DriftVerdict = "not_enough_data"
    is_first: bool = False
    """Whether it requests the first training of a model that has no version; otherwise the model drifts."""
    model_version: str = ""
    """Version that drifts."""
    check_id: int | None = None
    change_point: int | None = None
    report_path: str = ""
    collectors: tuple[str, ...] = ()
    consented: bool = False
    """Whether a person, or the lack of an answer, agreed to the retraining."""
    repeats_request_id: int | None = None
    """Earlier request that failed or was refused."""
    safeguard: str = ""
    """Safeguard that refused the request."""
    answered_at: int | None = None
    """When a person rejected the request."""
    postponed_until: int = 0
    not_before: int = 0
    """Earliest retraining, because there are too few windows until then."""
    not_before_reason: str = ""
    flagged_at: int | None = None
    claimed_at: int | None = None
    ended_at: int | None = None
    attempts: int = 0
    """Runs that failed."""
    after_event_id: int = 0
    """Newest row of ``model_retrain_events`` when the flag file was written; later ones may answer the request."""
    exit_code: int | None = None
    new_version: str = ""
    """Version that the run made."""

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Rename the fields whose terms changed."""
        names = {
            "reason": "summary",
            "version": "model_version",
            "until": "postponed_until",
            "not_before_because": "not_before_reason",
            "after_event": "after_event_id",
            "version_made": "new_version",
            "again_after": "repeats_request_id",
        }
        return rename_fields(without_none(fields), names)


class RetrainRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``retrain_requests``."""

    id: int = 0
    """0 before it is written."""
    model: str
    requested_at: int
    """Event time, epoch seconds."""
    requested_by: str
    reason: RequestReason = RequestReason()
    state: RequestState = "requested"
    refusal_reason: str = ""


class RetrainApproval(StoredValue, frozen=True, kw_only=True):
    """Details of an approval request of kind ``retrain``, which asks whether a model may be retrained."""

    request_id: int = 0
    """The retraining request."""
    summary: str = ""
    """One sentence for people."""
    severity: Severity = "none"
    is_first: bool = False
    """Whether it is the first training of the model."""
    reason: str = ""
    report_path: str = ""
    model_version: str = ""

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Rename the summary, the request and the version."""
        names = {"question": "summary", "trigger_id": "request_id", "version": "model_version"}
        return rename_fields(without_none(fields), names)


class HoldApproval(StoredValue, frozen=True, kw_only=True):
    """Details of an approval request of kind ``attack_or_new_normal`` about an incident that does not end."""

    summary: str = ""
    """One sentence for people."""
    since: int = 0
    """Event time at which the incident began."""
    model: str = ""
    model_version: str = ""
    p_value: float | None = None
    psi: float | None = None
    median_shift: float | None = None
    change_point: int | None = None
    reason: str = ""

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Rename the summary and the version."""
        return rename_fields(without_none(fields), {"question": "summary", "version": "model_version"})


class ApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``approvals``: a request to a person, and the answer."""

    id: int = 0
    """0 before it is written."""
    kind: ApprovalKind
    subject: str
    """Model or incident number."""
    requested_at: int
    """Event time, epoch seconds."""
    details: RetrainApproval | HoldApproval
    state: ApprovalState = "pending"
    answered_at: int | None = None
    """Event time, epoch seconds."""
    answered_by: str | None = None

    @property
    def summary(self) -> str:
        """One sentence for people.

        Examples
        --------
        >>> ApprovalRequest(kind="retrain", subject="lstm", requested_at=0, details=RetrainApproval()).summary
        'retrain lstm?'
        """
        if self.details.summary:
            return self.details.summary
        if self.kind == "attack_or_new_normal":
            return f"incident {self.subject}: attack or new normal?"
        return f"retrain {self.subject}?"


@dataclass(frozen=True, slots=True)
class ApprovalAnswer:
    """An answer to an approval request that is pending."""

    approval_id: int
    state: Answer
    answered_by: str
    answered_at: int
    """Event time, epoch seconds."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``alerts``."""

    id: int = 0
    """0 before it is written."""
    at: float
    """Wall clock, epoch seconds."""
    key: str
    """An alert whose key is known is not written again."""
    severity: Severity
    title: str
    body: str = ""
    state: AlertState = "pending"
    attempts: int = 0


class ServiceEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``service_events``."""

    id: int = 0
    """0 before it is written."""
    at: float
    """Wall clock, epoch seconds."""
    service: str
    event: str
    """One word: ``started``, ``model_loaded``, ``gave_up``."""
    details: dict[str, Any] = msgspec.field(default_factory=dict)
    """Numbers and reasons; their names depend on the event."""
