"""Counts how long a drift has persisted, and decides when a retraining is requested.

A drift leads to one retraining request after enough consecutive checks. Another request follows only if the drift was
clear in between, another version is active, the drift became worse, or the cooldown has passed and the drift is still
there. The verdict of a check comes from `bgpdrift.drift.rule`; the monitor's safeguards decide whether a request is
granted.
"""

from dataclasses import dataclass, replace

from bgpdrift.drift.constants import MAX_CHECK_GAP_S, MIN_REARM_S
from bgpdrift.drift.report import SEVERITIES, Severity, Verdict

CLEAR_VERDICTS: frozenset[Verdict] = frozenset({"none", "immaterial"})
"""Verdicts after which the same drift may be requested again."""
UNKNOWN_VERDICTS: frozenset[Verdict] = frozenset({"not_enough_data"})
"""Verdicts that leave the count unchanged."""


@dataclass(frozen=True, slots=True)
class Persistence:
    """How long the drift of one version has persisted.

    Attributes
    ----------
    version : str
        Model version that the count belongs to.
    checks : int
        Consecutive checks with the verdict drift, including those that an incident held.
    last_at : int
        Event time of the last of them; 0 for none.
    armed : bool
        Whether a retraining request may follow.
    requested_at : int
        Event time of the last retraining request; 0 for none.
    requested_severity : str
        Severity of the drift at that request.
    """

    version: str = ""
    checks: int = 0
    last_at: int = 0
    armed: bool = True
    requested_at: int = 0
    requested_severity: Severity = "none"


def count_check(
    before: Persistence, underlying: Verdict, severity: Severity, version: str, at: int, rearm_after_s: float
) -> Persistence:
    """Count one check.

    Parameters
    ----------
    underlying : str
        Verdict of the check before an incident held it.
    severity : str
        Severity of the check.
    version : str
        Active version at the check.
    at : int
        Event time of the check, epoch seconds.
    rearm_after_s : float
        Event time after a request from which the same drift may be requested again, seconds.

    Examples
    --------
    >>> state = Persistence("7")
    >>> for hour in range(3):
    ...     state = count_check(state, "drift", "high", "7", 3600 * hour, 86_400)
    >>> state.checks, needs_request(state, "drift", 3), needs_request(state, "held", 3)
    (3, True, False)
    >>> count_check(state, "none", "none", "7", 9, 1).checks
    0
    """
    state = before if before.version == version else Persistence(version)
    if underlying in UNKNOWN_VERDICTS:
        return state
    if underlying != "drift":
        return replace(state, checks=0, last_at=0, armed=state.armed or underlying in CLEAR_VERDICTS)
    is_consecutive = bool(state.checks) and abs(at - state.last_at) <= MAX_CHECK_GAP_S
    is_worse = SEVERITIES.index(severity) > SEVERITIES.index(state.requested_severity)
    has_cooled_down = bool(state.requested_at) and at - state.requested_at >= max(rearm_after_s, MIN_REARM_S)
    return replace(
        state,
        checks=state.checks + 1 if is_consecutive else 1,
        last_at=at,
        armed=state.armed or is_worse or has_cooled_down,
    )


def needs_request(state: Persistence, verdict: Verdict, needed: int, is_approved: bool = False) -> bool:
    """Whether a retraining request follows: the drift persisted and no incident holds it.

    One check is enough if a person approved the level as the new normal (``is_approved``).
    """
    return verdict == "drift" and state.armed and state.checks >= (1 if is_approved else needed)


def mark_requested(state: Persistence, at: int, severity: Severity) -> Persistence:
    """Return the state after a retraining request.

    Examples
    --------
    >>> requested = mark_requested(Persistence("7", 6, 3600), 3600, "high")
    >>> needs_request(requested, "drift", 6)
    False
    >>> needs_request(count_check(requested, "drift", "critical", "7", 7200, 86_400), "drift", 6)
    True
    """
    return replace(state, armed=False, requested_at=at, requested_severity=severity)
