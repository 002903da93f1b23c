"""Accumulates one minute of one collector (or of one of its peers), and builds the row of ``feature_windows`` from it.

All accumulators are sums, maxima or distinct counts, so that a window does not depend on how its messages are divided into
batches. `bgpdrift.store.window_columns` declares which accumulator each column takes its value from.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from bgpdrift.bgp.prefixes import describe_prefix
from bgpdrift.features import batch as attributes
from bgpdrift.features import transitions
from bgpdrift.features.batch import Peers
from bgpdrift.features.causes import Causes, Through, find_causes
from bgpdrift.features.classification import ClassifiedElements
from bgpdrift.features.event_time import WINDOW_S
from bgpdrift.features.paths import AS_SET, LOOP, PREPENDED
from bgpdrift.features.route_changes import RouteChanges
from bgpdrift.features.tally import Tally, entropy_bits
from bgpdrift.store.codec import encode
from bgpdrift.store.evidence_records import WindowEvidence
from bgpdrift.store.window_columns import FEATURES, QUALITY, Column

MAX_EXAMPLES = 10
"""Examples of each kind kept as evidence of a window."""
_COLUMNS = (*FEATURES, *QUALITY)
_TALLIES = (
    *dict.fromkeys(c.accumulator for c in _COLUMNS if c.aggregate in ("distinct", "entropy", "top share")),
    "withdrawn_origins",  # for the evidence only
)
_CATEGORIES = {
    "new": transitions.NEW,
    "duplicate": transitions.DUPLICATE,
    "implicit_withdrawal": transitions.IMPLICIT_WITHDRAWAL,
    "readvertised_same": transitions.READVERTISED_SAME,
    "readvertised_different": transitions.READVERTISED_DIFFERENT,
    "duplicate_withdrawal": transitions.DUPLICATE_WITHDRAWAL,
    "unknown_withdrawal": transitions.UNKNOWN_WITHDRAWAL,
}
_MARKS = ("origin_change", "longer", "shorter", "bogon", "too_specific", "ipv6", "moas_new", "subprefix_new")
"""Columns that count a boolean field of `ClassifiedElements` of the same name."""


class Window:
    """Accumulators of one minute.

    Parameters
    ----------
    start : int
        Epoch seconds, UTC; a multiple of 60.

    Attributes
    ----------
    sums : Counter of str
        Values of the columns with the aggregate ``sum`` or ``flag``.
    maxima : Counter of str
        Values of the columns with the aggregate ``maximum``.
    tallies : dict of str to Tally
        Counts of prefixes, origins and peers.
    lags : list of float
        Arrival time minus message time of a sample of the messages, seconds.
    evidence : dict of str to list
        Examples by kind.
    changes : RouteChanges
        Routes that changed.
    transfers : dict of int to list
        Peer → [announced, new] while it may be in a table transfer.
    """

    def __init__(self, start: int) -> None:
        self.start = start
        self.sums: Counter[str] = Counter()
        self.maxima: Counter[str] = Counter()
        self.per_second: NDArray[np.int64] = np.zeros(WINDOW_S, dtype=np.int64)
        self.tallies = {name: Tally() for name in _TALLIES}
        self.lags: list[float] = []
        self.evidence: dict[str, list[list[Any]]] = {}
        self.changes = RouteChanges()
        self._causes: tuple[int, Causes] | None = None  # number of changes, what they have in common
        self.transfers: dict[int, list[int]] = {}

    def add_messages(self, peers: NDArray[np.int64]) -> None:
        """Count UPDATE messages by the numbers of the peers that sent them."""
        self.sums["messages"] += int(peers.size)
        self.tallies["peers"].add(peers)

    def add_elements(self, elements: ClassifiedElements) -> None:
        """Count announced and withdrawn prefixes."""
        announced = elements.announced
        sums = self.sums
        n_announced = int(np.count_nonzero(announced))
        sums["announced"] += n_announced
        sums["withdrawn"] += announced.size - n_announced
        counts = np.bincount(elements.category, minlength=8)
        for name, code in _CATEGORIES.items():
            sums[name] += int(counts[code])
        for name in _MARKS:
            sums[name] += int(np.count_nonzero(getattr(elements, name)))
        sums["edge_new"] += int(elements.edges_new.sum())
        sums["edit_distance_sum"] += int(elements.edit_distance.sum())
        sums["path_length_sum"] += int(elements.length.sum())
        sums["unique_path_length_sum"] += int(elements.unique.sum())
        sums["as_set"] += int(np.count_nonzero(elements.flags & AS_SET))
        sums["prepended"] += int(np.count_nonzero(elements.flags & PREPENDED))
        sums["path_loop"] += int(np.count_nonzero(elements.flags & LOOP))
        by_attribute = np.bincount(elements.attribute[announced], minlength=4)
        sums["origin_igp"] += int(by_attribute[attributes.IGP])
        sums["origin_egp"] += int(by_attribute[attributes.EGP])
        sums["origin_incomplete"] += int(by_attribute[attributes.INCOMPLETE])
        if announced.size:
            self._raise_maximum("path_length_max", int(elements.length.max()))
            self._raise_maximum("edit_distance_max", int(elements.edit_distance.max()))
        self.per_second += np.bincount(elements.second, minlength=WINDOW_S)
        tallies, origin, key = self.tallies, elements.origin, elements.key
        tallies["announced_prefixes"].add(key[announced])
        tallies["withdrawn_prefixes"].add(key[~announced])
        tallies["origins"].add(origin[announced & (origin > 0)])
        tallies["withdrawn_origins"].add(origin[(elements.category == transitions.WITHDRAWAL) & (origin > 0)])
        tallies["elements_by_peer"].add(elements.peer)
        tallies["visibility_loss"].add(key[elements.visibility_loss])

    def _raise_maximum(self, name: str, value: int) -> None:
        self.maxima[name] = max(self.maxima[name], value)

    def add_session_change(self, column: str, peer: int) -> None:
        """Count a peer whose session left or entered Established; ``column`` is session_down or session_up."""
        self.tallies[column].add(np.array([peer]))

    def add_example(self, kind: str, example: Iterable[Any]) -> None:
        """Keep an example as evidence, up to `MAX_EXAMPLES` of each kind."""
        examples = self.evidence.setdefault(kind, [])
        if len(examples) < MAX_EXAMPLES:
            examples.append(list(example))

    def find_causes(self, peers: Peers, through: Through, is_warming: bool) -> Causes:
        """Find what the routes that changed so far have in common; without later changes the same again."""
        if self._causes is None or self._causes[0] != len(self.changes):
            found = find_causes(self.changes, peers, through, start=self.start, is_warming=is_warming)
            self._causes = (len(self.changes), found)
        return self._causes[1]

    def row(self, collector: str, peer: str, peers: Peers, causes: Causes) -> dict[str, Any]:
        """Build the row of ``feature_windows``.

        Parameters
        ----------
        collector, peer : str
            Key of the row; an empty peer means the whole collector.
        peers : Peers
            All peers of the collector.
        causes : Causes
            Result of `find_causes`.
        """
        tallies, addresses = self.tallies, peers.addresses
        self.sums["moved_together"] = causes.moved_together
        self.sums["lost_together"] = causes.lost_together
        evidence = WindowEvidence(
            origins=tuple(tallies["origins"].top(5)),
            withdrawn_origins=tuple(tallies["withdrawn_origins"].top(5)),
            peers=tuple((addresses[at], peers.asns[at], n) for at, n in tallies["elements_by_peer"].top(5)),
            announced=tuple((describe_prefix(key), n) for key, n in tallies["announced_prefixes"].top(3)),
            withdrawn=tuple((describe_prefix(key), n) for key, n in tallies["withdrawn_prefixes"].top(3)),
            changes=tuple(msgspec.structs.replace(change, collector=collector) for change in causes.changes),
        )
        return {
            "window_start": self.start,
            "collector": collector,
            "peer": peer,
            **{column.name: self._value(column) for column in _COLUMNS},
            "evidence": {**encode(evidence), **self.evidence},
        }

    def _value(self, column: Column) -> int | float:
        name = column.accumulator
        match column.aggregate:
            case "sum" | "common":
                return self.sums[name]
            case "flag":
                return int(self.sums[name] > 0)
            case "maximum":
                return self.maxima[name]
            case "peak":
                return int(self.per_second.max())
            case "distinct":
                return self.tallies[name].distinct
            case "entropy":
                return entropy_bits(self.tallies[name].counts()[1])
            case "top share":
                top, announced = self.tallies[name].top(1), self.sums["announced"]
                return float(top[0][1] / announced) if top and announced else 0.0
            case "p50":
                return _percentile(self.lags, 0.5)
            case "p95":
                return _percentile(self.lags, 0.95)

    def save(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return {
            "start": self.start,
            "sums": dict(self.sums),
            "maxima": dict(self.maxima),
            "per_second": self.per_second.tolist(),
            "tallies": {name: tally.save() for name, tally in self.tallies.items()},
            "lags": self.lags,
            "evidence": self.evidence,
            "transfers": [[peer, *counts] for peer, counts in self.transfers.items()],
        }

    @classmethod
    def restore(cls, saved: dict[str, Any]) -> "Window":
        """Rebuild from the result of `save`."""
        window = cls(int(saved["start"]))
        window.sums.update(saved["sums"])
        window.maxima.update(saved["maxima"])
        window.per_second = np.array(saved["per_second"], dtype=np.int64)
        window.tallies = {name: Tally.restore(tally) for name, tally in saved["tallies"].items()}
        window.lags = list(saved["lags"])
        window.evidence = saved["evidence"]
        window.transfers = {peer: [announced, new] for peer, announced, new in saved["transfers"]}
        return window


def _percentile(values: list[float], share: float) -> float:
    if not values:
        return 0.0
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, math.floor(share * len(ordered)))], 3)
