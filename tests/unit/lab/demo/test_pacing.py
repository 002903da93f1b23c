"""Event time after the first training: the feed pauses while services are behind and while a model trains."""

from dataclasses import dataclass, field

import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.lab.demo.history import HOLD_MARGIN_S, Position
from bgpdrift.lab.demo.pacing import (
    MAX_UNREAD_SEGMENTS,
    Progress,
    advance,
    read_progress,
    should_pause,
    wait_for_checks,
)
from bgpdrift.models import flags
from bgpdrift.models.flags import Flag
from bgpdrift.store import StateCursor, migrate, open_store
from bgpdrift.store.cursor_states import DriftState

HOUR = 3_600
NOW = 90 * HOUR


@dataclass
class RecordedFeed:
    is_paused: bool = False
    has_ended: bool = False
    moves: list[str] = field(default_factory=list)
    hold_at: float = 0.0

    def hold(self, moment: float) -> None:
        self.hold_at = moment

    def pause(self) -> None:
        if not self.is_paused:
            self.moves.append("pause")
        self.is_paused = True

    def resume(self) -> None:
        if self.is_paused:
            self.moves.append("resume")
        self.is_paused = False


class Script:
    """Gives one reading after the other, and the last one again and again; sleeping moves the clock."""

    def __init__(self, *readings: Progress) -> None:
        self.readings, self.reads, self.clock = readings, 0, FakeClock()

    def read(self) -> Progress:
        self.reads += 1
        return self.readings[min(self.reads, len(self.readings)) - 1]

    def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @property
    def time(self):
        return {"monotonic": self.clock.monotonic, "sleep": self.sleep}


def at(window: int, verdict: int | None = None, checked: int = 0, unread: int = 0, training: bool = False) -> Progress:
    return Progress(Position(window, window if verdict is None else verdict, unread_segments=unread), checked, training)


@pytest.mark.parametrize(
    "lagging",
    [
        at(NOW, verdict=NOW - 3 * HOUR),
        at(NOW, checked=NOW - 4 * HOUR),
        at(NOW, unread=MAX_UNREAD_SEGMENTS + 1),
        at(NOW, training=True),
    ],
    ids=["verdicts", "drift checks", "segments", "a training"],
)
def test_the_feed_pauses_when_anything_is_behind_or_a_model_trains(lagging):
    assert should_pause(lagging, is_paused=False)
    assert not should_pause(at(NOW, checked=NOW - HOUR), is_paused=False)


def test_a_paused_feed_resumes_only_when_the_lag_is_well_below_the_limit():
    better = at(NOW, verdict=NOW - 5_400, checked=NOW - 9_000, unread=1)

    assert not should_pause(better, is_paused=False)
    assert should_pause(better, is_paused=True)


def test_without_a_first_check_the_feed_does_not_wait_for_one():
    assert not should_pause(at(NOW, checked=0), is_paused=True)


def test_the_feed_pauses_during_a_training_and_holds_at_the_moment_asked_for():
    feed, reports = RecordedFeed(), []
    script = Script(at(NOW), at(NOW, training=True), at(NOW, training=True), at(NOW), at(NOW + HOUR))

    assert advance(feed, script.read, NOW + HOUR, 60.0, report=reports.append, **script.time)
    assert feed.moves == ["pause", "resume", "pause"]
    assert feed.hold_at == NOW + HOUR + HOLD_MARGIN_S
    assert len(reports) == 5


def test_the_feed_pauses_as_soon_as_the_condition_holds():
    feed, script = RecordedFeed(), Script(at(NOW))

    assert advance(feed, script.read, NOW + HOUR, 60.0, is_reached=lambda: script.reads == 3, **script.time)
    assert (feed.moves, script.reads) == (["pause"], 3)


@pytest.mark.parametrize("has_ended", [True, False])
def test_advancing_ends_when_the_feed_has_ended_or_at_the_time_limit(has_ended):
    script = Script(at(NOW))

    assert not advance(RecordedFeed(has_ended=has_ended), script.read, NOW + HOUR, 5.0, **script.time)
    assert script.clock.monotonic() < 6.0


def test_a_flag_file_and_a_claimed_flag_file_count_as_a_training(tmp_path):
    data, artifacts = tmp_path / "data", tmp_path / "models"
    (data / "spool").mkdir(parents=True)
    artifacts.mkdir()
    url = f"sqlite:///{data / 'store.sqlite3'}"
    migrate(url)
    with open_store(url) as store:
        store.put_cursor(StateCursor("drift:lstm", NOW, DriftState(verdict="none")))
        store.put_cursor(StateCursor("drift:heuristic", NOW - HOUR, DriftState(verdict="none")))
        calm = read_progress(store, data, artifacts)
        flags.drop(artifacts, "lstm", Flag())
        asked = read_progress(store, data, artifacts)
        (artifacts / "retrain_lstm.flag").rename(artifacts / "retrain_lstm.flag.claimed")
        claimed = read_progress(store, data, artifacts)

    assert (calm.is_training, calm.checked_until) == (False, NOW - HOUR)
    assert asked.is_training
    assert claimed.is_training


def test_the_last_checks_are_waited_for_after_the_feed_has_ended():
    feed, seen, moment = RecordedFeed(), iter([3_600, 7_200, 10_800]), 3 * 3_600 + 900
    feed.has_ended = True

    def read():
        return Progress(Position(window=moment, verdict=moment), checked_until=next(seen))

    assert wait_for_checks(feed, read, moment, 10.0, monotonic=lambda: 0.0, sleep=lambda _: None)


def test_waiting_for_checks_ends_at_the_time_limit():
    clock = iter([0.0, 5.0, 11.0])
    lagging = Progress(Position(window=7_200, verdict=7_200), checked_until=3_600)
    assert not wait_for_checks(
        RecordedFeed(), lambda: lagging, 7_200, 10.0, monotonic=lambda: next(clock), sleep=lambda _: None
    )
