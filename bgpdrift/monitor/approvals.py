"""Questions to a person about models: what they are about, who may still answer, what is shown. Pure.

Two kinds: ``retrain`` (drift is critical: may this model be retrained?) and ``attack_or_new_normal`` (an incident does not
end: is it an attack, or what is usual from now on?). What follows from an answer those decide who asked: the model loop,
the drift monitor.
"""

from collections.abc import Mapping
from typing import Any, Literal

from bgpdrift.errors import InputError

RETRAIN, ATTACK_OR_NEW_NORMAL = "retrain", "attack_or_new_normal"
KINDS = (RETRAIN, ATTACK_OR_NEW_NORMAL)
PENDING, APPROVED, REJECTED, EXPIRED = "pending", "approved", "rejected", "expired"
Answer = Literal["approved", "rejected"]

MEANING: Mapping[tuple[str, str], str] = {
    (RETRAIN, APPROVED): "the model will be retrained",
    (RETRAIN, REJECTED): "the model stays as it is",
    (ATTACK_OR_NEW_NORMAL, APPROVED): "it is the new normal, and will be learned",
    (ATTACK_OR_NEW_NORMAL, REJECTED): "it is an attack, and will not be learned",
}
"""What an answer says, by kind."""


def checked_answer(row: Mapping[str, Any] | None, number: int, answer: Answer) -> str:
    """Say what an answer means, before it is written.

    Raises
    ------
    InputError
        There is no such question, or it waits no more.

    Examples
    --------
    >>> checked_answer({"id": 3, "kind": "retrain", "state": "pending"}, 3, "approved")
    'the model will be retrained'
    """
    if row is None:
        raise InputError(f"no question {number}; `bgpdrift approve --list` lists them")
    if row["state"] != PENDING:
        raise InputError(f"question {number} waits no more: {_answered(row)}")
    return MEANING.get((str(row["kind"]), answer), f"{row['kind']}: {answer}")


def question(row: Mapping[str, Any]) -> str:
    """Give a question as one line.

    Examples
    --------
    >>> question({"kind": "attack_or_new_normal", "subject": "7", "details": {}})
    'incident 7: attack or new normal?'
    """
    asked = str(row["details"].get("question") or "")
    if asked:
        return asked
    if row["kind"] == ATTACK_OR_NEW_NORMAL:
        return f"incident {row['subject']}: attack or new normal?"
    return f"retrain {row['subject']}?"


def _answered(row: Mapping[str, Any]) -> str:
    by = f" by {row['answered_by']}" if row.get("answered_by") else ""
    return f"{row['state']}{by}"
