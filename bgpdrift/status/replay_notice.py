"""Decides what a replay will do to the system of this directory, before it starts.

The aggregator counts no message whose window it has closed, and takes messages of known peers with earlier ids for repetitions.
Therefore a recording that is older than the data in the store changes nothing. This module compares the two; `bgpdrift replay`
prints the result and refuses a replay that changes nothing.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from bgpdrift.bgp.messages import collector_name
from bgpdrift.bgp.replay_frame import Frame
from bgpdrift.clock import Clock
from bgpdrift.errors import BgpdriftError
from bgpdrift.formatting import format_time
from bgpdrift.settings import Settings
from bgpdrift.store import open_store
from bgpdrift.store.cursor_states import AggregatorState

MAX_SCAN_S = 5.0
"""Longest time for reading a recording before it is served."""
_AGGREGATOR_CURSOR = "feature_aggregator"
_MAX_WAIT_S = 2.0
_FRAMES_BETWEEN_LOOKS = 1_000


class Recording(NamedTuple):
    """What a recording holds, compared with the store."""

    first: float  # epoch seconds
    last: float
    frames: int
    ignored: int  # messages whose windows are closed in the store
    is_whole: bool  # False: the scan ended before the recording

    @property
    def changes_nothing(self) -> bool:
        """Whether every message would be ignored."""
        return self.is_whole and self.frames == self.ignored


class StoredSpan(NamedTuple):
    """What the store holds."""

    oldest: int | None  # start of the oldest window, epoch seconds
    newest: int | None
    closed: dict[str, int]  # collector -> windows that start earlier are closed


def read_stored_span(settings: Settings) -> StoredSpan:
    """Read the span of the store; without a store everything is empty."""
    try:
        with open_store(settings.store_url, busy_timeout_s=_MAX_WAIT_S) as store:
            cursor = store.read_state(_AGGREGATOR_CURSOR, AggregatorState)
            oldest, newest = store.oldest_window_start(), store.newest_window_start()
    except BgpdriftError:
        return StoredSpan(None, None, {})
    return StoredSpan(oldest, newest, {} if cursor is None else dict(cursor.state.closed_by_collector))


def scan(frames: Iterable[Frame], closed: Mapping[str, int], clock: Clock) -> Recording | None:
    """Read a recording for at most `MAX_SCAN_S`, and count the messages that would be ignored; None if it is empty."""
    deadline = clock.monotonic() + MAX_SCAN_S
    first = last = 0.0
    number = ignored = 0
    is_whole = True
    for frame in frames:
        first = first or frame.timestamp
        last = max(last, frame.timestamp)
        number += 1
        message = frame.message if closed else None
        name = "" if message is None else collector_name(message.host)
        ignored += frame.timestamp < closed.get(name, 0)
        if number % _FRAMES_BETWEEN_LOOKS == 0 and clock.monotonic() > deadline:
            is_whole = False
            break
    return Recording(first, last, number, ignored, is_whole) if number else None


def describe(recording: Recording, stored: StoredSpan) -> list[str]:
    """Describe what will happen, a line for each fact.

    Examples
    --------
    >>> for line in describe(Recording(60.0, 600.0, 10, 4, True), StoredSpan(0, 240, {"rrc00": 300})):
    ...     print(line)
    the recording covers 1970-01-01 00:01 to 1970-01-01 00:10 UTC, 10 messages
    the store here holds windows from 1970-01-01 00:00 to 1970-01-01 00:05 UTC
    4 messages are older than the windows in the store and will be ignored
    """
    to = format_time(recording.last) if recording.is_whole else f"{format_time(recording.last)} or later"
    number = f"{recording.frames:,}" if recording.is_whole else f"more than {recording.frames:,}"
    lines = [f"the recording covers {format_time(recording.first)} to {to} UTC, {number} messages"]
    if stored.oldest is None or stored.newest is None:
        return [*lines, "there is no data in the store here: every message will count"]
    newest = format_time(stored.newest + 60)
    lines.append(f"the store here holds windows from {format_time(stored.oldest)} to {newest} UTC")
    what = f"{recording.ignored:,} messages are" if recording.ignored else "no message is"
    end = (
        "older than the windows in the store and will be ignored"
        if recording.ignored
        else "older: every one will count"
    )
    return [*lines, f"{what} {end}"]
