"""Replay server and collector as processes: a killed process loses no frame."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard

from bgpdrift.bgp.spool import SpoolReader
from bgpdrift.store import migrate, open_store
from helpers.until import until

pytestmark = pytest.mark.system
LIMIT_S = 30.0


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(LIMIT_S)
        if process.stdout is not None:
            process.stdout.close()


def recording(path: Path, frames: int, seconds: float) -> Path:
    """Write frames of three collectors, evenly distributed over a time, to a zstd file of JSON lines."""
    lines = []
    for number in range(frames):
        timestamp = 1_700_000_000.0 + seconds * number / frames
        data = {
            "timestamp": round(timestamp, 3), "peer": "192.0.2.1", "peer_asn": "64500",
            "id": f"192.0.2.1-{number:016x}", "host": f"rrc{number % 3:02d}.ripe.net", "type": "UPDATE",
            "path": [64500, 64501 + number % 7], "origin": "IGP", "withdrawals": [],
            "announcements": [{"next_hop": "192.0.2.1", "prefixes": [f"10.{number % 200}.{number % 250}.0/24"]}],
        }  # fmt: skip
        lines.append(json.dumps({"type": "ris_message", "data": data}, separators=(",", ":")))
    path.write_bytes(zstandard.compress("\n".join(lines).encode()))
    return path


def replay(processes: list[subprocess.Popen[str]], *options: object) -> str:
    command = [str(Path(sys.executable).with_name("bgpdrift")), "replay", *map(str, options)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    processes.append(process)
    assert process.stdout is not None
    first = process.stdout.readline().strip()
    assert first.startswith("listening on ws://127.0.0.1:")
    return first.removeprefix("listening on ")


def collector(processes: list[subprocess.Popen[str]], data_dir: Path, url: str, **more: str) -> subprocess.Popen[str]:
    env = os.environ | {"BGPDRIFT_DATA_DIR": str(data_dir), "BGPDRIFT_FEED__URL": url, **more}
    env |= {"BGPDRIFT_FEED__BACKOFF_MAX_S": "0.2", "BGPDRIFT_SPOOL__SEGMENT_S": "0.3"}
    process = subprocess.Popen(
        [sys.executable, "-m", "bgpdrift.services.ris_live_collector"], env=env, stdout=subprocess.DEVNULL, text=True
    )
    processes.append(process)
    return process


def spooled(data_dir: Path) -> list[str]:
    """Return the ids of the messages in finished segments, in order."""
    reader = SpoolReader(data_dir / "spool")
    ids = []
    for segment in reader.segments_after(0):
        reading = reader.read_segment(segment)
        ids += [json.loads(line)["data"]["id"] for line in reading if line.startswith(b'{"type":"ris_message"')]
        assert reading.problem is None
    return ids


def state(data_dir: Path) -> dict[str, object]:
    path = data_dir / "state" / "collector.json"
    return json.loads(path.read_bytes()) if path.exists() else {}


def test_a_collector_killed_twice_stores_every_frame_with_duplicates_of_the_same_id(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    count = 30_000
    url = replay(processes, recording(tmp_path / "r.zst", count, 600.0), "--speed", "100")
    for target in (0.2, 0.5):
        process = collector(processes, tmp_path / "data", url)
        until(lambda: len(set(spooled(tmp_path / "data"))) > target * count, LIMIT_S, f"{target:.0%} are there")  # noqa: B023
        process.kill()
        process.wait(LIMIT_S)
    process = collector(processes, tmp_path / "data", url)
    until(lambda: len(set(spooled(tmp_path / "data"))) == count, LIMIT_S, "every frame is there")
    process.terminate()

    assert process.wait(LIMIT_S) == 0
    ids = spooled(tmp_path / "data")
    assert sorted(set(ids)) == [f"192.0.2.1-{number:016x}" for number in range(count)]
    assert not list((tmp_path / "data" / "spool").glob("*.part"))
    assert state(tmp_path / "data")["state"] == "stopped"


def test_a_collector_that_cannot_reach_its_feed_runs_reports_the_reason_and_stops_on_request(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    process = collector(processes, tmp_path / "data", "ws://127.0.0.1:9/v1/ws/")
    until(
        lambda: "refused" in str(state(tmp_path / "data").get("last_error")), LIMIT_S, "the state file has the reason"
    )
    assert process.poll() is None

    process.send_signal(signal.SIGTERM)

    assert process.wait(LIMIT_S) == 0


def test_the_collector_loads_neither_numerics_nor_the_database() -> None:
    code = (
        "import sys, bgpdrift.services.ris_live_collector;"
        "print([name for name in ('numpy', 'sqlalchemy', 'alembic') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT_S)

    assert done.stdout.strip() == "[]", done.stderr


def test_a_replay_with_exit_when_done_ends_and_prints_the_number_of_frames(
    tmp_path: Path, processes: list[subprocess.Popen[str]]
) -> None:
    url = replay(processes, recording(tmp_path / "r.zst", 2000, 60.0), "--speed", "max", "--exit-when-done")
    collector(processes, tmp_path / "data", url)
    assert processes[0].stdout is not None

    assert processes[0].stdout.readline() == "done: 2000 frames\n"
    assert processes[0].wait(LIMIT_S) == 0
    until(lambda: len(spooled(tmp_path / "data")) == 2000, LIMIT_S, "the collector has them all")


@pytest.mark.shared_data
def test_recorded_frames_pass_through_the_spool_unchanged(
    tmp_path: Path, shared_data: Path, processes: list[subprocess.Popen[str]]
) -> None:
    import gzip

    source = shared_data / "ris_live" / "ris-live-20190523-1000.jsonl.gz"
    url = replay(processes, source, "--speed", "max")
    process = collector(processes, tmp_path / "data", url)
    until(lambda: len(spooled(tmp_path / "data")) == 1000, LIMIT_S, "all frames are there")
    process.terminate()
    assert process.wait(LIMIT_S) == 0

    reader = SpoolReader(tmp_path / "data" / "spool")
    lines = [line for segment in reader.segments_after(0) for line in reader.read_segment(segment)]
    sent = gzip.decompress(source.read_bytes()).splitlines()
    assert sorted(line for line in lines if b'"bgpdrift_' not in line[:30]) == sorted(sent)


def aggregator(processes: list[subprocess.Popen[str]], data_dir: Path) -> subprocess.Popen[str]:
    env = os.environ | {"BGPDRIFT_DATA_DIR": str(data_dir), "BGPDRIFT_SPOOL__SEGMENT_S": "0.3"}
    process = subprocess.Popen(
        [sys.executable, "-m", "bgpdrift.services.feature_aggregator"], env=env, stdout=subprocess.DEVNULL, text=True
    )
    processes.append(process)
    return process


@pytest.mark.parametrize("is_running", [False, True])
def test_a_spool_that_is_removed_loses_no_later_minute_and_the_lost_ones_are_incomplete(
    tmp_path: Path, processes: list[subprocess.Popen[str]], is_running: bool
) -> None:
    """The numbers of segments continue, whether the collector runs or everything is stopped meanwhile."""
    data, minutes = tmp_path / "data", 20
    store_url = f"sqlite:///{data / 'bgpdrift.sqlite3'}"
    data.mkdir()
    migrate(store_url)
    url = replay(processes, recording(tmp_path / "r.zst", 24_000, 60.0 * minutes), "--speed", "60")
    begun = 1_700_000_000 // 60 * 60

    def rows() -> list[dict[str, object]]:
        with open_store(store_url) as store:
            return [
                dict(row) for row in store.windows_between(begun, begun + 60 * minutes) if row["collector"] == "rrc00"
            ]

    running = [collector(processes, data, url), aggregator(processes, data)]
    until(lambda: len(rows()) >= 4, LIMIT_S, "four windows are stored")
    if not is_running:
        for process in running:
            process.terminate()
            assert process.wait(LIMIT_S) == 0
    shutil.rmtree(data / "spool")
    if not is_running:
        running = [collector(processes, data, url), aggregator(processes, data)]
    until(lambda: len(rows()) >= 16, LIMIT_S, "sixteen windows are stored")
    for process in reversed(running):
        process.terminate()
        assert process.wait(LIMIT_S) == 0

    stored = rows()[1:16]
    assert [row["window_start"] for row in stored] == [begun + 60 * minute for minute in range(1, 16)]
    unmarked = [row for row in stored if not row["incomplete"] and not row["feed_gap"]]
    assert len(unmarked) >= 10
    assert [row["messages"] for row in unmarked] == [400] * len(unmarked)
