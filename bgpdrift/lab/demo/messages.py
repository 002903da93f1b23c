"""Messages that the demo prints: one short sentence for each state change that matters to a person."""

from bgpdrift.lab.demo.timeline import StateChange

MAX_LENGTH = 150
_VERSION = {
    "active": "{subject} is active",
    "accepted": "{subject} has passed its probation and is accepted",
    "rolled_back": "{subject} has failed its probation and is rolled back",
    "rejected": "the gate rejects {subject}",
}
_REQUEST = {
    "postponed": "the retraining of {model} must wait: {reason}",
    "waiting_approval": "the retraining of {model} needs an approval",
    "flagged": "the drift monitor writes a flag file to retrain {model}",
    "claimed": "a retrainer trains {model}; event time is paused",
    "failed": "the training of {model} failed: {reason}",
    "refused": "{model} is not retrained: {reason}",
}
_APPROVAL = {
    "pending": "approval request {subject}: {question}",
    "approved": "approval request {subject} is answered: yes",
    "rejected": "approval request {subject} is answered: no",
    "expired": "approval request {subject} has no answer in time, which counts as yes",
}
REPLACED = "replaced it"
"""Text of a retraining request that a later one has replaced."""


def describe_change(change: StateChange) -> str:
    """Describe a state change in one line; "" if it needs no message.

    Examples
    --------
    >>> describe_change(StateChange(0, "version", "lstm 2", "rolled_back"))
    'lstm 2 has failed its probation and is rolled back'
    >>> describe_change(StateChange(0, "approval", "2", "pending", "attack_or_new_normal 6"))
    'approval request 2: is incident 6 an attack or the new normal?'
    >>> describe_change(StateChange(0, "request", "3", "refused", "lstm by drift_monitor: retraining request 4 replaced it"))
    ''
    """
    if change.kind == "version":
        return _VERSION.get(change.state, "").format(subject=change.subject)
    if change.kind == "approval":
        kind, _, about = change.text.partition(" ")
        is_attack = f"is incident {about} an attack or the new normal?"
        question = is_attack if kind == "attack_or_new_normal" else f"retrain {about}? The drift is critical"
        return _APPROVAL.get(change.state, "").format(subject=change.subject, question=question)
    if change.kind == "request":
        head, _, reason = change.text.partition(": ")
        if REPLACED in reason:
            return ""
        return _shorten(_REQUEST.get(change.state, "").format(model=head.partition(" ")[0], reason=reason))
    if change.kind == "check" and change.state.startswith("drift"):
        severity, reason = change.state.removeprefix("drift").strip(), change.text.partition(": ")[2]
        return _shorten(f"{change.subject} has drifted ({severity}): {reason}")
    if change.kind == "check" and change.state == "held":
        return f"{change.subject} may have drifted; the decision is held, because an incident is open"
    if change.kind == "probation" and change.state == "watching":
        return f"{change.subject} is on probation; the version before it scores beside it"
    return ""


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_LENGTH else text[: MAX_LENGTH - 2].rstrip() + " …"
