"""Processes that nobody waits for: those a service left to us, and those an earlier supervisor left to nobody.

Every process of a run carries the run's random name in its environment, and the services themselves are written down
with pid and start time. A process is ours if one of the two agrees within the same boot; a pid alone is never enough, and
the signal goes through a pidfd taken before the check, so that a pid handed out again in between is not hit.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import msgspec

from supervisor import procfs
from supervisor.procfs import ProcessId

RUN_VARIABLE = "BGPDRIFT_RUN"
SERVICE_VARIABLE = "BGPDRIFT_SERVICE"


class Record(msgspec.Struct, frozen=True):
    """What ``children.json`` holds."""

    boot_id: str
    run: str
    children: tuple[tuple[int, int], ...] = ()
    """Pid and start time of each."""


class ChildRecord:
    """Keeps ``children.json``: what runs, for a successor to find should we be killed."""

    def __init__(self, path: Path, run: str) -> None:
        self._path, self._run, self._boot = path, run, procfs.boot_id()

    def write(self, pids: Iterable[int]) -> None:
        """Replace the file; no fsync, since a crash of the machine ends all processes anyway."""
        known = (procfs.identify(pid) for pid in pids)
        children = tuple((process.pid, process.start_time) for process in known if process)
        staged = self._path.with_suffix(".tmp")
        # A full disk must not stop supervision: the run's name in the environment finds them all the same.
        with contextlib.suppress(OSError):
            staged.write_bytes(msgspec.json.encode(Record(self._boot, self._run, children)))
            staged.replace(self._path)


def was_killed(path: Path) -> bool:
    """Whether the supervisor that wrote ``path`` ended with services running; ask before `sweep`."""
    try:
        return bool(msgspec.json.decode(path.read_bytes(), type=Record).children)
    except (OSError, msgspec.DecodeError):
        return False


def sweep(path: Path, limit_s: float = 5.0) -> list[int]:
    """End what the supervisor that wrote ``path`` left running.

    Call only while holding the instance lock: it says that the writer is gone.

    Parameters
    ----------
    path : Path
        Its ``children.json``; missing or damaged means nothing was left, or nothing can be known.
    limit_s : float
        Longest wait for the processes to be gone; seconds.

    Returns
    -------
    list of int
        Pids that were ended.
    """
    try:
        record = msgspec.json.decode(path.read_bytes(), type=Record)
    except (OSError, msgspec.DecodeError):
        return []
    if record.boot_id != procfs.boot_id():
        return []
    listed = {ProcessId(pid, start_time) for pid, start_time in record.children}

    def is_left_over(pid: int) -> bool:
        return procfs.identify(pid) in listed or procfs.environment(pid).get(RUN_VARIABLE) == record.run

    ended: list[int] = []
    give_up_at = time.monotonic() + limit_s
    # Again until a round finds none: one that is ended may have forked a moment before.
    while time.monotonic() < give_up_at:
        found = [pid for pid in procfs.all_pids() if pid != os.getpid() and kill_if(pid, is_left_over, wait_s=1.0)]
        if not found:
            break
        ended += found
    return sorted(set(ended))


def kill_if(pid: int, is_ours: Callable[[int], bool], wait_s: float = 0.0) -> bool:
    """KILL a living process if it is ours; True if it was."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_ours(pid) or procfs.is_zombie(pid):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        if wait_s:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            poll.poll(int(wait_s * 1000))
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        os.close(pidfd)
    return True


class Adopted:
    """The children we did not spawn: as subreaper we inherit what services leave behind."""

    def __init__(self, run: str) -> None:
        self._run = run
        # `sh -c 'something & exec run_all_services.py …'`: children before our time are not ours to end.
        self._not_ours = set(procfs.children_of_self())

    def reap(self, spawned: Collection[int]) -> None:
        """Bury what has ended, those from before our time included: nobody else can."""
        for pid in procfs.children_of_self():
            if pid in spawned:
                continue
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
        self._not_ours &= set(procfs.children_of_self())

    def kill(self, spawned: Collection[int], running_since: Callable[[str], int | None]) -> list[int]:
        """KILL adopted processes whose service has ended.

        Parameters
        ----------
        spawned : collection of int
            Pids of the services' present processes.
        running_since : callable
            Start time, in ticks since boot, of a service's present process by service name; None without one.

        Returns
        -------
        list of int
            Pids that were signalled.
        """

        def is_left_behind(pid: int) -> bool:
            env = procfs.environment(pid)
            process = procfs.identify(pid)
            if process is None or env.get(RUN_VARIABLE) != self._run:
                return False
            since = running_since(env.get(SERVICE_VARIABLE, ""))
            return since is None or process.start_time < since

        return [pid for pid in self._strangers(spawned) if kill_if(pid, is_left_behind)]

    def kill_all(self) -> bool:
        """KILL and bury whatever we inherited; True when nothing is left. For the end, when every service is gone."""
        left = self._strangers(())
        for pid in left:
            kill_if(pid, lambda _: True)
        self.reap(())
        return not self._strangers(())

    def _strangers(self, spawned: Collection[int]) -> list[int]:
        return [pid for pid in procfs.children_of_self() if pid not in spawned and pid not in self._not_ours]
