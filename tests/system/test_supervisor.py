"""The supervisor with real child programs: start, death, hang, stop, and its own death."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

CHILDREN = Path(__file__).with_name("children.py")
LIMIT_S = 15.0
pytestmark = pytest.mark.system


def until(condition: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
    give_up_at = time.monotonic() + limit_s
    while time.monotonic() < give_up_at:
        if result := condition():
            return result
        time.sleep(0.01)
    raise AssertionError(f"not within {limit_s} s: {what}")


def processes_of(data_dir: Path) -> list[int]:
    """Every living process whose environment names this data directory, but for ourselves."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                environ = (entry / "environ").read_bytes()
                zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
            except OSError:
                continue
            if f"BGPDRIFT_DATA_DIR={data_dir}\0".encode() in environ and not zombie:
                found.append(int(entry.name))
    return found


class Managed:
    """The command line over a system of test children, in a data directory of its own."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir, self.names = data_dir, ""
        self.settings: dict[str, str] = {}

    def env(self) -> dict[str, str]:
        return os.environ | {"BGPDRIFT_DATA_DIR": str(self.data_dir)} | self.settings

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, str(CHILDREN), "run", self.names, *arguments]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), env=self.env(), capture_output=True, text=True, timeout=40)

    def start(self, names: str, **settings: str) -> subprocess.CompletedProcess[str]:
        self.names = names
        self.settings = {f"BGPDRIFT_SUPERVISOR__{key.upper()}": value for key, value in settings.items()}
        return self("start")

    def status(self) -> dict[str, Any]:
        return json.loads(self("status", "--json").stdout)

    def service(self, name: str) -> dict[str, Any]:
        return next(service for service in self.status()["services"] if service["name"] == name)

    def log(self, name: str) -> str:
        path = self.data_dir / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[Managed]:
    it = Managed(tmp_path / "data")
    yield it
    for pid in processes_of(it.data_dir):
        os.kill(pid, signal.SIGKILL)


def test_start_returns_when_all_are_ready_and_status_has_the_agreed_shape(managed):
    started = managed.start("ready-a,ready-b")

    assert started.returncode == 0, started.stderr
    status = managed.status()
    assert list(status) == ["supervisor", "services"]
    assert list(status["supervisor"]) == ["pid", "state", "uptime_s"]
    assert list(status["services"][0]) == ["name", "state", "pid", "restarts", "uptime_s", "rss_bytes", "message"]
    assert [service["state"] for service in status["services"]] == ["ready", "ready"]
    assert all(service["rss_bytes"] > 1_000_000 for service in status["services"])
    assert managed("status").returncode == 0


def test_what_is_not_running_says_so_and_exits_3(managed):
    managed.names = "ready-a"
    assert managed("status").returncode == 3
    assert managed("stop").returncode == 3
    answer = managed("status", "--json")
    assert answer.returncode == 3
    assert json.loads(answer.stdout)["supervisor"]["state"] == "stopped"


def test_a_second_start_is_refused_with_3_and_changes_nothing(managed):
    managed.start("ready-a")
    before = managed.status()["supervisor"]["pid"], managed.service("ready-a")["pid"]

    second = managed("start")

    assert second.returncode == 3
    assert str(before[0]) in second.stderr
    assert (managed.status()["supervisor"]["pid"], managed.service("ready-a")["pid"]) == before


def test_a_killed_service_comes_back_at_once_and_its_neighbours_stay(managed):
    managed.start("ready-a,ready-b")
    first, neighbour = managed.service("ready-a")["pid"], managed.service("ready-b")["pid"]

    os.kill(first, signal.SIGKILL)
    until(lambda: managed.service("ready-a")["state"] == "ready" and managed.service("ready-a")["pid"] != first, "back")

    assert managed.service("ready-a")["restarts"] == 1
    assert managed.service("ready-b")["pid"] == neighbour
    events = [json.loads(line) for line in (managed.data_dir / "logs/events.ndjson").read_text().splitlines()]
    backoff = next(event for event in events if event["event"] == "backoff")
    assert backoff["service"] == "ready-a"
    assert "killed by SIGKILL" in backoff["details"]["message"]


def test_a_service_that_dies_at_once_ends_in_crashloop_with_its_last_words(managed):
    started = managed.start("ready-a,dies", restart_limit="3", ready_timeout_s="10")

    assert started.returncode == 1
    assert "dies is not ready: crashloop (4 in" in started.stderr
    assert "no luck today" in started.stderr
    assert managed.service("dies")["state"] == "crashloop"
    assert "exit 7" in managed.service("dies")["message"]
    assert managed.log("dies").count("dies starts") == 4
    assert managed.service("ready-a")["restarts"] == 0
    assert managed.status()["supervisor"]["state"] == "degraded"
    assert managed("status").returncode == 1


def test_a_service_that_is_never_ready_is_told_by_start_and_tried_again(managed):
    started = managed.start("never_ready,ready-a", ready_timeout_s="1", restart_limit="1")

    assert started.returncode == 1
    assert "not ready after 1 s; it says: still looking for it" in started.stderr
    assert managed.service("ready-a")["state"] == "ready"


def test_a_hung_service_is_dumped_and_restarted(managed):
    managed.start("ready-a", watchdog_s="1")
    pid = managed.service("ready-a")["pid"]

    os.kill(pid, signal.SIGSTOP)
    stopped_at = time.monotonic()
    until(lambda: managed.service("ready-a")["pid"] not in {pid, None}, "a new process")

    assert time.monotonic() - stopped_at < 3.0
    assert "Fatal Python error: Aborted" in managed.log("ready-a")


def test_stop_leaves_nothing_neither_the_deaf_nor_grandchildren_in_a_session_of_their_own(managed):
    managed.start("ready-a,parent,deaf-b")
    assert len(processes_of(managed.data_dir)) == 5

    began = time.monotonic()
    stopped = managed("stop")

    assert stopped.returncode == 0, stopped.stderr
    assert time.monotonic() - began < 5.0
    assert processes_of(managed.data_dir) == []
    assert managed("status").returncode == 3


def test_a_killed_supervisor_leaves_no_service_and_the_next_start_no_grandchild(managed):
    managed.start("ready-a,parent")
    status = managed.status()
    services = {service["pid"] for service in status["services"]}

    os.kill(status["supervisor"]["pid"], signal.SIGKILL)
    until(lambda: not services & set(processes_of(managed.data_dir)), "services gone", limit_s=2.0)
    left = processes_of(managed.data_dir)
    assert len(left) == 1  # the daemon that hid in its own session

    again = managed("start")
    assert again.returncode == 0, again.stderr
    assert left[0] not in processes_of(managed.data_dir)
    assert len(processes_of(managed.data_dir)) == 4


def test_restart_gives_one_service_or_all_new_processes(managed):
    managed.start("ready-a,ready-b")
    supervisor = managed.status()["supervisor"]["pid"]
    a, b = managed.service("ready-a")["pid"], managed.service("ready-b")["pid"]

    assert managed("restart", "ready-a").returncode == 0
    assert managed.service("ready-a")["pid"] != a
    assert managed.service("ready-b")["pid"] == b

    assert managed("restart").returncode == 0
    assert managed.service("ready-b")["pid"] != b
    assert managed.status()["supervisor"]["pid"] == supervisor
    assert managed("restart", "nobody").returncode == 2


def test_a_chatty_service_fills_its_files_to_the_cap_and_no_line_is_torn(managed):
    managed.start("chatty", log_max_bytes="100000", log_keep="2")
    logs = managed.data_dir / "logs"
    until(lambda: (logs / "chatty.log.2").exists(), "rotated twice")

    (logs / "chatty.log").unlink()
    until(lambda: (logs / "chatty.log").exists(), "opened again after it was removed")
    assert managed("stop").returncode == 0

    files = sorted(logs.glob("chatty.log*"))
    assert len(files) <= 3
    assert all(file.stat().st_size <= 100_000 for file in files)
    for file in files:
        assert all(len(line) == 95 for line in file.read_text().splitlines() if line.startswith("line"))
    assert "line 0" in managed("logs", "chatty", "-n", "3").stdout


def test_logs_follow_across_a_rotation(managed):
    managed.start("chatty", log_max_bytes="500000", log_keep="20")
    follower = subprocess.Popen(managed.command("logs", "-f", "chatty"), env=managed.env(), stdout=subprocess.PIPE)
    try:
        assert follower.stdout is not None
        numbers = [int(follower.stdout.readline().split()[1]) for _ in range(30)][25:]
        numbers += [int(follower.stdout.readline().split()[1]) for _ in range(3000)]
    finally:
        follower.kill()
        follower.communicate()
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_broken_clients_neither_hang_nor_crash_it(managed):
    managed.start("ready-a")
    path = managed.data_dir / "run/control.sock"
    assert path.stat().st_mode & 0o777 == 0o600
    with (
        socket.socket(socket.AF_UNIX) as silent,
        socket.socket(socket.AF_UNIX) as rude,
        socket.socket(socket.AF_UNIX) as long,
    ):
        for client in (silent, rude, long):
            client.settimeout(5)
            client.connect(str(path))
        rude.sendall(b"\xff\x00 garbage\n[1]\n{}\n")
        answers = b""
        while answers.count(b"\n") < 3:
            answers += rude.recv(65536)
        assert all(json.loads(line)["ok"] is False for line in answers.splitlines())
        long.sendall(b"x" * 100_000)
        assert b"at most 4096 bytes" in long.recv(65536)
        assert managed("status").returncode == 0


def test_a_removed_socket_comes_back(managed):
    managed.start("ready-a")
    (managed.data_dir / "run/control.sock").unlink()
    assert managed("status").returncode == 1
    until(lambda: managed("status").returncode == 0, "listening again")


def test_in_the_foreground_it_logs_to_stdout_tells_its_manager_and_ends_cleanly_on_term(managed, tmp_path):
    managed.names = "ready-a"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outer:
        outer.bind(str(tmp_path / "outer"))
        outer.settimeout(LIMIT_S)
        env = managed.env() | {"NOTIFY_SOCKET": str(tmp_path / "outer")}
        process = subprocess.Popen(managed.command("start", "--foreground"), env=env, stdout=subprocess.PIPE)
        words = b""
        while b"READY=1" not in words:
            words = outer.recv(4096)
        assert b"1 of 1 services ready" in words
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 0
    assert b"ready-a | ready starts as" in output
    assert b"supervisor.stopped" in output
    assert processes_of(managed.data_dir) == []


def test_broken_settings_start_nothing_and_exit_2_with_one_line(managed):
    refused = managed.start("ready-a", stop_grace_s="soon")
    assert refused.returncode == 2
    assert len(refused.stderr.splitlines()) == 1
    assert "BGPDRIFT_SUPERVISOR__STOP_GRACE_S" in refused.stderr
    assert not managed.data_dir.exists()


def test_a_data_directory_too_deep_for_a_socket_address_works(managed, tmp_path):
    managed.data_dir = tmp_path / ("deep" * 30) / "data"
    assert managed.start("ready-a").returncode == 0
    assert managed("stop").returncode == 0
