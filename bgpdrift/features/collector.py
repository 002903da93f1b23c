"""One route collector: from its messages to the windows they fall into.

Runs messages through state, transitions, origins, edges and visibility, and hands classified elements to the windows.
Decides what a session change does, which windows are warming or in a table transfer, and which peers get windows of
their own. When a window closes is decided by `aggregator`, which knows the time of all collectors.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from bgpdrift.bgp.messages import UPDATE, Message
from bgpdrift.bgp.prefixes import PrefixKeys, bogon_array, is_ipv6_array, lengths, prefix_text
from bgpdrift.features import transitions
from bgpdrift.features.batch import Batch, Peers, flatten
from bgpdrift.features.edges import RecentEdges
from bgpdrift.features.hashing import I64, BoolArray
from bgpdrift.features.origins import Covers, Origins
from bgpdrift.features.routes import RouteState
from bgpdrift.features.window import LENGTH_S, Facts, Window, bogon_flags

_LONGEST_IPV4, _LONGEST_IPV6 = 24, 48  # longer ones are filtered by most networks
_LAGS_KEPT = 2_000
_TRANSFER_MIN_ROUTES, _TRANSFER_NEW_SHARE, _TRANSFER_MAX_MIN = 10, 0.5, 60
WHOLE = -1  # in place of a peer's number


class CollectorWindows:
    """Routing state and open windows of one collector.

    Parameters
    ----------
    name : str
        Collector, as in `feature_windows`.
    max_state_bytes : int
        Cap of its routing state.
    warming_minutes : int
        Windows this young are marked ``warming``.
    per_peer : int
        Keep windows of this many of the busiest peers too.
    prefixes : PrefixKeys
        Shared by all collectors of a process.
    """

    def __init__(
        self, name: str, max_state_bytes: int, warming_minutes: int, per_peer: int, prefixes: PrefixKeys
    ) -> None:
        self.name = name
        self.state = RouteState(max_state_bytes)
        self.peers = Peers()
        self.windows: dict[tuple[int, int], Window] = {}  # (tick, peer number or WHOLE)
        self.first_tick = -1
        self._warming_minutes = warming_minutes
        self._per_peer = per_peer
        self._prefixes = prefixes
        self._tick = -1
        self._origins, self._covers, self._edges = Origins(), Covers(), RecentEdges()
        self._established: dict[int, tuple[bool, float]] = {}  # peer -> (up, since)
        self._recovering: dict[int, int] = {}  # peer -> tick of the new session
        self._busy: dict[int, int] = {}  # peer -> elements, halved every hour

    def process(self, messages: Sequence[Message], late: Sequence[bool], arrived_at: float | None) -> None:
        """Take messages in order of arrival.

        Parameters
        ----------
        messages : sequence of Message
            UPDATE and STATE; others are ignored.
        late : sequence of bool
            Whether the window of each had closed before it came: it then moves the state, and counts as ``late``.
        arrived_at : float, optional
            Wall time of arrival, for lag.
        """
        self.make_room()
        if all(message.type == UPDATE for message in messages):  # nearly always
            self._updates(messages, late, arrived_at)
            return
        updates: list[Message] = []
        lateness: list[bool] = []
        for message, is_late in zip(messages, late, strict=True):
            if message.type == UPDATE:
                updates.append(message)
                lateness.append(is_late)
            elif message.state and message.peer:
                self._updates(updates, lateness, arrived_at)
                updates, lateness = [], []
                self._session(message, is_late)
        self._updates(updates, lateness, arrived_at)

    def learn(self, messages: Sequence[Message]) -> None:
        """Take routes of a table dump into the state; no window counts them, and none is warming any more."""
        self._updates(messages, [False] * len(messages), None)
        self.windows.clear()
        self.first_tick, self._warming_minutes, self._tick = -1, 0, -1

    def window(self, tick: int, peer: int = WHOLE) -> Window:
        """Give the window of a minute, opening it if need be."""
        window = self.windows.get((tick, peer))
        if window is None:
            window = self.windows[tick, peer] = Window(tick * LENGTH_S)
            if self.first_tick < 0:
                self.first_tick = tick
        return window

    def make_room(self) -> None:
        """Stay within the cap; what had to be forgotten is marked in the youngest window."""
        self.state.make_room()
        if self.state.evicted and self._tick >= 0:
            self.window(self._tick).quality["evicted"] += self.state.evicted
            self.state.evicted = 0

    def _updates(self, messages: Sequence[Message], late: Sequence[bool], arrived_at: float | None) -> None:
        if not messages:
            return
        batch = flatten(messages, late, self.peers, self.state.paths, self._prefixes)
        minute = (batch.timestamp // LENGTH_S).astype(np.int64)
        # Time that ages things (means, memories) is the youngest minute seen so far, whatever the order of arrival.
        ticks = np.maximum.accumulate(np.maximum(minute, self._tick))
        cuts = np.append(np.flatnonzero(transitions.segment_starts(ticks)), ticks.size)
        element_cuts = np.searchsorted(batch.message, cuts)
        spans = zip(pairwise(cuts.tolist()), pairwise(element_cuts.tolist()), strict=True)
        for (begin, end), (first, last) in spans:
            self._tick = int(ticks[begin])
            self._messages(batch, minute, slice(begin, end), arrived_at)
            if last > first:
                self._elements(batch, minute, slice(first, last))
        if batch.unreadable:
            self.window(self._tick).quality["parse_errors"] += batch.unreadable

    def _messages(self, batch: Batch, minute: I64, span: slice, arrived_at: float | None) -> None:
        late, peers = batch.late[span], batch.peer[span]
        n_late = int(np.count_nonzero(late))
        if n_late:
            self.window(self._tick).quality["late"] += n_late
        minutes = minute[span]
        for tick in np.unique(minutes[~late]).tolist():
            here = ~late & (minutes == tick)
            window = self.window(tick)
            window.add_messages(peers[here])
            if arrived_at is not None and len(window.lags) < _LAGS_KEPT:
                step = max(1, int(here.sum()) // 100)
                window.lags += np.round(arrived_at - batch.timestamp[span][here][::step], 3).tolist()
        if self._per_peer:
            for peer, count in zip(*np.unique(peers, return_counts=True), strict=True):
                self._busy[int(peer)] = self._busy.get(int(peer), 0) + int(count)
            for peer in self.busiest():
                for tick in np.unique(minutes[~late & (peers == peer)]).tolist():
                    self.window(tick, peer).add_messages(peers[~late & (minutes == tick) & (peers == peer)])

    def busiest(self) -> list[int]:
        """Peers that get windows of their own now: those with most messages, of equals the one known longer."""
        return sorted(self._busy, key=lambda peer: (-self._busy[peer], peer))[: self._per_peer]

    def _elements(self, batch: Batch, minute: I64, span: slice) -> None:
        message = batch.message[span]
        facts = self._classify(batch, span, message)
        late, minutes = batch.late[message], minute[message]
        on_time = np.unique(minutes[~late]).tolist()
        whole = len(on_time) == 1 and not late.any()
        for tick in on_time:
            here = facts if whole else _select(facts, ~late & (minutes == tick))
            self.window(tick).add(here)
            for peer in self._recovering:
                mine = here.peer == peer
                counts = self.window(tick).recovering.setdefault(peer, [0, 0])
                counts[0] += int(np.count_nonzero(mine & here.announced))
                counts[1] += int(np.count_nonzero(mine & (here.category == transitions.NEW)))
            for peer in self.busiest() if self._per_peer else ():
                self.window(tick, peer).add(_select(here, here.peer == peer))

    def _classify(self, batch: Batch, span: slice, message: I64) -> Facts:
        state, tick = self.state, self._tick
        keys, announced, path = batch.key[span], batch.announced[span], batch.path[span]
        peer = batch.peer[message]
        rows, is_new = state.prefixes.rows(keys, tick)
        if is_new.any():
            self._covers.learn(keys[is_new])
        elements = transitions.Elements(rows, peer, announced, path)
        change = transitions.apply(elements, state)

        at = np.where(announced, path, change.old_path)
        known = np.maximum(at, 0)
        origin = np.where(at >= 0, state.paths.origin[known], 0).astype(np.uint32)
        on_path = np.where(announced, path, 0)
        length = np.where(announced, state.paths.length[on_path], 0).astype(np.int64)
        flags = np.where(announced, state.paths.flags[on_path], 0).astype(np.uint8)
        implicit = change.category == transitions.IMPLICIT_WITHDRAWAL
        old = np.where(implicit, change.old_path, 0)
        old_length = state.paths.length[old].astype(np.int64)
        ipv6 = is_ipv6_array(keys)
        moas, subprefix = self._follow_origins(rows, keys, announced, origin, is_new)
        facts = Facts(
            category=change.category,
            announced=announced,
            key=keys,
            peer=peer,
            second=(batch.timestamp[message] % LENGTH_S).astype(np.int64),
            origin=origin,
            length=length,
            unique=np.where(announced, state.paths.unique[on_path], 0).astype(np.int64),
            flags=flags,
            attribute=batch.attribute[message],
            ipv6=ipv6,
            bogon=announced & bogon_flags(bogon_array(keys), flags),
            too_specific=announced & (lengths(keys) > np.where(ipv6, _LONGEST_IPV6, _LONGEST_IPV4)),
            origin_change=implicit & (state.paths.origin[old] != origin),
            longer=implicit & (length > old_length),
            shorter=implicit & (length < old_length),
            edit_distance=self._edit(path, change.old_path, implicit),
            moas_new=moas,
            subprefix_new=subprefix,
            edges_new=self._new_edges(path, announced),
            visibility_loss=self._visibility(rows, change.visibility, keys),
        )
        self._note_origin_changes(facts, change.old_path)
        return facts

    def _follow_origins(
        self, rows: I64, keys: NDArray[np.uint64], announced: BoolArray, origin: NDArray[np.uint32], is_new: BoolArray
    ) -> tuple[BoolArray, BoolArray]:
        moas, subprefix = np.zeros(rows.size, dtype=np.bool_), np.zeros(rows.size, dtype=np.bool_)
        at = np.flatnonzero(announced & (origin > 0))  # an empty path says nothing about who originates
        if not at.size:
            return moas, subprefix
        prefixes = self.state.prefixes
        before_batch = prefixes["origin"].copy() if is_new.any() else prefixes["origin"]
        is_second, before = self._origins.note(prefixes, rows[at], origin[at], self._tick)
        moas[at] = is_second
        window = self.window(self._tick)
        for place in np.flatnonzero(is_second)[:10].tolist():
            window.note("moas", (_text(int(keys[at[place]])), int(before[place]), int(origin[at[place]])))
        fresh = np.flatnonzero(is_new[at])
        if fresh.size:
            for hit in self._covers.sub_prefixes(prefixes, fresh, rows[at], keys[at], origin[at], before_batch):
                place = int(at[hit.element])
                subprefix[place] = True
                example = (_text(int(keys[place])), int(origin[place]), _text(hit.covering_key), hit.covering_origin)
                window.note("subprefix", example)
        return moas, subprefix

    def _edit(self, path: NDArray[np.int32], old_path: NDArray[np.int32], implicit: BoolArray) -> I64:
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

    def _new_edges(self, path: NDArray[np.int32], announced: BoolArray) -> I64:
        """Count, at the first element of each path, the neighbouring pairs on it that are new."""
        counts = np.zeros(path.size, dtype=np.int64)
        day = self._tick * LENGTH_S // 86_400
        distinct, first = np.unique(path[announced], return_index=True)
        stale = self.state.paths.edge_day[distinct] != (day + 1) & 0xFFFF
        if not stale.any():
            return counts
        elements = np.flatnonzero(announced)[first[stale]]
        order = np.argsort(elements)  # of two paths that share a new pair, the one that came first brought it
        elements, rows = elements[order], distinct[stale][order].astype(np.int64)
        self.state.paths.edge_day[rows] = (day + 1) & 0xFFFF
        edges, owner = self.state.paths.edges_of(rows)
        pairs, brought = np.unique(edges, return_index=True)
        if pairs.size:
            new = self._edges.note(pairs, day)
            np.add.at(counts, elements[owner[brought[new]]], 1)
            if new.any() and not self.is_warming(self._tick):
                window = self.window(self._tick)
                for place in np.sort(brought[new])[:10].tolist():
                    window.note("edges", (int(edges[place]) >> 32, int(edges[place]) & 0xFFFFFFFF))
        return counts

    def _visibility(self, rows: I64, change: NDArray[np.int8], keys: NDArray[np.uint64]) -> BoolArray:
        """Follow how many peers have each prefix; mark the withdrawals that take it below half of its usual number."""
        loss = np.zeros(rows.size, dtype=np.bool_)
        at = np.flatnonzero(change)
        if not at.size:
            return loss
        prefixes = self.state.prefixes
        at = at[np.argsort(rows[at], kind="stable")]
        moved = rows[at]
        starts = transitions.segment_starts(moved)
        distinct = moved[starts]
        prefixes.age_means(distinct, self._tick)
        total = np.cumsum(change[at].astype(np.int64))
        first = np.flatnonzero(starts)
        segment = np.cumsum(starts) - 1
        base = prefixes["peers"][distinct].astype(np.int64)
        before_first = total[first] - change[at][first]
        after = base[segment] + total - before_first[segment]
        half = prefixes["mean"][moved] / 2
        fell = (change[at] < 0) & (after < half) & (after + 1 >= half)
        loss[at] = fell
        ends = np.append(first[1:], at.size) - 1
        prefixes["peers"][distinct] = np.clip(after[ends], 0, 65_535)
        if fell.any() and not self.is_warming(self._tick):
            window = self.window(self._tick)
            for place in np.flatnonzero(fell)[:10].tolist():
                row = int(moved[place])
                example = (_text(int(keys[at[place]])), int(prefixes["origin"][row]))
                window.note("visibility", (*example, round(float(prefixes["mean"][row]), 1), int(after[place])))
        return loss

    def _note_origin_changes(self, facts: Facts, old_path: NDArray[np.int32]) -> None:
        at = np.flatnonzero(facts.origin_change)[:10]
        window = self.window(self._tick) if at.size else None
        for place in at.tolist():
            assert window is not None
            was = int(self.state.paths.origin[old_path[place]])
            window.note("origin_change", (_text(int(facts.key[place])), was, int(facts.origin[place])))

    def _session(self, message: Message, late: bool) -> None:
        peer = self.peers.number(message)
        tick = int(message.timestamp // LENGTH_S)
        self._tick = max(self._tick, tick)
        window = self.window(self._tick if late else tick)
        was_up, since = self._established.get(peer, (None, 0.0))
        if message.state == "down":
            forgotten = self.state.forget_peer(peer)
            if was_up is False and not forgotten:
                return  # said twice; a peer that announced since was up, whether we were told or not
            self._established[peer] = (False, message.timestamp)
            window.sessions["session_down"].add(peer)
        elif message.state == "up":
            # Said twice within a minute it is one session; a second "up" later means that we missed the "down".
            if was_up and message.timestamp - since < LENGTH_S:
                return
            self._established[peer] = (True, message.timestamp)
            window.sessions["session_up"].add(peer)
            self._recovering[peer] = self._tick
            self.state.forget_peer(peer)
        else:
            return  # on its way there (idle, connect, active, connected): neither in Established nor out of it
        window.note("sessions", (message.peer, message.peer_asn, message.state))

    def is_warming(self, tick: int) -> bool:
        """Whether a minute is too close to the first one seen of this collector."""
        return tick - self.first_tick < self._warming_minutes

    def close(self, tick: int) -> list[dict[str, Any]]:
        """Take the windows of a minute out and give their rows; an empty minute gives an empty row."""
        rows = []
        window = self.window(tick)
        window.quality["warming"] = int(self.is_warming(tick))
        window.quality["peer_reset"] = self._transfers(window, tick)
        addresses = self.peers.addresses
        rows.append(window.row(self.name, "", addresses, self.peers.asns))
        for key in sorted(key for key in self.windows if key[0] == tick and key[1] != WHOLE):
            own = self.windows.pop(key)
            own.quality.update({name: window.quality[name] for name in ("warming", "incomplete", "feed_gap")})
            rows.append(own.row(self.name, addresses[key[1]], addresses, self.peers.asns))
        del self.windows[tick, WHOLE]
        if self._per_peer and tick % 60 == 0:
            self._busy = {peer: count // 2 for peer, count in self._busy.items() if count > 1}
        return rows

    def _transfers(self, window: Window, tick: int) -> int:
        """Count peers whose table transfer falls into a minute; forget those that are done."""
        count = 0
        for peer, began in list(self._recovering.items()):
            if tick < began:
                continue
            announced, new = window.recovering.get(peer, [0, 0])
            transferring = announced >= _TRANSFER_MIN_ROUTES and new >= _TRANSFER_NEW_SHARE * announced
            if tick == began or transferring:
                count += 1
            if (tick > began + 1 and not transferring) or tick > began + _TRANSFER_MAX_MIN:
                del self._recovering[peer]
        return count

    def save(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Give arrays and plain values for a checkpoint."""
        arrays = {f"state.{name}": array for name, array in self.state.arrays().items()}
        arrays |= {f"edges.{name}": array for name, array in self._edges.arrays().items()}
        values = {
            "name": self.name,
            "state": self.state.numbers(),
            "peers": [list(pair) for pair in zip(self.peers.addresses, self.peers.asns, strict=True)],
            "first_tick": self.first_tick,
            "warming_minutes": self._warming_minutes,
            "tick": self._tick,
            "windows": [[tick, peer, window.save()] for (tick, peer), window in self.windows.items()],
            "origins": self._origins.save(),
            "covers": self._covers.save(),
            "established": [[peer, up, since] for peer, (up, since) in self._established.items()],
            "recovering": [list(pair) for pair in self._recovering.items()],
            "busy": [list(pair) for pair in self._busy.items()],
        }
        return arrays, values

    def restore(self, arrays: dict[str, NDArray[Any]], values: dict[str, Any]) -> None:
        """Take over what `save` gave."""

        def part(prefix: str) -> dict[str, NDArray[Any]]:
            return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}

        self.state = RouteState.restore(self.state.max_bytes, part("state."), values["state"])
        self._edges = RecentEdges.restore(part("edges."))
        for address, asn in values["peers"]:
            self.peers.numbers[address] = len(self.peers.asns)
            self.peers.asns.append(asn)
        self.first_tick, self._tick = int(values["first_tick"]), int(values["tick"])
        self._warming_minutes = int(values["warming_minutes"])
        self.windows = {(tick, peer): Window.restore(saved) for tick, peer, saved in values["windows"]}
        self._origins, self._covers = Origins.restore(values["origins"]), Covers.restore(values["covers"])
        self._established = {peer: (up, since) for peer, up, since in values["established"]}
        self._recovering = dict(values["recovering"])
        self._busy = dict(values["busy"])


def _select(facts: Facts, here: BoolArray) -> Facts:
    return Facts._make(column[here] for column in facts)


def _text(key: int) -> str:
    return prefix_text(key) or "an IPv6 prefix longer than /56"
