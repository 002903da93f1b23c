"""File locks: one holder at a time, free at the end of the holder, and a file that names the holder."""

import subprocess
import sys
import threading

import pytest

from bgpdrift.errors import LockHeldError, TransientError
from bgpdrift.process.locks import FileLock, hold_lock

HOLD = """
import sys
from pathlib import Path
from bgpdrift.process.locks import FileLock
lock = FileLock(Path(sys.argv[1]))
assert lock.try_acquire()
lock.write_holder(b"another process")
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some.lock"


@pytest.fixture
def other_process(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_lock_of_another_process_is_refused_until_that_process_is_killed(path, other_process):
    with FileLock(path) as lock:
        assert not lock.try_acquire()
        assert lock.read_holder() == b"another process"
        other_process.kill()
        other_process.wait()
        assert lock.try_acquire()


def test_a_wait_for_a_lock_ends_at_its_limit(path, other_process):
    with FileLock(path) as lock:
        assert not lock.acquire(timeout_s=0.1)


def test_a_wait_for_a_lock_ends_when_the_lock_is_free(path, other_process):
    threading.Timer(0.1, other_process.kill).start()
    with FileLock(path) as lock:
        assert lock.acquire(timeout_s=20)


def test_the_text_of_a_later_holder_replaces_a_longer_one(path):
    with FileLock(path) as lock:
        lock.write_holder(b"a long name")
        lock.write_holder(b"short")
        assert lock.read_holder() == b"short"


def test_several_shared_locks_exclude_an_exclusive_one(path):
    with FileLock(path) as one, FileLock(path) as two, FileLock(path) as three:
        assert one.try_acquire(shared=True)
        assert two.try_acquire(shared=True)
        assert not three.try_acquire()


def test_a_directory_can_be_locked_without_a_change(tmp_path):
    with FileLock(tmp_path, create=False) as lock, FileLock(tmp_path, create=False) as second:
        assert lock.try_acquire()
        assert not second.try_acquire()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_may_be_closed_twice(path):
    lock = FileLock(path)
    lock.close()
    lock.close()


def test_holding_a_held_lock_raises_the_given_message(path):
    with hold_lock(path, "busy"), pytest.raises(LockHeldError, match="busy"), hold_lock(path, "busy"):
        pass


def test_a_lock_file_that_cannot_be_created_is_a_transient_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(TransientError, match="cannot be locked"), hold_lock(tmp_path / "file" / "lock", "busy"):
        pass
