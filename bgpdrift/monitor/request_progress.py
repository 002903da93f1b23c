"""Progress of a flagged retraining request: decides from the flag, the claim and the run's record which events it takes. Pure.

`bgpdrift.monitor.flagged_requests` reads the evidence and applies the events.
"""

from dataclasses import dataclass

from bgpdrift.monitor.request_states import Event, State

MAX_ATTEMPTS = 3
"""Runs that may die or fail for one request, or for one flag file, before it is given up."""
ENDED_WITHOUT_RESULT = "the run ended without a result"


@dataclass(frozen=True, slots=True)
class RunEnd:
    """End of a run.

    Attributes
    ----------
    exit_code : int or None
        Exit code of the retrainer, see docs/retraining.md; None if it recorded none.
    promoted : bool
        Whether the run made a new version active.
    reason : str
        One sentence.
    version : str
        Version of the candidate; "" for none.
    """

    exit_code: int | None
    promoted: bool = False
    reason: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What exists of a flagged request.

    Attributes
    ----------
    flag_exists, flag_is_ours : bool
        A flag file of the model exists; it names this request.
    claim_exists, claim_is_ours : bool
        A claim file of the model exists; its owner is alive and it names this request.
    run_is_active : bool
        A retrainer of the model runs, with a claim or before it.
    run_end : RunEnd or None
        End of the last run that names this request and started after the flag was dropped.
    attempts : int
        Earlier runs of this request that died or failed.
    """

    flag_exists: bool = False
    flag_is_ours: bool = False
    claim_exists: bool = False
    claim_is_ours: bool = False
    run_is_active: bool = False
    run_end: RunEnd | None = None
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Progress:
    """What follows from the evidence.

    Attributes
    ----------
    events : tuple of str
        Events of the request, in order; empty if nothing changed.
    drops_flag : bool
        The flag file must be dropped: it was never written, or the run failed and is repeated.
    counts_attempt : bool
        The run counts as a failed attempt.
    """

    events: tuple[Event, ...] = ()
    drops_flag: bool = False
    counts_attempt: bool = False


def assess_progress(state: State, evidence: Evidence) -> Progress:
    """Return the progress of a request that is ``flagged`` or ``claimed``.

    A request moves from flag to claim to record. The evidence must be read in the same order, otherwise a request
    that moves in between is missed.

    Examples
    --------
    >>> assess_progress("flagged", Evidence(claim_exists=True, claim_is_ours=True)).events
    ('claim',)
    >>> assess_progress("flagged", Evidence()).drops_flag
    True
    >>> assess_progress("claimed", Evidence(run_end=RunEnd(0, promoted=True))).events
    ('finish',)
    """
    claim: tuple[Event, ...] = ("claim",) if state == "flagged" else ()
    if evidence.flag_is_ours:
        return Progress(("requeue",) if state == "claimed" else ())
    if evidence.claim_is_ours:
        return Progress(claim)
    if evidence.run_end is not None:
        return _assess_end(claim, evidence.run_end, evidence.attempts)
    if evidence.flag_exists or evidence.claim_exists or evidence.run_is_active:
        return Progress()  # another flag replaced the one of this request, or the run has just started
    if state == "flagged":
        return Progress(drops_flag=True)
    return _assess_end((), RunEnd(None, reason=ENDED_WITHOUT_RESULT), evidence.attempts)


def _assess_end(claim: tuple[Event, ...], run_end: RunEnd, attempts: int) -> Progress:
    match run_end.exit_code:
        case _ if run_end.promoted:
            return Progress((*claim, "finish"))
        case 4:
            return Progress((*claim, "postpone"))
        case 2 | 3 | 6:
            return Progress((*claim, "fail"))
        case _ if attempts + 1 < MAX_ATTEMPTS:
            return Progress((*claim, "requeue"), drops_flag=True, counts_attempt=True)
    return Progress((*claim, "fail"), counts_attempt=True)
