"""One retrainer at a time, and a dry run that writes nothing."""

import os
import shutil
import signal
import subprocess
import sys

import pytest

from bgpdrift.errors import AlreadyRunningError
from bgpdrift.models.run_lock import LOCK_NAME, RunLock, read_run_holder


def test_a_second_run_is_refused_with_the_name_of_the_first(tmp_path):
    first = RunLock(tmp_path, "lstm", now=1_700_000_000.0)
    with pytest.raises(AlreadyRunningError, match=rf"retrain_lstm, pid {os.getpid()}, since 2023-11-14 22:13:20Z"):
        RunLock(tmp_path, "heuristic", now=1_700_000_001.0)
    first.close()
    RunLock(tmp_path, "heuristic", now=1_700_000_002.0).close()


def test_a_stale_name_in_the_file_is_not_a_lock(tmp_path):
    (tmp_path / LOCK_NAME).write_text('{"model":"lstm","owner":{"pid":1,"start_time":1,"boot_id":"x"},"since":1}')
    RunLock(tmp_path, "heuristic", now=1.0).close()
    (tmp_path / LOCK_NAME).write_bytes(b"\xff garbage")
    RunLock(tmp_path, "heuristic", now=1.0).close()


def test_a_dry_run_writes_nothing_and_excludes_others(tmp_path):
    RunLock(tmp_path / "none", "lstm", now=1.0, read_only=True).close()
    assert not (tmp_path / "none").exists()

    RunLock(tmp_path, "lstm", now=1.0).close()
    before = (tmp_path / LOCK_NAME).read_bytes()
    dry = RunLock(tmp_path, "heuristic", now=2.0, read_only=True)
    with pytest.raises(AlreadyRunningError):
        RunLock(tmp_path, "lstm", now=3.0)
    assert (tmp_path / LOCK_NAME).read_bytes() == before
    dry.close()


def test_the_lock_of_a_killed_run_is_free(tmp_path):
    code = f"import sys; sys.path[:] = {sys.path!r}; from pathlib import Path; from bgpdrift.models.run_lock import RunLock\n"
    code += f"lock = RunLock(Path({str(tmp_path)!r}), 'lstm', 1.0); print(1, flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    child.stdout.readline()
    with pytest.raises(AlreadyRunningError, match=f"pid {child.pid}"):
        RunLock(tmp_path, "heuristic", now=1.0)
    child.send_signal(signal.SIGKILL)
    child.wait(30)
    child.stdin.close()
    child.stdout.close()
    RunLock(tmp_path, "heuristic", now=1.0).close()


def test_the_holder_can_be_read_while_the_run_lasts(tmp_path):
    assert read_run_holder(tmp_path) is None
    lock = RunLock(tmp_path, "lstm", now=7.0)
    holder = read_run_holder(tmp_path)
    lock.close()
    assert (holder.model, holder.owner.pid, holder.since) == ("lstm", os.getpid(), 7.0)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("elsewhere")])
def test_something_else_in_place_of_the_lock_file_is_no_holder(tmp_path, make):
    make(tmp_path / LOCK_NAME)
    assert read_run_holder(tmp_path) is None


def test_a_copied_lock_file_names_no_run_of_the_copy(tmp_path):
    original, copy = tmp_path / "original", tmp_path / "copy"
    lock = RunLock(original, "lstm", now=7.0)
    shutil.copytree(original, copy)
    assert read_run_holder(original) is not None
    assert read_run_holder(copy) is None
    RunLock(copy, "lstm", now=8.0).close()
    lock.close()
