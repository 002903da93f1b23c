"""How the demo gathers the history to learn from: two simulated days pass in two minutes, and must not pass at once.

A feed at full speed runs hours ahead of those who make windows of it, through sockets, buffers and files; held then, it
would have told all it knows. So it is paced while the history is gathered, held where the history ends, and everything
on its way is let arrive. Decides when to hold, when to let go, and when all is quiet.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bgpdrift.bgp.spool import parse_sequence
from bgpdrift.store import Store
from bgpdrift.store.schema import feature_windows, verdicts

MOST_BEHIND = 2
"""Finished segments that nobody has read yet, beyond which the feed is held. At full speed one is about 40 minutes."""
NEAR_S = 3 * 3600
"""So shortly before the history ends, in event time, the feed is held with the first segment that waits."""
STILL_S = 3.0
"""Nothing has moved for so long: longer than a segment stays open and than the collector's figures take to be written."""
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Where:
    """How far everybody is.

    Attributes
    ----------
    newest : int
        Newest window, event time; 0 without any.
    judged : int
        Newest verdict likewise.
    verdicts : int
        Number of the newest verdict.
    behind : int
        Finished segments that were not made windows of.
    frames : int
        What the collector says it received.
    """

    newest: int = 0
    judged: int = 0
    verdicts: int = 0
    behind: int = 0
    frames: int = 0


class Holdable(Protocol):
    """What can be paced."""

    held: bool

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        ...

    def hold(self) -> None:
        """Stop it."""
        ...

    def go(self) -> None:
        """Let it go on."""
        ...


def should_hold(behind: int, held: bool, most: int = MOST_BEHIND) -> bool:
    """Hold beyond so many segments, until all of them are read.

    Examples
    --------
    >>> [should_hold(behind, held) for behind, held in ((2, False), (3, False), (1, True), (0, True))]
    [False, True, True, False]
    """
    return behind > 0 if held else behind > most


def where(store: Store, data: Path) -> Where:
    """Look."""
    cursor = store.read_cursor("feature_aggregator")
    position = cursor.position if cursor else 0
    names = [entry.name for entry in (data / "spool").iterdir()]
    return Where(
        newest=store.newest(feature_windows) or 0,
        judged=store.newest(verdicts) or 0,
        verdicts=store.newest_id(verdicts) or 0,
        behind=sum(1 for name in names if (parse_sequence(name) or 0) > position),
        frames=_frames(data / "state" / "collector.json"),
    )


def gather(
    feed: Holdable,
    look: Callable[[], Where],
    until: int,
    deadline: float,
    *,
    told: Callable[[Where], None] = lambda _: None,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Pace the feed until the newest window reaches ``until``, then hold it. False if it ended or time ran out."""
    while monotonic() < deadline and not feed.ended:
        now = look()
        told(now)
        if now.newest >= until:
            feed.hold()
            return True
        if should_hold(now.behind, feed.held, most=0 if now.newest >= until - NEAR_S else MOST_BEHIND):
            feed.hold()
        else:
            feed.go()
        sleep(POLL_S)
    return False


def settle(
    look: Callable[[], Where],
    deadline: float,
    *,
    told: Callable[[Where], None] = lambda _: None,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until what was on its way has arrived and is judged, so that nothing comes in while models are trained."""
    before, since = look(), monotonic()
    while monotonic() < deadline:
        now = look()
        told(now)
        if now != before or now.behind or now.judged < now.newest:
            before, since = now, monotonic()
        elif monotonic() - since >= STILL_S:
            return True
        sleep(POLL_S)
    return False


def _frames(state: Path) -> int:
    try:
        return int(json.loads(state.read_bytes())["frames"])
    except (OSError, ValueError, KeyError):
        return 0  # not written yet
