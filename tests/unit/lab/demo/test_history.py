"""The history of the demo: the feed pauses while the aggregator is behind and where the history ends, within a time limit."""

from dataclasses import dataclass, field
from pathlib import Path

from bgpdrift.clock import FakeClock
from bgpdrift.lab.demo.history import HOLD_MARGIN_S, IDLE_S, Position, gather_history, read_position, wait_until_idle
from bgpdrift.store import StateCursor, migrate, open_store
from bgpdrift.store.cursor_states import AggregatorState

HOUR = 3_600
END = 26 * HOUR


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

    def __init__(self, *readings: Position) -> None:
        self.readings, self.reads, self.clock = readings, 0, FakeClock()

    def read(self) -> Position:
        self.reads += 1
        return self.readings[min(self.reads, len(self.readings)) - 1]

    def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @property
    def time(self):
        return {"monotonic": self.clock.monotonic, "sleep": self.sleep}


def test_the_feed_pauses_above_two_unread_segments_and_resumes_when_all_are_read():
    feed = RecordedFeed()
    script = Script(
        Position(unread_segments=2),
        Position(unread_segments=3),
        Position(unread_segments=1),
        Position(unread_segments=0),
        Position(window=END),
    )

    assert gather_history(feed, script.read, END, 60.0, **script.time)
    assert feed.moves == ["pause", "resume"]


def test_the_feed_holds_where_the_last_window_of_the_history_closes():
    feed, script = RecordedFeed(), Script(Position(window=HOUR - 60), Position(window=HOUR))

    assert gather_history(feed, script.read, HOUR, 60.0, **script.time)
    assert feed.hold_at == HOUR + HOLD_MARGIN_S


def test_gathering_ends_at_the_time_limit():
    script = Script(Position(window=60))

    assert not gather_history(RecordedFeed(), script.read, HOUR, 60.0, **script.time)
    assert 60.0 <= script.clock.monotonic() < 61.0


def test_gathering_ends_when_the_feed_has_ended():
    script = Script(Position(window=60))

    assert not gather_history(RecordedFeed(has_ended=True), script.read, HOUR, 60.0, **script.time)
    assert script.reads == 0


def test_the_system_is_idle_when_every_window_has_a_verdict_and_nothing_changes_for_a_while():
    done = Position(window=HOUR, verdict=HOUR, verdict_id=8, frames=100)
    moving = (
        Position(window=HOUR - 60, verdict=HOUR - 60, verdict_id=4, unread_segments=1, frames=90),
        Position(window=HOUR, verdict=HOUR - 60, verdict_id=4, frames=100),
    )
    script = Script(*moving, done)

    assert wait_until_idle(script.read, 60.0, **script.time)
    assert IDLE_S <= script.clock.monotonic() < IDLE_S + 1.0


def test_waiting_for_verdicts_ends_at_the_time_limit():
    script = Script(Position(window=HOUR, verdict=HOUR - 60))

    assert not wait_until_idle(script.read, 60.0, **script.time)
    assert script.clock.monotonic() >= 60.0


def test_segments_after_the_position_of_the_aggregator_are_unread(tmp_path: Path):
    spool, state, url = tmp_path / "spool", tmp_path / "state", f"sqlite:///{tmp_path / 'store.sqlite3'}"
    spool.mkdir()
    state.mkdir()
    for name in ("7.ndjson.zst", "8.ndjson.zst", "9.ndjson.zst", "10.ndjson.zst.part"):
        (spool / name.rjust(len(name) - len(name.split(".")[0]) + 20, "0")).touch()
    (spool / "next_sequence").touch()
    (state / "collector.json").write_text('{"frames": 12}')
    migrate(url)
    with open_store(url) as store:
        assert read_position(store, tmp_path) == Position(unread_segments=3, frames=12)
        store.write_windows([], StateCursor("feature_aggregator", 8, AggregatorState()))
        assert read_position(store, tmp_path).unread_segments == 1
