"""Event time over all collectors: which messages count, when a window closes, and what is known to be missing.

Sorts messages to their collectors, drops repetitions, decides what is late, closes windows ``lateness_s`` after their
end and marks gaps. Pure: what it is handed decides everything, so that the same segments give the same windows again
after a crash. Reading segments, saving state and writing rows is the service's affair.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from bgpdrift.bgp.messages import STATE, UPDATE, Message, collector_name
from bgpdrift.bgp.prefixes import PrefixKeys
from bgpdrift.features.collector import CollectorWindows
from bgpdrift.features.dedup import Duplicates
from bgpdrift.features.event_time import EventTime
from bgpdrift.features.window import LENGTH_S
from bgpdrift.settings import WindowSettings

_CHUNK = 16_384  # messages handed on at once: enough for array speed, few enough to bound memory
_MIN_STATE_BYTES = 4_000_000
_MOST_COLLECTORS = 256  # ten times what RIS has: frames cannot make us keep state without bound


class Missing(NamedTuple):
    """A span of event time of which something is known to be missing."""

    begin: float  # epoch seconds
    end: float
    mark: str  # feed_gap, incomplete or dropped
    frames: int  # how many, for dropped


class Aggregator:
    """All collectors of one feed.

    Parameters
    ----------
    settings : WindowSettings
        Lateness, caps and marks.
    deduplicate : bool
        Drop repetitions by message id; off for files, which have none.
    """

    def __init__(self, settings: WindowSettings, deduplicate: bool = True) -> None:
        self._settings = settings
        self._time = EventTime(settings.max_jump_s)
        self._collectors: dict[str, CollectorWindows] = {}
        self._hosts: dict[str, CollectorWindows] = {}
        self._duplicates: dict[str, Duplicates] = {}
        self._prefixes = PrefixKeys(200_000)
        self._deduplicate = deduplicate
        self._closed_before = 0  # tick: windows below it are closed
        self._begun = False
        self._missing: list[Missing] = []
        self._breaks: dict[str, float] = {}  # mark -> event time at which the stream broke off, until the next message
        self.messages = 0
        self.duplicates = 0
        self.refused_times = 0

    @property
    def now(self) -> float:
        """Event time, epoch seconds; 0 before the first message."""
        return self._time.now

    @property
    def closed_before_s(self) -> int:
        """Epoch seconds: windows that start before are closed."""
        return self._closed_before * LENGTH_S

    @property
    def state_bytes(self) -> int:
        """Bytes of all routing state."""
        return sum(collector.state.nbytes for collector in self._collectors.values())

    @property
    def routes(self) -> int:
        """Routes held, over all collectors."""
        return sum(collector.state.routes for collector in self._collectors.values())

    def warm_up(self, messages: Iterable[Message]) -> int:
        """Fill the routing state from a table dump, without counting anything; give the number of routes.

        Windows are not ``warming`` then: what is new to the state is new.
        """
        work: dict[CollectorWindows, list[Message]] = {}
        for message in messages:
            if message.type == UPDATE:
                collector = self._hosts.get(message.host) or self._collector(message.host)
                waiting = work.setdefault(collector, [])
                waiting.append(message)
                if len(waiting) >= _CHUNK:
                    collector.learn(waiting)
                    work[collector] = []
        for collector, waiting in work.items():
            collector.learn(waiting)
        return self.routes

    def add(self, messages: Iterable[Message], arrived_at: float | None = None) -> list[dict[str, Any]]:
        """Take messages in order of arrival and give the rows of windows that closed.

        Parameters
        ----------
        messages : iterable of Message
            Of any type; only UPDATE and STATE change anything.
        arrived_at : float, optional
            Wall time of arrival, epoch seconds, for lag.
        """
        rows: list[dict[str, Any]] = []
        chunk: list[Message] = []
        for message in messages:
            chunk.append(message)
            if len(chunk) >= _CHUNK:
                rows += self._take(chunk, arrived_at)
                chunk = []
        return rows + self._take(chunk, arrived_at)

    def _take(self, chunk: Sequence[Message], arrived_at: float | None) -> list[dict[str, Any]]:
        now, refused = self._time.now, self._time.refused
        believed = self._time.follow(chunk)
        if self._time.refused > refused:
            self.refused_times += self._time.refused - refused
            self.count_unreadable(self._time.refused - refused)
        work: dict[CollectorWindows, tuple[list[Message], list[bool]]] = {}
        lateness, closed_until = self._settings.lateness_s, self._closed_before * LENGTH_S
        for message in believed:
            time = message.timestamp
            if time > now:
                if not now:
                    self._missing.append(Missing(time // LENGTH_S * LENGTH_S, time, "incomplete", 0))
                now = time
                # A window is closed by the message that takes event time past its lateness, not by the batch's end.
                closed_until = max(closed_until, int((now - lateness) // LENGTH_S) * LENGTH_S)
            if message.type != UPDATE and message.type != STATE:
                continue
            collector = self._hosts.get(message.host) or self._collector(message.host)
            if self._deduplicate and self._duplicates[collector.name].is_duplicate(message):
                self.duplicates += 1
                self._breaks.pop("feed_gap", None)  # what we had and what came overlap: nothing is missing between
                continue
            if self._breaks:
                self._missing += [Missing(at, max(time, at), mark, 0) for mark, at in self._breaks.items()]
                self._breaks.clear()
            lists = work.get(collector)
            if lists is None:
                lists = work[collector] = ([], [])
            lists[0].append(message)
            lists[1].append(time < closed_until)
        for collector, (messages, late) in work.items():
            self.messages += len(messages)
            collector.process(messages, late, arrived_at)
        return self._close_through(int((self._time.now - lateness) // LENGTH_S)) if self._time.now else []

    def _collector(self, host: str) -> CollectorWindows:
        name = collector_name(host) or "unknown"
        if name not in self._collectors and len(self._collectors) >= _MOST_COLLECTORS:
            name = "other"
        collector = self._collectors.get(name)
        if collector is None:
            share = max(_MIN_STATE_BYTES, self._settings.max_state_bytes // (len(self._collectors) + 1))
            for other in self._collectors.values():
                other.state.max_bytes = share
            collector = self._collectors[name] = CollectorWindows(
                name, share, self._settings.warming_minutes, self._settings.per_peer, self._prefixes
            )
            self._duplicates[name] = Duplicates()
        if len(self._hosts) < 2 * _MOST_COLLECTORS:
            self._hosts[host] = collector
        return collector

    def connected(self) -> None:
        """Note that the feed was connected anew: the next message shows whether anything is missing.

        If it came before (a server that starts again a little earlier), both sides overlap and nothing is. Otherwise the
        time between is a ``feed_gap``.
        """
        if self._time.now:
            self._breaks["feed_gap"] = self._time.now

    def skipped(self) -> None:
        """Note that frames between the last message and the next one were lost: their windows are ``incomplete``."""
        if self._time.now:
            self._breaks["incomplete"] = self._time.now

    def lost(self, begin: float | None, end: float | None, mark: str, frames: int = 0) -> None:
        """Note that data of a span of event time is missing.

        Parameters
        ----------
        begin, end : float, optional
            Epoch seconds; ``None`` stands for event time now.
        mark : str
            ``dropped`` or ``incomplete``.
        frames : int
            How many frames, where known.
        """
        now = self._time.now
        self._missing.append(Missing(begin or now, end or now, mark, frames))

    def count_unreadable(self, frames: int) -> None:
        """Count frames that could not be read, in the youngest open window."""
        if frames and self._time.now:
            tick = max(int(self._time.now // LENGTH_S), self._closed_before)
            for collector in self._collectors.values():
                collector.window(tick).quality["parse_errors"] += frames
                return  # a frame that cannot be read names no collector: it is counted once, with the first of them

    def idle(self, quiet_s: float) -> list[dict[str, Any]]:
        """Close the windows that have ended although lateness has not passed: the feed is quiet, nobody is late.

        Parameters
        ----------
        quiet_s : float
            Seconds of wall time without a frame. While nothing comes, event time is taken to pass no faster than that.
        """
        return self._close_through(int((self._time.now + quiet_s) // LENGTH_S)) if self._time.now else []

    def flush(self) -> list[dict[str, Any]]:
        """Close all windows, also the one that has not ended: a file is at its end."""
        return self._close_through(int(self._time.now // LENGTH_S) + 1) if self._time.now else []

    def _close_through(self, tick: int) -> list[dict[str, Any]]:
        """Close every window before a tick, of every collector known, oldest first."""
        rows: list[dict[str, Any]] = []
        if not self._begun:
            open_ticks = [key[0] for collector in self._collectors.values() for key in collector.windows]
            if not open_ticks or tick <= min(open_ticks):
                return rows
            self._begun, self._closed_before = True, min(open_ticks)
        begin = self._closed_before
        for closing in range(begin, tick):
            for name in sorted(self._collectors):
                collector = self._collectors[name]
                if 0 <= collector.first_tick <= closing:
                    self._mark(collector, closing)
                    rows += collector.close(closing)
        self._closed_before = max(self._closed_before, tick)
        self._missing = [span for span in self._missing if span.end >= tick * LENGTH_S]
        return rows

    def _mark(self, collector: CollectorWindows, tick: int) -> None:
        begin, end = tick * LENGTH_S, (tick + 1) * LENGTH_S
        for at, span in enumerate(self._missing):
            if span.begin < end and span.end >= begin:
                window = collector.window(tick)
                if span.mark == "dropped":
                    window.quality["dropped"] += span.frames
                    window.quality["incomplete"] = 1
                    self._missing[at] = span._replace(frames=0)
                else:
                    window.quality[span.mark] = 1

    def save(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Give arrays and plain values for a checkpoint."""
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
            "begun": self._begun,
            "missing": [list(span) for span in self._missing],
            "breaks": self._breaks,
            "held": self._time.save(),
            "messages": self.messages,
            "duplicates": self.duplicates,
            "refused_times": self.refused_times,
            "collectors": collectors,
        }

    def restore(self, arrays: dict[str, NDArray[Any]], values: dict[str, Any]) -> None:
        """Take over what `save` gave."""
        self._time.now = float(values["now"])
        self._closed_before, self._begun = int(values["closed_before"]), bool(values["begun"])
        self._missing = [Missing(*span) for span in values["missing"]]
        self._breaks = dict(values["breaks"])
        self._time.restore(values["held"])
        self.messages, self.duplicates = int(values["messages"]), int(values["duplicates"])
        self.refused_times = int(values["refused_times"])
        for number, saved in enumerate(values["collectors"]):
            collector = self._collector(saved["name"])
            own = {
                name.removeprefix(f"{number}."): array
                for name, array in arrays.items()
                if name.startswith(f"{number}.")
            }
            collector.restore(own, saved)
            self._duplicates[collector.name] = Duplicates.restore(saved["duplicates"])
