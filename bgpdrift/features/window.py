"""The sums of one minute of one collector (or one of its peers), and the row they become.

Everything is a sum, a maximum or a distinct count, so that a window does not depend on how its messages were cut into
batches. Decides how the columns of features.md follow from classified elements; who classifies them is `collector`.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bgpdrift.bgp.prefixes import prefix_text
from bgpdrift.features import batch as attributes
from bgpdrift.features import transitions
from bgpdrift.features.hashing import U64, BoolArray
from bgpdrift.features.paths import AS_SET, BOGON_ASN, LOOP, PREPENDED

LENGTH_S = 60
EVIDENCE_LIMIT = 10  # examples of each kind kept with a window
_MERGE_AT = 32  # distinct-count parts merged at this number: memory follows the distinct values, not the batches


class Facts(NamedTuple):
    """Everything known of the elements of a batch, aligned, shape (n,); path columns are 0 for withdrawals."""

    category: NDArray[np.uint8]
    announced: BoolArray
    key: U64
    peer: NDArray[np.int64]
    second: NDArray[np.int64]  # of the minute
    origin: NDArray[np.uint32]
    length: NDArray[np.int64]
    unique: NDArray[np.int64]
    flags: NDArray[np.uint8]
    attribute: NDArray[np.int8]
    ipv6: BoolArray
    bogon: BoolArray
    too_specific: BoolArray
    origin_change: BoolArray
    longer: BoolArray
    shorter: BoolArray
    edit_distance: NDArray[np.int64]
    moas_new: BoolArray
    subprefix_new: BoolArray
    edges_new: NDArray[np.int64]
    visibility_loss: BoolArray


_CATEGORIES = {
    "new": transitions.NEW,
    "duplicate": transitions.DUPLICATE,
    "implicit_withdrawal": transitions.IMPLICIT_WITHDRAWAL,
    "readvertised_same": transitions.READVERTISED_SAME,
    "readvertised_different": transitions.READVERTISED_DIFFERENT,
    "duplicate_withdrawal": transitions.DUPLICATE_WITHDRAWAL,
    "unknown_withdrawal": transitions.UNKNOWN_WITHDRAWAL,
}


class Tally:
    """How often each number occurred, in arrays.

    Examples
    --------
    >>> tally = Tally()
    >>> tally.add(np.array([7, 9, 7], dtype=np.uint64))
    >>> [part.tolist() for part in tally.merged()]
    [[7, 9], [2, 1]]
    """

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[Any], NDArray[np.int64]]] = []

    def add(self, values: NDArray[Any]) -> None:
        """Count some values."""
        if values.size:
            found, counts = np.unique(values, return_counts=True)
            self._parts.append((found.astype(np.uint64), counts))
            if len(self._parts) >= _MERGE_AT:
                self.merged()

    def merged(self) -> tuple[U64, NDArray[np.int64]]:
        """Give distinct values in order and their counts."""
        if not self._parts:
            return np.zeros(0, dtype=np.uint64), np.zeros(0, dtype=np.int64)
        if len(self._parts) > 1:
            values = np.concatenate([values for values, _ in self._parts])
            counts = np.concatenate([counts for _, counts in self._parts])
            found, at = np.unique(values, return_inverse=True)
            self._parts = [(found, np.bincount(at, weights=counts).astype(np.int64))]
        return self._parts[0]

    def top(self, number: int) -> list[tuple[int, int]]:
        """Give the most frequent values with their counts; of equals the smaller value first."""
        values, counts = self.merged()
        order = np.lexsort((values, -counts))[:number]
        return [(int(values[at]), int(counts[at])) for at in order]

    @property
    def distinct(self) -> int:
        """Number of distinct values."""
        return int(self.merged()[0].size)

    def save(self) -> dict[str, list[int]]:
        """Give plain values for a checkpoint."""
        values, counts = self.merged()
        return {"values": values.tolist(), "counts": counts.tolist()}

    @classmethod
    def restore(cls, saved: dict[str, list[int]]) -> "Tally":
        """Rebuild from `save`."""
        tally = cls()
        if saved["values"]:
            tally._parts = [(np.array(saved["values"], dtype=np.uint64), np.array(saved["counts"], dtype=np.int64))]
        return tally


def entropy_bits(counts: NDArray[np.int64]) -> float:
    """Shannon entropy of a histogram, in bits; 0 for an empty one.

    Examples
    --------
    >>> entropy_bits(np.array([2, 1, 1]))
    1.5
    """
    total = counts.sum()
    if total == 0:
        return 0.0
    share = counts[counts > 0] / total
    return float(abs(-(share * np.log2(share)).sum()))


_TALLIES = (
    "announced_prefixes",
    "withdrawn_prefixes",
    "origins",
    "peers",
    "elements_by_peer",
    "visibility",
    "withdrawn_origins",
)


class Window:
    """Sums of one minute.

    Parameters
    ----------
    start : int
        Epoch seconds, UTC; a multiple of 60.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.sums: Counter[str] = Counter()
        self.maxima: Counter[str] = Counter()
        self.per_second: NDArray[np.int64] = np.zeros(LENGTH_S, dtype=np.int64)
        self.tallies = {name: Tally() for name in _TALLIES}
        self.quality: Counter[str] = Counter()
        self.lags: list[float] = []
        self.evidence: dict[str, list[list[Any]]] = {}
        self.sessions: dict[str, set[int]] = {"session_down": set(), "session_up": set()}
        self.recovering: dict[int, list[int]] = {}  # peer -> [A, new] while its table transfer may be under way

    def add_messages(self, peers: NDArray[np.int64]) -> None:
        """Count UPDATE messages by the peers that sent them."""
        self.sums["messages"] += int(peers.size)
        self.tallies["peers"].add(peers)

    def add(self, facts: Facts) -> None:
        """Count classified elements."""
        announced = facts.announced
        sums = self.sums
        n_announced = int(np.count_nonzero(announced))
        sums["announced"] += n_announced
        sums["withdrawn"] += facts.announced.size - n_announced
        counts = np.bincount(facts.category, minlength=8)
        for name, code in _CATEGORIES.items():
            sums[name] += int(counts[code])
        for name in (
            "origin_change",
            "longer",
            "shorter",
            "bogon",
            "too_specific",
            "ipv6",
            "moas_new",
            "subprefix_new",
        ):
            sums[name] += int(np.count_nonzero(getattr(facts, name)))
        sums["edge_new"] += int(facts.edges_new.sum())
        sums["edit_distance_sum"] += int(facts.edit_distance.sum())
        sums["path_length_sum"] += int(facts.length.sum())
        sums["unique_path_length_sum"] += int(facts.unique.sum())
        sums["as_set"] += int(np.count_nonzero(facts.flags & AS_SET))
        sums["prepended"] += int(np.count_nonzero(facts.flags & PREPENDED))
        sums["path_loop"] += int(np.count_nonzero(facts.flags & LOOP))
        by_attribute = np.bincount(facts.attribute[announced], minlength=4)
        sums["origin_igp"] += int(by_attribute[attributes.IGP])
        sums["origin_egp"] += int(by_attribute[attributes.EGP])
        sums["origin_incomplete"] += int(by_attribute[attributes.INCOMPLETE])
        if facts.length.size:
            self._maximum("path_length_max", int(facts.length.max()))
            self._maximum("edit_distance_max", int(facts.edit_distance.max()))
        self.per_second += np.bincount(facts.second, minlength=LENGTH_S)
        self.tallies["announced_prefixes"].add(facts.key[announced])
        self.tallies["withdrawn_prefixes"].add(facts.key[~announced])
        self.tallies["origins"].add(facts.origin[announced & (facts.origin > 0)])
        gone = facts.category == transitions.WITHDRAWAL
        self.tallies["withdrawn_origins"].add(facts.origin[gone & (facts.origin > 0)])
        self.tallies["elements_by_peer"].add(facts.peer)
        self.tallies["visibility"].add(facts.key[facts.visibility_loss])

    def _maximum(self, name: str, value: int) -> None:
        self.maxima[name] = max(self.maxima[name], value)

    def note(self, kind: str, example: Iterable[Any]) -> None:
        """Keep an example of something unusual, up to a limit."""
        examples = self.evidence.setdefault(kind, [])
        if len(examples) < EVIDENCE_LIMIT:
            examples.append(list(example))

    def row(self, collector: str, peer: str, addresses: list[str], asns: list[str]) -> dict[str, Any]:
        """Give the window as a row of ``feature_windows``.

        Parameters
        ----------
        collector, peer : str
            Whose window it is; an empty peer means the whole collector.
        addresses, asns : list of str
            Of all peers, by number.
        """
        origin_counts = self.tallies["origins"].merged()[1]
        announced = self.sums["announced"]
        row: dict[str, Any] = {
            "window_start": self.start,
            "collector": collector,
            "peer": peer,
            **{name: self.sums[name] for name in _SUMS},
            **{name: self.maxima[name] for name in ("edit_distance_max", "path_length_max")},
            "announced_prefixes": self.tallies["announced_prefixes"].distinct,
            "withdrawn_prefixes": self.tallies["withdrawn_prefixes"].distinct,
            "origins": self.tallies["origins"].distinct,
            "peers": self.tallies["peers"].distinct,
            "max_per_second": int(self.per_second.max()),
            "origin_entropy": entropy_bits(origin_counts),
            "peer_entropy": entropy_bits(self.tallies["elements_by_peer"].merged()[1]),
            "top_origin_share": float(origin_counts.max() / announced) if origin_counts.size and announced else 0.0,
            "visibility_loss": self.tallies["visibility"].distinct,
            **{name: len(peers) for name, peers in self.sessions.items()},
            **{name: self.quality[name] for name in _COUNTED_QUALITY},
            **{name: int(self.quality[name] > 0) for name in ("incomplete", "feed_gap", "warming")},
            "lag_p50": _percentile(self.lags, 0.5),
            "lag_p95": _percentile(self.lags, 0.95),
        }
        row["evidence"] = {
            "origins": [list(pair) for pair in self.tallies["origins"].top(5)],
            "withdrawn_origins": [list(pair) for pair in self.tallies["withdrawn_origins"].top(5)],
            "peers": [[addresses[at], asns[at], n] for at, n in self.tallies["elements_by_peer"].top(5)],
            "announced": [[_text(key), n] for key, n in self.tallies["announced_prefixes"].top(3)],
            "withdrawn": [[_text(key), n] for key, n in self.tallies["withdrawn_prefixes"].top(3)],
            **self.evidence,
        }
        return row

    def save(self) -> dict[str, Any]:
        """Give plain values for a checkpoint."""
        return {
            "start": self.start,
            "sums": dict(self.sums),
            "maxima": dict(self.maxima),
            "per_second": self.per_second.tolist(),
            "tallies": {name: tally.save() for name, tally in self.tallies.items()},
            "quality": dict(self.quality),
            "lags": self.lags,
            "evidence": self.evidence,
            "sessions": {name: sorted(peers) for name, peers in self.sessions.items()},
            "recovering": [[peer, *counts] for peer, counts in self.recovering.items()],
        }

    @classmethod
    def restore(cls, saved: dict[str, Any]) -> "Window":
        """Rebuild from `save`."""
        window = cls(int(saved["start"]))
        window.sums.update(saved["sums"])
        window.maxima.update(saved["maxima"])
        window.per_second = np.array(saved["per_second"], dtype=np.int64)
        window.tallies = {name: Tally.restore(tally) for name, tally in saved["tallies"].items()}
        window.quality.update(saved["quality"])
        window.lags = list(saved["lags"])
        window.evidence = saved["evidence"]
        window.sessions = {name: set(peers) for name, peers in saved["sessions"].items()}
        window.recovering = {peer: [announced, new] for peer, announced, new in saved["recovering"]}
        return window


_SUMS = (
    *("messages", "announced", "withdrawn", *_CATEGORIES, "origin_change", "longer", "shorter", "edit_distance_sum"),
    *(
        "path_length_sum",
        "unique_path_length_sum",
        "as_set",
        "prepended",
        "origin_igp",
        "origin_egp",
        "origin_incomplete",
    ),
    *("ipv6", "moas_new", "subprefix_new", "edge_new", "bogon", "path_loop", "too_specific"),
)
_COUNTED_QUALITY = ("late", "parse_errors", "dropped", "evicted", "peer_reset")


def bogon_flags(prefix_bogon: BoolArray, path_flags: NDArray[np.uint8]) -> BoolArray:
    """Combine what makes an announcement a bogon: its prefix, or an AS number on its path."""
    flagged: BoolArray = (path_flags & BOGON_ASN) != 0
    return prefix_bogon | flagged


def _percentile(values: list[float], share: float) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))], 3)


def _text(key: int) -> str:
    return prefix_text(key) or "an IPv6 prefix longer than /56"
