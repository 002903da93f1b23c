"""The incident hold: what becomes of a drift while incidents are open, as a table of states.

A drift found while an incident is open is ``held``, because a model must not be retrained on an attack. After a persistent
change the detectors continue to alarm, so the incident never closes. Therefore, once an incident is old and its level is
stable, an approval request asks a person: attack or new normal? The request does not depend on the verdicts of the checks,
because the window of a check may still hold more hours from before the change than after it. A retraining request follows
only when a check also finds drift::

    free ──begin──► held ──ask──► asked ──normal, silence──► new_normal
                     │ └──attack──► attack ◄──attack──┘
                     └──end──► free          (end: the incidents are closed, or the drift is gone)

A later answer replaces an earlier one: ``attack`` becomes ``new_normal`` and the other way round.
`bgpdrift.drift.stability` decides whether a level is stable, `bgpdrift.drift.incident_spans` which incidents hold a
drift.
"""

from dataclasses import dataclass, replace
from typing import Literal, get_args

from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.incident_spans import ANOMALOUS_LABELS, NORMAL_LABELS, IncidentGroup
from bgpdrift.process.transitions import TransitionTable
from bgpdrift.settings_sections import DriftSettings

State = Literal["free", "held", "asked", "attack", "new_normal"]
Answer = Literal["", "attack", "new_normal", "silence"]
Event = Literal["begin", "ask", "normal", "attack", "silence", "end"]

HOLD_LIFECYCLE: TransitionTable[State, Event] = TransitionTable(
    "incident hold",
    get_args(State),
    get_args(Event),
    {
        ("free", "begin"): "held",
        ("free", "end"): "free",
        ("free", "normal"): "free",
        ("free", "attack"): "free",
        ("held", "ask"): "asked",
        ("held", "normal"): "new_normal",
        ("held", "attack"): "attack",
        ("held", "end"): "free",
        ("asked", "normal"): "new_normal",
        ("asked", "attack"): "attack",
        ("asked", "silence"): "new_normal",
        ("asked", "end"): "free",
        ("attack", "normal"): "new_normal",
        ("attack", "attack"): "attack",
        ("attack", "end"): "free",
        ("new_normal", "attack"): "attack",
        ("new_normal", "normal"): "new_normal",
        ("new_normal", "end"): "free",
    },
    initial="free",
)
HOLDING_STATES: frozenset[State] = frozenset({"held", "asked", "attack"})


@dataclass(frozen=True, slots=True)
class IncidentHold:
    """The incident hold of one model.

    Attributes
    ----------
    state : str
        One of the states of the module's table.
    incident_id : int
        Incident that represents the group.
    since : int
        Event time at which the group of incidents began.
    approval_id, asked_at : int
        The approval request and the event time at which it was made; 0 before.
    answer : str
        ``attack``, ``new_normal`` or ``silence``; "" before an answer.
    """

    state: State = "free"
    incident_id: int = 0
    since: int = 0
    approval_id: int = 0
    asked_at: int = 0
    answer: Answer = ""

    @property
    def holds(self) -> bool:
        """Whether a drift is held now."""
        return self.state in HOLDING_STATES

    @property
    def is_new_normal(self) -> bool:
        """Whether a person, or the lack of an answer, decided that this level is the new normal."""
        return self.state == "new_normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPolicy:
    """When a person is asked, and what happens without an answer.

    Attributes
    ----------
    max_hold_s : float
        Age of an incident from which a person is asked, seconds of event time.
    unanswered_s : float
        How long the approval request waits for an answer, seconds of event time.
    silence_is_drift : bool
        Whether a request without an answer means new normal; otherwise the drift stays held.
    """

    max_hold_s: float
    unanswered_s: float
    silence_is_drift: bool = True

    @classmethod
    def from_settings(cls, settings: DriftSettings) -> "HoldPolicy":
        """Build the policy from ``max_hold_h``, ``unanswered_h`` and ``unanswered``.

        Examples
        --------
        >>> HoldPolicy.from_settings(DriftSettings())
        HoldPolicy(max_hold_s=43200.0, unanswered_s=43200.0, silence_is_drift=True)
        """
        return cls(
            max_hold_s=HOUR_S * settings.max_hold_h,
            unanswered_s=HOUR_S * settings.unanswered_h,
            silence_is_drift=settings.unanswered == "drift",
        )


def apply_event(before: IncidentHold, event: Event) -> IncidentHold:
    """Return the hold after an event; an answer that confirms the present state changes nothing.

    Raises
    ------
    IllegalTransitionError
        The event cannot happen in this state.

    Examples
    --------
    >>> held = apply_event(IncidentHold(incident_id=3), "begin")
    >>> [apply_event(held, event).state for event in ("ask", "normal", "attack", "end")]
    ['asked', 'new_normal', 'attack', 'free']
    """
    state = HOLD_LIFECYCLE.next_state(before.state, event)
    if state == before.state:
        return before
    if state == "free":
        return IncidentHold()
    answers: dict[Event, Answer] = {"normal": "new_normal", "attack": "attack", "silence": "silence"}
    return replace(before, state=state, answer=answers.get(event, before.answer))


def apply_answer(before: IncidentHold, approval: str, label: str) -> IncidentHold:
    """Apply what a person answered since the last check.

    Parameters
    ----------
    approval : str
        State of the approval request: ``pending``, ``approved``, ``rejected``, ``expired``; "" for none.
    label : str
        Label of the incident; "" for none. A label overrides the answer to the request, because it is more specific and
        usually newer.

    Examples
    --------
    >>> asked = IncidentHold("asked", 3, 0, 9, 43_200)
    >>> [apply_answer(asked, answer, "").state for answer in ("approved", "rejected", "pending")]
    ['new_normal', 'attack', 'asked']
    >>> apply_answer(asked, "pending", "new_normal").state, apply_answer(asked, "approved", "true_positive").state
    ('new_normal', 'attack')
    """
    if label in NORMAL_LABELS:
        return apply_event(before, "normal")
    if label in ANOMALOUS_LABELS:
        return apply_event(before, "attack")
    if approval == "approved":
        return apply_event(before, "normal")
    return apply_event(before, "attack") if approval == "rejected" else before


def update_hold(
    before: IncidentHold,
    group: IncidentGroup | None,
    is_drift: bool,
    is_stable: bool,
    at: int,
    policy: HoldPolicy,
    still_open: bool = False,
) -> IncidentHold:
    """Return the hold after a check.

    Parameters
    ----------
    group : IncidentGroup or None
        Incidents that hold a drift now; None if they are closed or decided.
    is_drift : bool
        Whether the verdict would be drift without the hold. A drift is held from the first check on. When a person is
        asked, and what a missing answer means, does not depend on it.
    is_stable : bool
        Whether the level differs from the reference and has been stable for ``max_hold_s`` and since the request was
        made.
    at : int
        Event time of the check, epoch seconds.
    still_open : bool
        Whether the incident that was decided is still open.

    Examples
    --------
    >>> hour, policy = 3600, HoldPolicy.from_settings(DriftSettings())
    >>> old = IncidentGroup(3, 0, 13 * hour, frozenset({3}))
    >>> state = update_hold(IncidentHold(), old, True, True, 13 * hour, policy)
    >>> state.state, state.asked_at, update_hold(IncidentHold(), old, True, False, 13 * hour, policy).state
    ('asked', 46800, 'held')
    >>> update_hold(IncidentHold(), old, False, True, 13 * hour, policy) == state
    True
    >>> [update_hold(state, old, True, is_stable, 25 * hour, policy).state for is_stable in (True, False)]
    ['new_normal', 'asked']
    """
    if before.state in ("attack", "new_normal"):
        if group is None and still_open:
            return before
        before = apply_event(before, "end")  # the decided incidents are over, or others began
    if group is None:
        return apply_event(before, "end")
    if before.state == "asked" and before.incident_id not in group.numbers:
        before = apply_event(before, "end")  # a missing answer about earlier incidents does not apply to these
    asks = is_stable and at - group.since >= policy.max_hold_s
    if before.state == "free":
        if not is_drift and not asks:
            return before
        before = apply_event(IncidentHold(incident_id=group.number), "begin")
    hold = replace(before, since=group.since)
    if hold.state == "held":
        hold = replace(hold, incident_id=group.number)
        if asks:
            hold = replace(apply_event(hold, "ask"), asked_at=at)
    elif is_stable and policy.silence_is_drift and at - hold.asked_at >= policy.unanswered_s:
        hold = apply_event(hold, "silence")
    return hold
