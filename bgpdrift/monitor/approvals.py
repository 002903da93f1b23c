"""Approval requests to a person: the two kinds, and what each answer means. Pure.

``retrain`` asks whether a model may be trained: one with critical drift, or one that has no version yet.
``attack_or_new_normal`` asks what an incident is that does not end. `bgpdrift.monitor.request_approvals` and
`bgpdrift.monitor.hold_answers` act on the answers.
"""

from collections.abc import Mapping
from typing import Final, Literal

from bgpdrift.errors import InputError
from bgpdrift.store.request_records import ApprovalRequest

RETRAIN: Final = "retrain"
ATTACK_OR_NEW_NORMAL: Final = "attack_or_new_normal"
PENDING: Final = "pending"
Answer = Literal["approved", "rejected"]

MEANINGS: Mapping[tuple[str, Answer], str] = {
    (RETRAIN, "approved"): "the model will be trained",
    (RETRAIN, "rejected"): "the model stays as it is",
    (ATTACK_OR_NEW_NORMAL, "approved"): "it is the new normal, and the models will be trained on it",
    (ATTACK_OR_NEW_NORMAL, "rejected"): "it is an attack, and no model will be trained on it",
}
"""Consequence of an answer, by kind."""


def describe_answer(approval: ApprovalRequest | None, approval_id: int, answer: Answer) -> str:
    """Describe what follows from an answer to a pending approval request.

    Raises
    ------
    InputError
        The approval request does not exist, or is not pending.

    Examples
    --------
    >>> from bgpdrift.store.request_records import RetrainApproval
    >>> approval = ApprovalRequest(id=3, kind="retrain", subject="lstm", requested_at=0, details=RetrainApproval())
    >>> describe_answer(approval, 3, "approved")
    'the model will be trained'
    """
    if approval is None:
        raise InputError(f"approval request {approval_id} does not exist; `bgpdrift approve --list` lists them")
    if approval.state != PENDING:
        by = f" by {approval.answered_by}" if approval.answered_by else ""
        raise InputError(f"approval request {approval_id} is not pending: {approval.state}{by}")
    return MEANINGS[approval.kind, answer]
