"""The state of the supervisor over its socket: running, ended, hanging, or with an invalid reply."""

import asyncio
import socket
import threading

import pytest

from bgpdrift.status.supervised import ask, read
from supervisor.control import ControlServer
from supervisor.control_address import SOCKET_NAME
from supervisor.status import ServiceStatus, Status, SupervisorStatus

STATUS = Status(
    SupervisorStatus(11, "degraded", 80.0),
    (
        ServiceStatus("drift_monitor", "ready", 12, 0, 75.0, 1, "3 models checked"),
        ServiceStatus("lstm_detector", "crashloop", None, 9, 0.0, 0, "no"),
    ),
)


def test_the_supervisors_own_answer_is_understood(tmp_path):
    import msgspec

    (tmp_path / "run").mkdir()
    answered = {}

    async def handle(request):
        assert request == {"command": "status"}
        return {"status": msgspec.to_builtins(STATUS)}

    async def serve():
        server = ControlServer(tmp_path / "run" / SOCKET_NAME, handle)
        await server.start()
        answered["found"] = await asyncio.to_thread(ask, tmp_path)
        server.close()

    asyncio.run(serve())
    found = answered["found"]
    assert (found.supervisor, found.state, found.pid, found.uptime_s) == ("degraded", "ready", 12, 75.0)
    assert found.message == "3 models checked"
    assert found.others_down == ("lstm_detector",)


def test_where_nothing_runs_the_monitor_does_not_run(tmp_path):
    assert (ask(tmp_path).supervisor, ask(tmp_path).state) == ("stopped", "not_running")


def test_a_socket_a_dead_supervisor_left_is_nobody(tmp_path):
    (tmp_path / "run").mkdir()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "run" / SOCKET_NAME))
    left.close()
    assert ask(tmp_path).state == "not_running"


def test_one_that_hangs_is_not_waited_for(tmp_path):
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "run" / SOCKET_NAME))
        listening.listen()
        found = ask(tmp_path, max_wait_s=0.05)
    assert (found.supervisor, found.state) == ("no_answer", "no_answer")


def test_one_that_closes_without_a_word_gives_no_answer(tmp_path):
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "run" / SOCKET_NAME))
        listening.listen()
        listening.settimeout(30)
        closer = threading.Thread(target=lambda: listening.accept()[0].close(), daemon=True)
        closer.start()
        found = ask(tmp_path)
        closer.join(30)
    assert found.state == "no_answer"


@pytest.mark.parametrize(
    "reply", [b"", b"{}", b'{"ok": false, "error": "no"}', b'{"ok": true, "status": 7}', b"\xff", b"[]"]
)
def test_nonsense_is_no_answer(reply):
    assert read(reply).state == "no_answer"
