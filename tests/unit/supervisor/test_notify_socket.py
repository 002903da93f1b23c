"""Words of sd_notify count only from the service's own processes, whatever pid they name."""

import os
import socket
import subprocess
import sys

import pytest

from supervisor.notify_socket import NotifySocket

SAY = "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(sys.argv[2].encode(), sys.argv[1])"


@pytest.fixture
def listening(tmp_path):
    found = NotifySocket(tmp_path, "a", "run")
    yield found
    found.close()


def say(listening, text, new_group):
    """Speak from another process, of a group of its own or of ours; a zombie of it stays until the words were read."""
    call = [sys.executable, "-c", SAY, listening.address, text]
    process = subprocess.Popen(call, process_group=0 if new_group else os.getpgid(0))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return process


def test_a_child_of_the_service_may_speak_for_it(listening):
    process = say(listening, "READY=1\nMAINPID=1", new_group=False)
    assert listening.receive(os.getpgid(0)) == [{"READY": "1", "MAINPID": "1"}]
    process.wait()


def test_somebody_else_cannot_call_it_ready_nor_name_himself_its_main_process(listening):
    process = say(listening, f"READY=1\nMAINPID={os.getpid()}", new_group=True)
    assert listening.receive(os.getpgid(0)) == []
    process.wait()


def test_without_a_process_nobody_is_believed(listening):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"READY=1", listening.address)
    assert listening.receive(None) == []
