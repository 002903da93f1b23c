"""Archives replayed through the running system, with killed services, give the windows of `bgpdrift features`."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bgpdrift.store import open_store
from bgpdrift.store.window_columns import FEATURE_NAMES
from helpers.until import until

pytestmark = [pytest.mark.system, pytest.mark.shared_data, pytest.mark.timeout(240)]

FIRST, LAST = 1356999240, 1357001940  # 2013-01-01 00:14 and 00:59 UTC


@contextlib.contextmanager
def replay(files: list[Path], speed: str) -> Iterator[str]:
    command = [
        sys.executable,
        "-m",
        "bgpdrift.cli",
        "replay",
        *map(str, files),
        "--listen",
        "127.0.0.1:0",
        "--speed",
        speed,
    ]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().removeprefix("listening on ").strip()
    finally:
        server.terminate()
        server.wait(10)
        assert server.stdout is not None
        server.stdout.close()


@contextlib.contextmanager
def system(data: Path, url: str) -> Iterator[tuple[Callable[[], dict[str, Any]], Callable[..., Any]]]:
    """Run all services; yield a function for their status, and one that runs a command of `run_all_services.py`."""
    environment = {**os.environ, "BGPDRIFT_DATA_DIR": str(data), "BGPDRIFT_FEED__URL": url}
    # Longer than a restart on a busy machine, so that a pause of the feed closes no window.
    environment["BGPDRIFT_WINDOWS__IDLE_CLOSE_S"] = "12"

    def manage(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "run_all_services", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    started = manage("start")
    try:
        assert started.returncode == 0, started.stdout + started.stderr

        def status() -> dict[str, Any]:
            services = json.loads(manage("status", "--json").stdout)["services"]
            return {service["name"]: service for service in services}

        yield status, manage
    finally:
        manage("stop")


@pytest.fixture(scope="module")
def archives(shared_data: Path) -> tuple[list[Path], dict[int, dict[str, Any]]]:
    """Archives, and the windows that `bgpdrift features` prints for them, by their start."""
    files = sorted((shared_data / "mrt").glob("gobgpdump-20130101-arch*.mrt.gz"))
    lines = subprocess.run(
        [sys.executable, "-m", "bgpdrift.cli", "features", *map(str, files)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return files, {row["window_start"]: row for row in map(json.loads, lines)}


@pytest.mark.parametrize("disturbed", ["killed", "restarted"])
def test_services_disturbed_during_a_replay_lose_and_duplicate_nothing(
    archives: tuple[list[Path], dict[int, dict[str, Any]]], tmp_path: Path, disturbed: str
) -> None:
    """The windows of the running system equal those of `bgpdrift features`.

    The disturbances are kill -9 of each of the eight services in turn and of two at once, and a rolling restart of all.
    """
    files, expected = archives
    with replay(files, "120") as url, system(tmp_path / "data", url) as (status, manage):
        store = open_store(f"sqlite:///{tmp_path / 'data' / 'bgpdrift.sqlite3'}")

        def newest() -> int:
            return max((row["window_start"] for row in store.windows_between(FIRST - 60, LAST + 600)), default=0)

        if disturbed == "restarted":
            until(lambda: newest() >= FIRST + 8 * 60, 120, "minute 8")
            restarted = manage("restart")
            assert restarted.returncode == 0, restarted.stdout + restarted.stderr
        else:
            # Each of the eight in turn, every four minutes of the replay; then two at once.
            victims = [[name] for name in status()] + [["ris_live_collector", "feature_aggregator"]]
            for number, names in enumerate(victims, 1):
                until(lambda number=number: newest() >= FIRST + 4 * number * 60, 120, f"minute {4 * number}")  # type: ignore[misc]
                services = status()
                before = {name: services[name]["pid"] for name in names}
                for pid in before.values():
                    os.kill(pid, signal.SIGKILL)
                for name, pid in before.items():
                    until(lambda pid=pid, name=name: status()[name]["pid"] not in (pid, None), 120, f"{name} again")  # type: ignore[misc]
        until(lambda: newest() >= LAST, 120, "the last minute")
        rows = store.windows_between(FIRST, LAST + 60)
        minutes = list(range(FIRST, LAST + 60, 60))
        until(lambda: len(store.verdicts_between(FIRST, LAST + 60)) >= len(minutes), 120, "the last verdict")
        verdicts = store.verdicts_between(FIRST, LAST + 60)
        scores = store.scores_between(FIRST, LAST + 60, "heuristic")
        store.close()

    assert [row["window_start"] for row in rows] == minutes
    assert [row["window_start"] for row in scores] == minutes
    assert [row["window_start"] for row in verdicts] == minutes
    for row in rows:
        for name in FEATURE_NAMES:
            assert row[name] == pytest.approx(expected[row["window_start"]][name]), (row["window_start"], name)
    assert not any(row["feed_gap"] or row["dropped"] or row["incomplete"] for row in rows)
