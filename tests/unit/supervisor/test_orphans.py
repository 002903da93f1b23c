"""Only processes of the earlier supervisor are killed; a pid alone does not identify one."""

import os
import shutil
import subprocess
import sys

import pytest

from bgpdrift.process import procfs
from bgpdrift.process.child import RUN_VARIABLE
from supervisor.orphans import ChildRecord, end_leftovers, was_killed

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def sleeper():
    started = []

    def start(**env):
        process = subprocess.Popen(SLEEP, env=os.environ | env, start_new_session=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_a_recorded_process_is_killed(tmp_path, sleeper):
    process = sleeper()
    ChildRecord(tmp_path / "children.json", "run-1").write([process.pid])
    assert end_leftovers(tmp_path / "children.json") == [process.pid]
    assert process.wait(5) == -9


def test_an_unrecorded_process_with_the_name_of_the_run_is_killed(tmp_path, sleeper):
    process = sleeper(**{RUN_VARIABLE: "run-2"})
    ChildRecord(tmp_path / "children.json", "run-2").write([])
    assert end_leftovers(tmp_path / "children.json") == [process.pid]


def test_the_same_pid_with_another_start_time_is_another_process(tmp_path, sleeper):
    process = sleeper()
    path = tmp_path / "children.json"
    ChildRecord(path, "run-3").write([process.pid])
    start_time = procfs.read_start_time(process.pid)
    path.write_text(path.read_text().replace(str(start_time), str(start_time - 1)))
    assert end_leftovers(path) == []
    assert process.poll() is None


def test_pids_of_another_boot_are_ignored(tmp_path, sleeper):
    process = sleeper()
    path = tmp_path / "children.json"
    ChildRecord(path, "run-4").write([process.pid])
    path.write_text(path.read_text().replace(procfs.read_boot_id(), "another boot"))
    assert end_leftovers(path) == []
    assert process.poll() is None


def test_a_copy_of_a_running_data_directory_kills_no_process_of_the_original(tmp_path, sleeper):
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    process = sleeper(**{RUN_VARIABLE: "run-5"})
    ChildRecord(original / "children.json", "run-5").write([process.pid])
    shutil.copytree(original, copy)

    assert end_leftovers(copy / "children.json") == []
    assert not was_killed(copy / "children.json")
    assert process.poll() is None
    assert end_leftovers(original / "children.json") == [process.pid]


def test_a_damaged_or_missing_record_is_ignored(tmp_path):
    assert end_leftovers(tmp_path / "none.json") == []
    (tmp_path / "bad.json").write_text('{"boot_id": 7')
    assert end_leftovers(tmp_path / "bad.json") == []
