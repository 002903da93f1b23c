"""A supervisor of a user without privileges: a hidden ``/proc``, a limit of its number of processes; and other users."""

import os
import signal
import subprocess
import sys

import pytest

from helpers.users import build_prefix

pytestmark = pytest.mark.system


def pids(managed) -> dict[str, int | None]:
    return {service["name"]: service["pid"] for service in managed.status()["services"]}


def test_where_proc_hides_other_users_services_are_supervised_as_elsewhere(managed):
    managed.run_as_other_user(hides_others=True)
    started = managed.start("ready-a,parent")
    assert started.returncode == 0, started.stderr
    before = pids(managed)

    os.kill(before["ready-a"], signal.SIGKILL)
    managed.until(lambda: pids(managed)["ready-a"] not in {before["ready-a"], None}, "a new process")
    managed.until(lambda: managed("status").returncode == 0, "all ready")
    assert pids(managed)["parent"] == before["parent"]

    services = set(pids(managed).values())
    os.kill(managed.status()["supervisor"]["pid"], signal.SIGKILL)
    managed.until(lambda: not services & set(managed.processes()), "the services have ended")
    left = list(managed.processes())
    assert len(left) == 1  # the daemon that a service left
    assert managed("start").returncode == 0
    assert left[0] not in managed.processes()
    assert managed("stop").returncode == 0
    assert not managed.processes()


def set_process_limit(pid: int, number: int) -> None:
    """Set the limit as the user of the process, who needs no privilege for it."""
    code = "import resource, sys; resource.prlimit(int(sys.argv[1]), resource.RLIMIT_NPROC, (int(sys.argv[2]), 10_000))"
    subprocess.run([*build_prefix(), sys.executable, "-c", code, str(pid), str(number)], check=True)


def test_a_process_that_cannot_be_created_is_logged_counted_and_tried_again(managed):
    """The limit of processes of the user is reached (``RLIMIT_NPROC``)."""
    managed.run_as_other_user()
    managed.start("ready-a,ready-b", crashloop_retry_s="1")
    before, supervisor = pids(managed), managed.status()["supervisor"]["pid"]
    set_process_limit(supervisor, 1)

    os.kill(before["ready-a"], signal.SIGKILL)
    managed.until(
        lambda: "cannot be started" in managed.service("ready-a")["last_failure"],
        "the refusal is the failure that is shown",
    )
    assert "Resource temporarily unavailable" in managed.service("ready-a")["last_failure"]
    managed.until(lambda: managed.service("ready-a")["state"] == "crashloop", "each attempt counts", limit_s=40.0)
    assert "service.crashloop" in managed.log("supervisor")
    assert pids(managed)["ready-b"] == before["ready-b"]

    set_process_limit(supervisor, 1_000)
    managed.until(lambda: managed.service("ready-a")["state"] == "ready", "started again", limit_s=40.0)
    assert pids(managed)["ready-b"] == before["ready-b"]


ASK = """
import socket, sys
with socket.socket(socket.AF_UNIX) as client:
    client.settimeout(20)
    try:
        client.connect(sys.argv[1])
        client.sendall(b'{"command": "stop"}\\n')
        print("reply:", client.recv(65536))
    except OSError as error:
        print(type(error).__name__)
"""


def test_another_user_reaches_the_supervisor_neither_by_the_file_mode_nor_past_it(managed):
    managed.start("ready-a")
    path = managed.data_dir / "run/control.sock"

    def ask() -> str:
        command = [*build_prefix(), sys.executable, "-c", ASK, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    assert ask() == "PermissionError"
    path.chmod(0o666)  # as an operator may do by mistake
    assert ask() in ("reply: b''", "ConnectionResetError", "BrokenPipeError")
    assert managed("status").returncode == 0
