"""A direct implementation of features.md with dicts, one message at a time, with which the array code must agree."""

import math
from collections import Counter, defaultdict
from typing import Any

from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.prefixes import canonical_prefix


def hops(path: tuple[Any, ...]) -> tuple[int, int]:
    unique = sum(1 for at, hop in enumerate(path) if at == 0 or hop != path[at - 1])
    return len(path), unique


def levenshtein(old: tuple[Any, ...], new: tuple[Any, ...]) -> int:
    row = list(range(len(new) + 1))
    for i, a in enumerate(old, 1):
        above, row[0] = row[0], i
        for j, b in enumerate(new, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]


def entropy(counts: Counter[Any]) -> float:
    total = sum(counts.values())
    return -sum(n / total * math.log2(n / total) for n in counts.values()) if total else 0.0


def origin(path: tuple[Any, ...]) -> int:
    if not path:
        return 0
    return min(path[-1]) if isinstance(path[-1], tuple) else path[-1]


def windows(messages: list[Message]) -> dict[int, dict[str, float]]:
    """Columns that need no memory beyond the last word on each route, by window start."""
    last: dict[tuple[str, str], tuple[str, tuple[Any, ...] | None]] = {}
    sums: dict[int, Counter[str]] = defaultdict(Counter)
    sets: dict[tuple[int, str], Counter[Any]] = defaultdict(Counter)
    for message in messages:
        start = int(message.timestamp // 60) * 60
        w = sums[start]
        if message.type == "STATE":
            if message.state == "down":
                for route in [route for route in last if route[0] == message.peer]:
                    del last[route]
            continue
        w["messages"] += 1
        sets[start, "peers"][message.peer] += 1
        announced = dict.fromkeys(canonical_prefix(text) for group in message.announcements for text in group.prefixes)
        withdrawn = [canonical_prefix(text) for text in message.withdrawals]
        elements = [("W", text) for text in withdrawn if text not in announced]  # RFC 4271, section 4.3
        elements += [("A", text) for text in announced]
        for kind, prefix in elements:
            assert prefix is not None
            route = (message.peer, prefix)
            was, old = last.get(route, ("", None))
            w["ipv6"] += ":" in prefix
            sets[start, "seconds"][int(message.timestamp)] += 1
            sets[start, "by_peer"][message.peer] += 1
            if kind == "W":
                w["withdrawn"] += 1
                sets[start, "withdrawn_prefixes"][prefix] += 1
                w["duplicate_withdrawal"] += was == "W"
                w["unknown_withdrawal"] += was == ""
                last[route] = ("W", old)
                continue
            path = message.path
            length, unique = hops(path)
            w["announced"] += 1
            sets[start, "announced_prefixes"][prefix] += 1
            if origin(path):
                sets[start, "origins"][origin(path)] += 1
            w["path_length_sum"] += length
            w["unique_path_length_sum"] += unique
            w["path_length_max"] = max(w["path_length_max"], length)
            w["as_set"] += any(isinstance(hop, tuple) for hop in path)
            w["prepended"] += length > unique
            w[f"origin_{message.origin.lower()}"] += 1
            if was == "":
                w["new"] += 1
            elif was == "W":
                w["readvertised_same" if old == path else "readvertised_different"] += 1
            elif old == path:
                w["duplicate"] += 1
            else:
                assert old is not None
                w["implicit_withdrawal"] += 1
                w["origin_change"] += origin(old) != origin(path)
                w["longer"] += length > len(old)
                w["shorter"] += length < len(old)
                distance = levenshtein(old, path)
                w["edit_distance_sum"] += distance
                w["edit_distance_max"] = max(w["edit_distance_max"], distance)
            last[route] = ("A", path)
    rows: dict[int, dict[str, float]] = {}
    for start, w in sums.items():
        row: dict[str, float] = dict(w)
        for name in ("announced_prefixes", "withdrawn_prefixes", "origins", "peers"):
            row[name] = len(sets[start, name])
        row["max_per_second"] = max(sets[start, "seconds"].values(), default=0)
        row["origin_entropy"] = entropy(sets[start, "origins"])
        row["peer_entropy"] = entropy(sets[start, "by_peer"])
        rows[start] = row
    return rows
