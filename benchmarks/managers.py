"""Four process managers with one interface: install, configure a fleet, start, query and stop.

All run the same programs with the same 2.5 s between TERM and KILL (supervisord: whole seconds, 2), and stop whole groups or
trees if they have an option for it. All other options have their defaults: what bgpdrift's recipes for them
(``supervisor/deploy``) add against orphans is not used here.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fleets import FLEETS, command_of
from benchmarks.manager_child import RECORD
from benchmarks.marked_processes import MARK

ROOT = Path(__file__).parents[1]
HEARTBEAT_S = 5.0
"""Watchdog interval of a program, seconds; only bgpdrift's supervisor uses one."""
LIMIT_S = 120.0
_INSTALL_LIMIT_S = 600.0


class Manager:
    """One manager with a directory of its own; each command returns when it has ended."""

    name = ""

    def __init__(self, folder: Path, mark: str) -> None:
        self.folder, self.record = folder, folder / "starts.txt"
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("BGPDRIFT_")}
        self.env |= {MARK: mark, RECORD: str(self.record)}

    @classmethod
    def install(cls) -> str:
        """Install the manager; returns the reason if that fails, or ""."""
        return ""

    def start(self, fleet: str) -> None:
        """Start the manager with a fleet; returns when its start command does."""
        raise NotImplementedError

    def stop(self) -> None:
        """Run the command that stops the manager and the fleet."""
        raise NotImplementedError

    def status(self) -> None:
        """Run the status command."""
        raise NotImplementedError

    def pid(self) -> int:
        """Return the pid of the manager from its own file; 0 without one."""
        raise NotImplementedError

    def _run(self, *command: object) -> int:
        with (self.folder / "output.txt").open("ab") as output:
            return subprocess.run(
                [str(word) for word in command],
                env=self.env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                timeout=LIMIT_S,
                check=False,
            ).returncode

    def _pid_in(self, file: str) -> int:
        try:
            return int((self.folder / file).read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return 0


class Bgpdrift(Manager):
    """The supervisor of bgpdrift."""

    name = "bgpdrift"

    def start(self, fleet: str) -> None:  # noqa: D102
        self._fleet = fleet
        self.env["BGPDRIFT_DATA_DIR"] = str(self.folder / "data")
        self.env["BGPDRIFT_SUPERVISOR__WATCHDOG_S"] = str(HEARTBEAT_S)
        self.env["PYTHONPATH"] = str(ROOT)
        if fleet == "plain":
            # The default of supervisord and PM2: a program that was up for 1 s is restarted at once. bgpdrift's default is 60 s.
            self.env["BGPDRIFT_SUPERVISOR__RESTART_PERIOD_S"] = "1"
        self._command("start")

    def stop(self) -> None:  # noqa: D102
        self._command("stop")

    def status(self) -> None:  # noqa: D102
        self._command("status")

    def pid(self) -> int:  # noqa: D102
        try:
            return int(json.loads((self.folder / "data/run/supervisor.lock").read_text())["pid"])
        except (OSError, ValueError, KeyError):
            return 0

    def _command(self, *words: str) -> None:
        self._run(sys.executable, Path(__file__).parent / "manager_fleet.py", self._fleet, *words)


class Supervisord(Manager):
    """The PyPI package ``supervisor``, in an environment of its own."""

    name = "supervisord"

    @classmethod
    def install(cls) -> str:  # noqa: D102
        return _install_from_pypi("supervisor", "supervisord")

    def start(self, fleet: str) -> None:  # noqa: D102
        lines = [
            "[supervisord]",
            "pidfile=manager.pid",
            "logfile=manager.log",
            f"[unix_http_server]\nfile={self.folder}/control",
            f"[supervisorctl]\nserverurl=unix://{self.folder}/control",
            "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        ]
        for name, behaviour in FLEETS[fleet].items():
            lines += [f"[program:{name}]", f"command={' '.join(command_of(name, behaviour))}", "autorestart=true"]
            lines += ["stopwaitsecs=2", "stopasgroup=true", "killasgroup=true", "redirect_stderr=true"]
        (self.folder / "manager.conf").write_text("\n".join(lines) + "\n")
        self._run(self._program("supervisord"), "-c", "manager.conf")

    def stop(self) -> None:  # noqa: D102
        self._run(self._program("supervisorctl"), "-c", "manager.conf", "shutdown")

    def status(self) -> None:  # noqa: D102
        self._run(self._program("supervisorctl"), "-c", "manager.conf", "status")

    def pid(self) -> int:  # noqa: D102
        return self._pid_in("manager.pid")

    def _program(self, name: str) -> Path:
        return _cache("supervisor") / "bin" / name


class Circus(Manager):
    """The PyPI package ``circus``."""

    name = "circus"

    @classmethod
    def install(cls) -> str:  # noqa: D102
        return _install_from_pypi("circus", "circusd")

    def start(self, fleet: str) -> None:  # noqa: D102
        lines = ["[circus]", f"endpoint = ipc://{self.folder}/control", f"pubsub_endpoint = ipc://{self.folder}/news"]
        for name, behaviour in FLEETS[fleet].items():
            program, *words = command_of(name, behaviour)
            lines += [f"[watcher:{name}]", f"cmd = {program}", f"args = {' '.join(words)}"]
            lines += ["copy_env = True", "graceful_timeout = 2.5", "stop_children = True"]
        (self.folder / "manager.ini").write_text("\n".join(lines) + "\n")
        self._run(self._program("circusd"), "--daemon", "--pidfile", f"{self.folder}/manager.pid", "manager.ini")

    def stop(self) -> None:  # noqa: D102
        self._ask("quit", "--waiting")

    def status(self) -> None:  # noqa: D102
        self._ask("status")

    def pid(self) -> int:  # noqa: D102
        return self._pid_in("manager.pid")

    def _ask(self, *words: str) -> None:
        self._run(self._program("circusctl"), "--endpoint", f"ipc://{self.folder}/control", *words)

    def _program(self, name: str) -> Path:
        return _cache("circus") / "bin" / name


class Pm2(Manager):
    """The npm package ``pm2``."""

    name = "PM2"

    @classmethod
    def install(cls) -> str:  # noqa: D102
        folder = _cache("pm2")
        if shutil.which("npm") is None or shutil.which("node") is None:
            return "node or npm is not installed"
        if (folder / "node_modules/.bin/pm2").exists():
            return ""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}\n')
        return _run_installer(["npm", "install", "--no-audit", "--no-fund", "pm2"], folder)

    def start(self, fleet: str) -> None:  # noqa: D102
        self.env["PM2_HOME"] = str(self.folder / "home")
        common = {"interpreter": "none", "exec_mode": "fork", "vizion": False, "pmx": False, "kill_timeout": 2500}
        apps = []
        for name, behaviour in FLEETS[fleet].items():
            program, *words = command_of(name, behaviour)
            apps.append(common | {"name": name, "script": program, "args": words})
        (self.folder / "ecosystem.config.json").write_text(json.dumps({"apps": apps}))
        self._pm2("start", "ecosystem.config.json")

    def stop(self) -> None:  # noqa: D102
        self._pm2("kill")

    def status(self) -> None:  # noqa: D102
        self._pm2("status")

    def pid(self) -> int:  # noqa: D102
        return self._pid_in("home/pm2.pid")

    def _pm2(self, *words: str) -> None:
        self._run(_cache("pm2") / "node_modules/.bin/pm2", *words)


MANAGERS: tuple[type[Manager], ...] = (Bgpdrift, Supervisord, Circus, Pm2)


def _cache(name: str) -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bgpdrift-bench" / name


def _install_from_pypi(package: str, program: str) -> str:
    folder = _cache(package)
    if (folder / "bin" / program).exists():
        return ""
    return _run_installer([sys.executable, "-m", "venv", str(folder)]) or _run_installer(
        [str(folder / "bin/python"), "-m", "pip", "install", "-q", package]
    )


def _run_installer(command: Sequence[str], folder: Path | None = None) -> str:
    """Run a command to its end; returns the error, or ""."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else (done.stderr or done.stdout)[-500:] or f"exit {done.returncode}"
