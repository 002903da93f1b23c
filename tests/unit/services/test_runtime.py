"""What every service has in common: readiness, transient errors, stop."""

import contextlib
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import textwrap

import pytest

from bgpdrift.process.sd_notify import Notifier
from bgpdrift.store import migrate


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(10)
        yield receiver


@pytest.fixture
def service(tmp_path, manager):
    """Run a service with the given code of a worker; it notifies ``manager``."""
    started = []

    def start(worker: str, **env: str) -> subprocess.Popen[str]:
        code = "from bgpdrift.errors import *\nfrom bgpdrift.services import runtime\n" + textwrap.dedent(worker)
        code += "\nruntime.run('test', lambda settings, clock: Worker(), lambda settings: 60.0)\n"
        environment = os.environ | {"NOTIFY_SOCKET": str(tmp_path / "notify")} | env
        process = subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


CALM = """
class Worker:
    def step(self): return False
    def status(self): return "waiting for a model"
    def close(self): print("closed", flush=True)
"""


def receive(manager, field: str) -> str:
    """Return the next message that contains ``field``."""
    while field not in (message := manager.recv(4096).decode()):
        pass
    return message


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_service_reports_ready_with_its_status_and_stops_at_once_during_a_long_wait(service, manager, number):
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip(f"the caller of the tests ignores {number.name}, and so do the processes they start")
    process = service(CALM)
    assert "STATUS=waiting for a model" in receive(manager, "READY=1")
    process.send_signal(number)
    receive(manager, "STOPPING=1")
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "closed" in output


def test_a_waiting_service_reports_progress(service, manager):
    service(CALM, WATCHDOG_USEC="400000")
    receive(manager, "READY=1")
    for _ in range(3):
        receive(manager, "WATCHDOG=1")


def test_a_transient_error_during_the_build_is_retried(service, manager):
    service(
        CALM
        + """
attempts = []
class Worker(Worker):
    def __init__(self):
        attempts.append(1)
        if len(attempts) < 3:
            raise StoreBusyError("the store is locked", retry_in_s=0.05)
"""
    )
    assert "waiting: the store is locked" in receive(manager, "STATUS")
    receive(manager, "READY=1")


def test_a_damaged_database_is_reported_at_once_and_does_not_end_the_service(service, manager):
    service(
        CALM
        + """
steps = []
class Worker(Worker):
    def step(self):
        steps.append(1)
        if len(steps) < 3:
            raise StoreFileError("the file is damaged: restore a copy", retry_in_s=0.05)
        return False
"""
    )
    receive(manager, "READY=1")
    assert "the file is damaged: restore a copy" in receive(manager, "X_BGPDRIFT_DEGRADED=the")
    assert "X_BGPDRIFT_DEGRADED=" in receive(manager, "X_BGPDRIFT_DEGRADED")


def test_a_database_that_is_missing_at_the_start_is_waited_for(service, manager):
    service(
        CALM
        + """
attempts = []
class Worker(Worker):
    def __init__(self):
        attempts.append(1)
        if len(attempts) < 3:
            raise StoreFileError("no database here", retry_in_s=0.05)
"""
    )
    assert "X_BGPDRIFT_DEGRADED=no database here" in receive(manager, "X_BGPDRIFT_DEGRADED")
    assert "STATUS=waiting for a model" in receive(manager, "STATUS=waiting for a model")


def test_a_replaced_database_is_read_again_by_a_new_worker(service, manager):
    process = service(
        CALM
        + """
workers = []
class Worker(Worker):
    def __init__(self):
        workers.append(1)
    def step(self):
        if len(workers) == 1:
            raise StoreReplacedError("another file took its place", retry_in_s=0.05)
        print(f"worker {len(workers)} works", flush=True)
        return False
"""
    )
    receive(manager, "READY=1")
    receive(manager, "READY=1")
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert output.count("closed") == 2


def test_a_bug_ends_the_service_with_1_and_one_line_that_names_the_error(service, manager):
    process = service(CALM.replace("return False", "return {}['no such key']"))
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "KeyError" in next(line for line in output.splitlines() if "service.failed" in line)
    assert "closed" in output


def test_a_service_whose_parent_has_ended_does_not_start(service):
    process = service(CALM, BGPDRIFT_PARENT_PID="1" if os.getpid() != 1 else "2")
    assert process.wait(10) == 1


def test_a_worker_with_new_work_ends_a_long_wait(service, manager):
    process = service(
        CALM
        + """
import os, threading
class Worker(Worker):
    wake_fd = os.eventfd(0, os.EFD_NONBLOCK)
    steps = 0
    def step(self):
        self.steps += 1
        if self.steps == 1:
            threading.Timer(0.05, os.eventfd_write, (self.wake_fd, 1)).start()
        else:
            os.eventfd_read(self.wake_fd)
            print("woken", flush=True)
        return False
"""
    )
    assert process.stdout.readline() == "woken\n" or "woken" in process.stdout.readline()


def drain(receiver: socket.socket) -> bytes:
    received = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            received += receiver.recv(65536)
    return received


def test_a_field_that_did_not_fit_into_the_queue_is_sent_with_the_next_message(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "full"))
        receiver.setblocking(False)
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "full")})
        for number in range(2000):
            notifier.send(FILL=str(number))
        notifier.report_ready("working")
        assert b"READY=1" not in drain(receiver)
        notifier.send(STATUS="later")
        notifier.close()
        text = receiver.recv(65536).decode()
    assert "READY=1" in text
    assert "STATUS=later" in text


def test_a_lasting_transient_error_is_reported_as_degraded_and_cleared_afterwards(service, manager):
    service(
        """
    runtime.DEGRADED_AFTER_S = 0.05
    class Worker:
        attempts = 0
        def step(self):
            Worker.attempts += 1
            if Worker.attempts < 8: raise StoreBusyError("the store is locked", 0.02)
            return False
        def status(self): return "working"
        def close(self): pass
    """
    )
    assert "X_BGPDRIFT_DEGRADED=the store is locked" in receive(manager, "X_BGPDRIFT_DEGRADED")
    while "X_BGPDRIFT_DEGRADED=" not in receive(manager, "X_BGPDRIFT_DEGRADED").splitlines():
        pass  # until the reason is cleared


def test_a_step_that_waits_for_a_locked_database_reports_progress(service, manager, tmp_path):
    """A busy timeout longer than the watchdog interval must not look like a hang."""
    path = tmp_path / "store.sqlite3"
    migrate(f"sqlite:///{path}")
    worker = f"""
    from bgpdrift.store import open_store
    class Worker:
        def step(self):
            with open_store("sqlite:///{path}", busy_timeout_s=30.0) as store:
                store.record_service_event(0.0, "test", "started", {{}})
            return False
        def status(self): return "written"
        def close(self): pass
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        process = service(worker, WATCHDOG_USEC="800000")
        receive(manager, "READY=1")
        for _ in range(3):
            receive(manager, "WATCHDOG=1")
        other.execute("ROLLBACK")
    receive(manager, "WATCHDOG=1")
    process.terminate()
    assert process.wait(10) == 0
