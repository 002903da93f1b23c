"""Workers held to limits from outside, as real processes: none outlives its time, its memory or its parent."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from helpers.until import until

PROGRAM = Path(__file__).with_name("limited.py")
pytestmark = pytest.mark.system


def gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


@pytest.fixture
def limited(tmp_path):
    """Start a worker; a finished one's answer comes from `answer`."""
    started: list[subprocess.Popen[str]] = []

    def start(behaviour: str, seconds: float = 60.0, memory_mb: int = 1_000, *more: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(PROGRAM), behaviour, str(seconds), str(memory_mb), *more]
        env = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
        process = subprocess.Popen(
            command, cwd=tmp_path, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return json.loads(out) | {"stderr": error}


def heard(folder: Path) -> list[dict[str, Any]]:
    def read() -> Any:
        try:
            return json.loads((folder / "heard").read_text())
        except (OSError, ValueError):
            return None

    return until(read, 20, "the worker spoke")


def test_a_worker_says_its_exit_code_runs_with_low_priority_and_one_thread(limited):
    ended = answer(limited("3"))
    assert (ended["exit"], ended["reason"]) == (3, "")
    (born,) = ended["heard"]
    assert born["nice"] >= 10
    assert born["threads"] == "1"
    assert "not for programs" in ended["stderr"]


def test_an_exception_is_exit_1_with_its_traceback(limited):
    ended = answer(limited("raises"))
    assert (ended["exit"], ended["reason"]) == (1, "")
    assert "RuntimeError: no luck today" in ended["stderr"]


def test_every_line_is_heard_however_many(limited):
    assert answer(limited("chatty"))["lines"] == 20_001


@pytest.mark.parametrize("behaviour", ["sleeps", "deaf", "forks"])
def test_one_that_takes_too_long_is_ended_with_all_it_started(limited, behaviour):
    ended = answer(limited(behaviour, seconds=0.8))
    assert (ended["exit"], ended["reason"]) == (None, "time")
    assert ended["signal"] == (signal.SIGKILL if behaviour == "deaf" else signal.SIGTERM)
    until(lambda: all(gone(line["pid"]) for line in ended["heard"] if "pid" in line), 20, "all of it is gone")


@pytest.mark.parametrize("behaviour", ["grows", "child_grows"])
def test_one_that_holds_too_much_is_ended(limited, behaviour):
    ended = answer(limited(behaviour, memory_mb=300))
    assert (ended["exit"], ended["reason"]) == (None, "memory")
    assert ended["peak"] > 300_000_000
    assert gone(ended["heard"][0]["pid"])


def test_one_that_somebody_killed_is_told_from_one_that_ended(limited):
    ended = answer(limited("kills_itself"))
    assert (ended["exit"], ended["reason"], ended["signal"]) == (None, "foreign_signal", signal.SIGKILL)


def test_what_a_worker_leaves_behind_is_ended_with_it(limited):
    ended = answer(limited("forks_and_ends"))
    assert (ended["exit"], ended["reason"]) == (0, "")
    until(lambda: gone(ended["heard"][1]["pid"]), 20, "its child is gone")


def test_a_parent_that_is_asked_to_stop_stops_its_worker_first(limited, tmp_path):
    process = limited("forks")
    born, forked = heard(tmp_path)
    process.send_signal(signal.SIGTERM)
    ended = answer(process)
    assert (ended["reason"], ended["signal"]) == ("stop_request", signal.SIGTERM)
    assert gone(born["pid"])
    until(lambda: gone(forked["pid"]), 20, "what it started is gone")


def test_a_worker_dies_with_its_parent(limited, tmp_path):
    process = limited("sleeps", 60.0, 1_000, "tell")
    (born,) = heard(tmp_path)
    process.kill()
    until(lambda: gone(born["pid"]), 20, "the worker followed its parent")
