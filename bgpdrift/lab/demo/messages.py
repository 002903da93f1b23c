"""How what happened in a demo is said: one short line for what a person would tell another, none for the rest. Pure."""

from bgpdrift.lab.demo.chronicle import Happening

LONGEST = 150
_VERSION = {
    "active": "{subject} is in force",
    "accepted": "{subject} passed its probation",
    "rolled_back": "{subject} disappointed and is taken back",
    "rejected": "{subject} is refused by the gate",
}
_WISH = {
    "postponed": "{model} must wait: {why}",
    "waiting_approval": "{model}: a person is asked first",
    "flagged": "a flag is dropped for {model}",
    "claimed": "a retrainer trains {model}, and time stands still meanwhile",
    "failed": "the training of {model} failed: {why}",
    "refused": "{model} is not retrained: {why}",
}
_QUESTION = {
    "pending": "question {subject}: {what}",
    "approved": "question {subject} is answered: yes",
    "rejected": "question {subject} is answered: no",
    "expired": "nobody answers question {subject}: silence is a yes",
}
NOISE = ("took its place", "is under way")
"""Of a wish that another one replaced."""


def said(one: Happening) -> str:
    """Say it in a line; "" for what needs no telling.

    Examples
    --------
    >>> said(Happening(0, "version", "lstm 2", "rolled_back"))
    'lstm 2 disappointed and is taken back'
    >>> said(Happening(0, "question", "2", "pending", "attack_or_new_normal 6"))
    'question 2: is incident 6 an attack, or the new normal?'
    >>> said(Happening(0, "wish", "3", "refused", "lstm by drift_monitor: wish 4 took its place"))
    ''
    """
    if one.kind == "version":
        return _VERSION.get(one.state, "").format(subject=one.subject)
    if one.kind == "question":
        kind, _, about = one.text.partition(" ")
        asked = f"is incident {about} an attack, or the new normal?"
        what = asked if kind == "attack_or_new_normal" else f"retrain {about}? The drift is critical"
        return _QUESTION.get(one.state, "").format(subject=one.subject, what=what)
    if one.kind == "wish":
        head, _, why = one.text.partition(": ")
        if any(noise in why for noise in NOISE):
            return ""
        return _cut(_WISH.get(one.state, "").format(model=head.partition(" ")[0], why=why))
    if one.kind == "check" and one.state.startswith("drift"):
        return _cut(f"{one.subject} drifts ({one.state.removeprefix('drift').strip()}): {one.text.partition(': ')[2]}")
    if one.kind == "check" and one.state == "held":
        return f"{one.subject} may drift, but an incident is open: nothing is learned from an attack"
    if one.kind == "probation" and one.state == "watching":
        return f"{one.subject} is on probation: the version before it scores beside it"
    return ""


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 2].rstrip() + " …"
