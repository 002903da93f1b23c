"""Event time of one collector: the time that two of its peers have reached.

Windows close by event time, never by the clock of the machine, so that a replay at a thousand times the speed gives the same
windows. This module decides which timestamps of a collector are accepted, and how far event time advances. Each collector has
its own event time. `bgpdrift.features.collector_feed` closes windows by event time.

A window may close only when no other peer can still send messages of it in order. Therefore event time advances to the time of
a message only as far as another peer has come: the clock of one peer alone moves it nowhere. In a live feed, the clocks of the
other peers advance with the time since their last message, by arrival. A message at most the lateness ahead of the other peers
is accepted at once. A message further ahead is held until a second peer has reached its time. If no other peer has sent a
message in the last hour, a second message of the same peer is enough. A held message is refused when its own peer, or two other
peers, send messages of the old time.
"""

import math
import statistics
from collections import Counter, deque
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
"""A feed is live if its messages arrive within so many seconds of their time."""
VOTE_MESSAGES = 50
"""Number of messages far behind the event time after which the peers decide whether it goes back."""
BLOCK = 2_048
"""Largest number of messages that are decided together."""
MAX_PEERS = 4_096
"""Peers remembered for each collector, so that names in frames cannot make the state grow without limit."""
SKEW_SAMPLES = 15
"""Distances from the arrival remembered for each peer; one for each batch."""
RECENT_MESSAGES = 16
"""Message times that determine the usual distance of two messages."""
UNUSUAL_GAP = 20
"""A step ahead of so many usual distances, which arrival does not explain, is a step of the clock."""

CONFIRMED, REPEATED = "another peer reached their time", "their peer, the only one, repeated their time"
FULL, ENDED = "too many waited", "the input ended"
CONTRADICTED, WITHDRAWN = "other peers sent messages of the old time", "their own peer went back to the old time"


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
    skipped : tuple of (float, float)
        Spans of event time that a step of the clock ahead left out.
    """

    messages: list[Message]
    now: NDArray[np.float64]
    refused: NDArray[np.bool_]
    goes_back: bool = False
    begins_at: float = 0.0
    skipped: tuple[tuple[float, float], ...] = ()


class PeerClock(NamedTuple):
    """The latest accepted time of a peer."""

    time: float  # epoch seconds
    arrived_at: float | None  # wall time of arrival

    def at(self, arrived_at: float | None) -> float:
        """Return the time of this clock at a wall time; without arrival times it stands still.

        Examples
        --------
        >>> PeerClock(100.0, 7.0).at(9.5), PeerClock(100.0, None).at(9.5)
        (102.5, 100.0)
        """
        if arrived_at is None or self.arrived_at is None:
            return self.time
        return self.time + max(0.0, arrived_at - self.arrived_at)


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
    invalid, refused, steps_back, steps_ahead : int
        Messages without a valid time, messages whose time others contradicted, and steps of the clock.
    largest_ahead_s : float
        Largest distance of a refused time from the event time.
    released_by, refused_by : Counter
        Number of messages by the reason why they were released or refused after they were held.

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
        self._lateness_s = lateness_s
        self._far_behind_s = lateness_s + WINDOW_S
        self.now = 0.0
        self.reached_at: float | None = None
        self.invalid = 0
        self.refused = 0
        self.steps_back = 0
        self.steps_ahead = 0
        self.largest_ahead_s = 0.0
        self.released_by: Counter[str] = Counter()
        self.refused_by: Counter[str] = Counter()
        self._held: list[Message] = []
        self._held_arrivals: list[float | None] = []  # wall time of arrival of each held message
        self._held_until: dict[str, float] = {}  # peer -> latest held time
        self._held_from = math.inf  # earliest held time
        self._contradicting: set[str] = set()
        self._clocks: dict[str, PeerClock] = {}  # the clock of each peer
        self._leaders: list[tuple[str, PeerClock]] = []  # the two peers whose clocks show the latest times
        self._behind: dict[str, float] = {}  # peer whose last message was far behind -> its time
        self._n_behind = 0
        self._recent: deque[float] = deque(maxlen=RECENT_MESSAGES)
        self._longest_gap_s = 0.0
        self._offsets: dict[str, deque[float]] = {}  # peer -> message time minus arrival, the latest ones

    @property
    def position(self) -> float:
        """Event time, or the time of the first held message before there is one; 0 without any message."""
        return self.now or min((message.timestamp for message in self._held), default=0.0)

    @property
    def newest(self) -> float:
        """Latest accepted time of any peer, which one peer alone may have reached; 0 without any message."""
        return max([self.now, *(clock.time for _, clock in self._leaders)])

    @property
    def n_held(self) -> int:
        """Number of messages that wait for a confirmation."""
        return len(self._held)

    def skew_by_peer(self) -> dict[str, float]:
        """Estimate by how many seconds the clock of each peer is ahead of arrival; negative values include the delay."""
        return {peer: statistics.median(offsets) for peer, offsets in self._offsets.items() if offsets}

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
        if arrived_at is not None:  # the clocks of all peers have advanced
            self._rank(self._clocks.items(), arrived_at)
        parts = _Parts()
        begin = 0
        while begin < times.size:
            n_ordinary = self._count_ordinary(times[begin : begin + BLOCK], arrived_at)
            if n_ordinary:  # the common case: several seconds of a busy collector together
                end = begin + n_ordinary
                begin += self._take(messages[begin:end], times[begin:end], arrived_at, parts)
            else:
                self._decide(messages[begin], arrived_at, parts)
                begin += 1
        if arrived_at is not None:
            self._note_offsets(messages, arrived_at)
        return parts.progress()

    def _count_ordinary(self, times: NDArray[np.float64], arrived_at: float | None) -> int:
        """Count the first messages that any peer may send now: near the event time, while none is held or behind."""
        if not self.now or self._held or self._behind:
            return 0
        leader = self._leaders[0][0] if self._leaders else ""
        limit = self._limit(leader, arrived_at)  # the leader has the lowest limit, because it is compared with others
        latest = np.maximum.accumulate(np.concatenate(([self.now], times[:-1])))
        is_ordinary = (times > 0) & (times <= limit) & (times >= latest - self._far_behind_s)
        return times.size if is_ordinary.all() else int(np.argmin(is_ordinary))

    def _take(
        self, messages: Sequence[Message], times: NDArray[np.float64], arrived_at: float | None, parts: "_Parts"
    ) -> int:
        """Accept messages near the event time, up to the first that may close a window; return their number."""
        end = self._find_closing(messages, times, arrived_at)
        if end == 0:  # its event time is exact, and it is the only message
            end = 1
        order = np.argsort(times[:end], kind="stable").tolist()
        for peer, at in {messages[at].peer: at for at in order}.items():
            self._advance(peer, float(times[at]), arrived_at)
        self._recent.extend(times[max(0, end - RECENT_MESSAGES) : end].tolist())
        self.reached_at = arrived_at
        # None of several messages closes a window: one event time serves them all.
        parts.extend(messages[:end], np.full(end, self.now))
        return end

    def _find_closing(self, messages: Sequence[Message], times: NDArray[np.float64], arrived_at: float | None) -> int:
        """Return the index of the first message that may move event time into the next minute, or close a window."""
        next_minute_s = (self.now // WINDOW_S + 1) * WINDOW_S
        next_closing_s = ((self.now - self._lateness_s) // WINDOW_S + 1) * WINDOW_S + self._lateness_s
        next_s = min(next_minute_s, next_closing_s)
        reached = {peer for peer, clock in self._leaders if clock.at(arrived_at) >= next_s}
        for at in np.flatnonzero(times >= next_s).tolist():
            peer = messages[at].peer
            if reached - {peer} or self._latest_of_others(peer, arrived_at) is None:
                return int(at)
            reached.add(peer)
        return times.size

    def _advance(self, peer: str, time: float, arrived_at: float | None) -> None:
        """Advance the clock of a peer, and event time as far as another peer has come."""
        others = self._latest_of_others(peer, arrived_at)
        self.now = max(self.now, time if others is None else min(time, others))
        self._note_peer(peer, time, arrived_at)

    def _note_peer(self, peer: str, time: float, arrived_at: float | None) -> None:
        """Remember the latest time of a peer with its arrival, and the two peers that lead."""
        before = self._clocks.get(peer)
        if before is not None and before.time >= time:
            return
        clock = self._clocks[peer] = PeerClock(time, arrived_at)
        self._rank([(peer, clock), *(leader for leader in self._leaders if leader[0] != peer)], arrived_at)
        if len(self._clocks) > MAX_PEERS:
            newest = sorted(self._clocks.items(), key=lambda item: item[1].time)[-MAX_PEERS // 2 :]
            self._clocks = dict(newest)
            self._rank(newest, arrived_at)

    def _rank(self, clocks: Iterable[tuple[str, PeerClock]], arrived_at: float | None) -> None:
        self._leaders = sorted(clocks, key=lambda item: -item[1].at(arrived_at))[:2]

    def _latest_of_others(self, peer: str, arrived_at: float | None) -> float | None:
        """Return the latest time that another peer has reached; None if there is none in the last hour.

        A peer is compared with the others, so that its own clock never moves its limit.
        """
        for name, clock in self._leaders:
            if name == peer:
                continue
            time = clock.at(arrived_at)
            is_live = arrived_at is not None and abs(time - arrived_at) <= MAX_LIVE_SKEW_S
            return time if is_live or clock.time >= self.now - WITNESS_S else None
        return None

    def _limit(self, peer: str, arrived_at: float | None) -> float:
        """Return the latest time at which a message of a peer is accepted at once."""
        if not self.now:
            return 0.0
        others = self._latest_of_others(peer, arrived_at)
        if others is None:
            others = PeerClock(self.now, self.reached_at).at(arrived_at)
        limit = others + self._step_s
        if arrived_at is None or peer not in self._clocks:
            return limit
        own = self._clocks[peer].at(arrived_at)
        if abs(own - arrived_at) > MAX_LIVE_SKEW_S:
            return limit
        # In a live feed, a peer whose clock agrees with its arrivals has made no step. Event time does not follow it alone.
        return max(limit, min(own + self._step_s, arrived_at + MIN_STEP_S))

    def _decide(self, message: Message, arrived_at: float | None, parts: "_Parts") -> None:
        """Decide a single message."""
        time = message.timestamp
        if not 0 < time < math.inf:
            self.invalid += 1
            return
        is_live_start = (
            not self.now and arrived_at is not None and -self._step_s <= arrived_at - time <= MAX_LIVE_SKEW_S
        )
        if time > self._limit(message.peer, arrived_at) and not is_live_start:
            self._hold(message, arrived_at)
            self._release_confirmed(arrived_at, parts)
        elif time < self.now - self._far_behind_s:
            self._note_behind(message, arrived_at, parts)
        else:
            self._note_present(message, arrived_at, parts)

    def _note_present(self, message: Message, arrived_at: float | None, parts: "_Parts") -> None:
        """Accept a message near the event time; it may confirm or contradict held messages."""
        peer, time = message.peer, message.timestamp
        is_witness = peer not in self._behind
        self._advance(peer, time, arrived_at)
        self._recent.append(time)
        self.reached_at = arrived_at
        parts.add(message, self.now)
        if not self._held:
            self._behind.pop(peer, None)
            return
        self._release_until(self.now, CONFIRMED, parts)
        if time < self._held_until.get(peer, 0.0) - self._step_s:
            self._refuse(parts, WITHDRAWN, peer)
        # Within the lateness, an older message is only late: it contradicts nothing.
        is_old = bool(self._held) and time < self._held_from - self._step_s
        if is_old and is_witness and peer not in self._held_until:
            self._contradicting.add(peer)
            n_witnesses = sum(1 for _ in self._witnesses())
            if len(self._contradicting) >= min(2, n_witnesses):
                self._refuse(parts, CONTRADICTED)

    def _note_behind(self, message: Message, arrived_at: float | None, parts: "_Parts") -> None:
        """Accept a message whose window has closed; move event time back if most peers are behind it."""
        peer = message.peer
        self._clocks.pop(peer, None)
        if any(name == peer for name, _ in self._leaders):
            self._rank(self._clocks.items(), arrived_at)
        self._behind[peer] = message.timestamp
        if len(self._behind) > MAX_PEERS:
            del self._behind[next(iter(self._behind))]
        parts.add(message, self.now)
        if peer in self._held_until:
            self._refuse(parts, WITHDRAWN, peer)
        self._n_behind += 1
        # An event time ahead of the arrival is wrong, if a message agrees with its arrival.
        agrees = (
            arrived_at is not None
            and self.now > arrived_at + self._step_s
            and -self._step_s <= arrived_at - message.timestamp <= MAX_LIVE_SKEW_S
        )
        if len(self._behind) >= 2 or self._n_behind >= VOTE_MESSAGES or agrees:
            self._n_behind = 0
            self._vote(arrived_at, parts, wins_tie=agrees)

    def _vote(self, arrived_at: float | None, parts: "_Parts", *, wins_tie: bool) -> None:
        """Move event time back if more peers are far behind it than near it."""
        newest = max(self._behind.values())
        self._behind = {peer: time for peer, time in self._behind.items() if time >= newest - WITNESS_S}
        n_present = sum(1 for clock in self._clocks.values() if clock.time >= self.now - WITNESS_S)
        if len(self._behind) + wins_tie <= n_present:
            return
        self.steps_back += 1
        self._longest_gap_s = 0.0
        self._recent.clear()
        self.now = _second_largest(self._behind.values())
        behind, self._behind, self._clocks, self._leaders = self._behind, {}, {}, []
        for peer, time in behind.items():
            self._note_peer(peer, time, arrived_at)
        parts.go_back(self.now)

    def _witnesses(self) -> Iterable[str]:
        """Peers with recent messages, without the peers of the held messages."""
        since, held = self.now - WITNESS_S, self._held_until
        return (peer for peer, clock in self._clocks.items() if clock.time >= since and peer not in held)

    def _hold(self, message: Message, arrived_at: float | None) -> None:
        self._held.append(message)
        self._held_arrivals.append(arrived_at)
        peer = message.peer
        self._held_until[peer] = max(message.timestamp, self._held_until.get(peer, 0.0))
        self._held_from = min(message.timestamp, self._held_from)

    def _release_confirmed(self, arrived_at: float | None, parts: "_Parts") -> None:
        """Move event time to the time that two peers, or two messages of the only peer, have reached."""
        if len(self._held_until) >= 2:
            # One of two peers may be wrong. Both have reached the smaller time, so the time of the correct peer is not smaller.
            confirmed, reason = _second_largest(self._held_until.values()), CONFIRMED
        else:
            is_full = len(self._held) >= MAX_HELD
            if next(iter(self._witnesses()), None) is not None and not is_full:
                return
            if len(self._held) < 2:
                return
            confirmed, reason = _second_largest([message.timestamp for message in self._held]), REPEATED
            if is_full:
                reason = FULL
        self._note_gap(arrived_at, parts)
        self.reached_at = arrived_at
        self._release_until(confirmed, reason, parts)

    def _note_gap(self, arrived_at: float | None, parts: "_Parts") -> None:
        """Record a step of the clock ahead: a gap that neither arrival nor the usual distance of messages explains."""
        begin = max([self.now, *self._recent])
        gap_s = self._held_from - begin
        if not self.now or gap_s <= WINDOW_S or len(self._recent) < RECENT_MESSAGES:
            return
        usual_s = (max(self._recent) - min(self._recent)) / (len(self._recent) - 1)
        elapsed_s = 0.0 if arrived_at is None or self.reached_at is None else arrived_at - self.reached_at
        if gap_s > max(elapsed_s + self._step_s, UNUSUAL_GAP * usual_s, 2 * self._longest_gap_s):
            self.steps_ahead += 1
            parts.skip(begin, self._held_from)
        self._longest_gap_s = max(self._longest_gap_s, gap_s)

    def _release_until(self, confirmed: float, reason: str, parts: "_Parts") -> None:
        """Accept the held messages up to a confirmed time, and those that are then near the other peers."""
        has_released = True
        while self._held and has_released:
            waiting: list[tuple[Message, float | None]] = []
            for message, arrived_at in zip(self._held, self._held_arrivals, strict=True):
                time = message.timestamp
                if time > max(confirmed, self._limit(message.peer, None)):
                    waiting.append((message, arrived_at))
                    continue
                self.now = max(self.now, min(time, confirmed))
                self._behind.pop(message.peer, None)
                # The arrival of the message itself: the time that it was held must not count against the other peers.
                self._advance(message.peer, time, arrived_at)
                self._recent.append(time)
                self.released_by[reason] += 1
                parts.add(message, self.now)
            has_released = len(waiting) < len(self._held)
            self._keep(waiting)

    def _refuse(self, parts: "_Parts", reason: str, peer: str | None = None) -> None:
        """Refuse the times of the held messages, or those of one peer."""
        waiting: list[tuple[Message, float | None]] = []
        for message, arrived_at in zip(self._held, self._held_arrivals, strict=True):
            if peer is not None and message.peer != peer:
                waiting.append((message, arrived_at))
                continue
            self.refused += 1
            self.refused_by[reason] += 1
            self.largest_ahead_s = max(self.largest_ahead_s, round(message.timestamp - self.now, 3))
            parts.add(msgspec.structs.replace(message, timestamp=self.now), self.now, is_refused=True)
        self._keep(waiting)

    def _keep(self, waiting: list[tuple[Message, float | None]]) -> None:
        if len(waiting) < len(self._held):
            self._held, self._held_arrivals, self._held_until, self._held_from = [], [], {}, math.inf
            for message, arrived_at in waiting:
                self._hold(message, arrived_at)
        if not waiting:
            self._contradicting.clear()

    def release_all(self) -> list[Progress]:
        """Accept the held messages at the end of the input, because no later message can contradict them."""
        parts = _Parts()
        self._held.sort(key=lambda message: message.timestamp)  # the ones furthest ahead close windows last
        self._held_arrivals = [None] * len(self._held)
        self._release_until(math.inf, ENDED, parts)
        return parts.progress()

    def _note_offsets(self, messages: Sequence[Message], arrived_at: float) -> None:
        """Remember the distance of the last message of each peer from its arrival."""
        for peer, time in {message.peer: message.timestamp for message in messages}.items():
            offsets = self._offsets.get(peer)
            if offsets is None:
                if len(self._offsets) >= MAX_PEERS:
                    continue
                offsets = self._offsets[peer] = deque(maxlen=SKEW_SAMPLES)
            offsets.append(time - arrived_at)

    def save(self) -> dict[str, Any]:
        """Return plain values for a checkpoint. The skew is estimated anew after a restart."""
        return {
            "now": self.now,
            "reached_at": self.reached_at,
            "invalid": self.invalid,
            "refused": self.refused,
            "steps_back": self.steps_back,
            "steps_ahead": self.steps_ahead,
            "largest_ahead_s": self.largest_ahead_s,
            "released_by": dict(self.released_by),
            "refused_by": dict(self.refused_by),
            "held": [msgspec.to_builtins(message) for message in self._held],
            "held_arrivals": self._held_arrivals,
            "contradicting": sorted(self._contradicting),
            "clocks": {peer: list(clock) for peer, clock in self._clocks.items()},
            "leaders": [peer for peer, _ in self._leaders],
            "behind": self._behind,
            "n_behind": self._n_behind,
            "recent": list(self._recent),
            "longest_gap_s": self._longest_gap_s,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Restore the result of `save`."""
        self.now, self.reached_at = float(saved["now"]), saved["reached_at"]
        self.invalid, self.refused = int(saved["invalid"]), int(saved["refused"])
        self.steps_back, self.steps_ahead = int(saved["steps_back"]), int(saved["steps_ahead"])
        self.largest_ahead_s = float(saved["largest_ahead_s"])
        self.released_by, self.refused_by = Counter(saved["released_by"]), Counter(saved["refused_by"])
        for message, arrived_at in zip(
            msgspec.convert(saved["held"], list[Message]), saved["held_arrivals"], strict=True
        ):
            self._hold(message, arrived_at)
        self._contradicting = set(saved["contradicting"])
        self._clocks = {peer: PeerClock(*clock) for peer, clock in saved["clocks"].items()}
        self._leaders = [(peer, self._clocks[peer]) for peer in saved["leaders"]]
        self._behind = dict(saved["behind"])
        self._n_behind = int(saved["n_behind"])
        self._recent.extend(saved["recent"])
        self._longest_gap_s = float(saved["longest_gap_s"])


class _Part:
    """Messages decided since the last step back."""

    def __init__(self, begins_at: float = 0.0) -> None:
        self.messages: list[Message] = []
        self.times: list[float] = []
        self.refused: list[bool] = []
        self.begins_at = begins_at
        self.skipped: list[tuple[float, float]] = []


class _Parts:
    """Collects decided messages; a step back begins a new part."""

    def __init__(self) -> None:
        self._parts = [_Part()]

    def add(self, message: Message, now: float, *, is_refused: bool = False) -> None:
        part = self._parts[-1]
        part.messages.append(message)
        part.times.append(now)
        part.refused.append(is_refused)

    def extend(self, messages: Sequence[Message], now: NDArray[np.float64]) -> None:
        part = self._parts[-1]
        part.messages.extend(messages)
        part.times.extend(now.tolist())
        part.refused.extend([False] * len(messages))

    def go_back(self, now: float) -> None:
        self._parts.append(_Part(now))

    def skip(self, begin: float, end: float) -> None:
        self._parts[-1].skipped.append((begin, end))

    def progress(self) -> list[Progress]:
        return [
            Progress(
                part.messages,
                np.array(part.times, dtype=np.float64),
                np.array(part.refused, dtype=np.bool_),
                part.begins_at > 0,
                part.begins_at,
                tuple(part.skipped),
            )
            for part in self._parts
            if part.messages or part.begins_at
        ]


def _second_largest(values: Iterable[float]) -> float:
    """Return the second largest value, or the only one."""
    return sorted(values)[-2:][0]
