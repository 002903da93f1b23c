"""The supervisor's hands: for each service its pipe, its notify socket and its process, and the processes left to us.

Starts, watches and buries; everything arrives on the event loop as a call. Decides nothing about when.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from bgpdrift.process import procfs
from bgpdrift.process.child import RUN_VARIABLE, SERVICE_VARIABLE, Child, build_environment, format_exit
from bgpdrift.process.parent import PARENT_VARIABLE
from supervisor.log_capture import LogCapture
from supervisor.notify_socket import NotifySocket
from supervisor.orphans import ChildRecord, ForeignProcesses
from supervisor.services import Service


def build_service_environment(base: Mapping[str, str], **extra: str) -> dict[str, str]:
    """Build the environment of a service.

    The last lines of a process must arrive, and a hang during imports must leave its stacks too: hence the two settings
    of Python.
    """
    return build_environment(base, PYTHONUNBUFFERED="1", PYTHONFAULTHANDLER="1", **extra)


class Hands:
    """Everything of the system that a service's life needs.

    Parameters
    ----------
    names : iterable of str
        Services, and whatever else is run.
    run_dir : Path
        For sockets and the record of children.
    run : str
        Random name of this run.
    put : callable
        Takes a log file's name and lines for it.
    heard, ended : callable
        Told that a service spoke, or that it ended and how.
    """

    def __init__(
        self,
        names: Iterable[str],
        run_dir: Path,
        run: str,
        put: Callable[[str, bytes], None],
        heard: Callable[[str], None],
        ended: Callable[[str, str], None],
    ) -> None:
        self._run, self._heard, self._ended = run, heard, ended
        self._loop = asyncio.get_running_loop()
        self._adopted = ForeignProcesses(run)
        self._record = ChildRecord(run_dir / "children.json", run)
        self._children: dict[str, Child] = {}
        self.captures = {name: LogCapture(partial(put, f"{name}.log")) for name in names}
        self._notify = {name: NotifySocket(run_dir, name, run) for name in self.captures}
        for name in self.captures:
            self._loop.add_reader(self.captures[name].fileno(), self.captures[name].read_some)
            self._loop.add_reader(self._notify[name].fileno(), heard, name)

    def spawn(self, service: Service, **env: str) -> Child:
        """Start a process; call on the main thread.

        Raises
        ------
        OSError
            It cannot be started.
        """
        name = service.name
        self.captures[name].forget_tail()
        variables = {
            PARENT_VARIABLE: str(os.getpid()),
            RUN_VARIABLE: self._run,
            SERVICE_VARIABLE: name,
            "NOTIFY_SOCKET": self._notify[name].address,
        }
        output = self.captures[name].write_end
        child = Child(service.command, build_service_environment(os.environ, **env | variables), output, output)
        self._children[name] = child
        self._loop.add_reader(child.pidfd, self._child_ended, name)
        self._write_record()
        return child

    def words(self, name: str) -> list[dict[str, str]]:
        """Take what a service's process said by sd_notify."""
        child = self._children.get(name)
        return self._notify[name].receive(child.pid if child else None)

    def kill(self, name: str) -> None:
        """KILL its group, if it has one."""
        if name in self._children:
            self._children[name].kill()

    def strangers(self) -> list[int]:
        """Bury adopted processes and end those whose service has gone; gives the pids that were ended."""
        spawned = {child.pid for child in self._children.values()}
        self._adopted.reap(spawned)

        def running_since(name: str) -> int | None:
            child = self._children.get(name)
            return procfs.read_start_time(child.pid) if child else None

        return self._adopted.kill_orphans(spawned, running_since)

    def renew_sockets(self) -> list[str]:
        """Bind anew the sockets that somebody removed, and write down again what runs; gives whose they were.

        Raises
        ------
        OSError
            One cannot be bound.
        """
        missing = [name for name, found in self._notify.items() if found.is_missing]
        for name in missing:
            self._heard(name)  # what arrived before
            before = self._notify[name].fileno()
            self._loop.remove_reader(before)
            try:
                self._notify[name].renew()
            finally:
                self._loop.add_reader(self._notify[name].fileno(), self._heard, name)
        if missing:
            self._write_record()
        return missing

    def end_all(self) -> bool:
        """KILL and bury whatever is left; True when nothing is."""
        for child in self._children.values():
            self._loop.remove_reader(child.pidfd)
            child.kill()
        return self._adopted.kill_all()

    def close(self) -> None:
        """Let go of pipes and sockets, their last lines written."""
        for name, capture in self.captures.items():
            self._loop.remove_reader(capture.fileno())
            self._loop.remove_reader(self._notify[name].fileno())
            capture.finish()
            capture.close()
            self._notify[name].close()

    def _child_ended(self, name: str) -> None:
        child = self._children[name]
        self._heard(name)  # its last words, while we still know whose they are
        self._loop.remove_reader(child.pidfd)
        exit_code = child.collect()
        if exit_code is None:
            self._loop.add_reader(child.pidfd, self._child_ended, name)
            return
        del self._children[name]
        self.captures[name].finish()
        self._write_record()
        self._ended(name, format_exit(exit_code))

    def _write_record(self) -> None:
        self._record.write(child.pid for child in self._children.values())
