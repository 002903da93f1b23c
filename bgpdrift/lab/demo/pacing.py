"""Controls event time in the demo after the training: as fast as the services follow, and paused while a model trains.

This module decides when the feed pauses and resumes. A training takes a minute, in which a feed at full speed would send two
days. The acts of the demo decide what happens in the meantime.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bgpdrift.detector_registry import MODELS
from bgpdrift.lab.demo.history import HOLD_MARGIN_S, POLL_S, Pausable, Position, read_position
from bgpdrift.models import flags
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import DriftState, ProbationState, drift_cursor, probation_cursor
from bgpdrift.store.request_records import RequestState

HOUR_S = 3600
MAX_VERDICT_LAG_S = 2 * HOUR_S
"""The feed pauses if the newest verdict is this far behind the newest window, in event time."""
MAX_CHECK_LAG_S = 3 * HOUR_S
"""The same for the last drift check; checks come once an hour."""
RESUME_MARGIN_S = HOUR_S
"""A paused feed resumes when both lags are this much below their limits."""
MAX_UNREAD_SEGMENTS = 4
"""Unread segments above which the feed pauses; at the pace of the demo one holds less than an hour."""
ACTIVE_STATES: tuple[RequestState, ...] = ("flagged", "claimed")
"""States of a retraining request in which a training is due or running."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far services and models have come.

    Attributes
    ----------
    position : Position
        Windows, verdicts, segments.
    checked_until : int
        The least event time of the detectors' last drift checks and of the versions on probation; 0 before the first.
    is_training : bool
        Whether a requested training is not finished.
    """

    position: Position
    checked_until: int = 0
    is_training: bool = False


def should_pause(now: Progress, is_paused: bool) -> bool:
    """Decide whether event time must wait.

    Examples
    --------
    >>> current = Position(window=90_000, verdict=90_000)
    >>> should_pause(Progress(current, 86_400), False), should_pause(Progress(current, 86_400, is_training=True), False)
    (False, True)
    """
    if now.is_training:
        return True
    margin_s = RESUME_MARGIN_S if is_paused else 0
    verdicts_lag = now.position.window - now.position.verdict > MAX_VERDICT_LAG_S - margin_s
    checks_lag = now.checked_until > 0 and now.position.window - now.checked_until > MAX_CHECK_LAG_S - margin_s
    return verdicts_lag or checks_lag or now.position.unread_segments > (0 if is_paused else MAX_UNREAD_SEGMENTS)


def read_progress(store: Store, data: Path, artifacts: Path) -> Progress:
    """Read how far services and models have come."""
    drifts = [store.read_state(drift_cursor(model), DriftState) for model in MODELS]
    probations = [store.read_state(probation_cursor(model), ProbationState) for model in MODELS]
    checks = [drift.position for drift in drifts if drift is not None]
    checks += [one.position for one in probations if one is not None and one.state.verdict == "watching"]
    is_requested = bool(store.retrain_requests(states=ACTIVE_STATES, limit=1)) or bool(flags.list_requested(artifacts))
    is_training = is_requested or any(artifacts.glob("retrain_*.flag.claimed"))
    return Progress(read_position(store, data), min(checks, default=0), is_training)


def wait_for_checks(
    feed: Pausable,
    read: Callable[[], Progress],
    moment: int,
    deadline: float,
    *,
    report: Callable[[Progress], None] = lambda _: None,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Wait until every drift check due by a moment is done, and the trainings that follow. False if the time ended first.

    The feed may have ended. The monitor is up to three hours behind, and its last decisions are part of the report.
    """
    while monotonic() < deadline:
        now = read()
        report(now)
        if now.checked_until >= moment // HOUR_S * HOUR_S and not now.is_training:
            return True
        if feed.has_ended and not now.checked_until:
            return False
        sleep(POLL_S)
    return False


def advance(
    feed: Pausable,
    read: Callable[[], Progress],
    until: int,
    deadline: float,
    *,
    is_reached: Callable[[], bool] = lambda: False,
    report: Callable[[Progress], None] = lambda _: None,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Let event time pass until the moment `until`, or until `is_reached`, and stop there.

    False if the feed ended or the time ended first.
    """
    feed.hold(until + HOLD_MARGIN_S)
    while monotonic() < deadline and not feed.has_ended:
        now = read()
        report(now)
        if now.position.window >= until or is_reached():
            feed.pause()
            return True
        if should_pause(now, feed.is_paused):
            feed.pause()
        else:
            feed.resume()
        sleep(POLL_S)
    return False
