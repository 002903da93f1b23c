"""Collects the history that the demo trains on: days of event time in a minute, and no data after the end of the history.

This module decides where the feed holds, when it pauses and resumes, and when the system is idle. At full speed the feed is
hours of event time ahead of the aggregator, because data waits in sockets, buffers and files. Therefore the feed pauses while
the aggregator is behind, and holds at the end of the history. The demo then waits until the services have processed all data.
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
HOLD_MARGIN_S = 180
"""Event time after a moment that is sent too, so that the windows before the moment close at every collector."""
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

    def hold(self, moment: float) -> None:
        """Let event time pass until `moment` and no further."""
        ...

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


def should_pause(unread_segments: int, is_paused: bool) -> bool:
    """Decide whether the feed pauses: above `MAX_UNREAD_SEGMENTS` unread segments, and then until all are read.

    Examples
    --------
    >>> [should_pause(unread, paused) for unread, paused in ((2, False), (3, False), (1, True), (0, True))]
    [False, True, True, False]
    """
    return unread_segments > 0 if is_paused else unread_segments > MAX_UNREAD_SEGMENTS


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
    """Let event time pass until the newest window reaches `until`. False if the feed or the time ended first."""
    feed.hold(until + HOLD_MARGIN_S)
    while monotonic() < deadline and not feed.has_ended:
        now = read()
        report(now)
        if now.window >= until:
            return True
        if should_pause(now.unread_segments, feed.is_paused):
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
    """Wait until all data of a feed that holds has a verdict, so that no window arrives while models train."""
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
