"""The shell of a service: readiness, transient trouble, stop."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

from bgpdrift.process.sd_notify import Notifier


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(10)
        yield receiver


@pytest.fixture
def service(tmp_path, manager):
    """Run a service made of the given worker code; it tells ``manager``."""
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


def heard(manager, word: str) -> str:
    while word not in (text := manager.recv(4096).decode()):
        pass
    return text


def test_it_says_ready_with_its_status_and_stops_at_once_though_it_waits_a_minute(service, manager):
    process = service(CALM)
    assert "STATUS=waiting for a model" in heard(manager, "READY=1")
    process.send_signal(signal.SIGTERM)
    heard(manager, "STOPPING=1")
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "closed" in output


def test_while_it_waits_it_still_shows_that_it_lives(service, manager):
    service(CALM, WATCHDOG_USEC="400000")
    heard(manager, "READY=1")
    for _ in range(3):
        heard(manager, "WATCHDOG=1")


def test_what_it_needs_may_be_away_while_it_is_built(service, manager):
    service(
        CALM
        + """
tries = []
class Worker(Worker):
    def __init__(self):
        tries.append(1)
        if len(tries) < 3:
            raise StoreBusyError("the store is locked", retry_in_s=0.05)
"""
    )
    assert "waiting: the store is locked" in heard(manager, "STATUS")
    heard(manager, "READY=1")


def test_a_bug_ends_it_with_1_and_one_line_that_tells(service, manager):
    process = service(CALM.replace("return False", "return {}['no such key']"))
    output, _ = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "KeyError" in next(line for line in output.splitlines() if "service.failed" in line)
    assert "closed" in output


def test_without_its_parent_it_does_not_start(service):
    process = service(CALM, BGPDRIFT_PARENT_PID="1" if os.getpid() != 1 else "2")
    assert process.wait(10) == 1


def test_a_worker_with_news_is_woken_though_it_would_wait_a_minute(service, manager):
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


def drained(receiver: socket.socket) -> bytes:
    taken = b""
    with contextlib.suppress(BlockingIOError):
        while True:
            taken += receiver.recv(65536)
    return taken


def test_a_word_the_manager_had_no_room_for_is_sent_with_the_next(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "full"))
        receiver.setblocking(False)
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "full")})
        for number in range(2000):
            notifier.send(FILL=str(number))
        notifier.report_ready("at work")
        assert b"READY=1" not in drained(receiver)
        notifier.send(STATUS="later")
        notifier.close()
        text = receiver.recv(65536).decode()
    assert "READY=1" in text
    assert "STATUS=later" in text


def test_what_hinders_it_for_long_is_said_and_taken_back(service, manager):
    service(
        """
    runtime.DEGRADED_AFTER_S = 0.05
    class Worker:
        tries = 0
        def step(self):
            Worker.tries += 1
            if Worker.tries < 8: raise StoreBusyError("the store is locked", 0.02)
            return False
        def status(self): return "at work"
        def close(self): pass
    """
    )
    assert "X_BGPDRIFT_DEGRADED=the store is locked" in heard(manager, "X_BGPDRIFT_DEGRADED")
    while "X_BGPDRIFT_DEGRADED=" not in heard(manager, "X_BGPDRIFT_DEGRADED").splitlines():
        pass  # until it is taken back
