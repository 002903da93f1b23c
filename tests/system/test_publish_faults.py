"""A publish that is killed, fails or loses power at any call: the old or the new model is active, and its file is complete."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bgpdrift.errors import ArtifactError
from bgpdrift.models.artifact import from_bytes, read, to_bytes
from bgpdrift.models.learn_default import learn_artifact
from bgpdrift.models.paths import backup_paths, candidate_paths, current_path
from bgpdrift.models.publication import STEPS, active_version
from bgpdrift.models.recovery import recover
from helpers import power_loss, windows
from helpers.until import until

pytestmark = pytest.mark.system
HERE = Path(__file__).parent
PUBLISHER = HERE / "publisher.py"
M = "heuristic"
TRACED_CALL = 500
"""Which call of a process the tracer hits; see publisher.py for how that becomes the N-th of a publish."""
MOST_CALLS = 40
"""Calls of one kind in one publish; more is a bug of the test."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    path.write_bytes(to_bytes(learn_artifact([windows.calm(6_000)], history_minutes=360)))
    return path


@pytest.fixture(scope="module")
def strace() -> str:
    found = shutil.which("strace")
    if found and subprocess.run([found, "-qq", "-o", "/dev/null", "true"], capture_output=True).returncode == 0:
        return found
    pytest.skip("no strace here, or it may not trace; apt-get install strace")


class Publishers:
    """A process that forks publishing processes; see publisher.py."""

    def __init__(self, base: Path, *before: str, **options: Any) -> None:
        self.base = base
        self._scratch = base.parent / "scratch"
        self._scratch.touch()
        self._process = subprocess.Popen(
            [*before, sys.executable, str(PUBLISHER), str(base)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            **options,
        )

    def order(self, folder: Path, version: str, **more: Any) -> None:
        assert self._process.stdin is not None
        fixed = {"folder": str(folder), "version": version, "scratch": str(self._scratch)}
        fixed["expected"] = active_version(folder, M)
        self._process.stdin.write(json.dumps({**fixed, **more}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def __call__(self, folder: Path, version: str, **more: Any) -> int:
        """Publish a version in a process of its own; its exit code."""
        self.order(folder, version, **more)
        return self.answer()

    def bytes_of(self, version: str) -> bytes:
        return to_bytes(replace(from_bytes(self.base.read_bytes(), "base", M), version=version))

    def __enter__(self) -> "Publishers":
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def publish(base: Path) -> Iterator[Publishers]:
    with Publishers(base) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, publish: Publishers) -> Path:
    """Version 1 is active."""
    found = tmp_path / "model_artifacts"
    assert publish(found, "1") == 0
    return found


@pytest.fixture
def reader(folder: Path) -> Iterator[list[str]]:
    """Reads the current file all the time, as a detector would; what it could not read whole is a failure."""
    versions: list[str] = []
    failures: list[str] = []
    stop = threading.Event()

    def read_on() -> None:
        while not stop.wait(0.0005):
            try:
                version = read(current_path(folder, M), M).version
            except ArtifactError as error:
                failures.append(str(error))
                continue
            if versions[-1:] != [version]:
                versions.append(version)

    thread = threading.Thread(target=read_on)
    thread.start()
    yield versions
    stop.set()
    thread.join()
    assert failures == []


def trusting(path: Path, model: str, _: int) -> None:
    read(path, model)


def repair(folder: Path) -> list[str]:
    messages = recover(folder, 1_700_000_000, verify=trusting)
    assert [path.name for path in folder.rglob("*.stage")] == []
    return messages


def old_or_new(folder: Path, old: str, new: str) -> str:
    """Recover, and return which of the two versions is active."""
    repair(folder)
    found = active_version(folder, M)
    assert found in (old, new)
    return found


def test_after_a_kill_at_any_step_a_reader_has_the_old_or_the_new_model(
    publish: Publishers, folder: Path, reader: list[str]
) -> None:
    old = "1"
    for number, step in enumerate(STEPS):
        new = str(number + 10)
        assert publish(folder, new, step=step) == -9, step
        old, before = old_or_new(folder, old, new), old
        assert (old == new) == (STEPS.index(step) > STEPS.index("replace")), (step, before)
    assert publish(folder, "99") == 0
    assert reader == sorted(reader, key=int)


def test_a_kill_during_the_trial_in_the_child_process_leaves_no_stage(publish, folder: Path) -> None:
    assert publish(folder, "2", step="keep", real=True) == -9
    assert old_or_new(folder, "1", "2") == "1"
    assert publish(folder, "2", real=True) == 0
    assert active_version(folder, M) == "2"


def traced(strace: str, call: str, fault: str, and_after: str = "") -> tuple[str, ...]:
    inject = f"inject={call}:{fault}:when={TRACED_CALL}{and_after}"
    return (strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", inject, "--")


@pytest.mark.parametrize("call", ["write", "fsync", "link", "rename", "unlink"])
def test_after_a_kill_at_any_system_call_a_reader_has_the_old_or_the_new_model(
    base: Path, folder: Path, reader: list[str], strace: str, call: str
) -> None:
    """The N-th call of its kind kills the process, N = 1 … until it comes through."""
    old, killed = "1", 0
    with Publishers(base, *traced(strace, call, "signal=KILL")) as publish:
        for number in range(1, MOST_CALLS):
            new = str(number + 10)
            code = publish(folder, new, call=call, calls=TRACED_CALL - number)
            old = old_or_new(folder, old, new)
            if code == 0:
                assert old == new
                break
            assert code == -9
            killed += 1
        else:
            pytest.fail(f"{call}: never came through")
    assert killed >= 1


@pytest.mark.parametrize(
    ("call", "error", "and_after"),
    [
        ("fsync", "EIO", ""),
        ("fsync", "EIO", "+"),
        ("write", "EIO", "+"),
        ("write", "ENOSPC", ""),
        ("link", "EROFS", ""),
        ("rename", "EIO", ""),
    ],
)
def test_a_failed_system_call_fails_the_publish_and_the_old_model_stays(
    base: Path, folder: Path, reader: list[str], strace: str, call: str, error: str, and_after: str
) -> None:
    """Each call of a kind fails in turn, alone or with all later ones; a commit that cannot be made durable is undone."""
    failed = 0
    with Publishers(base, *traced(strace, call, f"error={error}", and_after)) as publish:
        for number in range(1, 12):
            old, new = active_version(folder, M), str(number + 10)
            code = publish(folder, new, call=call, calls=TRACED_CALL - number)
            assert code in (0, 7)
            assert old_or_new(folder, old, new) == (new if code == 0 else old)
            failed += code != 0
    assert failed >= 1


def test_a_write_that_fails_once_is_repeated_with_a_new_file(base: Path, folder: Path, strace: str) -> None:
    with Publishers(base, *traced(strace, "fsync", "error=EIO")) as publish:
        assert publish(folder, "2", call="fsync", calls=TRACED_CALL - 1) == 0
    assert old_or_new(folder, "1", "2") == "2"


def test_nothing_is_published_if_no_candidate_can_be_read_back(base: Path, folder: Path, strace: str) -> None:
    path = folder / "candidates" / "heuristic_2.safetensors"
    with Publishers(base) as plain:
        path.write_bytes(plain.bytes_of("2"))
    inject = ("-P", str(path), "-e", "trace=read", "-e", "inject=read:error=EIO")
    with Publishers(base, strace, "-f", "-qq", "-o", "/dev/null", *inject, "--") as publish:
        assert publish(folder, "2") != 0
    assert old_or_new(folder, "1", "2") == "1"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A disk of its own of a given size in bytes; only root may mount one."""
    mounted: list[Path] = []

    def mount(size: int) -> Path:
        place = tmp_path / "disk"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode != 0:
            pytest.skip("only root may mount a small disk")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", str(place)], check=True)


def test_on_a_full_disk_the_publish_fails_and_the_old_model_stays(small_disk, publish: Publishers) -> None:
    size = len(publish.bytes_of("1"))
    folder = small_disk(12 * size) / "model_artifacts"
    assert publish(folder, "1") == 0
    (folder / "ballast").write_bytes(b"x" * (9 * size))
    assert publish(folder, "2") == 7
    assert old_or_new(folder, "1", "2") == "1"
    (folder / "ballast").unlink()
    assert publish(folder, "2") == 0


def test_on_a_read_only_disk_the_publish_fails_and_the_old_model_stays(small_disk, publish: Publishers) -> None:
    place = small_disk(8_000_000)
    folder = place / "model_artifacts"
    assert publish(folder, "1") == 0
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    assert publish(folder, "2") == 7
    assert active_version(folder, M) == "1"
    subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
    assert publish(folder, "2") == 0


def test_a_user_who_may_not_write_publishes_nothing(base: Path, folder: Path) -> None:
    folder.chmod(0o500)
    before: tuple[str, ...] = ()
    if os.geteuid() == 0:  # root may write everywhere, unless without that right
        if not shutil.which("setpriv"):
            pytest.skip("no setpriv to drop root's rights with")
        rights = "-dac_override,-dac_read_search,-fowner"
        before = ("setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}", "--")
    with Publishers(base, *before) as publish:
        assert publish(folder, "2") == 7
    folder.chmod(0o700)
    assert old_or_new(folder, "1", "2") == "1"


def test_one_of_two_concurrent_publishers_is_refused(
    base: Path, publish: Publishers, folder: Path, reader: list[str]
) -> None:
    with Publishers(base) as another:
        publish.order(folder, "2", expected="1")
        another.order(folder, "3", expected="1")
        codes = {"2": publish.answer(), "3": another.answer()}
    (winner,) = [version for version, code in codes.items() if code == 0]
    assert active_version(folder, M) == winner
    assert set(codes.values()) <= {0, 7, 8}, "busy, or the active version moved"
    assert len(backup_paths(folder, M)) == len(candidate_paths(folder, M)) == 1


def test_a_hanging_publisher_holds_the_lock_until_it_is_killed(base: Path, publish: Publishers, folder: Path) -> None:
    note = base.parent / "scratch.pid"
    note.unlink(missing_ok=True)
    with Publishers(base) as hung:
        hung.order(folder, "2", pause="guard")
        until(
            lambda: note.exists() and note.read_text().endswith("\n"), 30, "the process id of the publisher is on disk"
        )
        assert publish(folder, "3") == 7, "busy"
        assert repair(folder) == []
        os.kill(int(note.read_text()), signal.SIGKILL)
        assert hung.answer() == -9
    assert publish(folder, "3") == 0
    assert active_version(folder, M) == "3"


def test_after_a_power_loss_at_any_moment_the_old_or_the_new_model_is_active(
    base: Path, folder: Path, strace: str, tmp_path: Path
) -> None:
    """Every disk that unsynced writes may leave, at every call of a publish; after the last sync it is the new one."""
    before = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    log = tmp_path / "trace"
    calls = "trace=openat,write,fsync,link,linkat,rename,renameat,renameat2,unlink,unlinkat"
    with Publishers(base, strace, "-f", "-qq", "-y", "-s", "0", "-o", str(log), "-e", calls, "--") as publish:
        assert publish(folder, "2") == 0
        new = publish.bytes_of("2")
    trace = power_loss.Trace.parse(folder, log.read_text())
    created = [path for call, path, _ in trace.calls if call == "create"]
    written = {path: new if ".safetensors" in path else b"{}" for path in created}
    current = str(current_path(folder, M))
    committed = next(i for i, call in enumerate(trace.calls) if call[0] == "rename" and call[2] == current)
    durable = committed + 1
    assert trace.calls[durable][:2] == ("fsync", str(folder)), "the first thing after the commit, before any sidecar"
    disks, scratch = 0, tmp_path / "disk"
    for n, disk in trace.states(before, written):
        disks += 1
        shutil.rmtree(scratch, ignore_errors=True)
        for path, content in disk.items():
            place = scratch / Path(path).relative_to(folder)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        expected = {"2"} if n > durable else {"1"} if n <= committed else {"1", "2"}
        assert active_version(scratch, M) in expected, trace.calls[:n]
        repair(scratch)
        assert {read(path, M).version for path in candidate_paths(scratch, M)} <= {"2"}, "what can be seen is whole"
        assert {read(path, M).version for path in backup_paths(scratch, M)} <= {"1"}
    assert disks > len(trace.calls)


def test_a_deleted_current_file_is_restored_from_the_backup(publish: Publishers, folder: Path) -> None:
    assert publish(folder, "2") == 0
    current_path(folder, M).unlink()
    assert "missing; restored version 1" in repair(folder)[0]
    assert publish(folder, "3") == 0
    assert active_version(folder, M) == "3"


def test_missing_backups_and_folders_are_no_error(publish: Publishers, folder: Path) -> None:
    assert publish(folder, "2") == 0
    for backup in backup_paths(folder, M):
        backup.unlink()
    assert publish(folder, "3") == 0
    shutil.rmtree(folder / "candidates")
    assert publish(folder, "4") == 0
    assert repair(folder) == []
