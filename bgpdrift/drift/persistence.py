"""Whether a drift has lasted: counts checks running that said drift, and says when a model should be retrained for it.

Pure. Decides when to wish for a retraining: once a drift, after so many checks running, and again only when it was clear in
between, when another version is in force, when it has become worse, or when a cooldown has passed and it is still there.
What a check says, others decide, and so do the safeguards whether a wish is granted.
"""

from dataclasses import dataclass, replace

from bgpdrift.drift.report import SEVERITIES, Severity, Verdict

HOUR_S = 3600
GAP_S = 24 * HOUR_S
"""Checks further apart than this are not running: after an outage a drift is counted anew."""
CLEAR: frozenset[Verdict] = frozenset({"none", "immaterial"})
UNKNOWN: frozenset[Verdict] = frozenset({"not_enough_data"})
"""Says nothing: neither goes on counting nor begins anew."""


@dataclass(frozen=True, slots=True)
class Lasting:
    """How long a drift of one version has been said.

    Attributes
    ----------
    version : str
        The version the count is of.
    checks : int
        Checks running that said drift, also while an incident held it.
    last_at : int
        Event time of the last of them; 0 for none.
    armed : bool
        Whether a wish may follow.
    wished_at : int
        Event time of the last wish; 0 for none.
    wished_severity : str
        Its severity.
    """

    version: str = ""
    checks: int = 0
    last_at: int = 0
    armed: bool = True
    wished_at: int = 0
    wished_severity: Severity = "none"


def counted(
    before: Lasting, underlying: Verdict, severity: Severity, version: str, at: int, rearm_after_s: float
) -> Lasting:
    """Count a check.

    Parameters
    ----------
    underlying : str
        What the check said before an incident held it.
    severity : str
        Of the check.
    version : str
        In force at the check.
    at : int
        Event time.
    rearm_after_s : float
        Event time after a wish from which the same drift may be wished for again.

    Examples
    --------
    >>> state = Lasting("7")
    >>> for hour in range(3):
    ...     state = counted(state, "drift", "high", "7", 3600 * hour, 86_400)
    >>> state.checks, due(state, "drift", 3), due(state, "held", 3), counted(state, "none", "none", "7", 9, 1).checks
    (3, True, False, 0)
    """
    state = before if before.version == version else Lasting(version)
    if underlying in UNKNOWN:
        return state
    if underlying != "drift":
        return replace(state, checks=0, last_at=0, armed=state.armed or underlying in CLEAR)
    running = bool(state.checks) and abs(at - state.last_at) <= GAP_S
    worse = SEVERITIES.index(severity) > SEVERITIES.index(state.wished_severity)
    rested = bool(state.wished_at) and at - state.wished_at >= max(rearm_after_s, HOUR_S)
    return replace(state, checks=state.checks + 1 if running else 1, last_at=at, armed=state.armed or worse or rested)


def due(state: Lasting, verdict: Verdict, needed: int, consented: bool = False) -> bool:
    """Whether a wish follows: the drift lasted and nothing holds it; a person's consent stands for its lasting."""
    return verdict == "drift" and state.armed and state.checks >= (1 if consented else needed)


def wished(state: Lasting, at: int, severity: Severity) -> Lasting:
    """Give the state after a wish.

    Examples
    --------
    >>> after = wished(Lasting("7", 6, 3600), 3600, "high")
    >>> due(after, "drift", 6), due(counted(after, "drift", "critical", "7", 7200, 86_400), "drift", 6)
    (False, True)
    """
    return replace(state, armed=False, wished_at=at, wished_severity=severity)
