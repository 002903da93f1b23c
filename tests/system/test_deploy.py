"""The recipes with real processes: the commands of the units as systemd runs them, that of the image as process 1."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from helpers.until import until
from supervisor.services import BGPDRIFT

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "supervisor" / "deploy"
HOME = "/srv/bgpdrift"
LIMIT_S = 60.0
MARK = "TEST_OF_RECIPES"  # in the environment of everything that a test starts
pytestmark = pytest.mark.system


class Manager:
    """Starts the program of a unit as systemd does, and receives its messages."""

    def __init__(self, unit: str, env: dict[str, str], log: Path, instance: str = "") -> None:
        text = (DEPLOY / unit).read_text().replace("%i", instance)
        self.log, self.fields = log, []
        address = f"bgpdrift-test-{secrets.token_hex(8)}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.bind("\0" + address)
        self.socket.setblocking(False)
        own = {"NOTIFY_SOCKET": "@" + address}
        if watchdog := re.search(r"^WatchdogSec=(\d+)$", text, flags=re.MULTILINE):
            own["WATCHDOG_USEC"] = str(int(watchdog[1]) * 1_000_000)
        for line in re.findall(r"^Environment=(.+)$", text, flags=re.MULTILINE):
            own.update(pair.split("=", 1) for pair in line.split())
        start = re.search(r"^ExecStart=(.+)$", text, flags=re.MULTILINE)
        assert start
        command = start[1].replace(f"{HOME}/.venv/bin/python", sys.executable).split()
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=env | own, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def has_received(self, field: str) -> bool:
        """Whether the main process, and no other (NotifyAccess=main), has sent this field."""
        while True:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(12))
            except BlockingIOError:
                break
            (sender, _, _) = struct.unpack("3i", ancillary[0][2][:12])
            if sender == self.process.pid:
                self.fields += data.decode().split("\n")
        return field in self.fields

    def receive(self, field: str) -> None:
        until(lambda: self.has_received(field) or self.process.poll() is not None, LIMIT_S, field)
        assert self.has_received(field), f"ended with {self.process.returncode}: {self.log.read_text()[-2000:]}"

    def stop(self) -> int:
        """Send TERM and wait for the end; the queue of the socket holds few messages and is read meanwhile."""
        self.has_received("STOPPING=1")
        self.process.send_signal(signal.SIGTERM)
        until(lambda: self.has_received("STOPPING=1") and self.process.poll() is not None, LIMIT_S, "a clean stop")
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.socket.close()


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """Return the small environment of a unit's program, with settings for the test's directory and an unreachable feed."""
    config = tmp_path / "bgpdrift.toml"
    config.write_text(f'data_dir = "{tmp_path / "data"}"\n[feed]\nurl = "ws://127.0.0.1:9/"\n')
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    own = {"BGPDRIFT_CONFIG": str(config), MARK: secrets.token_hex(8)}
    return {"PATH": path, "LANG": "C.UTF-8", "HOME": str(tmp_path)} | own


@pytest.fixture
def start(env: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Manager]]:
    started: list[Manager] = []

    def begin(unit: str, instance: str = "") -> Manager:
        started.append(Manager(unit, env, tmp_path / f"{unit}.{instance}.out", instance))
        return started[-1]

    yield begin
    for manager in started:
        manager.close()
    for pid in processes_of(env):
        os.kill(pid, signal.SIGKILL)


def has_variable(pid: int, variable: str, value: str) -> bool:
    try:
        return f"{variable}={value}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def processes_of(env: dict[str, str]) -> list[int]:
    """Return the pids of the running processes that this test started, directly or not."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if has_variable(pid, MARK, env[MARK])]


def test_each_service_as_a_unit_reports_ready_progress_and_stopping(start, env):
    prepared = start("bgpdrift-prepare.service")
    assert prepared.process.wait(LIMIT_S) == 0, prepared.log.read_text()

    services = {name: start("bgpdrift@.service", name) for name in BGPDRIFT.names}
    for service in services.values():
        service.receive("READY=1")
        service.receive(f"MAINPID={service.process.pid}")
        service.receive("WATCHDOG=1")
    codes = {name: service.stop() for name, service in services.items()}

    assert codes == dict.fromkeys(BGPDRIFT.names, 0)
    assert processes_of(env) == []


def test_the_whole_as_a_unit_is_ready_when_all_services_are_and_leaves_no_process(start, env):
    whole = start("bgpdrift.service")
    whole.receive("READY=1")
    whole.receive(f"STATUS={len(BGPDRIFT.names)} of {len(BGPDRIFT.names)} services ready")
    whole.receive("WATCHDOG=1")
    assert len(processes_of(env)) > len(BGPDRIFT.names)

    assert whole.stop() == 0
    assert processes_of(env) == []


@pytest.fixture
def unshare() -> list[str]:
    """Return the command that runs a process as the first of a process namespace, with its own /proc."""
    program, enter = shutil.which("unshare"), shutil.which("nsenter")
    command = [program or "unshare", "--fork", "--kill-child", "--pid", "--mount-proc"]
    if not program or not enter or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("no process namespace can be created (needs unshare, nsenter and root)")
    return command


def image(instruction: str) -> list[str]:
    """Return a command of the Dockerfile."""
    last = re.findall(rf"^{instruction}\b.*?(\[.+\])$", (DEPLOY / "Dockerfile").read_text(), flags=re.MULTILINE)[-1]
    return list(json.loads(last))


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_as_process_1_of_a_container_the_supervisor_becomes_healthy_reaps_orphans_and_stops_cleanly(
    unshare, env, tmp_path
):
    out = tmp_path / "container.out"
    with out.open("wb") as output:
        engine = subprocess.Popen(
            [*unshare, *image("CMD")], cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        (first,) = until(lambda: children(engine.pid), LIMIT_S, "a process 1")
        inside = ["nsenter", "-t", str(first), "-p", "-m", "--wd=" + str(ROOT)]

        def healthy() -> bool:
            assert engine.poll() is None, out.read_text()[-2000:]
            return subprocess.run([*inside, *image("HEALTHCHECK")], env=env, capture_output=True).returncode == 0

        until(healthy, LIMIT_S, "a healthy container")
        # Its parent ends at once and process 1 adopts it; it ends when its input is closed.
        script = "import os\nif os.fork(): os._exit(0)\nos.setsid(); os.read(0, 1)"
        named = env | {"ORPHAN": env[MARK]}
        parent = subprocess.Popen([*inside, sys.executable, "-c", script], env=named, stdin=subprocess.PIPE)
        assert parent.wait(LIMIT_S) == 0
        (orphan,) = until(
            lambda: [pid for pid in children(first) if has_variable(pid, "ORPHAN", env[MARK])],
            LIMIT_S,
            "process 1 adopts the orphan",
        )
        assert parent.stdin
        parent.stdin.close()
        until(lambda: orphan not in children(first), LIMIT_S, "the orphan is reaped")

        os.kill(first, signal.SIGTERM)
        assert engine.wait(LIMIT_S) == 0, out.read_text()[-2000:]
    finally:
        engine.kill()
        engine.wait()
    assert processes_of(env) == []
    assert '"event":"supervisor.stopped"' in out.read_text()
