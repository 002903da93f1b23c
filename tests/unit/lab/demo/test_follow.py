"""Simulated time after the first training: it waits for whoever is behind, and stands still while a model trains."""

from dataclasses import dataclass, field

import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.lab.demo.follow import MOST_SEGMENTS, Progress, await_checks, follow, progress, should_hold
from bgpdrift.lab.demo.history import Where
from bgpdrift.models import flags
from bgpdrift.models.flags import Flag
from bgpdrift.store import Cursor, migrate, open_store

HOUR = 3_600
NOW = 90 * HOUR


@dataclass
class RecordedFeed:
    held: bool = False
    ended: bool = False
    moves: list[str] = field(default_factory=list)

    def hold(self) -> None:
        if not self.held:
            self.moves.append("hold")
        self.held = True

    def go(self) -> None:
        if self.held:
            self.moves.append("go")
        self.held = False


class Script:
    """One sight after the other, the last again and again; each look takes as long as a poll."""

    def __init__(self, *sights: Progress) -> None:
        self.sights, self.looks, self.clock = sights, 0, FakeClock()

    def look(self) -> Progress:
        self.looks += 1
        return self.sights[min(self.looks, len(self.sights)) - 1]

    def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @property
    def time(self):
        return {"monotonic": self.clock.monotonic, "sleep": self.sleep}


def at(newest: int, judged: int | None = None, checked: int = 0, behind: int = 0, training: bool = False) -> Progress:
    return Progress(Where(newest, newest if judged is None else judged, behind=behind), checked, training)


@pytest.mark.parametrize(
    "late",
    [
        at(NOW, judged=NOW - 3 * HOUR),
        at(NOW, checked=NOW - 4 * HOUR),
        at(NOW, behind=MOST_SEGMENTS + 1),
        at(NOW, training=True),
    ],
    ids=["verdicts", "drift checks", "segments", "a training"],
)
def test_time_waits_for_whoever_is_behind(late):
    assert should_hold(late, held=False)
    assert not should_hold(at(NOW, checked=NOW - HOUR), held=False)


def test_once_held_it_waits_until_all_is_well_again_and_not_only_a_little_better():
    better = at(NOW, judged=NOW - 5_400, checked=NOW - 9_000, behind=1)

    assert not should_hold(better, held=False)
    assert should_hold(better, held=True)


def test_before_the_first_check_nobody_is_waited_for_in_vain():
    assert not should_hold(at(NOW, checked=0), held=True)


def test_the_feed_is_held_during_a_training_and_where_it_was_to_stop():
    feed, told = RecordedFeed(), []
    script = Script(at(NOW), at(NOW, training=True), at(NOW, training=True), at(NOW), at(NOW + HOUR))

    assert follow(feed, script.look, NOW + HOUR, 60.0, told=told.append, **script.time)
    assert feed.moves == ["hold", "go", "hold"]
    assert len(told) == 5


@pytest.mark.parametrize("ended", [True, False])
def test_it_gives_up_when_the_feed_is_gone_or_time_is_over(ended):
    script = Script(at(NOW))

    assert not follow(RecordedFeed(ended=ended), script.look, NOW + HOUR, 5.0, **script.time)
    assert script.clock.monotonic() < 6.0


def test_a_request_that_lies_there_or_is_worked_on_is_a_training(tmp_path):
    data, artifacts = tmp_path / "data", tmp_path / "models"
    (data / "spool").mkdir(parents=True)
    artifacts.mkdir()
    url = f"sqlite:///{data / 'store.sqlite3'}"
    migrate(url)
    with open_store(url) as store:
        with store.writing() as connection:
            store.write_cursor(connection, Cursor("drift:lstm", NOW, {"verdict": "none"}))
            store.write_cursor(connection, Cursor("drift:heuristic", NOW - HOUR, {"verdict": "none"}))
        calm = progress(store, data, artifacts)
        flags.drop(artifacts, "lstm", Flag())
        asked = progress(store, data, artifacts)
        (artifacts / "retrain_lstm.flag").rename(artifacts / "retrain_lstm.flag.claimed")
        claimed = progress(store, data, artifacts)

    assert (calm.training, calm.checked) == (False, NOW - HOUR)
    assert asked.training
    assert claimed.training


def test_the_last_checks_are_waited_for_also_when_the_feed_has_ended():
    feed, seen, moment = RecordedFeed(), iter([3_600, 7_200, 10_800]), 3 * 3_600 + 900
    feed.ended = True

    def look():
        return Progress(Where(newest=moment, judged=moment), checked=next(seen))

    assert await_checks(feed, look, moment, 10.0, monotonic=lambda: 0.0, sleep=lambda _: None)


def test_nobody_waits_for_checks_beyond_the_deadline():
    clock = iter([0.0, 5.0, 11.0])
    late = Progress(Where(newest=7_200, judged=7_200), checked=3_600)
    assert not await_checks(
        RecordedFeed(), lambda: late, 7_200, 10.0, monotonic=lambda: next(clock), sleep=lambda _: None
    )
