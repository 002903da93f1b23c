"""The life cycle of a retraining request, and what the state of its flag file, its claim and its run says of it. Pure.

::

    wanted ──refuse──► refused            claimed ──finish──► done
      │ ├──ask──► waiting_approval          ├──fail──► failed
      │ │                 ├──postpone──► postponed (agreed to)
      │ ├──postpone──► postponed            ├──requeue──► flagged
      └─┴──flag──► flagged ──claim──► claimed └─postpone──► postponed ──resume──► wanted

``done`` means that a new version came into force. ``failed`` means that a run came to another end: the gate refused it, it
ran out of time, it died as often as is tried. ``postponed`` waits for a moment of event time: the end of a cooldown, more
windows. Decides also what follows from what a flag, a claim and a retrainer's event show; who looks at these, and what is
allowed at all, others decide.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from bgpdrift.process.transitions import TransitionTable

State = Literal["wanted", "waiting_approval", "postponed", "flagged", "claimed", "done", "failed", "refused"]
Event = Literal[
    "ask",  # a person must agree first
    "postpone",  # a cooldown is not over, or there are too few windows
    "resume",  # the time it was postponed to is reached
    "flag",  # the flag file is written
    "refuse",  # a safeguard or a person refuses it, or there is no drift any more
    "claim",  # a retrainer took the flag file
    "requeue",  # the retrainer died, and the flag file is there again
    "finish",  # a new version became active
    "fail",  # the run ended without one and is not tried again
]

REQUEST_LIFECYCLE: TransitionTable[State, Event] = TransitionTable(
    "retraining request",
    get_args(State),
    get_args(Event),
    {
        ("wanted", "ask"): "waiting_approval",
        ("wanted", "postpone"): "postponed",
        ("wanted", "flag"): "flagged",
        ("wanted", "refuse"): "refused",
        ("postponed", "resume"): "wanted",
        ("postponed", "refuse"): "refused",
        ("waiting_approval", "postpone"): "postponed",
        ("waiting_approval", "flag"): "flagged",
        ("waiting_approval", "refuse"): "refused",
        ("flagged", "claim"): "claimed",
        ("claimed", "requeue"): "flagged",
        ("claimed", "postpone"): "postponed",
        ("claimed", "finish"): "done",
        ("claimed", "fail"): "failed",
    },
    initial="wanted",
)
OPEN: tuple[State, ...] = tuple(s for s in REQUEST_LIFECYCLE.states if s not in REQUEST_LIFECYCLE.final_states)
"""States of a request that is not finished."""

MOST_ATTEMPTS = 3
"""Runs that one wish, or one flag, may kill or make fail before it is given up."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended.

    Attributes
    ----------
    exit_code : int or None
        The retrainer's word, see docs/retraining.md; None if it said none.
    promoted : bool
        A new version is in force.
    reason : str
        One sentence.
    version : str
        The one it made; "" for none.
    """

    exit_code: int | None
    promoted: bool = False
    reason: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What can be seen of a wish that was flagged.

    Attributes
    ----------
    flag_waits, flag_is_ours : bool
        A flag of the model lies there; it names this wish.
    claimed, claim_is_ours : bool
        Somebody alive works on a flag of the model; it names this wish.
    run_goes_on : bool
        A retrainer of the model is at work, with a claim or not yet.
    ended : Ended or None
        What the last run that named this wish came to, since it was flagged.
    attempts : int
        Runs before that one which died or failed.
    """

    flag_waits: bool = False
    flag_is_ours: bool = False
    claimed: bool = False
    claim_is_ours: bool = False
    run_goes_on: bool = False
    ended: Ended | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """What follows from the evidence.

    Attributes
    ----------
    events : tuple of str
        That the wish takes, in order; empty if nothing changed.
    drop : bool
        The flag must be dropped (again): it never came there, or the run failed and is tried again.
    counts : bool
        The run counts as an attempt that failed.
    """

    events: tuple[Event, ...] = ()
    drop: bool = False
    counts: bool = False


def progress(state: State, seen: Evidence) -> Progress:
    """Say what became of a wish that is ``flagged`` or ``claimed``.

    The flag is looked at before the claim and the claim before the event: a request moves in that order, so that whoever
    looks in the same order never overlooks it.

    Examples
    --------
    >>> progress("flagged", Evidence(claimed=True, claim_is_ours=True)).events
    ('claim',)
    >>> progress("flagged", Evidence()).drop
    True
    >>> progress("claimed", Evidence(ended=Ended(0, True))).events
    ('finish',)
    """
    claim: tuple[Event, ...] = ("claim",) if state == "flagged" else ()
    if seen.flag_is_ours:
        return Progress(("requeue",) if state == "claimed" else ())
    if seen.claim_is_ours:
        return Progress(claim)
    if seen.ended is not None:
        return _ended(claim, seen.ended, seen.attempts)
    if seen.flag_waits or seen.claimed or seen.run_goes_on:
        return Progress()  # somebody wrote over ours, or it has only just begun: what that run does is done for us too
    if state == "flagged":
        return Progress(drop=True)
    return _ended((), Ended(None, reason="ended without a word"), seen.attempts)


def _ended(claim: tuple[Event, ...], run: Ended, attempts: int) -> Progress:
    match run.exit_code:
        case _ if run.promoted:
            return Progress((*claim, "finish"))
        case 4:
            return Progress((*claim, "postpone"))
        case 2 | 3 | 6:
            return Progress((*claim, "fail"))
        case _ if attempts + 1 < MOST_ATTEMPTS:
            return Progress((*claim, "requeue"), drop=True, counts=True)
    return Progress((*claim, "fail"), counts=True)
