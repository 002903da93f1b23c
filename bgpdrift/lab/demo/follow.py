"""How the demo lets simulated time pass once models are in force: as fast as the services follow, not at all while one trains.

A training takes a minute, in which a feed at full speed would tell two days: so it is held, and with it event time. Decides
when to hold and when to let go; what is done meanwhile, the caller does.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bgpdrift.detector_registry import MODELS
from bgpdrift.lab.demo.history import POLL_S, Holdable, Where, where
from bgpdrift.models import flags
from bgpdrift.store import Store

HOUR_S = 3600
UNJUDGED_S = 2 * 3600
"""Event time between the newest window and the newest verdict beyond which the feed is held."""
UNCHECKED_S = 3 * 3600
"""The same for the last drift check, which comes once an hour."""
MARGIN_S = 3600
MOST_SEGMENTS = 4
"""Finished segments that nobody has read yet; paced as the demo's feed is, one holds less than an hour."""
AT_WORK = ("flagged", "claimed")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far everybody is.

    Attributes
    ----------
    where : Where
        Windows, verdicts, segments.
    checked : int
        Event time of the oldest of the detectors' last drift checks, and of the hours of versions on probation; 0 before.
    training : bool
        Somebody asked for a training that is not over.
    """

    where: Where
    checked: int = 0
    training: bool = False


def should_hold(now: Progress, held: bool) -> bool:
    """Say whether event time must wait for somebody.

    Examples
    --------
    >>> busy = Where(newest=90_000, judged=90_000)
    >>> should_hold(Progress(busy, checked=86_400), False), should_hold(Progress(busy, 86_400, training=True), False)
    (False, True)
    """
    if now.training:
        return True
    margin_s = MARGIN_S if held else 0  # once held, until it is well again
    unjudged = now.where.newest - now.where.judged > UNJUDGED_S - margin_s
    unchecked = now.checked > 0 and now.where.newest - now.checked > UNCHECKED_S - margin_s
    return unjudged or unchecked or now.where.behind > (0 if held else MOST_SEGMENTS)


def progress(store: Store, data: Path, artifacts: Path) -> Progress:
    """Look."""
    cursors = [store.read_cursor(f"drift:{model}") for model in MODELS]
    checks = [cursor.position for cursor in cursors if cursor is not None and cursor.details]
    watched = [store.read_cursor(f"probation:{model}") for model in MODELS]
    checks += [one.position for one in watched if one is not None and one.details.get("verdict") == "watching"]
    asked = bool(store.triggers(states=AT_WORK, limit=1)) or bool(flags.list_requested(artifacts))
    training = asked or any(artifacts.glob("retrain_*.flag.claimed"))
    return Progress(where(store, data), min(checks, default=0), training)


def await_checks(
    feed: Holdable,
    look: Callable[[], Progress],
    moment: int,
    deadline: float,
    *,
    told: Callable[[Progress], None] = lambda _: None,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until each drift check that is due by a moment was made, and what follows from it. False if time ran out.

    The feed may have ended: the monitor is behind it by up to three hours, and what it decides there belongs to the story.
    """
    while monotonic() < deadline:
        now = look()
        told(now)
        if now.checked >= moment // HOUR_S * HOUR_S and not now.training:
            return True
        if feed.ended and not now.checked:
            return False
        sleep(POLL_S)
    return False


def follow(
    feed: Holdable,
    look: Callable[[], Progress],
    until: int,
    deadline: float,
    *,
    told: Callable[[Progress], None] = lambda _: None,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Let time pass until an event time, and hold the feed there. False if the feed ended or time ran out."""
    while monotonic() < deadline and not feed.ended:
        now = look()
        told(now)
        if now.where.newest >= until:
            feed.hold()
            return True
        if should_hold(now, feed.held):
            feed.hold()
        else:
            feed.go()
        sleep(POLL_S)
    return False
