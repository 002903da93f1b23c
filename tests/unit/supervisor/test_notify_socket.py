"""Messages count only from the process group of the service, whatever pid they contain."""

import os
import socket
import subprocess
import sys

import pytest

from supervisor.notify_socket import NotifySocket

SEND = "import socket, sys; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(sys.argv[2].encode(), sys.argv[1])"


@pytest.fixture
def notify(tmp_path):
    bound = NotifySocket(tmp_path, "a", "run")
    yield bound
    bound.close()


def send(notify, text, new_group):
    """Send from another process, in a group of its own or in that of the test; it stays a zombie until the message is read."""
    call = [sys.executable, "-c", SEND, notify.address, text]
    process = subprocess.Popen(call, process_group=0 if new_group else os.getpgid(0))
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return process


def test_a_child_of_the_service_may_send_messages(notify):
    process = send(notify, "READY=1\nMAINPID=1", new_group=False)
    assert notify.receive(os.getpgid(0)) == [{"READY": "1", "MAINPID": "1"}]
    process.wait()


def test_messages_of_another_process_group_are_dropped(notify):
    process = send(notify, f"READY=1\nMAINPID={os.getpid()}", new_group=True)
    assert notify.receive(os.getpgid(0)) == []
    process.wait()


def test_messages_are_dropped_while_the_service_has_no_process(notify):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"READY=1", notify.address)
    assert notify.receive(None) == []
