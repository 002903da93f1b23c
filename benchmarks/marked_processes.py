"""Finds the processes that a benchmark started, by a mark in their environment, and measures them.

It reads ``/proc``. A process is killed through a pidfd that was opened before the mark was read, so that no other process is hit.
"""

import os
import time
from pathlib import Path

from bgpdrift.process import procfs
from bgpdrift.process.child import kill_if

MARK = "BENCH_MANAGERS_MARK"
"""Environment variable with a random value that all processes of one benchmark inherit."""
CHILD = "manager_child.py"
_PROC = Path("/proc")


def marked(mark: str) -> list[int]:
    """Return the pids of running processes with the mark, except this one."""
    pids = (pid for pid in procfs.list_pids() if pid != os.getpid())
    return [pid for pid in pids if procfs.read_environment(pid).get(MARK) == mark]


def fleet(mark: str) -> dict[str, list[int]]:
    """Return the pids of the running programs of the fleet, by name."""
    found: dict[str, list[int]] = {}
    for pid in marked(mark):
        words = words_of(pid)
        place = next((index for index, word in enumerate(words) if word.endswith(CHILD)), None)
        if place is not None:
            found.setdefault(words[place + 1], []).append(pid)
    return found


def words_of(pid: int) -> list[str]:
    """Return the command line of a process; empty for one that has ended."""
    return _read(pid, "cmdline").decode(errors="replace").split("\0")


def children_of(pid: int) -> set[int]:
    """Return the pids of the children of all threads of a process."""
    return set(procfs.list_children(pid))


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    return procfs.is_running(pid)


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process, MiB."""
    return procfs.read_rss_bytes(pid) / 2**20


def cpu_s(pid: int) -> float:
    """Return the processor time of all threads from the scheduler's count in nanoseconds; ticks of 10 ms are too coarse."""
    tasks = (_PROC / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def end_all(mark: str, limit_s: float = 10.0) -> None:
    """Kill every process with the mark, and repeat until none is found."""
    give_up_at = time.monotonic() + limit_s
    while (found := marked(mark)) and time.monotonic() < give_up_at:
        for pid in found:
            kill_if(pid, lambda pid: procfs.read_environment(pid).get(MARK) == mark)
        time.sleep(0.02)
    if found:
        raise RuntimeError(f"not ended after {limit_s:g} s: {found}")


def _read(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
