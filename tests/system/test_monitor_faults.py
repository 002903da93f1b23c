"""The drift monitor as a process that is killed at any moment, and on a disk that is really full."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.drift.histogram import Histogram
from bgpdrift.monitor.drift_checks import DriftChecks
from bgpdrift.settings import Settings
from bgpdrift.settings_sections import DriftSettings
from bgpdrift.store import Cursor, Store, migrate, open_store
from bgpdrift.store.legacy import DriftWrite
from helpers.until import until

HOUR, DAY = 3_600, 86_400
T = 19_000 * DAY
MODEL, CALM_H, CHANGED_H = "lstm", 9 * 24, 20
CHECKS = CHANGED_H - 1
"""The newest hour may not be whole yet."""
LIMIT_S = 90.0
pytestmark = pytest.mark.system


def history(folder: Path) -> Settings:
    """Nine calm days of a detector's scores that were checked, and twenty hours of twice the score that were not."""
    settings = Settings(data_dir=str(folder), drift=DriftSettings(persistence_checks=2, pinned_windows_h=[24]))
    migrate(settings.store_url)
    rng, rows = np.random.default_rng(5), []
    for hour in range(CALM_H + CHANGED_H):
        found = rng.gamma(2.0, size=60) * (2.0 if hour >= CALM_H else 1.0)
        counted = Histogram.of(found.tolist())
        rows.append(
            {
                "hour_start": T + hour * HOUR,
                "series": f"score:{MODEL}",
                "model_version": "1",
                "collector": "rrc00",
                "n": counted.n,
                "value_sum": counted.total,
                "value_sum_squares": counted.squares,
                "bins": counted.to_bytes(),
            }
        )
    now = T + (CALM_H + CHANGED_H) * HOUR
    details = {"verdict": "none", "severity": "none", "at": T + CALM_H * HOUR, "lasting_version": "1"}
    with open_store(settings.store_url) as store:
        store.upsert_histograms(rows, None)
        store.write_windows([{"window_start": now, "collector": "rrc00", "peer": ""}], None)
        assert store.record_drift(DriftWrite(None, Cursor(f"drift:{MODEL}", T + CALM_H * HOUR, details)))
        for reader in ("scores", "windows"):  # those two are not what is tested, and are read already
            store.upsert_histograms([], Cursor(f"drift_monitor:{reader}", 1 if reader == "windows" else 0, {}))
    return settings


def monitor(folder: Path) -> "subprocess.Popen[bytes]":
    own = {
        "BGPDRIFT_DATA_DIR": str(folder),
        "BGPDRIFT_DRIFT__LASTING_CHECKS": "2",
        "BGPDRIFT_DRIFT__PINNED_WINDOWS_H": "[24]",
        "BGPDRIFT_DRIFT__POLL_S": "0.05",
        "BGPDRIFT_RETRAIN__AUTO": "false",
        "OMP_NUM_THREADS": "1",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("BGPDRIFT_", "NOTIFY_"))}
    command = [sys.executable, "-m", "bgpdrift.services.drift_monitor"]
    log = (folder / "monitor.log").open("ab")
    with log:
        return subprocess.Popen(command, env=inherited | own, stdout=log, stderr=log)


def wait_for(store: Store, checks: int, running: "subprocess.Popen[bytes]", log: Path) -> None:
    def are_made() -> bool:
        assert running.poll() is None, log.read_text()[-2_000:]
        return len(store.drift_checks(MODEL, limit=100)) >= checks

    until(are_made, LIMIT_S, f"{checks} checks, log {log}", poll_s=0.005)


def lived(folder: Path, kills: int) -> dict[str, Any]:
    """Let the monitor make all its checks, killed after each of the first ones; what is in the store then."""
    with open_store(f"sqlite:///{folder / 'bgpdrift.sqlite3'}") as store:
        for dies_after in [*range(1, kills + 1), CHECKS]:
            running = monitor(folder)
            try:
                wait_for(store, dies_after, running, folder / "monitor.log")
            finally:
                running.send_signal(signal.SIGKILL if dies_after < CHECKS else signal.SIGTERM)
                running.wait(30)
        checks = store.drift_checks(MODEL, limit=100)
        return {
            "checks": [(row["timestamp"], row["verdict"], row["severity"], row["p_value"]) for row in checks],
            "signals": [len(store.drift_signals(row["id"])) for row in checks],
            "wishes": [(wish["requested_at"], wish["reason"]["severity"]) for wish in store.triggers(MODEL)],
        }


@pytest.mark.timeout(300)
def test_a_monitor_killed_again_and_again_makes_each_check_and_each_wish_once(tmp_path: Path) -> None:
    history(tmp_path / "calm")
    shutil.copytree(tmp_path / "calm", tmp_path / "killed")

    undisturbed = lived(tmp_path / "calm", kills=0)

    assert len(undisturbed["checks"]) == CHECKS
    assert [severity for _, severity in undisturbed["wishes"]] == ["critical", "high"]  # newest first: it grew worse
    assert lived(tmp_path / "killed", kills=6) == undisturbed


@pytest.fixture
def small_disk(tmp_path: Path, mount_small_disk: Callable[[Path, str], Path]) -> Path:
    """A file system of 64 KiB."""
    return mount_small_disk(tmp_path / "data" / "model_artifacts", "64k")


def test_on_a_full_disk_checks_are_recorded_without_a_report_and_reports_come_back_with_room(small_disk: Path) -> None:
    settings = history(small_disk.parent)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * 65_537)
    with open_store(settings.store_url) as store:
        checks = DriftChecks(settings, store, FakeClock())
        said = []
        while checks.step():
            said.append(checks.status())
            if len(store.drift_checks(MODEL, limit=100)) == CHECKS - 2:
                filler.unlink(missing_ok=True)
        rows = store.drift_checks(MODEL, limit=100)
        drifted = [row for row in reversed(rows) if row["verdict"] == "drift"]

        assert len(rows) == CHECKS
        assert len(store.triggers(MODEL)) == 1
        assert drifted[0]["report_path"] == ""
        assert any("no report drift_report_lstm_" in line for line in said)
        assert Path(drifted[-1]["report_path"]).name in {path.name for path in small_disk.iterdir()}
        assert not [path for path in small_disk.iterdir() if not path.name.endswith(".json")]
