"""What an incident says of itself: its kind as a guess from the rules fired, its severity, one sentence for 3 a.m."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

SEVERITIES = ("low", "medium", "high", "critical")
_BREADTH_STEPS = (30, 1_000)
_PEAK_STEPS = (5.0, 8.0)

SIGNATURES: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("sub-prefix hijack", ("subprefix_new",), "someone announces parts of another network's address space"),
    ("origin hijack", ("moas_new",), "prefixes are announced by a network that is not their owner"),
    ("silence", ("silence", "peers_silent"), "far less is heard than usual though the feed is up"),
    ("session storm", ("session_storm",), "peers lost their sessions with the collector"),
    ("outage", ("visibility_loss", "withdrawal_storm", "withdrawal_ratio"), "networks vanish from the Internet"),
    ("update storm", ("update_storm", "path_churn", "path_exploration"), "far more route changes than usual"),
    ("detour", ("new_edges",), "routes take ways never seen before, as around an outage or through a leak"),
    ("flapping", ("prefix_instability", "prefix_flapping"), "prefixes go and come back again and again"),
    ("leak", ("path_length", "path_change"), "routes take longer ways: someone leaks them, or a main way is cut"),
    ("bogons", ("bogon", "too_specific"), "routes that should never leave a network are announced"),
)
"""Kind, the rules that speak for it (each adds its strength), what it means; ties go to the earlier line."""
_NAMES_CAUSE = {"subprefix_new": 4.0, "moas_new": 4.0}
"""A rule that names its cause outright outweighs the churn that any incident brings along."""


def guess_kind(rules: Mapping[str, float]) -> str:
    """Guess what it is.

    Parameters
    ----------
    rules : mapping of rule name to strength
        In how many minutes each fired.

    Examples
    --------
    >>> guess_kind({"update_storm": 12, "withdrawal_storm": 3})
    'update storm'
    >>> guess_kind({})
    'unusual'
    """
    best, most = "unusual", 0.0
    for kind, names, _ in SIGNATURES:
        strength = sum(_NAMES_CAUSE.get(name, 1.0) * rules.get(name, 0.0) for name in names)
        if strength > most + 1e-9:
            best, most = kind, strength
    return best


def severity(peers: int, collectors: int, prefixes: int, peak: float) -> str:
    """Breadth (peers × collectors × prefixes) and strength (combined −log10 p), a step each.

    Examples
    --------
    >>> severity(peers=2, collectors=1, prefixes=3, peak=3.5)
    'low'
    >>> severity(peers=20, collectors=3, prefixes=400, peak=11.0)
    'critical'
    """
    breadth = max(peers, 1) * max(collectors, 1) * max(prefixes, 1)
    steps = sum(breadth >= step for step in _BREADTH_STEPS) + sum(peak >= step for step in _PEAK_STEPS)
    return SEVERITIES[min(steps, len(SEVERITIES) - 1)]


def summary(kind: str, incident: Mapping[str, Any], rules: Iterable[Mapping[str, Any]]) -> str:
    """One sentence: what, where, since when, how far from usual, about what."""
    meaning = next((text for name, _, text in SIGNATURES if name == kind), "routing differs from the usual")
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
