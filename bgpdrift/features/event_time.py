"""Event time of one collector: the latest message time that is accepted.

Windows close by event time, never by the clock of the machine, so that a replay at a thousand times the speed gives the same
windows. This module decides which timestamps of a collector are accepted. Each collector has its own event time, so that no
message changes a window of another collector. `bgpdrift.features.collector_feed` closes windows by event time.

A window may close only when no other peer can still send messages of it in order. Therefore a message is accepted at once if
it is at most the lateness ahead of the other peers: even with a wrong clock it closes no window too early. In a live feed the
limit grows by the time since the last message of the other peers, by arrival. A message further ahead is held until a second
peer has reached its time. If no other peer has sent a message in the last hour, a second message of the same peer is enough.
A held message is refused when its own peer, or two other peers, send messages of the old time.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from bgpdrift.bgp.messages import Message

WINDOW_S = 60
"""A window covers ``[t, t + WINDOW_S)`` of event time."""
MIN_STEP_S = 1.0
"""Smallest step ahead that is accepted at once, because messages are often reordered within a second."""
WITNESS_S = 3600.0
"""A peer with a message in so many seconds before the event time can confirm or contradict a message ahead of it."""
MAX_HELD = 10_000
"""Messages ahead that are held for one peer while the others are silent; then they are accepted. Limits the memory."""
MAX_LIVE_SKEW_S = 600.0
"""The first message of a collector is accepted at once if it arrived within so many seconds after its time."""
VOTE_MESSAGES = 50
"""Number of messages far behind the event time after which the peers decide whether it goes back."""
BLOCK = 2_048
"""Largest number of messages that are decided together."""
MAX_PEERS = 4_096
"""Peers remembered for each collector, so that names in frames cannot make the state grow without limit."""


class Progress(NamedTuple):
    """Messages whose times were decided, in order.

    Attributes
    ----------
    messages : list of Message
        A refused message has the event time as its time, so that no state becomes older by it.
    now : ndarray of float, shape (n,)
        Event time after each message, epoch seconds.
    refused : ndarray of bool, shape (n,)
        Whether the time of the message was refused.
    goes_back : bool
        Event time went back before the first of the messages.
    begins_at : float
        Event time after it went back.
    """

    messages: list[Message]
    now: NDArray[np.float64]
    refused: NDArray[np.bool_]
    goes_back: bool = False
    begins_at: float = 0.0


class Leader(NamedTuple):
    """One of the two peers of a collector with the latest times."""

    peer: str
    time: float  # epoch seconds
    reached_at: float | None  # wall time of arrival


class EventTime:
    """Follows the timestamps of the messages of one collector.

    Parameters
    ----------
    lateness_s : float
        Windows close so many seconds after their end.

    Attributes
    ----------
    now : float
        Event time, epoch seconds; 0 before the first accepted message.
    reached_at : float, optional
        Wall time of arrival of the last accepted message, epoch seconds.
    invalid, refused, steps_back : int
        Messages without a valid time, messages whose time others contradicted, and steps of the clock back.
    largest_ahead_s : float
        Largest distance of a refused time from the event time.

    Examples
    --------
    >>> time = EventTime(lateness_s=30)
    >>> messages = [Message(stamp, peer="p") for stamp in (1000.0, 1001.0, 99_000.0, 1002.0)]
    >>> (progress,) = time.accept(messages)
    >>> [(message.timestamp, bool(refused)) for message, refused in zip(progress.messages, progress.refused)]
    [(1000.0, False), (1001.0, False), (1002.0, False), (1002.0, True)]
    >>> time.now, time.refused, time.largest_ahead_s
    (1002.0, 1, 97998.0)
    """

    def __init__(self, lateness_s: float) -> None:
        self._step_s = max(lateness_s, MIN_STEP_S)
        self._far_behind_s = lateness_s + WINDOW_S
        self.now = 0.0
        self.reached_at: float | None = None
        self.invalid = 0
        self.refused = 0
        self.steps_back = 0
        self.largest_ahead_s = 0.0
        self._held: list[Message] = []
        self._held_arrivals: list[float | None] = []  # wall time of arrival of each held message
        self._held_until: dict[str, float] = {}  # peer -> latest held time
        self._contradicting: set[str] = set()
        self._latest_by_peer: dict[str, float] = {}  # peer -> its latest accepted time
        self._leaders: list[Leader] = []
        self._behind: dict[str, float] = {}  # peer whose last message was far behind -> its time
        self._n_behind = 0

    @property
    def position(self) -> float:
        """Event time, or the time of the first held message before there is one; 0 without any message."""
        return self.now or min((message.timestamp for message in self._held), default=0.0)

    @property
    def n_held(self) -> int:
        """Number of messages that wait for a confirmation."""
        return len(self._held)

    def accept(self, messages: Sequence[Message], arrived_at: float | None = None) -> list[Progress]:
        """Decide the times of messages in order of arrival; hold messages ahead that are not confirmed.

        Parameters
        ----------
        messages : sequence of Message
            Messages of this collector.
        arrived_at : float, optional
            Wall time of arrival, epoch seconds.
        """
        times = np.array([message.timestamp for message in messages], dtype=np.float64)
        if not times.size:
            return []
        parts = _Parts()
        begin = 0
        while begin < times.size:
            n_ordinary = self._count_ordinary(times[begin : begin + BLOCK], arrived_at)
            if n_ordinary:  # the common case: several seconds of a busy collector together
                end = begin + n_ordinary
                self._take(messages[begin:end], times[begin:end], arrived_at, parts)
                begin = end
            else:
                self._decide(messages[begin], arrived_at, parts)
                begin += 1
        return parts.progress()

    def _count_ordinary(self, times: NDArray[np.float64], arrived_at: float | None) -> int:
        """Count the first messages that any peer may send now: near the event time, while none is held or behind."""
        if not self.now or self._held or self._behind:
            return 0
        before = np.maximum.accumulate(np.concatenate(([self.now], times[:-1])))
        leader = self._leaders[0].peer if self._leaders else ""
        limit = self._latest_acceptable(leader, arrived_at)
        is_ordinary = (times > 0) & (times <= limit) & (times >= before - self._far_behind_s)
        return times.size if is_ordinary.all() else int(np.argmin(is_ordinary))

    def _take(
        self, messages: Sequence[Message], times: NDArray[np.float64], arrived_at: float | None, parts: "_Parts"
    ) -> None:
        """Accept messages near the event time."""
        now = np.maximum.accumulate(np.maximum(times, self.now))
        self.now = float(now[-1])
        self.reached_at = arrived_at
        order = np.argsort(times, kind="stable").tolist()
        latest = {messages[at].peer: at for at in order}
        for peer, at in latest.items():
            self._note_peer(peer, float(times[at]), arrived_at)
        parts.extend(messages, now)

    def _note_peer(self, peer: str, time: float, arrived_at: float | None) -> None:
        """Remember the latest time of a peer with its arrival, and the two peers that lead."""
        time = max(time, self._latest_by_peer.get(peer, 0.0))
        self._latest_by_peer[peer] = time
        others = [leader for leader in self._leaders if leader.peer != peer]
        self._leaders = sorted([*others, Leader(peer, time, arrived_at)], key=lambda leader: -leader.time)[:2]
        if len(self._latest_by_peer) > MAX_PEERS:
            newest = sorted(self._latest_by_peer, key=lambda name: self._latest_by_peer[name])[-MAX_PEERS // 2 :]
            self._latest_by_peer = {name: self._latest_by_peer[name] for name in newest}

    def _latest_acceptable(self, peer: str, arrived_at: float | None = None) -> float:
        """Return the latest time at which a message of a peer is accepted at once."""
        if not self.now:
            return 0.0
        # A peer is compared with the others, so that its own clock never moves its limit.
        other = next((leader for leader in self._leaders if leader.peer != peer), None)
        is_witness = other is not None and other.time >= self.now - WITNESS_S
        _, time, reached_at = other if other is not None and is_witness else Leader(peer, self.now, self.reached_at)
        elapsed_s = 0.0 if arrived_at is None or reached_at is None else max(0.0, arrived_at - reached_at)
        return time + elapsed_s + self._step_s

    def _decide(self, message: Message, arrived_at: float | None, parts: "_Parts") -> None:
        """Decide a single message."""
        time = message.timestamp
        if not 0 < time < math.inf:
            self.invalid += 1
            return
        is_live_start = (
            not self.now and arrived_at is not None and -self._step_s <= arrived_at - time <= MAX_LIVE_SKEW_S
        )
        if time > self._latest_acceptable(message.peer, arrived_at) and not is_live_start:
            self._hold(message, arrived_at)
            self._release_confirmed(arrived_at, parts)
        elif time < self.now - self._far_behind_s:
            self._note_behind(message, parts)
        else:
            self._note_present(message, arrived_at, parts)

    def _note_present(self, message: Message, arrived_at: float | None, parts: "_Parts") -> None:
        """Accept a message near the event time; it may confirm or contradict held messages."""
        peer = message.peer
        is_witness = peer not in self._behind
        self.now = max(self.now, message.timestamp)
        self.reached_at = arrived_at
        parts.add(message, self.now)
        self._note_peer(peer, message.timestamp, arrived_at)
        if not self._held:
            self._behind.pop(peer, None)
            return
        self._release_until(self.now, parts)
        if peer in self._held_until:
            self._refuse(parts, peer)
        if self._held and is_witness:
            self._contradicting.add(peer)
            n_witnesses = sum(1 for _ in self._witnesses())
            if len(self._contradicting) >= min(2, n_witnesses):
                self._refuse(parts)

    def _note_behind(self, message: Message, parts: "_Parts") -> None:
        """Accept a message whose window has closed; move event time back if most peers are behind it."""
        peer = message.peer
        self._latest_by_peer.pop(peer, None)
        if any(leader.peer == peer for leader in self._leaders):
            newest = sorted(self._latest_by_peer, key=lambda name: -self._latest_by_peer[name])[:2]
            self._leaders = [Leader(name, self._latest_by_peer[name], self.reached_at) for name in newest]
        self._behind[peer] = message.timestamp
        if len(self._behind) > MAX_PEERS:
            del self._behind[next(iter(self._behind))]
        parts.add(message, self.now)
        if peer in self._held_until:
            self._refuse(parts, peer)
        self._n_behind += 1
        if len(self._behind) >= 2 or self._n_behind >= VOTE_MESSAGES:
            self._n_behind = 0
            self._vote(parts)

    def _vote(self, parts: "_Parts") -> None:
        """Move event time back if more peers are far behind it than near it."""
        newest = max(self._behind.values())
        self._behind = {peer: time for peer, time in self._behind.items() if time >= newest - WITNESS_S}
        n_present = sum(1 for time in self._latest_by_peer.values() if time >= self.now - WITNESS_S)
        if len(self._behind) <= n_present:
            return
        self.steps_back += 1
        self.now = _second_largest(self._behind.values())
        behind, self._behind, self._latest_by_peer, self._leaders = self._behind, {}, {}, []
        for peer, time in behind.items():
            self._note_peer(peer, time, self.reached_at)
        parts.go_back(self.now)

    def _witnesses(self) -> Iterable[str]:
        """Peers with recent messages, without the peers of the held messages."""
        since, held = self.now - WITNESS_S, self._held_until
        return (peer for peer, time in self._latest_by_peer.items() if time >= since and peer not in held)

    def _hold(self, message: Message, arrived_at: float | None) -> None:
        self._held.append(message)
        self._held_arrivals.append(arrived_at)
        peer = message.peer
        self._held_until[peer] = max(message.timestamp, self._held_until.get(peer, 0.0))

    def _release_confirmed(self, arrived_at: float | None, parts: "_Parts") -> None:
        """Move event time to the time that two peers, or two messages of the only peer, have reached."""
        if len(self._held_until) >= 2:
            # One of two peers may be wrong. Both have reached the smaller time, so the time of the correct peer is not smaller.
            confirmed = _second_largest(self._held_until.values())
        else:
            if next(iter(self._witnesses()), None) is not None and len(self._held) < MAX_HELD:
                return
            if len(self._held) < 2:
                return
            confirmed = _second_largest([message.timestamp for message in self._held])
        self.reached_at = arrived_at
        self._release_until(confirmed, parts)

    def _release_until(self, confirmed: float, parts: "_Parts") -> None:
        """Accept the held messages up to a confirmed time, and those that are then near the other peers."""
        has_released = True
        while self._held and has_released:
            waiting: list[tuple[Message, float | None]] = []
            for message, arrived_at in zip(self._held, self._held_arrivals, strict=True):
                time = message.timestamp
                if time > max(confirmed, self._latest_acceptable(message.peer)):
                    waiting.append((message, arrived_at))
                    continue
                self.now = max(self.now, time)
                self._behind.pop(message.peer, None)
                # The arrival of the message itself: the time that it was held must not count against the other peers.
                self._note_peer(message.peer, time, arrived_at)
                parts.add(message, self.now)
            has_released = len(waiting) < len(self._held)
            self._keep(waiting)

    def _refuse(self, parts: "_Parts", peer: str | None = None) -> None:
        """Refuse the times of the held messages, or those of one peer."""
        waiting: list[tuple[Message, float | None]] = []
        for message, arrived_at in zip(self._held, self._held_arrivals, strict=True):
            if peer is not None and message.peer != peer:
                waiting.append((message, arrived_at))
                continue
            self.refused += 1
            self.largest_ahead_s = max(self.largest_ahead_s, round(message.timestamp - self.now, 3))
            parts.add(msgspec.structs.replace(message, timestamp=self.now), self.now, is_refused=True)
        self._keep(waiting)

    def _keep(self, waiting: list[tuple[Message, float | None]]) -> None:
        if len(waiting) < len(self._held):
            self._held, self._held_arrivals, self._held_until = [], [], {}
            for message, arrived_at in waiting:
                self._hold(message, arrived_at)
        if not waiting:
            self._contradicting.clear()

    def release_all(self) -> list[Progress]:
        """Accept the held messages at the end of the input, because no later message can contradict them."""
        parts = _Parts()
        self._release_until(math.inf, parts)
        return parts.progress()

    def save(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return {
            "now": self.now,
            "reached_at": self.reached_at,
            "invalid": self.invalid,
            "refused": self.refused,
            "steps_back": self.steps_back,
            "largest_ahead_s": self.largest_ahead_s,
            "held": [msgspec.to_builtins(message) for message in self._held],
            "held_arrivals": self._held_arrivals,
            "contradicting": sorted(self._contradicting),
            "latest_by_peer": self._latest_by_peer,
            "leaders": [list(leader) for leader in self._leaders],
            "behind": self._behind,
            "n_behind": self._n_behind,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Restore the result of `save`."""
        self.now, self.reached_at = float(saved["now"]), saved["reached_at"]
        self.invalid, self.refused = int(saved["invalid"]), int(saved["refused"])
        self.steps_back, self.largest_ahead_s = int(saved["steps_back"]), float(saved["largest_ahead_s"])
        for message, arrived_at in zip(
            msgspec.convert(saved["held"], list[Message]), saved["held_arrivals"], strict=True
        ):
            self._hold(message, arrived_at)
        self._contradicting = set(saved["contradicting"])
        self._latest_by_peer, self._behind = dict(saved["latest_by_peer"]), dict(saved["behind"])
        self._leaders = [Leader(*leader) for leader in saved["leaders"]]
        self._n_behind = int(saved["n_behind"])


class _Parts:
    """Collects decided messages; a step back begins a new part."""

    def __init__(self) -> None:
        self._parts: list[tuple[list[Message], list[float], list[bool], float]] = [([], [], [], 0.0)]

    def add(self, message: Message, now: float, *, is_refused: bool = False) -> None:
        messages, times, refused, _ = self._parts[-1]
        messages.append(message)
        times.append(now)
        refused.append(is_refused)

    def extend(self, messages: Sequence[Message], now: NDArray[np.float64]) -> None:
        own, times, refused, _ = self._parts[-1]
        own.extend(messages)
        times.extend(now.tolist())
        refused.extend([False] * len(messages))

    def go_back(self, now: float) -> None:
        self._parts.append(([], [], [], now))

    def progress(self) -> list[Progress]:
        return [
            Progress(
                messages, np.array(now, dtype=np.float64), np.array(refused, dtype=np.bool_), begins_at > 0, begins_at
            )
            for messages, now, refused, begins_at in self._parts
            if messages or begins_at
        ]


def _second_largest(values: Iterable[float]) -> float:
    """Return the second largest value, or the only one."""
    return sorted(values)[-2:][0]
