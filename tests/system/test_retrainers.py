"""Retrainers as real processes on a small store: what they publish, refuse and leave behind, and each exit code."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgpdrift.models import flags
from bgpdrift.models.flags import DriftCause, Flag
from bgpdrift.models.loading import ModelSource, builder
from bgpdrift.models.run_lock import RunLock
from bgpdrift.process import procfs
from bgpdrift.settings import Settings, load
from bgpdrift.store import Store, migrate, open_store
from helpers import windows
from helpers.until import until

DRIVER = Path(__file__).with_name("retraining.py")
MODEL = "heuristic"
MINUTES = 4_500
pytestmark = pytest.mark.system


class World:
    """A data directory with windows, and retrainers on it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.settings: Settings = load(env={"BGPDRIFT_DATA_DIR": str(data_dir)})
        self.folder = self.settings.artifacts_path

    def environment(self, more: dict[str, str]) -> dict[str, str]:
        own = {"BGPDRIFT_DATA_DIR": str(self.data_dir), "BGPDRIFT_RETRAIN__MIN_WINDOWS": "700", "OMP_NUM_THREADS": "1"}
        own["BGPDRIFT_RETRAIN__MAX_DRIFT"] = "9"  # a day and a quarter is no season
        return os.environ | own | {f"BGPDRIFT_RETRAIN__{name.upper()}": value for name, value in more.items()}

    def train(self, *arguments: str, **retrain: str) -> tuple[int, list[dict[str, Any]]]:
        """A run as in life."""
        return self._finish([sys.executable, "-m", "retrainers", MODEL, *arguments], retrain)

    def run(self, *arguments: str, end: str = "", at: str = "", **retrain: str) -> tuple[int, list[dict[str, Any]]]:
        """A run that only does not train, and may meet its end at an event."""
        return self._finish([sys.executable, str(DRIVER), MODEL, end, at, *arguments], retrain)

    def _finish(self, command: list[str], retrain: dict[str, str]) -> tuple[int, list[dict[str, Any]]]:
        done = subprocess.run(
            command, env=self.environment(retrain), cwd=self.data_dir, capture_output=True, text=True, timeout=100
        )
        self.stderr = done.stderr
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        return done.returncode, lines

    def store(self) -> Store:
        return open_store(self.settings.store_url)

    def events(self, kind: str = "retrain") -> list[dict[str, Any]]:
        with self.store() as store:
            return [event for event in store.retrain_events(MODEL) if event.kind == kind]

    def active_version(self) -> str:
        """What a detector that starts now loads."""
        loaded = ModelSource(self.folder, MODEL, builder(MODEL, 360)).try_load().loaded
        return loaded.version if loaded else ""

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def visible(self) -> set[str]:
        """Names in the artifact folder but for locks, which stay."""
        return {name for name in self.files() if not name.endswith(".lock")}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """A store with windows, and active version 1."""
    data_dir = tmp_path_factory.mktemp("retrainers") / "data"
    data_dir.mkdir()
    world = World(data_dir)
    migrate(world.settings.store_url)
    with world.store() as store:
        store.write_windows(windows.rows_of(windows.calm(MINUTES)), None)
    code, lines = world.train("--force")
    assert code == 0, world.stderr
    assert lines[-1]["version"] == "1"
    return data_dir


@pytest.fixture
def world(prepared: Path, tmp_path: Path) -> Iterator[World]:
    return World(Path(shutil.copytree(prepared, tmp_path / "data")))


def test_a_run_reports_every_phase_and_publishes_and_records_the_model(world):
    code, lines = world.train("--seed", "3")

    assert code == 0, world.stderr
    names = [line["event"].removeprefix("retrain.") for line in lines]
    assert names == [
        *("started", "read", "fit", "calibrate", "evaluate", "gate", "stage", "publish", "finished"),
    ]
    read, gate, last = lines[1], lines[5], lines[-1]
    assert (read["windows"], read.get("excluded", {})) == (MINUTES, {})
    assert gate["accepted"]
    assert {check["name"] for check in gate["checks"]} > {"rows", "accuracy", "f1", "injected", "alarm_rate", "drift"}
    assert (last["outcome"], last["version"], last["exit_code"]) == ("promoted", "2", 0)
    assert world.active_version() == "2"
    evaluation = json.loads((world.folder / f"{MODEL}.evaluation.json").read_text())
    assert evaluation["version"] == "2"
    assert "drift_psi" in evaluation
    assert evaluation["injected_record"].keys() == evaluation["injected"].keys()
    assert all(evaluation["injected_record"][kind] >= share for kind, share in evaluation["injected"].items())
    assert [name for name in world.visible() if name.startswith(f"{MODEL}_backup_")]
    event = world.events()[0]
    assert (event.promoted, event.version, event.exit_code) == (True, "2", 0)
    assert event.finished_at >= event.started_at
    assert event.train_records == MINUTES * 4 // 5
    assert event.valid_records == MINUTES // 5
    assert event.f1_new == pytest.approx(event.f1_old, abs=0.1)
    with world.store() as store:
        states = {version.version: version.state for version in store.model_versions(MODEL)}
    assert states == {"1": "retired", "2": "active"}


def test_equal_seeds_give_equal_models(world):
    world.train("--candidate-only", "--seed", "5")
    world.train("--candidate-only", "--seed", "5")
    from bgpdrift.models.artifact import read

    one, two = (read(world.folder / "candidates" / f"{MODEL}_{n}.safetensors", MODEL) for n in (2, 3))
    assert all((one.content.arrays[name] == two.content.arrays[name]).all() for name in one.content.arrays)
    assert one.calibration == two.calibration


def test_a_dry_run_does_everything_and_writes_nothing(world):
    before, events = world.files(), world.events()

    code, lines = world.run("--dry-run")

    assert code == 0, world.stderr
    assert [line["event"] for line in lines][-2:] == ["retrain.gate", "retrain.finished"]
    assert lines[-1]["outcome"] == "dry_run"
    assert world.files() == before
    assert world.events() == events


def test_a_candidate_waits_for_promote_and_is_not_active(world):
    code, lines = world.run("--candidate-only", max_drift="1e-9")

    assert code == 0, world.stderr
    assert lines[-1]["outcome"] == "candidate"
    assert f"candidates/{MODEL}_2.safetensors" in world.visible()
    assert world.active_version() == "1"
    with world.store() as store:
        assert [(v.version, v.state) for v in store.model_versions(MODEL)] == [
            ("1", "active"),
            ("2", "candidate"),
        ]


def test_a_rejected_model_is_quarantined_with_the_reason_and_force_publishes_it(world):
    code, lines = world.run(max_drift="1e-9")

    assert code == 3
    assert lines[-1]["outcome"] == "rejected"
    assert "drift" in lines[-1]["reason"]
    note = json.loads((world.folder / "rejected" / f"{MODEL}_2.reason.json").read_text())
    assert note["reason"] == lines[-1]["reason"]
    assert world.active_version() == "1"
    assert not any(name.startswith("candidates/") for name in world.visible())
    assert (world.events()[0].exit_code, world.events()[0].promoted) == (3, False)
    assert world.events("reject") == []  # one run is one row for people

    code, lines = world.run("--force", max_drift="1e-9")

    assert code == 0, world.stderr
    assert (lines[-1]["forced"], lines[-1]["version"]) == (True, "3")
    assert world.active_version() == "3"
    assert world.events()[0].notes.startswith("forced: ")


def test_too_few_clean_windows_are_exit_4(world):
    code, lines = world.run(min_windows="50000")

    assert code == 4
    assert lines[-1]["outcome"] == "not_enough_data"
    assert "at least 50,000 required" in lines[-1]["reason"]
    assert world.events()[0].exit_code == 4
    assert world.active_version() == "1"


def test_another_run_gives_exit_5_and_is_named(world):
    lock = RunLock(world.folder, "lstm", now=1_700_000_000.0)
    before = world.files()
    for arguments in ((), ("--dry-run",)):
        code, lines = world.run(*arguments)
        assert code == 5
        assert f"retrain_lstm, pid {os.getpid()}" in lines[-1]["reason"]
    lock.close()
    assert world.files() == before


def test_bad_usage_and_bad_settings_are_exit_2(world):
    assert world.run("--nonsense")[0] == 2
    assert world.run("--dry-run", "--from-flag")[0] == 2
    assert world.run(days="soon")[0] == 2
    assert "retrain.days" in world.stderr
    code, lines = world.run("--from-flag")
    assert (code, lines[-1]["outcome"]) == (2, "no_flag")


def test_a_run_that_takes_too_long_gives_exit_6_and_leaves_no_files(world):
    before = world.visible()
    code, lines = world.run(end="wait", at="retrain.stage", time_limit_s="4")

    assert code == 6
    assert lines[-1]["outcome"] == "timed_out"
    assert all(event.finished_at is not None for event in world.events())
    assert world.visible() == before
    assert world.active_version() == "1"


def test_a_run_that_uses_too_much_memory_gives_exit_1(world):
    before = world.visible()
    code, lines = world.run(end="grow", at="retrain.read", memory_limit_bytes="300000000")

    assert code == 1
    assert lines[-1]["outcome"] == "out_of_memory"
    assert "at most 286 MiB" in lines[-1]["reason"]
    assert world.visible() == before


@pytest.mark.parametrize("phase", ["started", "read", "fit", "calibrate", "evaluate", "gate", "stage"])
def test_a_worker_killed_in_any_phase_leaves_only_the_old_model(world, phase):
    before = {name: raw for name, raw in world.files().items() if not name.endswith(".lock")}

    code, lines = world.run(end="worker", at=f"retrain.{phase}")

    assert code == 1
    assert lines[-1]["outcome"] == "killed"
    assert {name: raw for name, raw in world.files().items() if not name.endswith(".lock")} == before
    assert world.active_version() == "1"
    event = world.events()[0]
    assert (event.exit_code, event.promoted) == (1, False)
    assert "killed by signal 9" in event.notes


def test_a_worker_killed_after_publishing_leaves_the_new_model(world):
    code, _ = world.run(end="worker", at="retrain.publish")

    assert code == 1
    assert world.active_version() == "2"
    event = world.events()[0]
    assert (event.promoted, event.version) == (True, "2")


@pytest.mark.parametrize("phase", ["fit", "stage"])
def test_after_a_kill_of_the_whole_program_the_next_run_cleans_up(world, phase):
    before = world.visible()

    code, _ = world.run(end="parent", at=f"retrain.{phase}")

    assert code == -signal.SIGKILL
    assert world.active_version() == "1"
    assert world.events()[0].finished_at is None
    code, lines = until(lambda: (done := world.run())[0] != 5 and done, 30, "the worker followed its parent")
    assert code == 0, world.stderr
    assert world.active_version() == lines[-1]["version"] == ("3" if phase == "stage" else "2")
    newest, died, *_ = world.events()
    assert newest.promoted
    assert died.notes.startswith("the run ended without a result")
    backups = {name for name in world.visible() if "_backup_" in name}
    assert world.visible() - backups == before


def test_a_flag_is_answered_once_with_its_reason_and_force(world):
    flags.drop(
        world.folder,
        MODEL,
        Flag(reason="drift", requested_by="drift_monitor", force=True, cause=DriftCause(severity="high")),
    )

    code, lines = world.run("--from-flag", max_drift="1e-9")

    assert code == 0, world.stderr
    assert lines[-1]["forced"]
    event = world.events()[0]
    assert event.reason.requested_by == "drift_monitor"
    assert flags.list_requested(world.folder) == []
    assert not flags.claim_path(world.folder, MODEL).exists()
    evaluation = json.loads((world.folder / f"{MODEL}.evaluation.json").read_text())
    assert evaluation["drift_cause"] == {"severity": "high"}
    assert world.run("--from-flag")[0] == 2


def waiting_run(world: World, at: str = "retrain.read") -> subprocess.Popen[str]:
    """A run that answers a flag and waits at an event."""
    flags.drop(world.folder, MODEL, Flag(reason="drift"))
    command = [sys.executable, str(DRIVER), MODEL, "wait", at, "--from-flag"]
    process = subprocess.Popen(
        command,
        env=world.environment({}),
        cwd=world.data_dir,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until((world.data_dir / "waiting").exists, 30, "the run has begun")
    return process


def test_a_stopped_run_gives_its_flag_back(world):
    process = waiting_run(world)
    assert flags.list_requested(world.folder) == []
    assert flags.claim_path(world.folder, MODEL).exists()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)

    assert process.returncode == 128 + signal.SIGTERM
    assert json.loads(out.splitlines()[-1])["outcome"] == "interrupted"
    assert flags.list_requested(world.folder) == [MODEL]
    assert not flags.claim_path(world.folder, MODEL).exists()
    assert world.run("--from-flag")[0] == 0


def test_signals_without_a_meaning_do_not_end_a_run(world):
    process = waiting_run(world)
    (worker,) = procfs.list_children(process.pid)
    for pid in (process.pid, worker):
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGRTMIN):
            os.kill(pid, number)
    (world.data_dir / "go").touch()
    out, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert json.loads(out.splitlines()[-1])["outcome"] == "promoted"


def test_a_candidate_that_is_promoted_during_a_run_stays_active_and_the_run_is_refused(world):
    """The run compared its candidate with a version that is no longer active."""
    assert world.run("--candidate-only")[0] == 0
    process = waiting_run(world, at="retrain.evaluate")
    promote = [sys.executable, "-m", "bgpdrift.cli", "promote", MODEL]
    done = subprocess.run(promote, env=world.environment({}), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert world.active_version() == "2"

    (world.data_dir / "go").touch()
    out, error = process.communicate(timeout=60)

    assert process.returncode == 3, error
    last = json.loads(out.splitlines()[-1])
    assert last["outcome"] == "refused"
    assert "expected 1 as the active version, found 2" in last["reason"]
    assert world.active_version() == "2"
    assert not flags.claim_path(world.folder, MODEL).exists()
    assert flags.list_requested(world.folder) == []
    with world.store() as store:
        assert [version.version for version in store.model_versions(MODEL) if version.state == "active"] == ["2"]


def test_the_flag_of_a_killed_run_becomes_one_request_with_a_newer_flag(world):
    process = waiting_run(world)
    flags.drop(world.folder, MODEL, Flag(reason="again"))
    assert flags.requeue_abandoned(world.folder) == []
    process.kill()
    process.communicate(timeout=60)

    assert flags.requeue_abandoned(world.folder) == [MODEL]
    found = flags.read_flag(world.folder, MODEL)
    assert found is not None
    assert found.reason == "again"
    assert until(lambda: (code := world.run("--from-flag")[0]) != 5 and code == 0, 30, "the next run answers it")
    assert flags.list_requested(world.folder) == []


def test_a_terminal_shows_a_progress_bar_and_a_table(world):
    leader, follower = pty.openpty()
    command = [sys.executable, str(DRIVER), MODEL, "", "", "--dry-run"]
    env = world.environment({}) | {"TERM": "xterm-256color", "COLUMNS": "200"}
    process = subprocess.Popen(command, env=env, cwd=world.data_dir, stdout=follower, stderr=subprocess.PIPE)
    os.close(follower)
    shown = b""
    while True:
        try:
            part = os.read(leader, 65_536)
        except OSError:  # the last writer is gone
            break
        if not part:
            break
        shown += part
    os.close(leader)
    _, error = process.communicate(timeout=60)

    assert process.returncode == 0, error
    text = shown.decode(errors="replace")
    assert f"retrain_{MODEL}: " in text
    assert "clean windows, at least" in text
    assert "dry_run in" in text
    assert '{"model"' not in text


def test_help_imports_nothing_large():
    code = "import sys; sys.argv = ['retrain_lstm', '--help']; from retrainers.__main__ import main\ntry: main()\n"
    code += "except SystemExit: pass\nprint(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert "Exit codes" in done.stdout
    assert not {"numpy", "torch", "sqlalchemy", "rich", "psutil"} & set(done.stdout.split())
