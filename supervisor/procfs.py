"""What the kernel says about processes: when one started, whose child it is, which environment and memory it has.

A pid alone never names a process, since the kernel hands it out again: pid and start time together do, within one boot.
Reads only; a process that has gone, or may not be read, is None.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessId:
    """One process, for as long as this boot lasts."""

    pid: int
    start_time: int
    """Clock ticks since boot."""


def boot_id() -> str:
    """Name this boot of the machine; pids and start times of another boot mean nothing."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def identify(pid: int) -> ProcessId | None:
    """Give the identity of the process that has this pid now; a zombie still has one.

    Examples
    --------
    >>> identify(os.getpid()) == identify(os.getpid())
    True
    """
    fields = _stat_fields(pid)
    return ProcessId(pid, int(fields[19])) if fields else None


def is_zombie(pid: int) -> bool:
    """Whether it has ended and only waits to be reaped."""
    fields = _stat_fields(pid)
    return bool(fields) and fields[0] == "Z"


def parent_of(pid: int) -> int | None:
    """Pid of the parent."""
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else None


def children_of_self() -> list[int]:
    """Pids of our children, also adopted ones and zombies."""
    found: set[int] = set()
    try:
        for task in (_PROC / "self/task").iterdir():
            found.update(int(pid) for pid in (task / "children").read_text().split())
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN, or a thread that just ended
        found = {pid for pid in all_pids() if parent_of(pid) == os.getpid()}
    return sorted(found)


def all_pids() -> Iterator[int]:
    """Every process there is."""
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            yield int(entry.name)


def environment(pid: int) -> dict[str, str]:
    """Give the environment a process was started with; empty for one that has gone or belongs to somebody else."""
    try:
        raw = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (part.partition(b"=") for part in raw.split(b"\0") if part)
    return {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}


def rss_bytes(pid: int) -> int:
    """Resident memory; 0 for a process that has gone."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * PAGE_BYTES
    return 0


def cpu_s(pid: int) -> float:
    """Processor time used so far, user and system; 0 for a process that has gone."""
    fields = _stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def _stat_fields(pid: int) -> list[str]:
    """Give the fields of ``/proc/PID/stat`` after the name, which may itself hold blanks and brackets."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
