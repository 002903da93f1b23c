"""The pacing of the demo's feed: held while others are behind, held where the history ends, and nobody waits for ever."""

from dataclasses import dataclass, field
from pathlib import Path

from bgpdrift.clock import FakeClock
from bgpdrift.lab.demo.history import STILL_S, Where, gather, settle, where
from bgpdrift.store import Cursor, migrate, open_store

HOUR = 3_600
END = 26 * HOUR


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

    def __init__(self, *sights: Where) -> None:
        self.sights, self.looks, self.clock = sights, 0, FakeClock()

    def look(self) -> Where:
        self.looks += 1
        return self.sights[min(self.looks, len(self.sights)) - 1]

    def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @property
    def time(self):
        return {"monotonic": self.clock.monotonic, "sleep": self.sleep}


def test_the_feed_is_held_while_segments_wait_and_goes_on_when_all_are_read():
    feed = RecordedFeed()
    script = Script(Where(behind=2), Where(behind=3), Where(behind=1), Where(behind=0), Where(newest=END))

    assert gather(feed, script.look, END, 60.0, **script.time)
    assert feed.moves == ["hold", "go", "hold"]


def test_near_the_end_the_feed_is_held_with_the_first_segment_that_waits():
    feed, near = RecordedFeed(), END - HOUR
    script = Script(Where(near), Where(near, behind=1), Where(near), Where(END))

    assert gather(feed, script.look, END, 60.0, **script.time)
    assert feed.moves == ["hold", "go", "hold"]


def test_the_feed_is_held_when_the_history_is_there():
    feed, script = RecordedFeed(), Script(Where(newest=HOUR - 60), Where(newest=HOUR))

    assert gather(feed, script.look, HOUR, 60.0, **script.time)
    assert feed.held


def test_a_history_that_never_comes_is_given_up_at_the_limit():
    script = Script(Where(newest=60))

    assert not gather(RecordedFeed(), script.look, HOUR, 60.0, **script.time)
    assert 60.0 <= script.clock.monotonic() < 61.0


def test_a_feed_that_ended_is_not_waited_for():
    script = Script(Where(newest=60))

    assert not gather(RecordedFeed(ended=True), script.look, HOUR, 60.0, **script.time)
    assert script.looks == 0


def test_quiet_is_when_all_is_read_and_judged_and_nothing_has_moved_for_a_while():
    done = Where(newest=HOUR, judged=HOUR, verdicts=8, frames=100)
    moving = (
        Where(newest=HOUR - 60, judged=HOUR - 60, verdicts=4, behind=1, frames=90),
        Where(newest=HOUR, judged=HOUR - 60, verdicts=4, frames=100),
    )
    script = Script(*moving, done)

    assert settle(script.look, 60.0, **script.time)
    assert STILL_S <= script.clock.monotonic() < STILL_S + 1.0


def test_verdicts_that_never_come_are_given_up_at_the_limit():
    script = Script(Where(newest=HOUR, judged=HOUR - 60))

    assert not settle(script.look, 60.0, **script.time)
    assert script.clock.monotonic() >= 60.0


def test_segments_after_the_aggregator_s_position_are_behind(tmp_path: Path):
    spool, state, url = tmp_path / "spool", tmp_path / "state", f"sqlite:///{tmp_path / 'store.sqlite3'}"
    spool.mkdir()
    state.mkdir()
    for name in ("7.ndjson.zst", "8.ndjson.zst", "9.ndjson.zst", "10.ndjson.zst.part"):
        (spool / name.rjust(len(name) - len(name.split(".")[0]) + 20, "0")).touch()
    (spool / "next_sequence").touch()
    (state / "collector.json").write_text('{"frames": 12}')
    migrate(url)
    with open_store(url) as store:
        assert where(store, tmp_path) == Where(behind=3, frames=12)
        store.write_windows([], Cursor("feature_aggregator", 8, {}))
        assert where(store, tmp_path).behind == 1
