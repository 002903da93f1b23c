"""Real services whose database file is removed or replaced while they run: they consume nothing until they can store it."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard

from bgpdrift.bgp.spool import list_segments, record_line, segment_name
from bgpdrift.process.sd_notify import DEGRADED_FIELD, parse_message
from bgpdrift.settings import Settings, load
from bgpdrift.store import migrate, open_store
from helpers.until import until

T0 = 1_700_000_040
LIMIT_S = 20.0


class Service:
    """A service in a process of its own, and the last value of each field that it reported."""

    def __init__(self, name: str, folder: Path, **env: str) -> None:
        self.fields: dict[str, str] = {}
        self._receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._receiver.bind(str(folder / f"{name}.socket"))
        self._receiver.setblocking(False)
        variables = os.environ | {"NOTIFY_SOCKET": str(folder / f"{name}.socket"), **env}
        self.process = subprocess.Popen([sys.executable, "-m", "bgpdrift.services", name], env=variables)

    def read(self, field: str) -> str:
        while True:
            try:
                self.fields |= parse_message(self._receiver.recv(8192))
            except BlockingIOError:
                return self.fields.get(field, "")

    def await_ready(self) -> None:
        until(lambda: self.read("READY"), LIMIT_S, "the service is ready")

    def await_degraded(self, part: str) -> None:
        until(lambda: part in self.read(DEGRADED_FIELD), LIMIT_S, f"degraded: {part}")

    def await_recovered(self) -> None:
        until(lambda: not self.read(DEGRADED_FIELD), LIMIT_S, "no longer degraded")

    def close(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self._receiver.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = load(env={"BGPDRIFT_DATA_DIR": str(tmp_path / "data")})
    made.spool_path.mkdir(parents=True)
    migrate(made.store_url)
    return made


@pytest.fixture
def database(settings: Settings) -> Path:
    return settings.data_path / "bgpdrift.sqlite3"


@pytest.fixture
def start(tmp_path: Path, settings: Settings) -> Iterator[Callable[[str], Service]]:
    services: list[Service] = []

    def run(name: str) -> Service:
        # Checkpoints are saved at once, so that segments are deleted as soon as their windows are stored.
        services.append(
            Service(name, tmp_path, BGPDRIFT_DATA_DIR=settings.data_dir, BGPDRIFT_WINDOWS__CHECKPOINT_S="0.01")
        )
        services[-1].await_ready()
        return services[-1]

    yield run
    for service in services:
        service.close()


def write_segments(settings: Settings, *numbers: int) -> None:
    """Write segments of one minute with one announcement each."""
    for number in numbers:
        at = T0 + 60.0 * number
        data = {
            "timestamp": at,
            "peer": "192.0.2.1",
            "host": "rrc00.ripe.net",
            "id": f"192.0.2.1-{int(at * 1000):012x}0001",
            "type": "UPDATE",
            "path": [3333, 12654],
            "origin": "IGP",
            "announcements": [{"next_hop": "192.0.2.1", "prefixes": ["193.0.0.0/21"]}],
        }
        lines = [json.dumps({"type": "ris_message", "data": data}).encode()]
        lines.append(record_line("bgpdrift_segment_end", {"closed_at": at, "frames": 1}))
        content = zstandard.compress(b"".join(line + b"\n" for line in lines))
        hidden = settings.spool_path / f".{number}"
        hidden.write_bytes(content)
        hidden.rename(settings.spool_path / segment_name(number))


def stored_minutes(settings: Settings) -> list[int]:
    """Numbers of the minutes that are stored with one announcement each."""
    with open_store(settings.store_url) as store:
        rows = store.windows_between(T0, T0 + 6000)
    return [(row["window_start"] - T0) // 60 for row in rows if row["announced"] == 1]


def await_minutes(settings: Settings, last: int) -> None:
    until(lambda: stored_minutes(settings)[-1:] == [last], LIMIT_S, f"minute {last} is stored")


def test_a_removed_database_consumes_no_segment_and_is_reported_until_it_is_back(
    settings: Settings, database: Path, start: Callable[[str], Service]
) -> None:
    aggregator, ensemble = start("feature_aggregator"), start("ensemble_coordinator")
    write_segments(settings, *range(1, 6))
    await_minutes(settings, 3)

    aside = database.rename(database.with_name("aside"))
    for service in (aggregator, ensemble):
        service.await_degraded("the database file was removed")
    write_segments(settings, *range(6, 12))
    aggregator.await_degraded("the database file was removed")
    assert [segment.sequence for segment in list_segments(settings.spool_path)][-6:] == [6, 7, 8, 9, 10, 11]

    aside.rename(database)
    for service in (aggregator, ensemble):
        service.await_recovered()
    write_segments(settings, 12, 13)
    await_minutes(settings, 11)
    assert stored_minutes(settings) == list(range(1, 12))
    assert not database.with_name("aside").exists()


def test_a_backup_in_place_of_the_database_is_read_again_and_the_loss_is_marked(
    settings: Settings, database: Path, start: Callable[[str], Service]
) -> None:
    aggregator = start("feature_aggregator")
    write_segments(settings, *range(1, 6))
    await_minutes(settings, 3)
    backup = database.with_name("backup")
    with sqlite3.connect(database) as source, sqlite3.connect(backup) as target:
        source.backup(target)
    write_segments(settings, *range(6, 10))
    await_minutes(settings, 7)
    until(lambda: not list_segments(settings.spool_path), LIMIT_S, "the segments are deleted")

    aggregator.fields.clear()
    for name in ("-wal", "-shm"):
        database.with_name(database.name + name).unlink()
    backup.replace(database)
    aggregator.await_ready()
    write_segments(settings, *range(10, 16))
    await_minutes(settings, 13)

    assert stored_minutes(settings) == [1, 2, 3, *range(8, 14)]
    with open_store(settings.store_url) as store:
        marked = [row["window_start"] for row in store.windows_between(T0, T0 + 6000) if row["incomplete"]]
    assert T0 + 60 * 9 in marked
