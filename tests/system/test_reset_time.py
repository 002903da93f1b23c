"""`bgpdrift store reset-time`: the way out when event time is in the future, on a real store with a real checkpoint."""

import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from click.testing import CliRunner, Result

from bgpdrift.bgp.spool import record_line, segment_name
from bgpdrift.clock import FakeClock
from bgpdrift.commands.store import command
from bgpdrift.services import feature_aggregator
from bgpdrift.settings import Settings, load
from bgpdrift.store import Cursor, StateCursor, migrate, open_store
from bgpdrift.store.cursor_states import CorrelationState

T0 = 1_700_000_040 // 60 * 60
DAY_S = 86_400


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A data directory whose clocks were right for ten minutes and then a day ahead."""
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path / "data"))
    loaded = load()
    loaded.spool_path.mkdir(parents=True)
    migrate(loaded.store_url)
    aggregate(loaded, 1, [T0 + n for n in range(600)])
    aggregate(loaded, 2, [T0 + DAY_S + n for n in range(600, 900)])
    with open_store(loaded.store_url) as store:
        store.put_cursor(Cursor("cooldown:lstm", T0 + DAY_S))
        store.put_cursor(Cursor("cooldown:heuristic", T0))
        store.put_cursor(StateCursor("correlation_engine", 4, CorrelationState(clocks={"rrc00": T0 + DAY_S})))
    return loaded


def aggregate(settings: Settings, sequence: int, times: list[int]) -> None:
    """Let the aggregator read one segment with a message of two peers at each time."""
    lines = [frame(at, peer) for at in times for peer in ("192.0.2.1", "192.0.2.2")]
    lines.append(record_line("bgpdrift_segment_end", {"closed_at": float(times[-1]), "frames": len(lines)}))
    (settings.spool_path / segment_name(sequence)).write_bytes(zstandard.compress(b"\n".join(lines) + b"\n"))
    worker = feature_aggregator.build(settings, FakeClock())
    while worker.step():
        pass
    worker.close()


def frame(at: int, peer: str) -> bytes:
    data = {"timestamp": at, "peer": peer, "host": "rrc00.ripe.net", "type": "UPDATE", "path": [3333, 12654]}
    data |= {"id": f"{peer}-{at * 1000:012x}0001", "announcements": [{"next_hop": peer, "prefixes": ["193.0.0.0/21"]}]}
    return json.dumps({"type": "ris_message", "data": data}).encode()


def windows(settings: Settings) -> dict[int, dict[str, Any]]:
    with open_store(settings.store_url) as store:
        return {row["window_start"] - T0: row for row in store.windows_between(0, 2**33)}


def reset(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(command, ["reset-time", *arguments], input=answer, catch_exceptions=True)


def test_later_data_is_removed_and_windows_are_counted_again_from_there(settings: Settings) -> None:
    before = windows(settings)
    assert max(before) > DAY_S

    result = reset("--to", str(T0 + 660), "--yes")

    assert result.exit_code == 0, result.output
    kept = windows(settings)
    assert kept == {start: row for start, row in before.items() if start < 660}
    aggregate(settings, 3, [T0 + n for n in range(660, 1_260)])
    after = windows(settings)
    assert [after[start]["messages"] for start in range(720, 1_140, 60)] == [120] * 7
    # The routing state is kept: the routes of the first ten minutes are known.
    assert [after[start]["new"] for start in range(720, 1_140, 60)] == [0] * 7
    assert after[660]["incomplete"] == 1


def test_the_command_states_what_it_removes_and_keeps_and_asks(settings: Settings) -> None:
    before = windows(settings)

    result = reset("--to", str(T0 + 660), answer="n\n")

    assert result.exit_code == 1
    assert "Removed: " in result.output
    assert "feature_windows" in result.output
    assert "the time of rrc00 in the checkpoint" in result.output
    assert "Kept: earlier rows, the routing state, models, labels" in result.output
    assert windows(settings) == before


def test_positions_in_event_time_go_back_and_others_stay(settings: Settings) -> None:
    reset("--to", str(T0 + 660), "--yes")

    with open_store(settings.store_url) as store:
        assert store.read_position("cooldown:lstm") == 0
        assert store.read_position("cooldown:heuristic") == T0
        correlation = store.read_state("correlation_engine", CorrelationState)
    assert correlation is not None
    assert (correlation.position, correlation.state.clocks) == (4, {"rrc00": T0 + 660})


def test_it_refuses_while_a_service_runs(settings: Settings) -> None:
    before = windows(settings)
    worker = feature_aggregator.build(settings, FakeClock())
    try:
        result = reset("--to", str(T0 + 660), "--yes")
    finally:
        worker.close()

    assert result.exception is not None
    assert "expected no running service, found feature_aggregator" in str(result.exception)
    assert windows(settings) == before


def test_where_nothing_is_later_nothing_is_changed(settings: Settings) -> None:
    result = reset("--to", str(T0 + 30 * DAY_S), "--yes")

    assert result.exit_code == 0
    assert "nothing was changed" in result.output


def test_a_second_run_completes_one_that_ended_between_checkpoint_and_store(settings: Settings) -> None:
    reset("--to", str(T0 + 660), "--yes")
    again = reset("--to", str(T0 + 660), "--yes")

    assert "Nothing is later" in again.output
    assert max(windows(settings)) < 660
