"""Classifies the announced and withdrawn prefixes of one collector by its routing state, and updates the state.

Each element (one announced or withdrawn prefix) gets its transition, its path figures and its marks: another origin, a new
sub-prefix, new AS pairs, loss of visibility. `bgpdrift.features.window` counts them by minute.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from bgpdrift.bgp.prefixes import bogon_array, is_ipv6_array, lengths
from bgpdrift.features import transitions
from bgpdrift.features.batch import Batch
from bgpdrift.features.checkpoint import take_arrays
from bgpdrift.features.edges import RecentEdges
from bgpdrift.features.event_time import WINDOW_S
from bgpdrift.features.hashing import I64, U64, BoolArray
from bgpdrift.features.origins import Covers, Origins
from bgpdrift.features.paths import BOGON_ASN
from bgpdrift.features.routes import RouteState

MAX_LENGTH_IPV4, MAX_LENGTH_IPV6 = 24, 48
"""Most networks filter longer prefixes."""
MAX_EXAMPLES_PER_BATCH = 10
SECONDS_PER_DAY = 86_400

Example = tuple[str, tuple[Any, ...]]
"""Kind, and the values of one example of evidence."""


class ClassifiedElements(NamedTuple):
    """Classified elements of a batch, aligned, shape (n,); path columns are 0 for withdrawals."""

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
    path: NDArray[np.int32]  # row of the announced path; -1 for a withdrawal
    old_path: NDArray[np.int32]  # row of the last path before, also of a withdrawn route; -1 if unknown
    rival: NDArray[np.uint32]  # with moas_new the origin before, with subprefix_new that of the covering prefix; else 0
    cover: U64  # with subprefix_new the key of the covering prefix; else 0

    def select(self, mask: BoolArray) -> "ClassifiedElements":
        """Return the elements where a mask is true."""
        return ClassifiedElements._make(column[mask] for column in self)


class Classifier:
    """Routing state of one collector, with its memories of origins, covering prefixes and AS pairs.

    Parameters
    ----------
    max_state_bytes : int
        Limit of the routing state.
    """

    def __init__(self, max_state_bytes: int) -> None:
        self.state = RouteState(max_state_bytes)
        self._origins, self._covers, self._edges = Origins(), Covers(), RecentEdges()

    def classify(
        self, batch: Batch, span: slice, tick: int, is_warming: bool
    ) -> tuple[ClassifiedElements, list[Example]]:
        """Classify a span of the elements of a batch and update the state.

        Parameters
        ----------
        batch : Batch
            Messages of the collector.
        span : slice
            Elements; their messages fall into one tick.
        tick : int
            Minutes since the epoch.
        is_warming : bool
            No examples of new AS pairs are collected while the state is young.

        Returns
        -------
        elements : ClassifiedElements
        examples : list of (kind, values)
            Evidence, in order of arrival within each kind.
        """
        state, paths = self.state, self.state.paths
        examples: list[Example] = []
        keys, announced, path = batch.key[span], batch.announced[span], batch.path[span]
        message = batch.message[span]
        peer = batch.peer[message]
        rows, is_new = state.prefixes.rows(keys, tick)
        if is_new.any():
            self._covers.add_lengths(keys[is_new])
        change = transitions.classify_transitions(transitions.Elements(rows, peer, announced, path), state)

        current = np.where(announced, path, change.old_path)
        origin = np.where(current >= 0, paths.origin[np.maximum(current, 0)], 0).astype(np.uint32)
        on_path = np.where(announced, path, 0)
        length = np.where(announced, paths.length[on_path], 0).astype(np.int64)
        flags = np.where(announced, paths.flags[on_path], 0).astype(np.uint8)
        implicit = change.category == transitions.IMPLICIT_WITHDRAWAL
        old = np.where(implicit, change.old_path, 0)
        old_length = paths.length[old].astype(np.int64)
        ipv6 = is_ipv6_array(keys)
        moas, subprefix, rival, cover = self._find_new_origins(rows, keys, announced, origin, is_new, tick)
        elements = ClassifiedElements(
            category=change.category,
            announced=announced,
            key=keys,
            peer=peer,
            second=(batch.timestamp[message] % WINDOW_S).astype(np.int64),
            origin=origin,
            length=length,
            unique=np.where(announced, paths.unique[on_path], 0).astype(np.int64),
            flags=flags,
            attribute=batch.attribute[message],
            ipv6=ipv6,
            bogon=announced & (bogon_array(keys) | ((flags & BOGON_ASN) != 0)),
            too_specific=announced & (lengths(keys) > np.where(ipv6, MAX_LENGTH_IPV6, MAX_LENGTH_IPV4)),
            origin_change=implicit & (paths.origin[old] != origin),
            longer=implicit & (length > old_length),
            shorter=implicit & (length < old_length),
            edit_distance=self._edit_distances(path, change.old_path, implicit),
            moas_new=moas,
            subprefix_new=subprefix,
            edges_new=self._count_new_edges(path, announced, tick, None if is_warming else examples),
            visibility_loss=self._find_visibility_loss(rows, change.visibility, tick),
            path=path,
            old_path=change.old_path,
            rival=rival,
            cover=cover,
        )
        return elements, examples

    def _find_new_origins(
        self,
        rows: I64,
        keys: U64,
        announced: BoolArray,
        origin: NDArray[np.uint32],
        is_new: BoolArray,
        tick: int,
    ) -> tuple[BoolArray, BoolArray, NDArray[np.uint32], U64]:
        """Mark new second origins and new prefixes covered by a prefix of another origin; give that origin and prefix."""
        moas, subprefix = np.zeros(rows.size, dtype=np.bool_), np.zeros(rows.size, dtype=np.bool_)
        rival, cover = np.zeros(rows.size, dtype=np.uint32), np.zeros(rows.size, dtype=np.uint64)
        at = np.flatnonzero(announced & (origin > 0))  # an empty path has no origin
        if not at.size:
            return moas, subprefix, rival, cover
        prefixes = self.state.prefixes
        before_batch = prefixes["origin"].copy() if is_new.any() else prefixes["origin"]
        is_second, before = self._origins.update(prefixes, rows[at], origin[at], tick)
        moas[at] = is_second
        rival[at[is_second]] = before[is_second]
        fresh = np.flatnonzero(is_new[at])
        if fresh.size:
            for hit in self._covers.find_sub_prefixes(prefixes, fresh, rows[at], keys[at], origin[at], before_batch):
                place = int(at[hit.element])
                subprefix[place], rival[place], cover[place] = True, hit.covering_origin, hit.covering_key
        return moas, subprefix, rival, cover

    def _edit_distances(self, path: NDArray[np.int32], old_path: NDArray[np.int32], implicit: BoolArray) -> I64:
        """Compute the distance between old and new path of implicit withdrawals; 0 for the others."""
        distance = np.zeros(path.size, dtype=np.int64)
        at = np.flatnonzero(implicit)
        if at.size:
            pairs = old_path[at].astype(np.int64) << 32 | path[at]
            distinct, back = np.unique(pairs, return_inverse=True)
            old, new = distinct >> 32, distinct & 0xFFFFFFFF
            hops = self.state.paths.hops_of(np.unique(np.concatenate([old, new])))
            pairs_of = zip(old.tolist(), new.tolist(), strict=True)
            distance[at] = np.array([Levenshtein.distance(hops[a], hops[b]) for a, b in pairs_of])[back]
        return distance

    def _count_new_edges(
        self, path: NDArray[np.int32], announced: BoolArray, tick: int, examples: list[Example] | None
    ) -> I64:
        """Count the new neighbouring AS pairs of each path, at the first element that has the path."""
        counts = np.zeros(path.size, dtype=np.int64)
        paths, day = self.state.paths, tick * WINDOW_S // SECONDS_PER_DAY
        distinct, first = np.unique(path[announced], return_index=True)
        stale = paths.edge_day[distinct] != (day + 1) & 0xFFFF
        if not stale.any():
            return counts
        elements = np.flatnonzero(announced)[first[stale]]
        order = np.argsort(elements)  # a new pair on two paths counts for the earlier element
        elements, rows = elements[order], distinct[stale][order].astype(np.int64)
        paths.edge_day[rows] = (day + 1) & 0xFFFF
        edges, owner = paths.edges_of(rows)
        pairs, first_edge = np.unique(edges, return_index=True)
        if pairs.size:
            new = self._edges.add(pairs, day)
            np.add.at(counts, elements[owner[first_edge[new]]], 1)
            if examples is not None:
                for place in np.sort(first_edge[new])[:MAX_EXAMPLES_PER_BATCH].tolist():
                    examples.append(("edges", (int(edges[place]) >> 32, int(edges[place]) & 0xFFFFFFFF)))
        return counts

    def _find_visibility_loss(self, rows: I64, change: NDArray[np.int8], tick: int) -> BoolArray:
        """Update the number of peers of each prefix; mark the withdrawals that reduce it below half of its mean."""
        loss = np.zeros(rows.size, dtype=np.bool_)
        at = np.flatnonzero(change)
        if not at.size:
            return loss
        prefixes = self.state.prefixes
        at = at[np.argsort(rows[at], kind="stable")]
        changed = rows[at]
        starts = transitions.segment_starts(changed)
        distinct = changed[starts]
        prefixes.update_means(distinct, tick)
        total = np.cumsum(change[at].astype(np.int64))
        first = np.flatnonzero(starts)
        segment = np.cumsum(starts) - 1
        base = prefixes["peers"][distinct].astype(np.int64)
        before_first = total[first] - change[at][first]
        after = base[segment] + total - before_first[segment]
        half = prefixes["mean"][changed] / 2
        fell = (change[at] < 0) & (after < half) & (after + 1 >= half)
        loss[at] = fell
        ends = np.append(first[1:], at.size) - 1
        prefixes["peers"][distinct] = np.clip(after[ends], 0, 65_535)
        return loss

    def save(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and plain values for a checkpoint."""
        arrays = {f"state.{name}": array for name, array in self.state.arrays().items()}
        arrays |= {f"edges.{name}": array for name, array in self._edges.arrays().items()}
        values = {
            "state": self.state.numbers(),
            "origins": self._origins.save(),
            "covers": self._covers.save(),
        }
        return arrays, values

    def restore(self, arrays: dict[str, NDArray[Any]], values: dict[str, Any]) -> None:
        """Restore the result of `save`; the arrays are taken over."""
        self.state = RouteState.restore(self.state.max_bytes, take_arrays(arrays, "state."), values["state"])
        self._edges = RecentEdges.restore(take_arrays(arrays, "edges."))
        self._origins, self._covers = Origins.restore(values["origins"]), Covers.restore(values["covers"])
