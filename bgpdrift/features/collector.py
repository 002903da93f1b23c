"""Assigns the messages of one route collector to windows.

This module decides which minute an element counts in, what a session change means, which windows are warming or in a table
transfer, and which peers get windows of their own. `bgpdrift.features.classification` classifies the elements, and
`bgpdrift.features.collector_feed`, which knows the event time of the collector, decides when a window closes.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bgpdrift.bgp.messages import UPDATE, Message
from bgpdrift.bgp.prefixes import PrefixKeys
from bgpdrift.features import transitions
from bgpdrift.features.batch import Batch, Peers, flatten
from bgpdrift.features.causes import Causes
from bgpdrift.features.checkpoint import take_arrays
from bgpdrift.features.classification import Classifier
from bgpdrift.features.event_time import WINDOW_S
from bgpdrift.features.hashing import I64
from bgpdrift.features.route_changes import RouteChanges
from bgpdrift.features.routes import RouteState
from bgpdrift.features.window import Window

MAX_LAGS = 2_000
"""Lags kept for the percentiles of a window."""
LAG_SAMPLE = 100
"""Lags taken from one batch, at most twice as many."""
TRANSFER_MIN_ROUTES, TRANSFER_MIN_NEW_SHARE, TRANSFER_MAX_MIN = 10, 0.5, 60
"""A minute after a new session is part of a table transfer if so many routes come, and this share of them is new."""
WHOLE = -1
"""Replaces the peer number in the key of the window of the whole collector."""


class CollectorWindows:
    """Routing state and open windows of one collector.

    Parameters
    ----------
    name : str
        Name of the collector, as in ``feature_windows``.
    max_state_bytes : int
        Limit of its routing state.
    warming_minutes : int
        Windows this close to the first one are marked ``warming``.
    per_peer : int
        Number of the busiest peers that also get windows of their own.
    prefixes : PrefixKeys
        Shared by all collectors of a process.
    """

    def __init__(
        self, name: str, max_state_bytes: int, *, warming_minutes: int, per_peer: int, prefixes: PrefixKeys
    ) -> None:
        self.name = name
        self.peers = Peers(self._forget_peer)
        self.windows: dict[tuple[int, int], Window] = {}  # (tick, peer number or WHOLE)
        self.first_tick = -1
        self.has_closed = False
        self.closed_before = 0  # tick; windows before it are closed
        self._classifier = Classifier(max_state_bytes)
        self._warming_minutes = warming_minutes
        self._per_peer = per_peer
        self._prefixes = prefixes
        self._tick = -1
        self._event_tick = -1  # minute of the event time
        self._established: dict[int, tuple[bool, float]] = {}  # peer -> (is up, since)
        self._transfer_began: dict[int, int] = {}  # peer -> tick of its new session
        self._elements_by_peer: dict[int, int] = {}  # halved every hour

    @property
    def state(self) -> RouteState:
        """Routes, prefixes and paths of the collector."""
        return self._classifier.state

    def add(self, messages: Sequence[Message], late: Sequence[bool], arrived_at: float | None, ticks: I64) -> None:
        """Add messages in order of arrival.

        Parameters
        ----------
        messages : sequence of Message
            UPDATE and STATE; other types are ignored.
        late : sequence of bool
            Whether the window of each message has closed. A late message changes the state and counts as ``late``.
        arrived_at : float, optional
            Wall time of arrival, epoch seconds, for the lag.
        ticks : ndarray of int, shape (n,)
            Minute of the event time at each message. Means and memories age by it and by the minute of the message itself, so
            that no single peer makes them older for others.
        """
        self._enforce_state_limit()
        if all(message.type == UPDATE for message in messages):  # the common case
            self._add_updates(messages, late, arrived_at, ticks)
            return
        updates: list[Message] = []
        lateness: list[bool] = []
        minutes: list[int] = []
        for message, is_late, tick in zip(messages, late, ticks.tolist(), strict=True):
            if message.type == UPDATE:
                updates.append(message)
                lateness.append(is_late)
                minutes.append(tick)
            elif message.state and message.peer:
                self._add_updates(updates, lateness, arrived_at, np.array(minutes, dtype=np.int64))
                updates, lateness, minutes = [], [], []
                self._change_session(message, is_late, tick)
        self._add_updates(updates, lateness, arrived_at, np.array(minutes, dtype=np.int64))

    def load_table(self, messages: Sequence[Message]) -> None:
        """Load the routes of a table dump into the state; no window counts them, and no later window is warming."""
        self.state.enforce_limit()
        ticks = np.array([message.timestamp // WINDOW_S for message in messages], dtype=np.int64)
        self._add_updates(messages, [False] * len(messages), None, ticks)
        self.windows.clear()
        self.first_tick, self._warming_minutes, self._tick, self._event_tick = -1, 0, -1, -1

    def expect_unknown_routes(self, warming_minutes: int) -> None:
        """Mark later windows ``warming`` although a table was loaded: the table was incomplete."""
        self._warming_minutes = warming_minutes

    def window(self, tick: int, peer: int = WHOLE) -> Window:
        """Return the window of a minute; open it if there is none."""
        window = self.windows.get((tick, peer))
        if window is None:
            window = self.windows[tick, peer] = Window(tick * WINDOW_S)
            if self.first_tick < 0:
                self.first_tick = tick
        return window

    def begin_closing(self, tick: int) -> None:
        """Record the first minute whose window closes."""
        self.has_closed, self.closed_before = True, tick

    def go_back(self, tick: int) -> None:
        """Count again from a minute before the present one: the clock was wrong."""
        self.closed_before = tick
        self.first_tick = min(self.first_tick, tick)
        self._tick = tick
        self._event_tick = min(self._event_tick, tick)

    def forget_after(self, tick: int) -> None:
        """Forget the windows from a minute on, open and closed, and count them again; the routing state is kept."""
        self.windows = {key: window for key, window in self.windows.items() if key[0] < tick}
        self.closed_before, self._tick = min(self.closed_before, tick), min(self._tick, tick)
        self._event_tick = min(self._event_tick, tick)
        self.first_tick = min(self.first_tick, tick)

    @property
    def _open_tick(self) -> int:
        """Youngest minute; a closed window is never opened again."""
        return max(self._tick, self.closed_before)

    def is_warming(self, tick: int) -> bool:
        """Whether a minute is too close to the first window of this collector."""
        return tick - self.first_tick < self._warming_minutes

    def busiest_peers(self) -> list[int]:
        """Return the peers that get windows of their own: those with most messages; if equal, the one known longer."""
        counts = self._elements_by_peer
        return sorted(counts, key=lambda peer: (-counts[peer], peer))[: self._per_peer]

    def _enforce_state_limit(self) -> None:
        """Keep the state within its limit; count the evicted routes in the youngest window."""
        self.state.enforce_limit()
        if self.state.evicted and self._tick >= 0:
            self.window(self._open_tick).sums["evicted"] += self.state.evicted
            self.state.evicted = 0

    def _add_updates(
        self, messages: Sequence[Message], late: Sequence[bool], arrived_at: float | None, ticks: I64
    ) -> None:
        if not messages:
            return
        batch = flatten(messages, late, self.peers, self.state.paths, self._prefixes)
        minute = (batch.timestamp // WINDOW_S).astype(np.int64)
        self.peers.note_seen(batch.peer, int(minute.max()))
        # A message ahead of event time counts in its own minute; it makes no memory older for the messages after it.
        now, ticks = ticks, np.maximum(ticks, minute)
        is_cut = transitions.segment_starts(ticks) | transitions.segment_starts(now)
        cuts = np.append(np.flatnonzero(is_cut), ticks.size)
        element_cuts = np.searchsorted(batch.message, cuts)
        spans = zip(pairwise(cuts.tolist()), pairwise(element_cuts.tolist()), strict=True)
        for (begin, end), (first, last) in spans:
            if now[begin] > self._event_tick:
                # The state at the end of the minute, however the stream is divided into batches. Messages ahead of event
                # time may have begun windows of minutes that it passes without a message of its own.
                passed = range(self._event_tick, int(now[begin]))
                for tick in sorted(tick for tick, peer in self.windows if peer == WHOLE and tick in passed):
                    self._find_causes(self.windows[tick, WHOLE])
                self._event_tick = int(now[begin])
            self._tick = int(ticks[begin])
            self._count_messages(batch, minute, slice(begin, end), arrived_at)
            if last > first:
                self._count_elements(batch, minute, slice(first, last))
        if batch.unreadable:
            self.window(self._open_tick).sums["parse_errors"] += batch.unreadable

    def _count_messages(self, batch: Batch, minute: I64, span: slice, arrived_at: float | None) -> None:
        late, peers = batch.late[span], batch.peer[span]
        n_late = int(np.count_nonzero(late))
        if n_late:
            self.window(self._open_tick).sums["late"] += n_late
        minutes = minute[span]
        for tick in np.unique(minutes[~late]).tolist():
            mask = ~late & (minutes == tick)
            window = self.window(tick)
            window.add_messages(peers[mask])
            if arrived_at is not None and len(window.lags) < MAX_LAGS:
                step = max(1, int(mask.sum()) // LAG_SAMPLE)
                window.lags += np.round(arrived_at - batch.timestamp[span][mask][::step], 3).tolist()
        if self._per_peer:
            for peer, count in zip(*np.unique(peers, return_counts=True), strict=True):
                self._elements_by_peer[int(peer)] = self._elements_by_peer.get(int(peer), 0) + int(count)
            for peer in self.busiest_peers():
                for tick in np.unique(minutes[~late & (peers == peer)]).tolist():
                    self.window(tick, peer).add_messages(peers[~late & (minutes == tick) & (peers == peer)])

    def _count_elements(self, batch: Batch, minute: I64, span: slice) -> None:
        elements, examples = self._classifier.classify(batch, span, self._tick, self.is_warming(self._tick))
        for kind, values in examples:
            self.window(self._open_tick).add_example(kind, values)
        message = batch.message[span]
        late, minutes = batch.late[message], minute[message]
        on_time = np.unique(minutes[~late]).tolist()
        is_whole = len(on_time) == 1 and not late.any()
        for tick in on_time:
            own = elements if is_whole else elements.select(~late & (minutes == tick))
            window = self.window(tick)
            window.add_elements(own)
            window.changes.add(own, self.state.paths)
            for peer in self._transfer_began:
                of_peer = own.peer == peer
                counts = self.window(tick).transfers.setdefault(peer, [0, 0])
                counts[0] += int(np.count_nonzero(of_peer & own.announced))
                counts[1] += int(np.count_nonzero(of_peer & (own.category == transitions.NEW)))
            for peer in self.busiest_peers() if self._per_peer else ():
                self.window(tick, peer).add_elements(own.select(own.peer == peer))

    def _forget_peer(self, peer: int) -> None:
        """Forget what is known of a peer whose number another one gets."""
        self.state.forget_peer(peer)
        for known in (self._established, self._transfer_began, self._elements_by_peer):
            known.pop(peer, None)

    def _find_causes(self, window: Window) -> Causes:
        is_warming = self.is_warming(window.start // WINDOW_S)
        return window.find_causes(self.peers, self.state.count_routes_through, is_warming)

    def _change_session(self, message: Message, is_late: bool, now: int) -> None:
        peer = self.peers.number(message)
        tick = int(message.timestamp // WINDOW_S)
        self._tick = max(now, tick)
        window = self.window(self._open_tick if is_late else tick)
        was_up, since = self._established.get(peer, (None, 0.0))
        if message.state == "down":
            forgotten = self.state.forget_peer(peer)
            if was_up is False and not forgotten:
                return  # a repetition; a peer that has announced since was up, even without a message about it
            self._established[peer] = (False, message.timestamp)
            window.add_session_change("session_down", peer)
        elif message.state == "up":
            # A repetition within a minute belongs to the same session; later, a "down" in between was lost.
            if was_up and message.timestamp - since < WINDOW_S:
                return
            self._established[peer] = (True, message.timestamp)
            window.add_session_change("session_up", peer)
            self._transfer_began[peer] = self._tick
            self.state.forget_peer(peer)
        else:
            return  # idle, connect, active, connected: the session neither enters nor leaves Established
        window.add_example("sessions", (message.peer, message.peer_asn, message.state))

    def close_windows(self, tick: int) -> list[dict[str, Any]]:
        """Remove the windows of a minute and return their rows; a minute without messages gives a row of zeros."""
        rows = []
        window = self.window(tick)
        window.sums["warming"] = int(self.is_warming(tick))
        window.sums["peer_reset"] = self._count_transfers(window, tick)
        addresses = self.peers.addresses
        rows.append(window.row(self.name, "", self.peers, self._find_causes(window)))
        for key in sorted(key for key in self.windows if key[0] == tick and key[1] != WHOLE):
            own = self.windows.pop(key)
            own.sums.update({name: window.sums[name] for name in ("warming", "incomplete", "feed_gap")})
            rows.append(own.row(self.name, addresses[key[1]], self.peers, Causes([])))
        del self.windows[tick, WHOLE]
        if self._per_peer and tick % 60 == 0:
            counts = self._elements_by_peer
            self._elements_by_peer = {peer: count // 2 for peer, count in counts.items() if count > 1}
        return rows

    def _count_transfers(self, window: Window, tick: int) -> int:
        """Count the peers in a table transfer in a minute; drop those whose transfer is complete."""
        n_transfers = 0
        for peer, began in list(self._transfer_began.items()):
            if tick < began:
                continue
            announced, new = window.transfers.get(peer, [0, 0])
            in_transfer = announced >= TRANSFER_MIN_ROUTES and new >= TRANSFER_MIN_NEW_SHARE * announced
            if tick == began or in_transfer:
                n_transfers += 1
            if (tick > began + 1 and not in_transfer) or tick > began + TRANSFER_MAX_MIN:
                del self._transfer_began[peer]
        return n_transfers

    def save(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and plain values for a checkpoint."""
        arrays, values = self._classifier.save()
        changes: list[dict[str, Any]] = []
        for number, window in enumerate(self.windows.values()):
            own, plain = window.changes.save()
            arrays |= {f"changes{number}.{name}": array for name, array in own.items()}
            changes.append(plain)
        values |= {
            "changes": changes,
            "name": self.name,
            "peers": self.peers.save(),
            "first_tick": self.first_tick,
            "has_closed": self.has_closed,
            "closed_before": self.closed_before,
            "warming_minutes": self._warming_minutes,
            "tick": self._tick,
            "event_tick": self._event_tick,
            "windows": [[tick, peer, window.save()] for (tick, peer), window in self.windows.items()],
            "established": [[peer, up, since] for peer, (up, since) in self._established.items()],
            "transfer_began": [list(pair) for pair in self._transfer_began.items()],
            "elements_by_peer": [list(pair) for pair in self._elements_by_peer.items()],
        }
        return arrays, values

    def restore(self, arrays: dict[str, NDArray[Any]], values: dict[str, Any]) -> None:
        """Restore the result of `save`."""
        self._classifier.restore(arrays, values)
        self.peers.restore(values["peers"])
        self.first_tick, self._tick = int(values["first_tick"]), int(values["tick"])
        self._event_tick = int(values["event_tick"])
        self.has_closed, self.closed_before = bool(values["has_closed"]), int(values["closed_before"])
        self._warming_minutes = int(values["warming_minutes"])
        self.windows = {(tick, peer): Window.restore(saved) for tick, peer, saved in values["windows"]}
        for number, (window, plain) in enumerate(zip(self.windows.values(), values.get("changes", ()), strict=False)):
            window.changes = RouteChanges.restore(take_arrays(arrays, f"changes{number}."), plain)
        self._established = {peer: (up, since) for peer, up, since in values["established"]}
        self._transfer_began = dict(values["transfer_began"])
        self._elements_by_peer = dict(values["elements_by_peer"])
