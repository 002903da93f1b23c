"""Orphans: processes that a service left to this supervisor, and processes that an earlier supervisor left running.

All processes of a run have the random name of the run in their environment, and ``children.json`` lists the services with
their identities. Its environment or its identity decides whether a process is an orphan, never its pid alone.
"""

import contextlib
import os
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import msgspec

from bgpdrift.process import procfs
from bgpdrift.process.child import RUN_VARIABLE, SERVICE_VARIABLE, kill_if
from bgpdrift.process.durable import replace_file
from bgpdrift.process.identity import DirectoryIdentity, identify, identify_directory

RECORD_NAME = "children.json"


class Record(msgspec.Struct, frozen=True):
    """The content of ``children.json``."""

    boot_id: str
    directory: DirectoryIdentity
    """Device and inode of the directory in which the record was written."""
    run: str
    children: tuple[tuple[int, int], ...] = ()
    """Pid and start time of each service."""


class ChildRecord:
    """Writes ``children.json``, from which the next supervisor learns what runs if this one is killed."""

    def __init__(self, path: Path, run: str) -> None:
        self._path, self._run = path, run

    def write(self, pids: Iterable[int]) -> None:
        """Replace the file, without fsync: if the machine crashes, the processes end too."""
        identities = (identify(pid) for pid in pids)
        children = tuple((process.pid, process.start_time) for process in identities if process)
        # A full disk must not stop supervision. The name of the run in the environment identifies the processes as well.
        with contextlib.suppress(OSError), replace_file(self._path, sync=False) as file:
            record = Record(procfs.read_boot_id(), identify_directory(self._path.parent), self._run, children)
            file.write(msgspec.json.encode(record))


def read_record(path: Path) -> Record | None:
    """Read ``children.json``; None if it is missing, damaged, of an earlier boot or copied from another directory."""
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
        is_own = (record.boot_id, record.directory) == (procfs.read_boot_id(), identify_directory(path.parent))
    except (OSError, msgspec.DecodeError):
        return None
    return record if is_own else None


def was_killed(path: Path) -> bool:
    """Whether the supervisor that wrote ``path`` ended while services ran; ask before `end_leftovers`."""
    record = read_record(path)
    return record is not None and bool(record.children)


def end_leftovers(path: Path, limit_s: float = 5.0) -> list[int]:
    """Kill what the supervisor that wrote ``path`` left running.

    Call it only while holding the instance lock, which proves that the writer has ended.

    Parameters
    ----------
    path : Path
        Its ``children.json``; nothing is done if `read_record` refuses it.
    limit_s : float
        Longest wait for the processes to end, seconds.

    Returns
    -------
    list of int
        The pids that were killed.
    """
    record = read_record(path)
    if record is None:
        return []
    services = set(record.children)

    def is_leftover(pid: int) -> bool:
        return (pid, procfs.read_start_time(pid)) in services or procfs.read_environment(pid).get(
            RUN_VARIABLE
        ) == record.run

    killed: set[int] = set()
    give_up_at = time.monotonic() + limit_s
    # Repeated until a pass finds none: a process may have forked just before it was killed.
    while time.monotonic() < give_up_at:
        pids = [pid for pid in procfs.list_pids() if pid != os.getpid() and kill_if(pid, is_leftover, wait_s=1.0)]
        if not pids:
            break
        killed.update(pids)
    return sorted(killed)


class ForeignProcesses:
    """The children that this supervisor did not spawn: as a subreaper it becomes the parent of what services leave."""

    def __init__(self, run: str) -> None:
        self._run = run
        # `sh -c 'something & exec run_all_services.py …'`: children from before the exec are left alone.
        self._earlier = set(procfs.list_children(os.getpid()))

    def reap(self, spawned: Collection[int]) -> None:
        """Reap those that have ended, the earlier children included, since no other process can."""
        for pid in procfs.list_children(os.getpid()):
            if pid in spawned:
                continue
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        self._earlier &= set(procfs.list_children(os.getpid()))

    def kill_orphans(self, spawned: Collection[int], find_start_time: Callable[[str], int | None]) -> list[int]:
        """Kill those whose service has ended.

        Parameters
        ----------
        spawned : collection of int
            Pids of the services' present processes.
        find_start_time : callable
            Start time of a service's present process, in ticks since boot, by the service's name; None without one.

        Returns
        -------
        list of int
            The pids that were killed.
        """

        def is_orphan(pid: int) -> bool:
            env, start_time = procfs.read_environment(pid), procfs.read_start_time(pid)
            if start_time is None or env.get(RUN_VARIABLE) != self._run:
                return False
            service_start = find_start_time(env.get(SERVICE_VARIABLE, ""))
            return service_start is None or start_time < service_start

        return [pid for pid in self._list(spawned) if kill_if(pid, is_orphan)]

    def kill_all(self) -> bool:
        """Kill and reap all of them; True when none is left. For the end, when every service has ended."""
        for pid in self._list(()):
            kill_if(pid, lambda _: True)
        self.reap(())
        return not self._list(())

    def _list(self, spawned: Collection[int]) -> list[int]:
        children = procfs.list_children(os.getpid())
        return [pid for pid in children if pid not in spawned and pid not in self._earlier]
