"""`bgpdrift feed` shows what the collector receives and what the aggregator found out about the clocks."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bgpdrift import settings
from bgpdrift.commands.doctor_checks import check_clocks_of_feed
from bgpdrift.commands.feed import command
from bgpdrift.settings import Settings
from bgpdrift.status.feed import FeedReport, build_report, read_feed, read_received
from bgpdrift.status.feed_text import write_report
from bgpdrift.store import StateCursor, migrate, open_store
from bgpdrift.store.cursor_states import AggregatorState, CollectorClock

NOW = 1_700_000_000.0
FIGURES = {
    "at": NOW - 1,
    "url": "wss://ris-live.ripe.net/v1/ws/",
    "state": "streaming",
    "connected": True,
    "frames": 123_456,
    "rate": 2_140.0,
    "lag_s": 1.25,
    "last_event_time": NOW - 2.25,
    "last_frame_at": NOW - 1.5,
    "dropped": 7,
    "collectors": {"rrc00": NOW - 1.5, "rrc01": NOW - 900.0},
    "silent_collectors": ["rrc01"],
    "a later field": 1,
}
CLOCKS = {
    "rrc00": CollectorClock(
        event_time=NOW - 2,
        skew_s=-1.5,
        held=2,
        refused={"other peers sent messages of the old time": 3},
        largest_ahead_s=470.0,
        peers={"192.0.2.9\x1b[2J": 25.0},
    ),
    "rrc05": CollectorClock(event_time=NOW + 480, skew_s=480.0, released={"another peer reached their time": 4}),
}


@pytest.fixture
def loaded(tmp_path: Path) -> Settings:
    """Settings of a data directory with the figures of both services."""
    values = settings.load(env={"BGPDRIFT_DATA_DIR": str(tmp_path)})
    values.state_path.mkdir(parents=True)
    (values.state_path / "collector.json").write_text(json.dumps(FIGURES))
    migrate(values.store_url)
    with open_store(values.store_url) as store:
        store.put_cursor(StateCursor("feature_aggregator", 9, AggregatorState(event_time=NOW - 2, clocks=CLOCKS)))
    return values


def test_the_report_joins_the_figures_of_collector_and_aggregator(loaded: Settings) -> None:
    report = read_feed(loaded, NOW)

    assert report.problem == ""
    assert report.received is not None
    assert (report.received.rate, report.received.lag_s, report.received.last_frame_at) == (2_140.0, 1.25, NOW - 1.5)
    assert [(row.collector, row.is_silent, row.clock and row.clock.skew_s) for row in report.collectors] == [
        ("rrc00", False, -1.5),
        ("rrc01", True, None),
        ("rrc05", False, 480.0),
    ]
    assert (report.held, report.refused, report.released) == (
        2,
        {"other peers sent messages of the old time": 3},
        {"another peer reached their time": 4},
    )


def test_the_text_names_lag_silence_clocks_and_reasons_and_fits_80_columns(loaded: Settings) -> None:
    text = write_report(read_feed(loaded, NOW))

    assert "2,140/s, 123,456 in all, the last 1 s ago" in text
    assert "silent      rrc01" in text
    assert "refused     3 because other peers sent messages of the old time" in text
    assert "its clock is ahead by 480 s" in text
    assert r"peer 192.0.2.9\x1b[2J +25 s" in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80


def test_a_replay_of_the_past_is_no_skew() -> None:
    state = AggregatorState(event_time=1.5e9, clocks={"rrc00": CollectorClock(skew_s=1.5e9 - NOW)})

    text = write_report(build_report(None, state, NOW, "", NOW))

    assert "replay" in text
    assert "ahead" not in text


def test_where_no_service_ran_the_command_says_so_and_exits_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path))

    result = CliRunner().invoke(command)

    assert result.exit_code == 1
    assert "no collector has run here" in result.output
    assert "no database here" in result.output
    assert list(tmp_path.iterdir()) == []


def test_json_is_the_whole_report(loaded: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(loaded.data_path))

    result = CliRunner().invoke(command, ["--json"])

    document = json.loads(result.output)
    assert (document["schema"], document["held"], len(document["collectors"])) == (1, 2, 3)
    assert "the collector last reported" in document["problem"]  # its figures are of 2023
    assert result.exit_code == 1


def test_a_damaged_file_of_the_collector_is_named(tmp_path: Path) -> None:
    path = tmp_path / "collector.json"
    path.write_text('{"rate": "much"}')

    figures, problem = read_received(path)

    assert figures is None
    assert str(path) in problem


def test_doctor_warns_of_a_collector_whose_clock_is_ahead(loaded: Settings) -> None:
    finding = check_clocks_of_feed(loaded)

    assert finding.level == "warn"
    assert "rrc05: its clock is ahead by 480 s" in finding.found
    assert "bgpdrift feed" in finding.advice


def test_an_empty_report_is_written() -> None:
    assert "held back   0 messages" in write_report(FeedReport())
