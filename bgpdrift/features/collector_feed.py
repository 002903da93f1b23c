"""The feed of one collector: which messages count, when windows close, and which data is missing.

All state that a message can change belongs to its collector: event time, open and closed windows, known ids, gaps. Therefore
no message of one collector changes a window of another. `bgpdrift.features.event_time` decides which timestamps are accepted.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bgpdrift.bgp.messages import STATE, UPDATE, Message
from bgpdrift.features.collector import CollectorWindows
from bgpdrift.features.dedup import Duplicates
from bgpdrift.features.event_time import WINDOW_S, EventTime, Progress
from bgpdrift.settings import WindowSettings

MAX_SPANS = 1_000
"""Spans of missing data remembered for each collector."""


class MissingSpan(NamedTuple):
    """A span of event time whose data is incomplete."""

    begin: float  # epoch seconds
    end: float
    mark: str  # feed_gap, incomplete or dropped
    frames: int  # number of dropped frames


class Interruption(NamedTuple):
    """A time without data that the next message ends."""

    since: float  # event time of the last message before it, epoch seconds
    begin: float  # the data is missing from here, at the earliest
    end: float  # to here, at the latest; infinity if unknown

    def cover(self, other: "Interruption") -> "Interruption":
        """Return the interruption that contains both."""
        return Interruption(min(self.since, other.since), min(self.begin, other.begin), max(self.end, other.end))

    def save(self) -> tuple[float, float, float | None]:
        """Return the values for a checkpoint, whose JSON has no infinity."""
        return self.since, self.begin, None if math.isinf(self.end) else self.end

    @classmethod
    def restore(cls, since: float, begin: float, end: float | None) -> "Interruption":
        """Restore the result of `save`."""
        return cls(since, begin, math.inf if end is None else end)

    def end_at(self, time: float, mark: str) -> MissingSpan:
        """Return the span of missing data, if the next message has a time."""
        begin, end = (self.begin, min(self.end, time)) if self.begin < time else (self.since, time)
        return MissingSpan(begin, end, mark, 0)


def _limit_span(since: float, begin: float | None, end: float | None) -> Interruption:
    """Limit the missing data to a span, with a minute on both sides, if it overlaps the time after ``since``.

    Examples
    --------
    >>> _limit_span(100.0, 7_000.0, 7_010.0), _limit_span(100.0, 4e9, 50.0)
    (Interruption(since=100.0, begin=6940.0, end=7070.0), Interruption(since=100.0, begin=100.0, end=inf))
    """
    first = since if begin is None else max(since, begin - WINDOW_S)
    last = math.inf if end is None else end + WINDOW_S
    return Interruption(since, first, last) if first < last else Interruption(since, since, math.inf)


class CollectorFeed:
    """Messages, event time and windows of one collector.

    Parameters
    ----------
    windows : CollectorWindows
        Routing state and open windows.
    settings : WindowSettings
        Lateness and limits.
    """

    def __init__(self, windows: CollectorWindows, settings: WindowSettings) -> None:
        self.windows = windows
        self.time = EventTime(settings.lateness_s)
        self.duplicates = Duplicates()
        self.messages = 0
        self.arrived_at: float | None = None  # wall time of arrival of the last message, accepted or not
        self.recounted_before = 0  # epoch seconds; windows that start earlier may be in the store, with other data
        self._left_out = (0.0, 0.0)  # event time that the last step of the clock ahead left out
        self._settings = settings
        self._missing: list[MissingSpan] = []
        self._interruptions: dict[str, Interruption] = {}  # by mark, until the next message

    @property
    def name(self) -> str:
        """Name of the collector."""
        return self.windows.name

    def add(self, messages: Sequence[Message], arrived_at: float | None) -> list[dict[str, Any]]:
        """Add messages in order of arrival, without repetitions; return the rows of the windows that closed."""
        self.arrived_at = arrived_at
        invalid, is_first = self.time.invalid, not self.time.now
        rows = self._count_all(self.time.accept(messages, arrived_at), arrived_at, is_first=is_first)
        self.count_parse_errors(self.time.invalid - invalid)
        return rows

    def _count_all(
        self, parts: Sequence[Progress], arrived_at: float | None, *, is_first: bool
    ) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for progress in parts:
            if progress.goes_back:
                rows += self._go_back(progress.begins_at)
            if progress.messages:
                self._count(progress, arrived_at, is_first=is_first)
                rows += self._close_late(float(progress.now[-1]))
                is_first = False
        return rows

    def _count(self, progress: Progress, arrived_at: float | None, *, is_first: bool) -> None:
        messages = progress.messages
        times = np.array([message.timestamp for message in messages], dtype=np.float64)
        first = messages[0].timestamp
        for begin, end in progress.skipped:
            self._note_missing(MissingSpan(begin, end, "incomplete", 0))
            self._left_out = (begin, end)
        if is_first:
            self._note_missing(MissingSpan(first // WINDOW_S * WINDOW_S, first, "incomplete", 0))
        for mark, span in list(self._interruptions.items()):
            after = times[times > span.since]  # a message that was held is from before the interruption
            if after.size:
                self._note_missing(span.end_at(float(after[0]), mark))
                del self._interruptions[mark]
        # The message that moves event time past the lateness closes a window, not the end of the batch.
        closed_before = np.floor((progress.now - self._settings.lateness_s) / WINDOW_S)
        np.maximum(closed_before, self.windows.closed_before, out=closed_before)
        late = (times < closed_before * WINDOW_S) | progress.refused
        self.messages += len([message for message in messages if message.type == UPDATE or message.type == STATE])
        self.windows.add(messages, late.tolist(), arrived_at, (progress.now // WINDOW_S).astype(np.int64))

    def _go_back(self, now: float) -> list[dict[str, Any]]:
        """Follow a step of event time back: close the windows ahead, and count again after the minute of the step.

        Closed windows are counted again only where they hold no other data: after a long step, or in the minutes that a step
        ahead left out.
        """
        begin, end = self._left_out
        tick = int(now // WINDOW_S) + 1
        is_left_out = begin <= now and tick * WINDOW_S < end
        if is_left_out and (tick - 1) * WINDOW_S >= begin:
            tick -= 1  # the minute of the step holds no other data either; its first messages counted as late
        rows: list[dict[str, Any]] = []
        for ahead in sorted({key[0] for key in self.windows.windows if key[0] > tick}):
            self.windows.window(ahead).sums["incomplete"] = 1
        is_far = self.windows.closed_before - tick > self._settings.max_gap_minutes
        if not self.windows.has_closed or is_far or is_left_out:
            rows = self._close_before(max((key[0] for key in self.windows.windows), default=tick - 1) + 1)
            self.recounted_before = max(self.recounted_before, self.windows.closed_before * WINDOW_S)
            if is_left_out:
                self._note_missing(MissingSpan(tick * WINDOW_S, now, "incomplete", 0))
                # From its end on, the closed windows held messages of the wrong clock.
                self._note_missing(MissingSpan(end, self.windows.closed_before * WINDOW_S - 1.0, "incomplete", 0))
            self.windows.go_back(tick)
            self._left_out = (0.0, 0.0)
        return rows

    def note_interruption(self, mark: str, begin: float | None = None, end: float | None = None) -> None:
        """Record that data is missing from now to the next message.

        Parameters
        ----------
        mark : str
            ``feed_gap`` or ``incomplete``.
        begin, end : float, optional
            Span of the missing data, epoch seconds. It is used only if it overlaps the time after the last message.
        """
        since = self.time.position
        if since:
            before = self._interruptions.get(mark)
            span = _limit_span(since, begin, end)
            self._interruptions[mark] = span if before is None else before.cover(span)
        if mark == "feed_gap":
            self.duplicates.expect_repetitions(self.time.reached_at)

    def drop_interruption(self, mark: str) -> None:
        """Record that no data is missing after all."""
        self._interruptions.pop(mark, None)

    def note_dropped(self, frames: int) -> None:
        """Count dropped frames in the minute of the event time."""
        if self.time.position:
            self._note_missing(MissingSpan(self.time.position, self.time.position, "dropped", frames))

    def _note_missing(self, span: MissingSpan) -> None:
        self._missing.append(span)
        del self._missing[:-MAX_SPANS]

    def count_parse_errors(self, frames: int) -> bool:
        """Count unreadable frames in the youngest open window; False if there is no message yet."""
        if not self.time.position:
            return False
        if frames:
            tick = max(int(self.time.position // WINDOW_S), self.windows.closed_before)
            self.windows.window(tick).sums["parse_errors"] += frames
        return True

    def close_silent(self, arrived_at: float) -> list[dict[str, Any]]:
        """Close windows by arrival time, because this collector is silent while the feed is not."""
        if self.time.reached_at is None:
            return []
        silent_s = arrived_at - self.time.reached_at
        return self._close_late(self.time.now + silent_s) if silent_s >= self._settings.idle_close_s else []

    def close_quiet(self, quiet_s: float) -> list[dict[str, Any]]:
        """Close the windows with messages that have ended, because the whole feed is quiet."""
        tick = int((self.time.now + quiet_s) // WINDOW_S)
        return self._close_before(min(tick, int(self.time.newest // WINDOW_S) + 1))

    def release_held(self) -> list[dict[str, Any]]:
        """Accept the held messages at the end of the input."""
        return self._count_all(self.time.release_all(), None, is_first=not self.time.now)

    def close_all(self, until: float) -> list[dict[str, Any]]:
        """Close every window up to a time, also the one that has not ended."""
        return self._close_before(int(max(self.time.newest, until) // WINDOW_S) + 1)

    def _close_late(self, now: float) -> list[dict[str, Any]]:
        return self._close_before(int((now - self._settings.lateness_s) // WINDOW_S)) if self.time.now else []

    def _close_before(self, tick: int) -> list[dict[str, Any]]:
        """Close every window before a tick, oldest first; a long absence is one marked gap without rows."""
        windows = self.windows
        if tick <= windows.closed_before:
            return []
        ticks = sorted({key[0] for key in windows.windows})
        if not windows.has_closed:
            if not ticks or tick <= ticks[0]:
                return []
            windows.begin_closing(ticks[0])
        rows: list[dict[str, Any]] = []
        closing = windows.closed_before
        for following in (*(at for at in ticks if at < tick), tick):
            if following - closing > self._settings.max_gap_minutes:
                # The minute before the event time may still get late messages; both end the gap.
                for at in {following, max(following, int(self.time.now // WINDOW_S))}:
                    windows.window(at).sums["feed_gap"] = 1
                closing = following
            for at in range(closing, min(following + 1, tick)):
                self._mark_missing(at)
                rows += windows.close_windows(at)
                closing = at + 1
        windows.closed_before = tick
        self._missing = [span for span in self._missing if span.end >= tick * WINDOW_S]
        return rows

    def _mark_missing(self, tick: int) -> None:
        begin, end = tick * WINDOW_S, (tick + 1) * WINDOW_S
        for mark, interruption in self._interruptions.items():
            if interruption.begin < end and begin < interruption.end:
                self.windows.window(tick).sums[mark] = 1
        for at, span in enumerate(self._missing):
            if span.begin < end and span.end >= begin:
                window = self.windows.window(tick)
                if span.mark == "dropped":
                    window.sums["dropped"] += span.frames
                    window.sums["incomplete"] = 1
                    self._missing[at] = span._replace(frames=0)
                else:
                    window.sums[span.mark] = 1

    def is_later_than(self, time: float) -> bool:
        """Whether event time, a closed window or an open one is later than a time, epoch seconds."""
        ticks = [self.windows.closed_before, *(tick + 1 for tick, _ in self.windows.windows)]
        return max(self.time.newest, self.time.position, max(ticks) * WINDOW_S) > time

    def reset_time(self, time: int) -> None:
        """Forget what came after an event time, and count again from there; the routing state is kept."""
        self.time = EventTime(self._settings.lateness_s)
        self.duplicates = Duplicates()
        self.windows.forget_after(time // WINDOW_S)
        self._missing, self._interruptions, self._left_out = [], {}, (0.0, 0.0)

    def save(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and plain values for a checkpoint."""
        arrays, values = self.windows.save()
        values |= {
            "time": self.time.save(),
            "duplicates": self.duplicates.save(),
            "messages": self.messages,
            "arrived_at": self.arrived_at,
            "recounted_before": self.recounted_before,
            "left_out": list(self._left_out),
            "missing": [list(span) for span in self._missing],
            "interruptions": {mark: span.save() for mark, span in self._interruptions.items()},
        }
        return arrays, values

    def restore(self, arrays: dict[str, NDArray[Any]], values: dict[str, Any]) -> None:
        """Restore the result of `save`."""
        self.windows.restore(arrays, values)
        self.time.restore(values["time"])
        self.duplicates = Duplicates.restore(values["duplicates"])
        self.messages, self.arrived_at = int(values["messages"]), values["arrived_at"]
        self.recounted_before = int(values["recounted_before"])
        begin, end = values["left_out"]
        self._left_out = (float(begin), float(end))
        self._missing = [MissingSpan(*span) for span in values["missing"]]
        self._interruptions = {mark: Interruption.restore(*span) for mark, span in values["interruptions"].items()}
