"""From an empty data directory to three voting detectors, with all services, a replay at full speed and no operator."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgpdrift.store import Store, open_store
from helpers.until import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(700)]
MODELS = ("isolation_forest", "lstm")


@contextlib.contextmanager
def replay(file: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "bgpdrift.cli", "replay", str(file), "--listen", "127.0.0.1:0", "--speed", "max"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().removeprefix("listening on ").strip()
    finally:
        server.terminate()
        server.wait(10)
        assert server.stdout is not None
        server.stdout.close()


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two and a half days of a small simulated Internet, as a recording of RIS Live."""
    file = tmp_path_factory.mktemp("past") / "past.jsonl.zst"
    scenario = ["--duration", "58h", "--seed", "3", "--collectors", "rrc00"]
    scenario += ["--peers", "3", "--prefixes", "150", "--rate", "30"]
    command = [sys.executable, "-m", "bgpdrift.cli", "simulate", *scenario, "--out", str(file)]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    return file


def test_forest_and_lstm_become_active_by_themselves(past: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with replay(past) as url:
        environment = os.environ | {"BGPDRIFT_DATA_DIR": str(data), "BGPDRIFT_FEED__URL": url}
        environment["BGPDRIFT_RETRAIN__NICENESS"] = "0"

        def run(*words: str) -> str:
            done = subprocess.run(
                [sys.executable, "-m", *words], env=environment, capture_output=True, text=True, timeout=100
            )
            assert done.stdout, done.stderr
            return done.stdout

        def read_status() -> dict[str, Any]:
            return {model["model"]: model for model in json.loads(run("bgpdrift.status", "--json"))["models"]}

        run("run_all_services", "start")
        try:
            with open_store(f"sqlite:///{data / 'bgpdrift.sqlite3'}") as store:
                until(lambda: any_request(store), 200, "a request for a first training", poll_s=0.5)
                waiting = read_status()["lstm"]
                until(lambda: set(MODELS) <= read_voters(store), 400, "both models in their services", poll_s=0.5)
                until(lambda: read_states(store) == dict.fromkeys(MODELS, "done"), 60, "both requests done", poll_s=0.5)
                requests = store.retrain_requests()
            active = read_status()
        finally:
            run("run_all_services", "stop")

    assert waiting["first_training"]["phase"] == "training"
    assert all(request.requested_by == "drift_monitor" and request.reason.is_first for request in requests)
    assert [active[model]["version"] for model in MODELS] == ["1", "1"]
    assert active["heuristic"]["version"] == "default-1"


def any_request(store: Store) -> bool:
    return bool(store.retrain_requests())


def read_states(store: Store) -> dict[str, str]:
    return {request.model: request.state for request in store.retrain_requests()}


def read_voters(store: Store) -> set[str]:
    """Models whose services report that they have loaded a version."""
    return {
        event.service.removesuffix("_detector") for event in store.service_events(50) if event.event == "model_loaded"
    }
