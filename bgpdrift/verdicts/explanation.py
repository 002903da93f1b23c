"""Describes an incident: its probable kind by the rules that fired, its severity, and a summary of one sentence."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

SEVERITIES = ("low", "medium", "high", "critical")
_BREADTH_STEPS = (30, 1_000)  # peers × collectors × prefixes
_PEAK_STEPS = (5.0, 8.0)  # combined −log10 p

SIGNATURES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("sub-prefix hijack", ("subprefix_new",), "someone announces parts of another network's address space"),
    ("origin hijack", ("moas_new",), "prefixes are announced by a network that is not their owner"),
    ("silence", ("silence", "peers_silent"), "far fewer messages arrive than usual although the feed is up"),
    ("session storm", ("session_storm",), "peers lost their sessions with the collector"),
    ("outage", ("visibility_loss", "withdrawal_storm", "withdrawal_ratio"), "networks disappear from the Internet"),
    ("update storm", ("update_storm", "path_churn", "path_exploration"), "far more route changes than usual"),
    ("detour", ("new_edges",), "routes use AS links never seen before, as around an outage or through a leak"),
    ("flapping", ("prefix_instability", "prefix_flapping"), "prefixes are withdrawn and announced again repeatedly"),
    ("leak", ("path_length", "path_change"), "AS paths become longer: a route leak, or a main link is down"),
    ("bogons", ("bogon", "too_specific"), "routes that should never leave a network are announced"),
)
"""Kind, the rules that indicate it (their strengths are added), its meaning; the earlier line wins a tie."""
_RULE_WEIGHTS = {"subprefix_new": 4.0, "moas_new": 4.0}
"""A rule that identifies its cause outweighs the route changes that accompany any incident; other rules count 1."""


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
    for kind, names, _ in SIGNATURES:
        strength = sum(_RULE_WEIGHTS.get(name, 1.0) * rules.get(name, 0.0) for name in names)
        if strength > most + 1e-9:
            best, most = kind, strength
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
    meaning = next((text for name, _, text in SIGNATURES if name == kind), "routing differs from the baseline")
    where = _few(incident["collectors"], "collector")
    since = datetime.fromtimestamp(incident["started_at"], UTC).strftime("%Y-%m-%d %H:%M UTC")
    figures = "; ".join(
        f"{rule['value']:g} {rule['unit']}, usually {rule['usual']:g}" for rule in list(rules)[:2] if "unit" in rule
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
