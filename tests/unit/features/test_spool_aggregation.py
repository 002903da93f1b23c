"""The feature aggregator between spool and store: crashes, damage, gaps and a second aggregator."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bgpdrift.bgp.spool import SpoolReader, control_line, record_line, segment_name
from bgpdrift.bgp.spool_writer import SpoolWriter
from bgpdrift.clock import FakeClock
from bgpdrift.errors import BgpdriftError
from bgpdrift.features import checkpoint
from bgpdrift.features.spool_aggregation import CHECKPOINT_FILE, SpoolAggregation
from bgpdrift.services import feature_aggregator
from bgpdrift.settings import Settings
from bgpdrift.store import Store, migrate, open_store

T0 = 1_700_000_040


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings(data_dir=str(tmp_path / "data"))
    made.spool_path.mkdir(parents=True)
    migrate(made.store_url)
    return made


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings.store_url) as opened:
        yield opened


def frame(time: float, prefix: str = "193.0.0.0/21") -> bytes:
    update = {
        "timestamp": time,
        "peer": "p",
        "host": "rrc00.ripe.net",
        "type": "UPDATE",
        "path": [3333, 12654],
        "origin": "IGP",
    }
    update["id"] = f"p-{int(time * 1000):012x}0001"
    update["announcements"] = [{"next_hop": "n", "prefixes": [prefix]}]
    return json.dumps({"type": "ris_message", "data": update}).encode()


def segment(settings: Settings, sequence: int, *lines: bytes) -> Path:
    """Write a segment; it closes at the time of its last frame, as of a live feed."""
    import zstandard

    frames = [json.loads(line)["data"] for line in lines if line.startswith(b'{"type": "ris_message"')]
    closed_at = max((data["timestamp"] for data in frames), default=T0)
    end = record_line("bgpdrift_segment_end", {"closed_at": closed_at, "frames": len(lines)})
    path = settings.spool_path / segment_name(sequence)
    path.write_bytes(zstandard.compress(b"".join(line + b"\n" for line in (*lines, end))))
    return path


def collect(settings: Settings, clock: FakeClock, *frames: bytes) -> None:
    """Write each frame to a segment as the collector does, a second after its time."""
    for one in frames:
        clock.jump(json.loads(one)["data"]["timestamp"] + 1 - clock.now())
        writer = SpoolWriter(msgspec.structs.replace(settings.spool, segment_s=3600.0), settings.spool_path, clock)
        writer.put([one])
        writer.close()


def aggregator(settings: Settings, clock: FakeClock) -> SpoolAggregation:
    return SpoolAggregation(settings, open_store(settings.store_url), clock)


def windows(store: Store) -> list[dict[str, Any]]:
    return [dict(row) for row in store.windows_between(T0 - 600, T0 + 6000)]


def test_windows_are_stored_with_their_position_in_the_spool(
    settings: Settings, store: Store, clock: FakeClock
) -> None:
    segment(settings, 1, frame(T0))
    segment(settings, 2, frame(T0 + 200))
    worker = aggregator(settings, clock)

    assert worker.step() is False

    assert [row["announced"] for row in windows(store)] == [1, 0]
    assert store.read_position("feature_aggregator") == 2
    worker.close()


def test_a_crash_at_any_segment_gives_the_same_windows(settings: Settings, store: Store, clock: FakeClock) -> None:
    for number in range(1, 7):
        segment(settings, number, *(frame(T0 + number * 50 + n, f"193.0.{8 * (n % 3)}.0/21") for n in range(5)))
    SpoolAggregation(settings, store, clock).step()
    expected = [msgspec.json.encode({**row, "written_at": 0}) for row in windows(store)]

    for _ in range(3):  # never closed, as after kill -9; with the first checkpoint only, everything is read again
        SpoolAggregation(settings, store, clock).step()

    assert [msgspec.json.encode({**row, "written_at": 0}) for row in windows(store)] == expected


def test_segments_are_deleted_after_the_state_is_saved(settings: Settings, clock: FakeClock) -> None:
    segment(settings, 1, frame(T0))
    reader = SpoolReader(settings.spool_path)
    worker = aggregator(settings, clock)
    worker.step()
    assert [s.sequence for s in reader.segments_after(0)] == [1]

    clock.advance(seconds=settings.windows.checkpoint_s)
    worker.step()

    assert reader.segments_after(0) == []
    worker.close()


def test_after_a_damaged_checkpoint_stored_windows_are_not_replaced(
    settings: Settings, store: Store, clock: FakeClock
) -> None:
    segment(settings, 1, *(frame(T0 + n) for n in range(5)))
    segment(settings, 2, frame(T0 + 100))
    worker = aggregator(settings, clock)
    worker.step()
    worker.close()
    (settings.state_path / CHECKPOINT_FILE).write_bytes(b"damaged")
    segment(settings, 3, frame(T0 + 30))
    segment(settings, 4, frame(T0 + 300))

    worker = aggregator(settings, clock)
    worker.step()
    worker.close()

    assert windows(store)[0]["messages"] == 5


def test_a_lost_segment_marks_the_minutes_between_as_incomplete(
    settings: Settings, store: Store, clock: FakeClock
) -> None:
    segment(settings, 1, frame(T0))
    segment(settings, 2, frame(T0 + 61))
    worker = aggregator(settings, clock)
    worker.step()
    segment(settings, 4, frame(T0 + 185))
    segment(settings, 5, frame(T0 + 400))
    worker.step()

    assert [row["incomplete"] for row in windows(store)] == [1, 1, 1, 1, 0, 0]  # the first minute is partial
    worker.close()


def test_a_cut_segment_marks_the_minutes_up_to_the_next_frame(
    settings: Settings, store: Store, clock: FakeClock
) -> None:
    segment(settings, 1, frame(T0))
    path = segment(settings, 2, frame(T0 + 70), frame(T0 + 80))
    path.write_bytes(path.read_bytes()[:-40])
    segment(settings, 3, frame(T0 + 185))
    segment(settings, 4, frame(T0 + 400))
    worker = aggregator(settings, clock)
    worker.step()

    assert [row["incomplete"] for row in windows(store)] == [1, 1, 1, 1, 0, 0]
    worker.close()


def test_garbage_between_frames_is_counted_and_loses_nothing_else(
    settings: Settings, store: Store, clock: FakeClock
) -> None:
    segment(
        settings,
        1,
        frame(T0),
        b'{"type":"ris_message","da',
        b"garbage",
        frame(T0 + 1),
        *(frame(T0 + n) for n in (30, 60, 90)),
    )
    worker = aggregator(settings, clock)
    worker.step()
    segment(settings, 2, frame(T0 + 160))
    worker.step()

    assert [(row["messages"], row["parse_errors"]) for row in windows(store)] == [(3, 2), (2, 0)]
    worker.close()


def test_dropped_frames_are_counted_in_their_window(settings: Settings, store: Store, clock: FakeClock) -> None:
    segment(settings, 1, frame(T0), control_line("dropped", T0 + 5.0, T0 + 8.0, frames=7))
    segment(settings, 2, frame(T0 + 100))
    worker = aggregator(settings, clock)
    worker.step()

    assert windows(store)[0]["dropped"] == 7
    worker.close()


def test_windows_that_have_ended_close_when_the_feed_is_quiet(
    settings: Settings, store: Store, clock: FakeClock
) -> None:
    segment(settings, 1, frame(T0), frame(T0 + 29), frame(T0 + 58))
    worker = aggregator(settings, clock)
    worker.step()
    assert windows(store) == []

    clock.advance(seconds=settings.windows.idle_close_s)
    worker.step()

    assert [row["messages"] for row in windows(store)] == [3]
    worker.close()


def test_a_second_aggregator_is_refused_until_the_first_is_closed(settings: Settings, clock: FakeClock) -> None:
    worker = feature_aggregator.build(settings, clock)

    with pytest.raises(BgpdriftError, match="expected no other feature_aggregator on this data directory"):
        feature_aggregator.build(settings, clock)

    worker.close()
    feature_aggregator.build(settings, clock).close()


def test_a_checkpoint_of_another_content_is_set_aside_and_the_service_starts(
    settings: Settings, store: Store, clock: FakeClock
) -> None:
    segment(settings, 1, frame(T0))
    worker = aggregator(settings, clock)
    worker.step()
    worker.close()
    file = settings.state_path / CHECKPOINT_FILE
    checkpoint.save(file, {}, {"position": 1, "aggregator": {"something": "else"}})
    segment(settings, 2, frame(T0 + 70))
    segment(settings, 3, frame(T0 + 300))

    worker = aggregator(settings, clock)
    worker.step()
    worker.close()

    assert file.with_name(CHECKPOINT_FILE + ".unusable").exists()
    assert sum(row["messages"] for row in windows(store)) == 1


@pytest.mark.parametrize("problem", ["updates", "absent", "cut"])
def test_a_table_that_cannot_be_used_does_not_end_the_service(
    settings: Settings, store: Store, clock: FakeClock, tmp_path: Path, mrt: Any, problem: str
) -> None:
    table = mrt.peer_index(("192.0.2.1", 3333)) + mrt.rib("193.0.0.0/21", [(0, mrt.path(3333))]) * 2
    content = {"updates": mrt.announce("10.0.0.0/8"), "absent": None, "cut": table[:-5]}[problem]
    file = tmp_path / "rrc00.rib"
    if content is not None:
        file.write_bytes(content)
    changed = msgspec.structs.replace(
        settings, windows=msgspec.structs.replace(settings.windows, warm_up_rib=str(file), warming_minutes=60)
    )
    segment(changed, 1, frame(T0))
    segment(changed, 2, frame(T0 + 300))

    worker = aggregator(changed, clock)
    worker.step()
    worker.close()

    rows = windows(store)
    assert rows[0]["messages"] == 1
    assert all(row["warming"] for row in rows)


def test_a_frame_with_a_hostile_name_loses_only_itself(settings: Settings, store: Store, clock: FakeClock) -> None:
    hostile = [
        frame(T0 + 1).replace(b"rrc00", name) for name in (b"r" * 65, b"rrc00\\u0000", b"rrc00\\ud800", b"r[/x]")
    ]
    segment(settings, 1, frame(T0), *hostile)
    segment(settings, 2, frame(T0 + 300))

    worker = aggregator(settings, clock)
    worker.step()
    worker.close()

    rows = windows(store)
    assert {row["collector"] for row in rows} == {"rrc00"}
    assert (rows[0]["messages"], rows[0]["parse_errors"]) == (1, 4)


@pytest.mark.parametrize("clock_is_back", [False, True])
def test_a_spool_emptied_while_everything_was_stopped_loses_nothing_that_came_later(
    settings: Settings, store: Store, clock: FakeClock, clock_is_back: bool
) -> None:
    collect(settings, clock, frame(T0), frame(T0 + 61))
    worker = aggregator(settings, clock)
    worker.step()
    collect(settings, clock, frame(T0 + 62))  # it stays unread
    worker.close()
    shutil.rmtree(settings.spool_path)
    if clock_is_back:  # the numbers begin again below those that were read
        other = settings.spool_path / "next_sequence"
        other.parent.mkdir()
        other.write_text("7")

    collect(settings, clock, frame(T0 + 185), frame(T0 + 240))
    aggregator(settings, clock).step()  # never closed, as after kill -9
    worker = aggregator(settings, clock)
    worker.step()
    collect(settings, clock, frame(T0 + 270), frame(T0 + 300))
    worker.step()
    collect(settings, clock, frame(T0 + 330), frame(T0 + 400))
    worker.step()
    worker.close()

    kept = [(row["messages"], row["incomplete"]) for row in windows(store)]
    assert kept == [(1, 1), (1, 1), (0, 1), (1, 1), (2, 0), (2, 0)]


def test_the_status_counts_the_places_where_segments_are_lost(settings: Settings, clock: FakeClock) -> None:
    segment(settings, 1, frame(T0))
    segment(settings, 3, frame(T0 + 5))
    worker = aggregator(settings, clock)
    worker.step()

    assert "segments lost in 1 place" in worker.status()
    worker.close()


def test_the_segments_of_an_earlier_version_are_read_before_those_with_the_time_in_their_number(
    settings: Settings, store: Store, clock: FakeClock
) -> None:
    segment(settings, 41, frame(T0))
    (settings.spool_path / "next_sequence").unlink(missing_ok=True)
    collect(settings, clock, frame(T0 + 61), frame(T0 + 200))
    worker = aggregator(settings, clock)
    worker.step()
    worker.close()

    assert [row["messages"] for row in windows(store)] == [1, 1]
