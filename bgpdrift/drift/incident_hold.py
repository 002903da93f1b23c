"""Attack or new normal? What becomes of a drift that an incident holds back, as a table. Pure.

Decides when the question is asked, what each answer means and what silence does. A drift found while an incident is open is
``held``: nothing is retrained on an attack. But a lasting change keeps the detectors alarming for ever, so that an incident
that is old and whose level is steady becomes a question to a person, whatever a check says yet: its window may still hold more
hours of before the change than after it. A wish to retrain follows only once a check says drift as well::

    free ──begins──► held ──steady──► asked ──normal, silence──► new_normal
                       │ └──attack──► attack ◄──attack──┘
                       └──over──► free          (over: the incidents are closed, or the drift is gone)

An answer that a person changes later counts: ``attack`` becomes ``new_normal`` and the other way round. What is steady
`bgpdrift.drift.level` decides, which incidents hold `bgpdrift.drift.episode`.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from bgpdrift.drift.episode import ANOMALOUS, NORMAL, Episode
from bgpdrift.process.transitions import TransitionTable

State = Literal["free", "held", "asked", "attack", "new_normal"]
Event = Literal["begins", "steady", "normal", "attack", "silence", "over"]

HOLD_LIFECYCLE: TransitionTable[State, Event] = TransitionTable(
    "incident hold",
    get_args(State),
    get_args(Event),
    {
        ("free", "begins"): "held",
        ("free", "over"): "free",
        ("free", "normal"): "free",
        ("free", "attack"): "free",
        ("held", "steady"): "asked",
        ("held", "normal"): "new_normal",
        ("held", "attack"): "attack",
        ("held", "over"): "free",
        ("asked", "normal"): "new_normal",
        ("asked", "attack"): "attack",
        ("asked", "silence"): "new_normal",
        ("asked", "over"): "free",
        ("attack", "normal"): "new_normal",
        ("attack", "attack"): "attack",
        ("attack", "over"): "free",
        ("new_normal", "attack"): "attack",
        ("new_normal", "normal"): "new_normal",
        ("new_normal", "over"): "free",
    },
    initial="free",
)
HOLDS: frozenset[State] = frozenset({"held", "asked", "attack"})


@dataclass(frozen=True, slots=True)
class Holding:
    """What holds the drift of one model back.

    Attributes
    ----------
    state : str
        See the module.
    incident_id : int
        The incident that stands for it.
    since : int
        Event time at which it began.
    question_id, asked_at : int
        The question and when it was asked, event time; 0 before.
    answer : str
        ``attack``, ``new_normal`` or ``silence``; "" before.
    """

    state: State = "free"
    incident_id: int = 0
    since: int = 0
    question_id: int = 0
    asked_at: int = 0
    answer: str = ""

    @property
    def holds(self) -> bool:
        """Whether a drift is held back now."""
        return self.state in HOLDS

    @property
    def is_consented(self) -> bool:
        """Whether somebody, or everybody's silence, said that this is what is usual now."""
        return self.state == "new_normal"

    def as_fields(self) -> dict[str, Any] | None:
        """Give it as JSON; None where nothing holds."""
        if self.state == "free":
            return None
        return {
            "state": self.state,
            "incident_id": self.incident_id,
            "since": self.since,
            "question_id": self.question_id or None,
            "asked_at": self.asked_at or None,
            "answer": self.answer or None,
        }

    @classmethod
    def from_fields(cls, fields: Any) -> "Holding":
        """Read what `as_fields` gave; what cannot be read holds nothing."""
        if not isinstance(fields, dict) or fields.get("state") not in ("held", "asked", "attack", "new_normal"):
            return cls()
        number = {name: int(fields.get(name) or 0) for name in ("incident_id", "since", "question_id", "asked_at")}
        return cls(fields["state"], answer=str(fields.get("answer") or ""), **number)


@dataclass(frozen=True, slots=True)
class HoldPolicy:
    """Event time in seconds: age at which the question is asked, how long it waits; whether silence means drift."""

    max_hold_s: float = 12 * 3600.0
    unanswered_s: float = 12 * 3600.0
    silence_is_drift: bool = True


def after(before: Holding, event: Event) -> Holding:
    """Return the hold after an event; an answer that confirms the present state changes nothing.

    Raises
    ------
    IllegalTransitionError
        The event cannot happen in this state.

    Examples
    --------
    >>> held = after(Holding(incident_id=3), "begins")
    >>> [after(held, event).state for event in ("steady", "normal", "attack", "over")]
    ['asked', 'new_normal', 'attack', 'free']
    """
    state = HOLD_LIFECYCLE.next_state(before.state, event)
    if state == before.state:
        return before
    if state == "free":
        return Holding()
    answers = {"normal": "new_normal", "attack": "attack", "silence": "silence"}
    return replace(before, state=state, answer=answers.get(event, before.answer))


def heard(before: Holding, approval: str, label: str) -> Holding:
    """Take what a person said of the incident since.

    Parameters
    ----------
    approval : str
        State of the question: ``pending``, ``approved``, ``rejected``, ``expired``; "" for none.
    label : str
        Label of the incident; "" for none. It counts before the question: it is the later and the plainer word.

    Examples
    --------
    >>> asked = Holding("asked", 3, 0, 9, 43_200)
    >>> heard(asked, "approved", "").state, heard(asked, "rejected", "").state, heard(asked, "pending", "").state
    ('new_normal', 'attack', 'asked')
    >>> heard(asked, "pending", "new_normal").state, heard(asked, "approved", "true_positive").state
    ('new_normal', 'attack')
    """
    if label in NORMAL:
        return after(before, "normal")
    if label in ANOMALOUS:
        return after(before, "attack")
    if approval == "approved":
        return after(before, "normal")
    return after(before, "attack") if approval == "rejected" else before


def looked(
    before: Holding,
    episode: Episode | None,
    drifts: bool,
    is_steady: bool,
    at: int,
    policy: HoldPolicy,
    still_open: bool = False,
) -> Holding:
    """Take what a check saw.

    Parameters
    ----------
    episode : Episode or None
        What holds now; None if the incidents are over, or were decided.
    drifts : bool
        Whether the check says drift, were nothing to hold it. That is held from the first check on; the question and what
        silence means do not depend on it.
    is_steady : bool
        Whether it is another level and has been steady for ``max_hold_s``, and since the question was asked.
    at : int
        Event time.
    still_open : bool
        Whether the incident that was decided is not over yet.

    Examples
    --------
    >>> hour, policy = 3600, HoldPolicy()
    >>> old = Episode(3, 0, 13 * hour, frozenset({3}))
    >>> state = looked(Holding(), old, True, True, 13 * hour, policy)
    >>> state.state, state.asked_at, looked(Holding(), old, True, False, 13 * hour, policy).state
    ('asked', 46800, 'held')
    >>> looked(Holding(), old, False, True, 13 * hour, policy) == state
    True
    >>> [looked(state, old, True, steady, 25 * hour, policy).state for steady in (True, False)]
    ['new_normal', 'asked']
    """
    if before.state in ("attack", "new_normal"):
        if episode is None and still_open:
            return before
        before = after(before, "over")  # what was decided is past, or something else began
    if episode is None:
        return after(before, "over")
    if before.state == "asked" and before.incident_id not in episode.numbers:
        before = after(before, "over")  # what was asked about is past, and its silence says nothing of this one
    asks = is_steady and at - episode.since >= policy.max_hold_s
    if before.state == "free":
        if not drifts and not asks:
            return before
        before = after(Holding(incident_id=episode.number), "begins")
    held = replace(before, since=episode.since)
    if held.state == "held":
        held = replace(held, incident_id=episode.number)
        if asks:
            held = replace(after(held, "steady"), asked_at=at)
    elif is_steady and policy.silence_is_drift and at - held.asked_at >= policy.unanswered_s:
        held = after(held, "silence")
    return held
