"""The model loop with real retrainer processes: runs are killed, hang or exceed their memory; monitors die."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.models import flags
from bgpdrift.models.publication import active_version
from bgpdrift.monitor.model_loop import ModelLoop
from bgpdrift.monitor.retrainer_process import RetrainerRunner, progress_path
from bgpdrift.process.identity import ProcessIdentity, is_alive
from bgpdrift.settings import Settings, load
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.store.cursor_states import RUN_CURSOR, RunState
from bgpdrift.store.request_records import RequestReason, RetrainRequest
from helpers import windows
from helpers.until import until

DRIVER = Path(__file__).with_name("retraining.py")
MODEL, MINUTES = "heuristic", 4_500
pytestmark = pytest.mark.system


class World:
    """A data directory with an active model, and the model loop of a monitor on it."""

    def __init__(self, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        own = {
            "DATA_DIR": str(data_dir),
            "RETRAIN__MIN_WINDOWS": "700",
            "RETRAIN__FIRST": "off",
            "RETRAIN__MAX_DRIFT": "9",
        }
        for name, value in own.items():
            monkeypatch.setenv(f"BGPDRIFT_{name}", value)
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        self._patch = monkeypatch
        self.settings: Settings = load()
        self.folder, self.clock = self.settings.artifacts_path, FakeClock()
        self.store: Store = open_store(self.settings.store_url)
        newest = self.store.newest_window_start()
        assert newest is not None
        self.now, self.end, self.at = newest + 60, "", ""
        self.program = sys.executable
        self.restart()

    def set(self, **retrain: str) -> None:
        for name, value in retrain.items():
            self._patch.setenv(f"BGPDRIFT_RETRAIN__{name.upper()}", value)
        self.settings = load()
        self.restart()

    def restart(self, margin_s: float = 120.0) -> None:
        """Another monitor replaces this one."""
        runner = RetrainerRunner(self.settings, self._command, margin_s)
        self.loop = ModelLoop(self.settings, self.store, self.clock, runner)

    def _command(self, model: str) -> list[str]:
        return [self.program, str(DRIVER), model, self.end, self.at, "--from-flag", "--json"]

    def request(self) -> int:
        version = active_version(self.folder, MODEL)
        reason = RequestReason(severity="high", summary="scores drift", model_version=version)
        request = RetrainRequest(model=MODEL, requested_at=self.now, requested_by="drift_monitor", reason=reason)
        request_id = self.store.add_retrain_request(request)
        assert request_id is not None
        return request_id

    def until(self, condition: Callable[[], Any], limit_s: float = 60.0) -> Any:
        def step() -> Any:
            self.clock.advance(seconds=60)
            self.loop.step(self.now)
            return condition()

        return until(step, limit_s, "the condition after a step of the loop", poll_s=0.02)

    def state(self) -> str:
        return self.store.retrain_requests(MODEL)[0].state

    def owner(self) -> ProcessIdentity | None:
        cursor = self.store.read_state(RUN_CURSOR, RunState)
        return cursor.state.owner if cursor else None

    def runs(self) -> list[dict[str, Any]]:
        return [event for event in self.store.retrain_events(MODEL) if event.kind == "retrain" and event.version != "1"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("loop") / "data"
    data_dir.mkdir()
    own = {
        "BGPDRIFT_DATA_DIR": str(data_dir),
        "BGPDRIFT_RETRAIN__MIN_WINDOWS": "700",
        "BGPDRIFT_RETRAIN__FIRST": "off",
        "BGPDRIFT_RETRAIN__MAX_DRIFT": "9",
    }
    settings = load(env=own)
    migrate(settings.store_url)
    with open_store(settings.store_url) as store:
        store.write_windows(windows.rows_of(windows.calm(MINUTES)), None)
    command = [sys.executable, "-m", "retrainers", MODEL, "--force", "--json"]
    done = subprocess.run(command, env=os.environ | own, cwd=data_dir, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return data_dir


@pytest.fixture
def world(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    found = World(Path(shutil.copytree(prepared, tmp_path / "data")), monkeypatch)
    yield found
    owner = found.owner()
    if owner is not None and is_alive(owner):
        os.killpg(owner.pid, signal.SIGKILL)
        os.waitpid(owner.pid, 0)
    found.store.close()


def test_a_request_becomes_an_active_version_and_the_run_writes_its_progress(world):
    request_id = world.request()
    world.until(lambda: world.state() == "done" and world.owner() is None)

    assert active_version(world.folder, MODEL) == "2"
    (event,) = world.runs()
    assert event.reason.request_id == request_id
    lines = [
        msgspec.json.decode(line)
        for line in progress_path(world.settings.logs_path, MODEL).read_bytes().split(b"\n")[:-1]
    ]
    done = [line["done"] for line in lines if line["event"] == "retrain.progress"]
    assert done == sorted(done)
    assert (lines[-1]["event"], lines[-1]["outcome"]) == ("retrain.finished", "promoted")


def test_a_run_that_is_killed_is_repeated_to_its_end(world):
    world.end, world.at = "parent", "retrain.fit"
    world.request()
    world.until(lambda: (flag := flags.read_flag(world.folder, MODEL)) and flag.attempts == 1)
    world.end = world.at = ""
    world.until(lambda: world.state() == "done")
    assert active_version(world.folder, MODEL) == "2"
    assert sum(run.promoted for run in world.runs()) == 1


def test_a_run_killed_just_after_the_publication_is_done(world):
    world.end, world.at = "parent", "retrain.publish"
    world.request()
    world.until(lambda: world.state() == "done")
    for _ in range(5):
        world.clock.advance(minutes=20)
        world.loop.step(world.now)
    assert active_version(world.folder, MODEL) == "2"
    assert len(world.runs()) == 1


def test_a_run_that_exceeds_its_memory_is_ended_and_given_up_after_three_attempts(world):
    world.set(memory_limit_bytes="250000000")
    world.end, world.at = "grow", "retrain.fit"
    world.request()
    world.until(lambda: world.state() == "failed", limit_s=100)
    (request,) = world.store.retrain_requests()
    assert "MiB (retrain.memory_limit_bytes)" in request.refusal_reason
    assert len(world.runs()) == 3
    assert active_version(world.folder, MODEL) == "1"


def test_a_run_that_takes_too_long_ends_itself(world):
    world.set(time_limit_s="4")
    world.end, world.at = "wait", "retrain.read"
    world.request()
    world.until(lambda: world.state() == "failed")
    assert world.runs()[0].exit_code == 6


def test_a_run_that_hangs_beyond_its_time_limit_is_killed_with_its_group(world):
    world.end, world.at = "wait", "retrain.read"
    world.request()
    world.until(lambda: world.state() == "claimed")
    owner = world.owner()
    assert owner is not None
    os.kill(owner.pid, signal.SIGSTOP)
    world.set(time_limit_s="1")
    world.end = world.at = ""
    world.restart(margin_s=0.0)

    world.until(lambda: _gone(owner))
    world.set(time_limit_s="1800")
    world.until(lambda: world.state() == "done")

    assert active_version(world.folder, MODEL) == "2"


def test_the_monitor_of_a_copy_leaves_an_overdue_run_of_the_original_alone_and_runs_its_own(
    world, tmp_path, monkeypatch
):
    world.end, world.at = "wait", "retrain.read"
    world.request()
    world.until(lambda: world.state() == "claimed")
    owner = world.owner()
    assert owner is not None
    os.kill(owner.pid, signal.SIGSTOP)
    copy = World(Path(shutil.copytree(world.settings.data_path, tmp_path / "copy")), monkeypatch)
    copy.set(time_limit_s="1")
    copy.restart(margin_s=0.0)
    copy.program = "/no/such/program"

    for _ in range(5):
        copy.clock.advance(seconds=60)
        copy.loop.step(copy.now)
    assert is_alive(owner)

    copy.set(time_limit_s="1800")
    copy.program = sys.executable
    copy.until(lambda: copy.state() == "done")
    copy.store.close()
    assert is_alive(owner)
    assert flags.claim_path(world.folder, MODEL).exists()


def test_the_next_monitor_continues_with_the_run_of_a_monitor_that_died(world):
    world.request()
    world.until(lambda: world.owner() is not None)
    owner = world.owner()
    world.restart()  # the new monitor knows the process only from the store
    world.until(lambda: world.state() == "done" and _gone(owner))
    assert active_version(world.folder, MODEL) == "2"
    assert len(world.runs()) == 1


def test_a_run_that_cannot_start_is_tried_again(world):
    world.request()
    world.program = "/no/such/program"
    world.loop.step(world.now)
    assert world.state() in ("requested", "flagged")
    world.program = sys.executable
    world.until(lambda: world.state() == "done")


def _gone(owner: ProcessIdentity | None) -> bool:
    """Return whether a process has ended; a child of this test is reaped, as init does with an orphan."""
    if owner is None:
        return True
    try:
        os.waitpid(owner.pid, os.WNOHANG)
    except ChildProcessError:
        return True
    return not is_alive(owner)
