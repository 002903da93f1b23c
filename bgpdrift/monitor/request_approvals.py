"""Approval of a training by a person: what is asked, and what each answer, or the lack of one, does to the request."""

from msgspec.structs import replace

from bgpdrift.clock import Clock
from bgpdrift.monitor import approvals
from bgpdrift.monitor.request_changes import RequestChanges
from bgpdrift.monitor.request_situation import SituationReader
from bgpdrift.monitor.safeguards import DRIFT_ENDED, Decision, SafeguardPolicy, decide, is_consent_by_timeout
from bgpdrift.store import Store
from bgpdrift.store.request_records import Alert, ApprovalAnswer, ApprovalRequest, RetrainApproval, RetrainRequest

ANSWERED_BY_TIMEOUT = "bgpdrift"
"""``answered_by`` of an approval request that expired without an answer of a person."""


class RequestApprovals:
    """Makes approval requests and handles their answers."""

    def __init__(self, store: Store, clock: Clock, situations: SituationReader, changes: RequestChanges) -> None:
        self._store, self._clock, self._situations, self._changes = store, clock, situations, changes

    def request(self, request: RetrainRequest, decision: Decision, at: int) -> bool:
        """Ask a person whether the model may be trained."""
        reason, model = request.reason, request.model
        verb = "train the first" if reason.is_first else "retrain"
        title = f"{model} has critical drift: may it be retrained?"
        if reason.is_first:
            title = f"{model} has no model yet: may the first one be trained?"
        approval = ApprovalRequest(
            kind=approvals.RETRAIN,
            subject=model,
            requested_at=at,
            details=RetrainApproval(
                request_id=request.id,
                summary=f"{verb} {model}? {decision.reason}",
                severity=reason.severity,
                is_first=reason.is_first,
                reason=reason.summary,
                report_path=reason.report_path,
                model_version=reason.model_version,
            ),
        )
        alert = Alert(
            at=self._clock.now(),
            key=f"retrain_approval:{request.id}",
            severity="medium" if reason.is_first else "critical",
            title=title,
            body=f"{reason.summary} `bgpdrift approve --list` shows the approval request.".strip(),
        )
        return self._changes.request_approval(request, decision.reason, approval, alert)

    def handle_answer(self, request: RetrainRequest, policy: SafeguardPolicy, at: int) -> bool:
        """Act on the answer to the approval request, or on the lack of one; return whether the request changed."""
        approval = self._find(request)
        if approval is None:
            return self._changes.apply(request, "refuse", "its approval request no longer exists", at)
        if approval.state == "rejected":
            explanation = f"{approval.answered_by or 'a person'} rejected the retraining"
            return self._changes.apply(
                request, "refuse", explanation, at, safeguard="approval", answered_at=approval.answered_at
            )
        expired = _expire(approval, at)
        if not self._situations.has_drift(request):
            return self._changes.apply(request, "refuse", DRIFT_ENDED, at, expired)
        if approval.state == "pending" and not is_consent_by_timeout(approval.requested_at, at, policy):
            return False
        consented = replace(request, reason=replace(request.reason, consented=True))
        decision = decide(self._situations.read(consented, at), policy)
        if decision.outcome == "refuse":
            safeguard = decision.safeguard
            return self._changes.apply(consented, "refuse", decision.reason, at, expired, safeguard=safeguard)
        if decision.outcome == "postpone":
            until = decision.until
            return self._changes.apply(consented, "postpone", decision.reason, at, expired, postponed_until=until)
        return self._changes.flag(consented, at, expired)

    def replace(self, older: RetrainRequest, newer: RetrainRequest, at: int) -> None:
        """Refuse a waiting request because a newer one takes its place; its approval request expires."""
        approval = self._find(older) if older.state == "waiting_approval" else None
        answer = _expire(approval, at) if approval else None
        self._changes.apply(older, "refuse", f"retraining request {newer.id} replaced it", at, answer)

    def _find(self, request: RetrainRequest) -> ApprovalRequest | None:
        for approval in self._store.approval_requests(kind=approvals.RETRAIN, subject=request.model):
            if isinstance(approval.details, RetrainApproval) and approval.details.request_id == request.id:
                return approval
        return None


def _expire(approval: ApprovalRequest, at: int) -> ApprovalAnswer:
    return ApprovalAnswer(approval.id, "expired", ANSWERED_BY_TIMEOUT, at)
