"""Workers under limits, as real processes: none exceeds its time or memory or outlives its parent."""

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


def has_ended(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return True


@pytest.fixture
def limited(tmp_path):
    """Start a worker; `read_result` returns how it ended."""
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


def read_result(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    return json.loads(out) | {"stderr": error}


def read_reports(folder: Path) -> list[dict[str, Any]]:
    def read() -> Any:
        try:
            return json.loads((folder / "reports").read_text())
        except (OSError, ValueError):
            return None

    return until(read, 20, "the worker has reported")


def test_a_worker_has_an_exit_code_a_low_priority_and_one_math_thread(limited):
    ended = read_result(limited("3"))
    assert (ended["exit"], ended["reason"]) == (3, "")
    (first,) = ended["first_lines"]
    assert first["nice"] >= 10
    assert first["threads"] == "1"
    assert "not for programs" in ended["stderr"]


def test_an_exception_gives_exit_code_1_and_a_traceback(limited):
    ended = read_result(limited("raises"))
    assert (ended["exit"], ended["reason"]) == (1, "")
    assert "RuntimeError: the disk is broken" in ended["stderr"]


def test_every_line_of_a_verbose_worker_arrives(limited):
    assert read_result(limited("verbose"))["lines"] == 20_001


@pytest.mark.parametrize("behaviour", ["sleeps", "ignores_term", "forks"])
def test_a_worker_beyond_its_time_limit_is_ended_with_its_descendants(limited, behaviour):
    ended = read_result(limited(behaviour, seconds=0.8))
    assert (ended["exit"], ended["reason"]) == (None, "time")
    assert ended["signal"] == (signal.SIGKILL if behaviour == "ignores_term" else signal.SIGTERM)
    until(
        lambda: all(has_ended(line["pid"]) for line in ended["first_lines"] if "pid" in line),
        20,
        "all processes have ended",
    )


@pytest.mark.parametrize("behaviour", ["grows", "child_grows"])
def test_a_worker_beyond_its_memory_limit_is_ended(limited, behaviour):
    ended = read_result(limited(behaviour, memory_mb=300))
    assert (ended["exit"], ended["reason"]) == (None, "memory")
    assert ended["peak"] > 300_000_000
    assert has_ended(ended["first_lines"][0]["pid"])


def test_a_worker_killed_by_another_process_is_distinguished_from_one_that_ended(limited):
    ended = read_result(limited("kills_itself"))
    assert (ended["exit"], ended["reason"], ended["signal"]) == (None, "foreign_signal", signal.SIGKILL)


def test_a_child_that_a_worker_leaves_is_ended(limited):
    ended = read_result(limited("forks_and_ends"))
    assert (ended["exit"], ended["reason"]) == (0, "")
    until(lambda: has_ended(ended["first_lines"][1]["pid"]), 20, "its child has ended")


def test_a_parent_that_gets_term_stops_its_worker_first(limited, tmp_path):
    process = limited("forks")
    first, forked = read_reports(tmp_path)
    process.send_signal(signal.SIGTERM)
    ended = read_result(process)
    assert (ended["reason"], ended["signal"]) == ("stop_request", signal.SIGTERM)
    assert has_ended(first["pid"])
    until(lambda: has_ended(forked["pid"]), 20, "its child has ended")


def test_a_worker_dies_with_its_parent(limited, tmp_path):
    process = limited("sleeps", 60.0, 1_000, "tell")
    (first,) = read_reports(tmp_path)
    process.kill()
    until(lambda: has_ended(first["pid"]), 20, "the worker has ended with its parent")
