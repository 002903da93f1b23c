"""The drift monitor as a process that is killed at any moment, and on a disk that is full."""

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
from bgpdrift.store.cursor_states import DriftState, PersistenceState, drift_cursor
from bgpdrift.store.database import StateCursor
from bgpdrift.store.drift import DriftUpdate
from helpers.until import until

HOUR, DAY = 3_600, 86_400
T = 19_000 * DAY
MODEL, CALM_H, CHANGED_H = "lstm", 9 * 24, 20
CHECKS = CHANGED_H - 1
"""The newest hour may not be complete yet."""
LIMIT_S = 90.0
pytestmark = pytest.mark.system


def history(folder: Path) -> Settings:
    """Store nine checked days of a detector's scores, and twenty unchecked hours with twice the score."""
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
    at = T + CALM_H * HOUR
    state = DriftState(model_version="1", verdict="none", at=at, persistence=PersistenceState(version="1"))
    with open_store(settings.store_url) as store:
        store.upsert_histograms(rows, None)
        store.write_windows([{"window_start": now, "collector": "rrc00", "peer": ""}], None)
        assert store.update_drift(DriftUpdate(None, StateCursor(drift_cursor(MODEL), at, state)))
        for reader in ("scores", "windows"):  # folding is not tested here: all rows count as folded
            store.put_cursor(Cursor(f"drift_monitor:{reader}", 1 if reader == "windows" else 0))
    return settings


def monitor(folder: Path) -> "subprocess.Popen[bytes]":
    own = {
        "BGPDRIFT_DATA_DIR": str(folder),
        "BGPDRIFT_DRIFT__PERSISTENCE_CHECKS": "2",
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
        return len(store.drift_checks_between(model=MODEL)) >= checks

    until(are_made, LIMIT_S, f"{checks} checks, log {log}", poll_s=0.005)


def run_monitor(folder: Path, kills: int) -> dict[str, Any]:
    """Run all checks with a monitor that is killed after each of the first ones; return what the store holds."""
    with open_store(f"sqlite:///{folder / 'bgpdrift.sqlite3'}") as store:
        for dies_after in [*range(1, kills + 1), CHECKS]:
            running = monitor(folder)
            try:
                wait_for(store, dies_after, running, folder / "monitor.log")
            finally:
                running.send_signal(signal.SIGKILL if dies_after < CHECKS else signal.SIGTERM)
                running.wait(30)
        checks = store.drift_checks_between(model=MODEL)
        return {
            "checks": [(check.timestamp, check.verdict, check.severity, check.p_value) for check in checks],
            "signals": [len(store.signals_of_check(check.id)) for check in checks],
            "requests": [(one.requested_at, one.reason.severity) for one in store.retrain_requests(MODEL)],
        }


@pytest.mark.timeout(300)
def test_a_monitor_that_is_killed_repeatedly_makes_each_check_and_each_request_once(tmp_path: Path) -> None:
    history(tmp_path / "calm")
    shutil.copytree(tmp_path / "calm", tmp_path / "killed")

    uninterrupted = run_monitor(tmp_path / "calm", kills=0)

    assert len(uninterrupted["checks"]) == CHECKS
    assert [severity for _, severity in uninterrupted["requests"]] == [
        "critical",
        "high",
    ]  # newest first: the drift became worse
    assert run_monitor(tmp_path / "killed", kills=6) == uninterrupted


@pytest.fixture
def small_disk(tmp_path: Path, mount_small_disk: Callable[[Path, str], Path]) -> Path:
    """A file system of 64 KiB."""
    return mount_small_disk(tmp_path / "data" / "model_artifacts", "64k")


def test_on_a_full_disk_checks_are_recorded_without_a_report_until_there_is_room(small_disk: Path) -> None:
    settings = history(small_disk.parent)
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(b"x" * 65_537)
    with open_store(settings.store_url) as store:
        checks = DriftChecks(settings, store, FakeClock())
        statuses = []
        while checks.step():
            statuses.append(checks.status())
            if len(store.drift_checks_between(model=MODEL)) == CHECKS - 2:
                filler.unlink(missing_ok=True)
        recorded = store.drift_checks_between(model=MODEL)
        drifted = [check for check in reversed(recorded) if check.verdict == "drift"]

        assert len(recorded) == CHECKS
        assert len(store.retrain_requests(MODEL)) == 1
        assert drifted[0].report_path == ""
        assert any("was not written" in status for status in statuses)
        assert Path(drifted[-1].report_path).name in {path.name for path in small_disk.iterdir()}
        assert not [path for path in small_disk.iterdir() if not path.name.endswith(".json")]
