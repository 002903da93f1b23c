"""Collects the history that the demo trains on: days of event time in a minute, and no data after the end of the history.

This module decides when the feed pauses, when it resumes, and when the system is idle. At full speed the feed is hours of
event time ahead of the aggregator, because data waits in sockets, buffers and files. Therefore the feed is slowed down
during the history and paused at its end. The demo then waits until the services have processed all data sent.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bgpdrift.bgp.spool import parse_sequence
from bgpdrift.store import Store

MAX_UNREAD_SEGMENTS = 2
"""Finished segments that the aggregator has not read, beyond which the feed pauses. At full speed one holds about 40 minutes."""
NEAR_END_S = 3 * 3600
"""Event time before the end of the history from which the feed pauses at the first unread segment."""
IDLE_S = 3.0
"""The system is idle if nothing has changed for this long: longer than a segment stays open and the collector's figures lag."""
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Position:
    """The progress of the services.

    Attributes
    ----------
    window : int
        Event time of the newest window; 0 without one.
    verdict : int
        Event time of the newest verdict; 0 without one.
    verdict_id : int
        Row number of the newest verdict.
    unread_segments : int
        Finished segments that the aggregator has not read.
    frames : int
        Frames that the collector has received.
    """

    window: int = 0
    verdict: int = 0
    verdict_id: int = 0
    unread_segments: int = 0
    frames: int = 0


class Pausable(Protocol):
    """A feed that can be paced."""

    is_paused: bool

    @property
    def has_ended(self) -> bool:
        """Whether no more data will come."""
        ...

    def pause(self) -> None:
        """Stop event time."""
        ...

    def resume(self) -> None:
        """Let event time continue."""
        ...


def should_pause(unread_segments: int, is_paused: bool, limit: int = MAX_UNREAD_SEGMENTS) -> bool:
    """Decide whether the feed pauses: above `limit` unread segments, and then until all are read.

    Examples
    --------
    >>> [should_pause(unread, paused) for unread, paused in ((2, False), (3, False), (1, True), (0, True))]
    [False, True, True, False]
    """
    return unread_segments > 0 if is_paused else unread_segments > limit


def read_position(store: Store, data: Path) -> Position:
    """Read the progress of the services."""
    sequence = store.read_position("feature_aggregator")
    names = [entry.name for entry in (data / "spool").iterdir()]
    return Position(
        window=store.newest_window_start() or 0,
        verdict=store.newest_verdict_start() or 0,
        verdict_id=store.newest_verdict_id(),
        unread_segments=sum(1 for name in names if (parse_sequence(name) or 0) > sequence),
        frames=_read_frames(data / "state" / "collector.json"),
    )


def gather_history(
    feed: Pausable,
    read: Callable[[], Position],
    until: int,
    deadline: float,
    *,
    report: Callable[[Position], None] = lambda _: None,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Pace the feed until the newest window reaches `until`, then pause it. False if the feed or the time ended first."""
    while monotonic() < deadline and not feed.has_ended:
        now = read()
        report(now)
        if now.window >= until:
            feed.pause()
            return True
        limit = 0 if now.window >= until - NEAR_END_S else MAX_UNREAD_SEGMENTS
        if should_pause(now.unread_segments, feed.is_paused, limit):
            feed.pause()
        else:
            feed.resume()
        sleep(POLL_S)
    return False


def wait_until_idle(
    read: Callable[[], Position],
    deadline: float,
    *,
    report: Callable[[Position], None] = lambda _: None,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until all data of a paused feed has a verdict, so that no window arrives while models train."""
    before, since = read(), monotonic()
    while monotonic() < deadline:
        now = read()
        report(now)
        if now != before or now.unread_segments or now.verdict < now.window:
            before, since = now, monotonic()
        elif monotonic() - since >= IDLE_S:
            return True
        sleep(POLL_S)
    return False


def _read_frames(state: Path) -> int:
    try:
        return int(json.loads(state.read_bytes())["frames"])
    except (OSError, ValueError, KeyError):
        return 0  # the collector has not written it yet
