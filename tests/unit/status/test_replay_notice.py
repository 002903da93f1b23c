"""`bgpdrift replay` states before it starts what the system of this directory will ignore."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bgpdrift import settings
from bgpdrift.bgp.replay_frame import Frame
from bgpdrift.clock import FakeClock
from bgpdrift.commands.replay import command
from bgpdrift.errors import InputError
from bgpdrift.status.replay_notice import StoredSpan, describe, read_stored_span, scan
from bgpdrift.store import StateCursor, migrate, open_store
from bgpdrift.store.cursor_states import AggregatorState

T0 = 1_700_000_040 // 60 * 60


def frame(at: float, host: str = "rrc00.ripe.net") -> bytes:
    data = {"timestamp": at, "peer": "192.0.2.1", "host": host, "type": "UPDATE", "path": [1, 2]}
    return json.dumps({"type": "ris_message", "data": data}).encode()


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recording of an hour; the store of this directory holds windows from later."""
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path / "data"))
    path = tmp_path / "past.ndjson"
    path.write_bytes(b"\n".join(frame(T0 + n * 60) for n in range(60)) + b"\n")
    return path


def store_until(end: int) -> None:
    loaded = settings.load()
    loaded.data_path.mkdir()
    migrate(loaded.store_url)
    state = AggregatorState(closed_by_collector={"rrc00": end})
    with open_store(loaded.store_url) as store:
        rows = [{"window_start": end - before, "collector": "rrc00", "written_at": 0.0} for before in (600, 60)]
        store.write_windows(rows, StateCursor("feature_aggregator", 7, state))


def test_a_recording_older_than_the_store_is_refused_with_the_way_out(recording: Path) -> None:
    store_until(T0 + 86_400)

    result = CliRunner().invoke(command, [str(recording)])

    assert isinstance(result.exception, InputError)
    assert "every message is older than the windows in the store here" in str(result.exception)
    assert "bgpdrift store reset-time --to 2023-11-14T22:14" in str(result.exception)
    assert "60 messages are older than the windows in the store and will be ignored" in result.stderr
    assert "the store here holds windows from 2023-11-15 22:04 to 2023-11-15 22:14 UTC" in result.stderr


def test_the_messages_that_will_be_ignored_are_counted_by_collector() -> None:
    frames = [Frame(T0 + n, frame(T0 + n, host)) for n in range(100) for host in ("rrc00.ripe.net", "rrc01.ripe.net")]

    found = scan(frames, {"rrc00": T0 + 60}, FakeClock())

    assert found is not None
    assert (found.frames, found.ignored, found.changes_nothing) == (200, 60, False)


def test_a_long_recording_is_not_read_to_its_end() -> None:
    class SlowClock(FakeClock):
        def monotonic(self) -> float:
            self.advance(3.0)
            return super().monotonic()

    frames = (Frame(T0 + n, frame(T0 + n)) for n in range(1_000_000))

    found = scan(frames, {"rrc00": T0 + 2_000_000}, SlowClock())

    assert found is not None
    assert found.frames < 10_000
    assert not found.changes_nothing  # the rest may be newer
    assert "or later UTC, more than" in describe(found, StoredSpan(None, None, {}))[0]


def test_without_a_store_every_message_counts(recording: Path) -> None:
    stored = read_stored_span(settings.load())
    found = scan([Frame(T0, frame(T0))], stored.closed, FakeClock())

    assert found is not None
    assert describe(found, stored)[1] == "there is no data in the store here: every message will count"
