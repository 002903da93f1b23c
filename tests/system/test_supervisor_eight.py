"""The eight services of bgpdrift under the supervisor, with an unreachable feed."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bgpdrift.store import open_store
from helpers.until import until

PROGRAM = Path(__file__).parents[2] / "run_all_services.py"
pytestmark = pytest.mark.system


def test_all_services_become_ready_a_killed_one_is_restarted_and_stop_leaves_none(tmp_path):
    env = os.environ | {"BGPDRIFT_DATA_DIR": str(tmp_path / "data"), "BGPDRIFT_FEED__URL": "ws://127.0.0.1:9/"}

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, str(PROGRAM), *arguments]
        return subprocess.run(call, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    def services() -> dict[str, dict]:
        return {service["name"]: service for service in json.loads(command("status", "--json").stdout)["services"]}

    try:
        started = command("start")
        assert started.returncode == 0, started.stdout + started.stderr
        before = services()
        assert len(before) == 8
        assert {service["state"] for service in before.values()} == {"ready"}
        assert sum(service["rss_bytes"] for service in before.values()) < 600 * 2**20
        assert "cannot reach" in before["ris_live_collector"]["message"]
        assert "waiting for a model" in before["lstm_detector"]["message"]

        victim = before["feature_aggregator"]["pid"]
        os.kill(victim, signal.SIGKILL)
        until(
            lambda: (now := services()["feature_aggregator"])["state"] == "ready" and now["pid"] != victim,
            15,
            "restart",
        )
        with open_store(f"sqlite:///{tmp_path / 'data/bgpdrift.sqlite3'}") as store:
            until(
                lambda: "backoff" in {row.event for row in store.service_events(100, "feature_aggregator")}, 30, "event"
            )
        pids = [service["pid"] for service in services().values()]
    finally:
        stopped = command("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
