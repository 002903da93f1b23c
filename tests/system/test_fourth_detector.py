"""A detector of another distribution takes part in everything, although no file of bgpdrift names it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgpdrift.settings import Settings, load
from bgpdrift.store import migrate, open_store
from helpers import windows
from helpers.until import until

PLUGIN = Path(__file__).with_name("plugin")
PROGRAM = Path(__file__).parents[2] / "run_all_services.py"
CALM_MIN, CHANGED_MIN = 4 * 1_440, 36 * 60
"""Four days to learn from; a change lasts until a day and the held-out share of it have been seen."""
NEW_LEVEL = 320.0
"""Announcements a minute after the change, 200 before: scores move, but few of them are alarms."""
SETTINGS = {
    "FEED__URL": "ws://127.0.0.1:9/",
    "DRIFT__POLL_S": "0.5",
    "DRIFT__PERSISTENCE_CHECKS": "1",
    "RETRAIN__FIRST": "off",
    "RETRAIN__MIN_WINDOWS": "700",
    "RETRAIN__MIN_SEVERITY": "low",
    "RETRAIN__APPROVE_CRITICAL": "false",
    # The gate compares this detector with itself; a model of so few lines need not pass as a good one.
    **dict.fromkeys(["RETRAIN__TOLERANCE", "RETRAIN__RECALL_TOLERANCE", "RETRAIN__KIND_TOLERANCE"], "1"),
    **dict.fromkeys(["RETRAIN__MAX_DRIFT", "RETRAIN__MAX_ALARM_FACTOR"], "100"),
    "RETRAIN__MIN_RECALL": "0",
    "RETRAIN__PROBATION_RECALL_LOSS": "1",
    "DETECTORS__HEURISTIC__AUTO_RETRAIN": "false",
    "DETECTORS__VOLUME__WEIGHT": "0.35",
}
pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


class Installation:
    """A data directory, and an environment in which the distribution of the fourth detector is installed."""

    def __init__(self, folder: Path) -> None:
        info = folder / "site" / "volume_detector-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: volume-detector\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[bgpdrift.detectors]\nvolume = volume_detector:RECORD\n")
        own = {f"BGPDRIFT_{name}": value for name, value in SETTINGS.items()}
        own["BGPDRIFT_DATA_DIR"] = str(folder / "data")
        path = os.pathsep.join([str(info.parent), str(PLUGIN), os.environ.get("PYTHONPATH", "")])
        self.folder, self.environment = folder, os.environ | own | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        self.settings: Settings = load(env={"BGPDRIFT_DATA_DIR": own["BGPDRIFT_DATA_DIR"]})
        self.settings.data_path.mkdir()
        migrate(self.settings.store_url)

    def run(self, *words: str, expected: int | None = 0) -> str:
        done = subprocess.run(
            [sys.executable, *words], env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        assert expected is None or done.returncode == expected, done.stdout + done.stderr
        return done.stdout

    def write(self, frame: Any) -> None:
        with open_store(self.settings.store_url) as store:
            store.write_windows(windows.rows_of(frame), None)

    def services(self) -> dict[str, dict[str, Any]]:
        status = json.loads(self.run(str(PROGRAM), "status", "--json", expected=None))
        return {service["name"]: service for service in status["services"]}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    found = Installation(tmp_path)
    yield found
    found.run(str(PROGRAM), "stop", expected=None)


def test_a_fourth_detector_is_trained_starts_votes_drifts_and_is_retrained(installation: Installation) -> None:
    installation.write(windows.calm(CALM_MIN))
    lines = installation.run("-m", "retrainers", "volume", "--json").splitlines()
    assert json.loads(lines[-1])["outcome"] == "promoted"
    changed = windows.calm(CALM_MIN + CHANGED_MIN, level=NEW_LEVEL, seed=2)
    installation.write(changed.rows(CALM_MIN, CALM_MIN + CHANGED_MIN, 0))

    installation.run(str(PROGRAM), "start")

    assert installation.services()["volume_detector"]["state"] == "ready"
    with open_store(installation.settings.store_url) as store:
        cursor = "ensemble_coordinator"
        newest = store.newest_window_id()
        until(lambda: store.read_position(cursor) == newest, 100, "all windows are decided")
        verdicts = store.verdicts_between(windows.START, windows.START + 60 * CALM_MIN)
        assert all("volume" in verdict["p_values"] for verdict in verdicts[-100:])
        until(
            lambda: any(row.verdict == "drift" for row in store.drift_checks_between(model="volume")),
            100,
            "its drift is found",
        )
        until(lambda: [event for event in store.retrain_events("volume") if event.promoted][1:], 100, "it is retrained")

    shown = json.loads(installation.run("-m", "bgpdrift.status", "--json", expected=None))
    (model,) = [model for model in shown["models"] if model["model"] == "volume"]
    assert model["version"] == "2"
    assert "volume" in installation.run("-m", "bgpdrift.cli", "models")


def test_a_fourth_detector_has_settings_of_its_own(installation: Installation) -> None:
    shown = installation.run("-m", "bgpdrift.cli", "config", "show")
    assert "0.35" in shown.partition("detectors.volume.weight")[2].partition("detectors.volume")[0]
    assert "detectors.volume.auto_retrain" in installation.run("-m", "bgpdrift.cli", "config", "show", "--markdown")
