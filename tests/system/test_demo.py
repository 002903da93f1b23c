"""The short demo with real processes: it shows every step, exits 0, leaves no process, and its last lines can be typed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_S = 900
pytestmark = [pytest.mark.system, pytest.mark.timeout(LIMIT_S + 120)]
STEPS = (
    "incident found and explained",
    "bad model rolled back",
    "drift found after the change",
    "retraining requested and run",
    "new model active and scoring",
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, "subprocess.CompletedProcess[str]"]:
    """Run the demo once."""
    command = [sys.executable, "-m", "bgpdrift.cli", "demo", "--limit", str(LIMIT_S)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("BGPDRIFT_")} | {"COLUMNS": "100"}
    folder = tmp_path_factory.mktemp("demo")
    return folder, subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=LIMIT_S + 30)


def test_the_demo_shows_every_step(demo):
    _, done = demo

    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr
    assert [step for step in STEPS if f"│ {step} " not in done.stdout] == []
    assert "demo passed: 5 of 5 steps shown, 1 of 1 incidents found" in done.stdout
    assert "0 windows missing" in " ".join(done.stdout.split())


def test_the_last_lines_are_commands_that_show_the_result(demo):
    folder, done = demo
    commands = [line.strip() for line in done.stdout.splitlines() if line.startswith("  BGPDRIFT_DATA_DIR=")]

    shown = [subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True) for command in commands]

    assert [one.returncode for one in shown] == [0, 0, 0], [one.stderr for one in shown]
    assert "hijack" in shown[1].stdout
    assert (folder / "drift_report_lstm.html").read_text().startswith("<!")


def test_the_truth_of_the_demo_holds_the_incident_and_the_change(demo):
    folder, _ = demo
    truth = json.loads((folder / "demo" / "truth.json").read_text())

    assert [one["kind"] for one in truth["incidents"]] == ["hijack"]
    assert [one["kind"] for one in truth["regimes"]] == ["path"]
