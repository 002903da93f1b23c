"""Passes each message of a feed to its collector, and each event of the whole feed to all collectors.

`bgpdrift.features.collector_feed` holds the event time and the windows of one collector. The aggregator is pure: its inputs alone
determine its results, so that reading the same segments again after a crash gives the same windows.
`bgpdrift.features.spool_aggregation` reads segments, saves the state and writes rows.
"""

import statistics
from collections.abc import Container, Iterable, Sequence
from typing import Any

from numpy.typing import NDArray

from bgpdrift.bgp.messages import UPDATE, Message, collector_name
from bgpdrift.bgp.prefixes import PrefixKeys
from bgpdrift.bgp.problems import Problems
from bgpdrift.features.checkpoint import take_arrays
from bgpdrift.features.clock_report import report_clock
from bgpdrift.features.collector import CollectorWindows
from bgpdrift.features.collector_feed import CollectorFeed
from bgpdrift.features.event_time import WINDOW_S
from bgpdrift.settings import WindowSettings
from bgpdrift.store.cursor_states import CollectorClock

CHUNK_MESSAGES = 16_384
"""Messages processed together: enough for the speed of arrays, few enough to bound memory."""
MIN_STATE_BYTES = 4_000_000
"""Smallest limit of the routing state of one collector."""
MAX_COLLECTORS = 256
"""Ten times the number of RIS; host names in frames cannot make the state grow without limit."""
OTHER = "other"
"""The collector that counts the messages of all collectors for which there is no room."""
EXPIRE_S = 3600.0
"""A collector that is silent for so long gives its place to another when there is no room; those of the settings keep it."""
MAX_CACHED_PREFIXES = 200_000


class Aggregator:
    """Windows of all collectors of one feed.

    Parameters
    ----------
    settings : WindowSettings
        Lateness, limits and marks.
    deduplicate : bool
        Drop messages whose id was seen before; off for files without ids.
    named : iterable of str
        Collectors that the operator named; they always have a place.
    """

    def __init__(self, settings: WindowSettings, deduplicate: bool = True, named: Iterable[str] = ()) -> None:
        self._settings = settings
        self._named = frozenset(map(collector_name, named))
        self._expired: list[dict[str, Any]] = []  # rows of the collectors that lost their place
        self._is_crowded = False  # whether no collector can lose its place to the messages of this chunk
        self._feeds: dict[str, CollectorFeed] = {}
        self._hosts: dict[str, CollectorFeed] = {}
        self._prefixes = PrefixKeys(MAX_CACHED_PREFIXES)
        self._deduplicate = deduplicate
        self._arrived_at: float | None = None
        self._overlapping: set[str] = set()  # collectors with a repeated message since the last reconnect
        self.duplicates = 0

    @property
    def now(self) -> float:
        """Event time of the middle collector, epoch seconds; 0 before the first message."""
        times = [feed.time.now for feed in self._feeds.values() if feed.time.now]
        return statistics.median_high(times) if times else 0.0

    @property
    def messages(self) -> int:
        """Number of UPDATE and STATE messages that were counted."""
        return sum(feed.messages for feed in self._feeds.values())

    @property
    def messages_without_place(self) -> int:
        """Number of messages that were counted under `OTHER`, because there were too many collectors or peers."""
        other = self._feeds.get(OTHER)
        peers = sum(feed.windows.peers.n_without_place for feed in self._feeds.values())
        return peers + (other.messages if other is not None else 0)

    @property
    def rejected_times(self) -> int:
        """Number of messages without a valid time, or with one that others contradicted."""
        return sum(feed.time.invalid + feed.time.refused for feed in self._feeds.values())

    @property
    def closed_by_collector(self) -> dict[str, int]:
        """Epoch seconds by collector; its windows that start earlier are closed."""
        return {name: feed.windows.closed_before * WINDOW_S for name, feed in self._feeds.items()}

    @property
    def closed_before_s(self) -> int:
        """Epoch seconds; windows of every collector that start earlier are closed."""
        return min((start for start in self.closed_by_collector.values() if start), default=0)

    def select_recounted(self, rows: Iterable[dict[str, Any]]) -> set[tuple[str, int]]:
        """Select the windows, by collector and start, that are counted again after event time went back."""
        before = {name: feed.recounted_before for name, feed in self._feeds.items() if feed.recounted_before}
        keys = ((row["collector"], row["window_start"]) for row in rows) if before else ()
        return {(name, start) for name, start in keys if start < before.get(name, 0)}

    def clocks(self) -> dict[str, CollectorClock]:
        """Report on the clocks of each collector."""
        return {name: report_clock(feed.time) for name, feed in sorted(self._feeds.items())}

    @property
    def state_bytes(self) -> int:
        """Bytes of the routing state of all collectors."""
        return sum(feed.windows.state.nbytes for feed in self._feeds.values())

    @property
    def routes(self) -> int:
        """Number of routes in the state of all collectors."""
        return sum(feed.windows.state.routes for feed in self._feeds.values())

    def warm_up(self, messages: Iterable[Message], problems: Problems | None = None) -> int:
        """Load a table dump into the routing state without counting it; return the number of routes.

        Later windows are not ``warming``: a route that is new to the state is new. If ``problems`` of the table are known at
        its end, routes are missing from the state, and the windows are ``warming`` as without a table.
        """
        pending: dict[CollectorWindows, list[Message]] = {}
        for message in messages:
            if message.type == UPDATE:
                collector = (self._hosts.get(message.host) or self._feed(message.host)).windows
                own = pending.setdefault(collector, [])
                own.append(message)
                if len(own) >= CHUNK_MESSAGES:
                    collector.load_table(own)
                    pending[collector] = []
        for collector, own in pending.items():
            collector.load_table(own)
        if problems is not None and problems.total:
            for collector in pending:
                collector.expect_unknown_routes(self._settings.warming_minutes)
        return self.routes

    def add(self, messages: Iterable[Message], arrived_at: float | None = None) -> list[dict[str, Any]]:
        """Add messages in order of arrival; return the rows of the windows that closed.

        Parameters
        ----------
        messages : iterable of Message
            Of any type; only UPDATE and STATE have an effect.
        arrived_at : float, optional
            Wall time of arrival, epoch seconds, for the lag.
        """
        rows: list[dict[str, Any]] = []
        chunk: list[Message] = []
        for message in messages:
            chunk.append(message)
            if len(chunk) >= CHUNK_MESSAGES:
                rows += self._add_chunk(chunk, arrived_at)
                chunk = []
        return rows + self._add_chunk(chunk, arrived_at)

    def _add_chunk(self, chunk: Sequence[Message], arrived_at: float | None) -> list[dict[str, Any]]:
        pending: dict[CollectorFeed, list[Message]] = {}
        self._is_crowded = False
        for message in chunk:
            feed = self._hosts.get(message.host) or self._feed(message.host, arrived_at, pending)
            if self._deduplicate and feed.duplicates.is_duplicate(message):
                self.duplicates += 1
                self._note_overlap(feed)
                continue
            own = pending.get(feed)
            if own is None:
                pending[feed] = [message]
            else:
                own.append(message)
        rows, self._expired = self._expired, []
        for feed, messages in pending.items():
            rows += feed.add(messages, arrived_at)
        if arrived_at is not None and chunk:
            self._arrived_at = arrived_at
            for feed in self._feeds.values():
                rows += feed.close_silent(arrived_at)
        return _in_time_order(rows)

    def _note_overlap(self, feed: CollectorFeed) -> None:
        """Record that a message of a collector was repeated: the connections overlap, and no data of it is missing.

        One collector is no evidence for the others, because anyone can repeat a message; two are.
        """
        feed.drop_interruption("feed_gap")
        if feed.name not in self._overlapping and len(self._overlapping) < 2:
            self._overlapping.add(feed.name)
        if len(self._overlapping) >= 2:
            for other in self._feeds.values():
                other.drop_interruption("feed_gap")

    def _feed(self, host: str, arrived_at: float | None = None, busy: Container[CollectorFeed] = ()) -> CollectorFeed:
        """Return the feed of a host; one of those that are busy does not lose its place."""
        name = collector_name(host) or "unknown"
        if name not in self._feeds and not self._make_room(name, arrived_at, busy):
            return self._find_or_add(OTHER)
        feed = self._find_or_add(name)
        if len(self._hosts) < 2 * MAX_COLLECTORS:
            self._hosts[host] = feed
        return feed

    def _make_room(self, name: str, arrived_at: float | None, busy: Container[CollectorFeed]) -> bool:
        """Whether there is a place for a new collector; the one that has been silent for longest may lose its own."""
        if name in self._named or name == OTHER:
            return True
        n_reserved = len(self._named.difference(self._feeds))
        if len(self._feeds) + n_reserved < MAX_COLLECTORS:
            return True
        if self._is_crowded:
            return False
        # By arrival, because a collector decides its own event time, but not when its messages arrive.
        silent_s = {
            feed: arrived_at - feed.arrived_at
            if arrived_at is not None and feed.arrived_at is not None
            else self.now - feed.time.position
            for name, feed in self._feeds.items()
            if name not in self._named and name != OTHER and feed not in busy
        }
        oldest = max(silent_s, key=lambda feed: silent_s[feed], default=None)
        if oldest is None or silent_s[oldest] < EXPIRE_S:
            self._is_crowded = True
            return False
        self._expired += oldest.release_held()
        self._expired += oldest.close_all(oldest.time.now)
        del self._feeds[oldest.name]
        self._hosts = {host: feed for host, feed in self._hosts.items() if feed is not oldest}
        return True

    def _find_or_add(self, name: str) -> CollectorFeed:
        feed = self._feeds.get(name)
        if feed is None:
            share = max(MIN_STATE_BYTES, self._settings.max_state_bytes // (len(self._feeds) + 1))
            for other in self._feeds.values():
                other.windows.state.max_bytes = share
            windows = CollectorWindows(
                name,
                share,
                warming_minutes=self._settings.warming_minutes,
                per_peer=self._settings.per_peer,
                prefixes=self._prefixes,
            )
            feed = self._feeds[name] = CollectorFeed(windows, self._settings)
        return feed

    def note_reconnect(self) -> None:
        """Record that the feed was connected again; the next message decides whether data is missing.

        A message that was received before (the server starts a little earlier) shows that the connections overlap, and
        nothing is missing. Otherwise the time between them is a ``feed_gap``.
        """
        self._overlapping.clear()
        for feed in self._feeds.values():
            feed.note_interruption("feed_gap")

    def note_lost_frames(self) -> None:
        """Record that frames between the last and the next message are lost; their windows become ``incomplete``."""
        for feed in self._feeds.values():
            feed.note_interruption("incomplete")

    def note_dropped(self, begin: float | None, end: float | None, frames: int) -> None:
        """Record that frames between the last and the next message were dropped; their windows become ``incomplete``.

        Each collector is marked by its own event time. The span of the dropped frames comes from times in frames, which may be
        wrong: it only limits the mark of a collector that is silent for long.

        Parameters
        ----------
        begin, end : float, optional
            Epoch seconds; None if unknown.
        frames : int
            Number of dropped frames; they are counted once, at the first collector, because it is not known whose they are.
        """
        for number, feed in enumerate(self._feeds.values()):
            feed.note_interruption("incomplete", begin, end)
            if not number:
                feed.note_dropped(frames)

    def count_parse_errors(self, frames: int, collector: str = "") -> bool:
        """Count what could not be read in the youngest open window; False if there is no window yet.

        Parameters
        ----------
        frames : int
            Number of frames, lines or records.
        collector : str
            Collector concerned; an unreadable frame names none, and is counted once, at the first collector.
        """
        own = self._feeds.get(collector_name(collector)) or next(iter(self._feeds.values()), None)
        return own is not None and own.count_parse_errors(frames)

    def close_idle(self, quiet_s: float) -> list[dict[str, Any]]:
        """Close the windows that have ended, without waiting for late messages, because the feed is quiet.

        Parameters
        ----------
        quiet_s : float
            Seconds of wall time without a frame; event time is assumed to advance no faster than wall time.
        """
        rows: list[dict[str, Any]] = []
        for feed in self._feeds.values():
            silent_s = 0.0
            if self._arrived_at is not None and feed.time.reached_at is not None:
                silent_s = max(0.0, self._arrived_at - feed.time.reached_at)
            rows += feed.close_quiet(quiet_s + silent_s)
        return _in_time_order(rows)

    def flush(self) -> list[dict[str, Any]]:
        """Close all windows, also the one that has not ended, at the end of a file.

        A collector that is silent at the end has windows up to the event time of the middle collector.
        """
        rows: list[dict[str, Any]] = []
        for feed in self._feeds.values():
            rows += feed.release_held()
        until = self.now
        for feed in self._feeds.values():
            if feed.time.now:
                rows += feed.close_all(until)
        return _in_time_order(rows)

    def reset_time(self, time: int) -> list[str]:
        """Count again from an event time; return the collectors that were later. Their routing state is kept.

        Parameters
        ----------
        time : int
            Epoch seconds, the start of a minute.
        """
        later = [feed for feed in self._feeds.values() if feed.is_later_than(time)]
        for feed in later:
            feed.reset_time(time)
        return sorted(feed.name for feed in later)

    def save(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and plain values for a checkpoint."""
        arrays: dict[str, NDArray[Any]] = {}
        feeds: list[dict[str, Any]] = []
        for number, feed in enumerate(self._feeds.values()):
            own, values = feed.save()
            arrays |= {f"{number}.{name}": array for name, array in own.items()}
            feeds.append(values)
        values = {
            "duplicates": self.duplicates,
            "arrived_at": self._arrived_at,
            "overlapping": sorted(self._overlapping),
        }
        return arrays, values | {"collectors": feeds}

    def restore(self, arrays: dict[str, NDArray[Any]], values: dict[str, Any]) -> None:
        """Restore the result of `save`."""
        self.duplicates, self._arrived_at = int(values["duplicates"]), values["arrived_at"]
        self._overlapping = set(values["overlapping"])
        for number, saved in enumerate(values["collectors"]):
            self._find_or_add(saved["name"]).restore(take_arrays(arrays, f"{number}."), saved)


def _in_time_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["window_start"], row["collector"]))
