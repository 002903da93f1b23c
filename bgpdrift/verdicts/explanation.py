"""Describes an incident: its probable kind by the rules that fired, its severity, and a summary of one sentence."""

from collections.abc import Iterable, Mapping
from typing import Any

from bgpdrift.detectors.rules import INCIDENT_KINDS, RULES
from bgpdrift.formatting import format_time

SEVERITIES = ("low", "medium", "high", "critical")
_BREADTH_STEPS = (30, 1_000)  # peers × collectors × prefixes
_PEAK_STEPS = (5.0, 8.0)  # combined −log10 p


def guess_kind(rules: Mapping[str, float]) -> str:
    """Guess the kind of an incident.

    Parameters
    ----------
    rules : mapping of rule name to strength
        In how many minutes each rule fired.

    Examples
    --------
    >>> guess_kind({"update_storm": 12, "withdrawal_storm": 3})
    'update storm'
    >>> guess_kind({})
    'unusual'
    """
    best, most = "unusual", 0.0
    for kind in INCIDENT_KINDS:
        strength = sum(rule.kind_weight * rules.get(rule.name, 0.0) for rule in RULES if rule.kind == kind.name)
        if strength > most + 1e-9:
            best, most = kind.name, strength
    return best


def rate_severity(peers: int, collectors: int, prefixes: int, peak: float) -> str:
    """Rate the severity by breadth (peers × collectors × prefixes) and strength, one level for each step reached.

    Parameters
    ----------
    peers, collectors, prefixes : int
        Numbers concerned.
    peak : float
        Largest combined −log10 p.

    Examples
    --------
    >>> rate_severity(peers=2, collectors=1, prefixes=3, peak=3.5)
    'low'
    >>> rate_severity(peers=20, collectors=3, prefixes=400, peak=11.0)
    'critical'
    """
    breadth = max(peers, 1) * max(collectors, 1) * max(prefixes, 1)
    steps = sum(breadth >= step for step in _BREADTH_STEPS) + sum(peak >= step for step in _PEAK_STEPS)
    return SEVERITIES[min(steps, len(SEVERITIES) - 1)]


def summarize(kind: str, incident: Mapping[str, Any], rules: Iterable[Mapping[str, Any]]) -> str:
    """Summarize an incident in one sentence: kind, collectors, start, the two main rules' figures, origins, prefixes."""
    meaning = next(
        (known.meaning for known in INCIDENT_KINDS if known.name == kind), "routing differs from the baseline"
    )
    where = _few(incident["collectors"], "collector")
    since = f"{format_time(incident['started_at'])} UTC"
    figures = "; ".join(
        f"{rule['value']:g} {rule['unit']}, baseline {rule['baseline']:g}" for rule in list(rules)[:2] if "unit" in rule
    )
    prefixes = f"; prefixes {_few(incident['prefixes'], '')}" if incident["prefixes"] else ""
    origins = f"; from AS{_few(incident['origins'], '')}" if incident["origins"] else ""
    return (
        f"{kind.capitalize()} at {where} since {since}: {meaning} ({figures or 'no single rule'}){origins}{prefixes}."
    )


def _few(items: Iterable[Any], noun: str, most: int = 3) -> str:
    names = [str(item) for item in items]
    shown = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    return f"{noun} {shown}".strip()
