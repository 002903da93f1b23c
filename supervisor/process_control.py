"""Process control: for each service its output pipe, its notify socket and its process, and the foreign processes.

This module spawns, watches and reaps processes, and calls back on the event loop when one sends a message or ends. The
caller decides when a process is started or ended.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from bgpdrift.process import procfs
from bgpdrift.process.child import RUN_VARIABLE, SERVICE_VARIABLE, Child, build_environment, format_exit
from bgpdrift.process.parent import PARENT_VARIABLE
from supervisor.guard import Guard
from supervisor.log_capture import LogCapture
from supervisor.notify_socket import NotifySocket
from supervisor.orphans import RECORD_NAME, ChildRecord, ForeignProcesses
from supervisor.services import Service


def build_service_environment(base: Mapping[str, str], **extra: str) -> dict[str, str]:
    """Build the environment of a service.

    ``PYTHONUNBUFFERED`` delivers the last lines of a process. ``PYTHONFAULTHANDLER`` writes the stacks of a process that
    hangs during imports.
    """
    return build_environment(base, PYTHONUNBUFFERED="1", PYTHONFAULTHANDLER="1", **extra)


class ProcessControl:
    """The processes of one run of the supervisor.

    Parameters
    ----------
    names : iterable of str
        The services, and other programs that are run.
    run_dir : Path
        The directory of the sockets and of the record of children.
    run : str
        The random name of this run.
    put : callable
        Takes the name of a log file and lines for it.
    on_message : callable
        Called with a name when messages of its process have arrived.
    on_exit : callable
        Called with a name and a description when its process has ended.
    guard : Guard
        Runs the steps beside the collection of an ended process.
    """

    def __init__(
        self,
        names: Iterable[str],
        run_dir: Path,
        run: str,
        put: Callable[[str, bytes], None],
        on_message: Callable[[str], None],
        on_exit: Callable[[str, str], None],
        guard: Guard,
    ) -> None:
        self._run, self._on_message, self._on_exit, self._guard = run, on_message, on_exit, guard
        self._loop = asyncio.get_running_loop()
        self._foreign = ForeignProcesses(run)
        self._record = ChildRecord(run_dir / RECORD_NAME, run)
        self._children: dict[str, Child] = {}
        self._captures = {name: LogCapture(partial(put, f"{name}.log")) for name in names}
        self._sockets = {name: NotifySocket(run_dir, name, run) for name in self._captures}
        for name, capture in self._captures.items():
            self._loop.add_reader(capture.fileno(), capture.read_chunk)
            self._loop.add_reader(self._sockets[name].fileno(), on_message, name)

    def spawn(self, service: Service, **env: str) -> Child:
        """Start a process; call on the main thread.

        Raises
        ------
        OSError
            It cannot be started.
        """
        name = service.name
        self._captures[name].clear_tail()
        variables = {
            PARENT_VARIABLE: str(os.getpid()),
            RUN_VARIABLE: self._run,
            SERVICE_VARIABLE: name,
            "NOTIFY_SOCKET": self._sockets[name].address,
        }
        output = self._captures[name].write_end
        child = Child(service.command, build_service_environment(os.environ, **env | variables), output, output)
        try:
            self._loop.add_reader(child.pidfd, self._collect, name)
        except OSError:
            child.kill_and_reap()
            raise
        self._children[name] = child
        self._guard.run("record the children", self._write_record)
        return child

    def read_messages(self, name: str) -> list[dict[str, str]]:
        """Return the sd_notify messages of a service's process that have arrived."""
        child = self._children.get(name)
        return self._sockets[name].receive(child.pid if child else None)

    def read_last_lines(self, name: str, count: int) -> list[str]:
        """Return the newest lines of output of a service's process, oldest first."""
        return self._captures[name].last_lines(count)

    def kill(self, name: str) -> None:
        """Send KILL to the process group of a service, if it has one."""
        if name in self._children:
            self._children[name].kill()

    def end_foreign_processes(self) -> list[int]:
        """Reap foreign processes, and kill those whose service has ended.

        Returns
        -------
        list of int
            The pids that were killed.
        """
        spawned = {child.pid for child in self._children.values()}
        self._foreign.reap(spawned)

        def find_start_time(name: str) -> int | None:
            child = self._children.get(name)
            return procfs.read_start_time(child.pid) if child else None

        return self._foreign.kill_orphans(spawned, find_start_time)

    def restore_sockets(self) -> list[str]:
        """Bind removed sockets again, and write the record of children again.

        Returns
        -------
        list of str
            The services whose sockets were missing.

        Raises
        ------
        OSError
            A socket cannot be bound.
        """
        missing = [name for name, notify in self._sockets.items() if notify.is_missing]
        for name in missing:
            self._on_message(name)  # messages to the old socket
            self._loop.remove_reader(self._sockets[name].fileno())
            try:
                self._sockets[name].rebind()
            finally:
                self._loop.add_reader(self._sockets[name].fileno(), self._on_message, name)
        if missing:
            self._write_record()
        return missing

    def kill_everything(self) -> bool:
        """Kill and reap every process that is left; True when none is left."""
        for child in self._children.values():
            self._loop.remove_reader(child.pidfd)
            child.kill()
        return self._foreign.kill_all()

    def close(self) -> None:
        """Write the last lines, and close pipes and sockets."""
        for name, capture in self._captures.items():
            self._loop.remove_reader(capture.fileno())
            self._loop.remove_reader(self._sockets[name].fileno())
            capture.drain()
            capture.close()
            self._sockets[name].close()

    def collect_ended(self) -> None:
        """Collect the ended processes that could not be collected when they ended."""
        for name in list(self._children):
            self._guard.run(f"collect {name}", self._collect, name)

    def _collect(self, name: str) -> None:
        child = self._children[name]
        # Its last messages, while they can still be attributed to it.
        self._guard.run(f"read messages of {name}", self._on_message, name)
        self._loop.remove_reader(child.pidfd)
        exit_code = child.collect()
        if exit_code is None:
            self._loop.add_reader(child.pidfd, self._collect, name)
            return
        del self._children[name]
        self._guard.run(f"read the last lines of {name}", self._captures[name].drain)
        self._guard.run("record the children", self._write_record)
        self._on_exit(name, format_exit(exit_code))

    def _write_record(self) -> None:
        self._record.write(child.pid for child in self._children.values())
