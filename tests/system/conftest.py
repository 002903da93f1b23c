"""The supervisor of the system tests: its command line for a system of test children, in a data directory of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers.until import until
from helpers.users import build_prefix, give_to_other_user

CHILDREN = Path(__file__).with_name("children.py")


class Managed:
    """Runs commands and reads status, logs and processes."""

    limit_s = 15.0

    def __init__(self, data_dir: Path) -> None:
        self.data_dir, self.names, self.config = data_dir, "", ""
        self.prefix: list[str] = []
        self.settings: dict[str, str] = {}

    def env(self) -> dict[str, str]:
        return os.environ | {"BGPDRIFT_DATA_DIR": str(self.data_dir), "BGPDRIFT_CONFIG": self.config} | self.settings

    def command(self, *arguments: str) -> list[str]:
        return [*self.prefix, sys.executable, str(CHILDREN), "run", self.names, *arguments]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*arguments), env=self.env(), capture_output=True, text=True, timeout=40)

    def run_as_other_user(self, *, hides_others: bool = False) -> None:
        """Run every command as a user without privileges."""
        self.prefix = build_prefix(hides_others=hides_others)
        self.data_dir.mkdir()
        give_to_other_user(self.data_dir)

    def start(self, names: str, **settings: str) -> subprocess.CompletedProcess[str]:
        self.names = names
        self.settings |= {f"BGPDRIFT_SUPERVISOR__{key.upper()}": value for key, value in settings.items()}
        return self("start")

    def configure(self, text: str) -> None:
        """Write a settings file, as an editor does."""
        path = self.data_dir.parent / "bgpdrift.toml"
        path.write_text(text)
        self.config = str(path)

    def status(self) -> dict[str, Any]:
        return json.loads(self("status", "--json").stdout)

    def service(self, name: str) -> dict[str, Any]:
        return next(service for service in self.status()["services"] if service["name"] == name)

    def log(self, name: str) -> str:
        path = self.data_dir / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def until(self, condition: Callable[[], Any], what: str, limit_s: float = limit_s) -> Any:
        return until(condition, limit_s, what)

    def processes(self) -> dict[int, str]:
        """Return every running process with this data directory in its environment, except this one, and its service."""
        processes = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    environ = (entry / "environ").read_bytes().split(b"\0")
                    zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
                except OSError:
                    continue
                if f"BGPDRIFT_DATA_DIR={self.data_dir}".encode() in environ and not zombie:
                    variables = dict(pair.partition(b"=")[::2] for pair in environ)
                    processes[int(entry.name)] = variables.get(b"BGPDRIFT_SERVICE", b"").decode()
        return processes


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[Managed]:
    managed = Managed(tmp_path / "data")
    yield managed
    for pid in managed.processes():
        os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session", autouse=True)
def handle_ctrl_c() -> None:
    """Let children handle SIGINT also if the tests run in the background of a shell, which sets it to be ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def mount_small_disk() -> Iterator[Callable[[Path, str], Path]]:
    """Mount a file system of some size (``64k``) at a new folder; unmounted afterwards."""
    places: list[Path] = []

    def mount(place: Path, size: str) -> Path:
        if os.geteuid() != 0:
            pytest.skip("mounting a tmpfs needs root")
        place.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
        places.append(place)
        return place

    yield mount
    for place in places:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
