"""What a window's evidence says about the rules that fired: which networks, prefixes and peers an anomaly concerns.

Only what belongs to a fired rule counts: linking by the busiest origin of any minute would tie everything to everything.
"""

from collections.abc import Iterable, Mapping
from typing import Any

MOST_NAMES = 50
_SOURCES: Mapping[str, tuple[str, int, int]] = {
    "moas_new": ("moas", 0, 2),
    "subprefix_new": ("subprefix", 0, 1),
    "origin_change": ("origin_change", 0, 2),
    "visibility_loss": ("visibility", 0, 1),
}
"""Rule → list in the window's evidence, place of the prefix and of the AS to blame in its entries."""


def concerned(evidence: Mapping[str, Any], rules: Iterable[str]) -> dict[str, list[Any]]:
    """Name origins (culprits), prefixes and peers.

    Examples
    --------
    >>> window = {"moas": [["192.0.2.0/24", 64500, 64666]], "peers": [["10.0.0.1", 64501, 7]]}
    >>> concerned(window, ["moas_new"])
    {'origins': [64666], 'prefixes': ['192.0.2.0/24'], 'peers': ['10.0.0.1']}
    >>> concerned(window, ["update_storm"])["origins"]
    []
    """
    origins: dict[int, None] = {}
    prefixes: dict[str, None] = {}
    fired = list(rules)
    for rule in fired:
        name, prefix, origin = _SOURCES.get(rule, ("", 0, 0))
        for entry in evidence.get(name, ()):
            prefixes[str(entry[prefix])] = None
            if entry[origin]:
                origins[int(entry[origin])] = None
    kind = "sessions" if "session_storm" in fired else "peers"
    peers = dict.fromkeys(str(entry[0]) for entry in evidence.get(kind, ())) if fired else {}
    return {
        "origins": list(origins)[:MOST_NAMES],
        "prefixes": list(prefixes)[:MOST_NAMES],
        "peers": list(peers)[:MOST_NAMES],
    }
