"""Runs event time over all collectors: which messages count, when a window closes, and which data is missing.

The aggregator assigns messages to collectors, drops duplicates, decides which messages are late, closes a window
``lateness_s`` after its end, and marks gaps. It is pure: its inputs alone determine its results, so that reading the same
segments again after a crash gives the same windows. `bgpdrift.features.spool_aggregation` reads segments, saves the state
and writes rows.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from bgpdrift.bgp.messages import STATE, UPDATE, Message, collector_name
from bgpdrift.bgp.prefixes import PrefixKeys
from bgpdrift.bgp.problems import Problems
from bgpdrift.features.checkpoint import select_arrays
from bgpdrift.features.collector import CollectorWindows
from bgpdrift.features.dedup import Duplicates
from bgpdrift.features.event_time import WINDOW_S, EventTime
from bgpdrift.settings import WindowSettings

CHUNK_MESSAGES = 16_384
"""Messages processed together: enough for the speed of arrays, few enough to bound memory."""
MIN_STATE_BYTES = 4_000_000
"""Smallest limit of the routing state of one collector."""
MAX_COLLECTORS = 256
"""Ten times the number of RIS; host names in frames cannot make the state grow without bound."""
MAX_CACHED_PREFIXES = 200_000


class MissingSpan(NamedTuple):
    """A span of event time whose data is incomplete."""

    begin: float  # epoch seconds
    end: float
    mark: str  # feed_gap, incomplete or dropped
    frames: int  # number of dropped frames


class Aggregator:
    """Windows of all collectors of one feed.

    Parameters
    ----------
    settings : WindowSettings
        Lateness, limits and marks.
    deduplicate : bool
        Drop messages whose id was seen before; off for files without ids.
    """

    def __init__(self, settings: WindowSettings, deduplicate: bool = True) -> None:
        self._settings = settings
        self._time = EventTime(settings.max_jump_s)
        self._collectors: dict[str, CollectorWindows] = {}
        self._hosts: dict[str, CollectorWindows] = {}
        self._duplicates: dict[str, Duplicates] = {}
        self._prefixes = PrefixKeys(MAX_CACHED_PREFIXES)
        self._deduplicate = deduplicate
        self._closed_before = 0  # tick; windows before it are closed
        self._has_closed = False
        self._missing: list[MissingSpan] = []
        self._interruptions: dict[str, float] = {}  # mark -> event time of the interruption, until the next message
        self.messages = 0
        self.duplicates = 0
        self.rejected_times = 0

    @property
    def now(self) -> float:
        """Event time, epoch seconds; 0 before the first message."""
        return self._time.now

    @property
    def closed_before_s(self) -> int:
        """Epoch seconds; windows that start earlier are closed."""
        return self._closed_before * WINDOW_S

    @property
    def state_bytes(self) -> int:
        """Bytes of the routing state of all collectors."""
        return sum(collector.state.nbytes for collector in self._collectors.values())

    @property
    def routes(self) -> int:
        """Number of routes in the state of all collectors."""
        return sum(collector.state.routes for collector in self._collectors.values())

    def warm_up(self, messages: Iterable[Message], problems: Problems | None = None) -> int:
        """Load a table dump into the routing state without counting it; return the number of routes.

        Later windows are not ``warming``: a route that is new to the state is new. If ``problems`` of the table are known at
        its end, routes are missing from the state, and the windows are ``warming`` as without a table.
        """
        pending: dict[CollectorWindows, list[Message]] = {}
        for message in messages:
            if message.type == UPDATE:
                collector = self._hosts.get(message.host) or self._collector(message.host)
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
        now, rejected = self._time.now, self._time.rejected
        accepted = self._time.accept(chunk)
        if self._time.rejected > rejected:
            self.rejected_times += self._time.rejected - rejected
            self.count_parse_errors(self._time.rejected - rejected)
        pending: dict[CollectorWindows, tuple[list[Message], list[bool]]] = {}
        lateness, closed_until = self._settings.lateness_s, self._closed_before * WINDOW_S
        for message in accepted:
            time = message.timestamp
            if time > now:
                if not now:
                    self._missing.append(MissingSpan(time // WINDOW_S * WINDOW_S, time, "incomplete", 0))
                now = time
                # The message that moves event time past the lateness closes a window, not the end of the batch.
                closed_until = max(closed_until, int((now - lateness) // WINDOW_S) * WINDOW_S)
            if message.type != UPDATE and message.type != STATE:
                continue
            collector = self._hosts.get(message.host) or self._collector(message.host)
            if self._deduplicate and self._duplicates[collector.name].is_duplicate(message):
                self.duplicates += 1
                self._interruptions.pop("feed_gap", None)  # the connections overlap: no data is missing
                continue
            if self._interruptions:
                self._missing += [
                    MissingSpan(since, max(time, since), mark, 0) for mark, since in self._interruptions.items()
                ]
                self._interruptions.clear()
            lists = pending.get(collector)
            if lists is None:
                lists = pending[collector] = ([], [])
            lists[0].append(message)
            lists[1].append(time < closed_until)
        for collector, (messages, late) in pending.items():
            self.messages += len(messages)
            collector.add(messages, late, arrived_at)
        return self._close_before(int((self._time.now - lateness) // WINDOW_S)) if self._time.now else []

    def _collector(self, host: str) -> CollectorWindows:
        name = collector_name(host) or "unknown"
        if name not in self._collectors and len(self._collectors) >= MAX_COLLECTORS:
            name = "other"
        collector = self._collectors.get(name)
        if collector is None:
            share = max(MIN_STATE_BYTES, self._settings.max_state_bytes // (len(self._collectors) + 1))
            for other in self._collectors.values():
                other.state.max_bytes = share
            collector = self._collectors[name] = CollectorWindows(
                name,
                share,
                warming_minutes=self._settings.warming_minutes,
                per_peer=self._settings.per_peer,
                prefixes=self._prefixes,
            )
            self._duplicates[name] = Duplicates()
        if len(self._hosts) < 2 * MAX_COLLECTORS:
            self._hosts[host] = collector
        return collector

    def note_reconnect(self) -> None:
        """Record that the feed was connected again; the next message decides whether data is missing.

        A message that was received before (the server starts a little earlier) shows that the connections overlap, and
        nothing is missing. Otherwise the time between them is a ``feed_gap``.
        """
        if self._time.now:
            self._interruptions["feed_gap"] = self._time.now

    def note_lost_frames(self) -> None:
        """Record that frames between the last and the next message are lost; their windows become ``incomplete``."""
        if self._time.now:
            self._interruptions["incomplete"] = self._time.now

    def note_missing(self, begin: float | None, end: float | None, mark: str, frames: int = 0) -> None:
        """Record that data of a span of event time is missing.

        Parameters
        ----------
        begin, end : float, optional
            Epoch seconds; None means the present event time.
        mark : str
            ``dropped`` or ``incomplete``.
        frames : int
            Number of missing frames, if known.
        """
        now = self._time.now
        self._missing.append(MissingSpan(begin or now, end or now, mark, frames))

    def count_parse_errors(self, frames: int, collector: str = "") -> bool:
        """Count what could not be read in the youngest open window; False if there is no window yet.

        Parameters
        ----------
        frames : int
            Number of frames, lines or records.
        collector : str
            Collector concerned; an unreadable frame names none, and is counted once, at the first collector.
        """
        own = self._collectors.get(collector_name(collector)) or next(iter(self._collectors.values()), None)
        if not self._time.now or own is None:
            return False
        if frames:
            tick = max(int(self._time.now // WINDOW_S), self._closed_before)
            own.window(tick).sums["parse_errors"] += frames
        return True

    def close_idle(self, quiet_s: float) -> list[dict[str, Any]]:
        """Close the windows that have ended, without waiting for late messages, because the feed is quiet.

        Parameters
        ----------
        quiet_s : float
            Seconds of wall time without a frame; event time is assumed to advance no faster than wall time.
        """
        return self._close_before(int((self._time.now + quiet_s) // WINDOW_S)) if self._time.now else []

    def flush(self) -> list[dict[str, Any]]:
        """Close all windows, also the one that has not ended, at the end of a file."""
        return self._close_before(int(self._time.now // WINDOW_S) + 1) if self._time.now else []

    def _close_before(self, tick: int) -> list[dict[str, Any]]:
        """Close every window before a tick at every known collector, oldest first."""
        rows: list[dict[str, Any]] = []
        if not self._has_closed:
            open_ticks = [key[0] for collector in self._collectors.values() for key in collector.windows]
            if not open_ticks or tick <= min(open_ticks):
                return rows
            self._has_closed, self._closed_before = True, min(open_ticks)
        for closing in range(self._closed_before, tick):
            for name in sorted(self._collectors):
                collector = self._collectors[name]
                if 0 <= collector.first_tick <= closing:
                    self._mark_missing(collector, closing)
                    rows += collector.close_windows(closing)
        self._closed_before = max(self._closed_before, tick)
        self._missing = [span for span in self._missing if span.end >= tick * WINDOW_S]
        return rows

    def _mark_missing(self, collector: CollectorWindows, tick: int) -> None:
        begin, end = tick * WINDOW_S, (tick + 1) * WINDOW_S
        for at, span in enumerate(self._missing):
            if span.begin < end and span.end >= begin:
                window = collector.window(tick)
                if span.mark == "dropped":
                    window.sums["dropped"] += span.frames
                    window.sums["incomplete"] = 1
                    self._missing[at] = span._replace(frames=0)
                else:
                    window.sums[span.mark] = 1

    def save(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and plain values for a checkpoint."""
        arrays: dict[str, NDArray[Any]] = {}
        collectors: list[dict[str, Any]] = []
        for number, collector in enumerate(self._collectors.values()):
            own, values = collector.save()
            arrays |= {f"{number}.{name}": array for name, array in own.items()}
            values["duplicates"] = self._duplicates[collector.name].save()
            collectors.append(values)
        return arrays, {
            "now": self._time.now,
            "closed_before": self._closed_before,
            "has_closed": self._has_closed,
            "missing": [list(span) for span in self._missing],
            "interruptions": self._interruptions,
            "held": self._time.save(),
            "messages": self.messages,
            "duplicates": self.duplicates,
            "rejected_times": self.rejected_times,
            "collectors": collectors,
        }

    def restore(self, arrays: dict[str, NDArray[Any]], values: dict[str, Any]) -> None:
        """Restore the result of `save`."""
        self._time.now = float(values["now"])
        self._closed_before, self._has_closed = int(values["closed_before"]), bool(values["has_closed"])
        self._missing = [MissingSpan(*span) for span in values["missing"]]
        self._interruptions = dict(values["interruptions"])
        self._time.restore(values["held"])
        self.messages, self.duplicates = int(values["messages"]), int(values["duplicates"])
        self.rejected_times = int(values["rejected_times"])
        for number, saved in enumerate(values["collectors"]):
            collector = self._collector(saved["name"])
            collector.restore(select_arrays(arrays, f"{number}."), saved)
            self._duplicates[collector.name] = Duplicates.restore(saved["duplicates"])
