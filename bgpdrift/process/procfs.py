"""Reads ``/proc``: the start time, parent, environment, memory and processor time of a process.

A process that has ended, or that this user may not read, gives an empty value. Nothing here sends a signal.
"""

import contextlib
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
CLOCK_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@cache
def read_boot_id() -> str:
    """Return the identifier of this boot; pids and start times of another boot mean nothing."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def read_uptime_s() -> float:
    """Return the seconds since boot; no change of the wall clock affects them."""
    return float((_PROC / "uptime").read_text().split()[0])


def read_start_time(pid: int) -> int | None:
    """Return the clock ticks from boot to the start of a process; None if there is none. A zombie still has one."""
    fields = _stat_fields(pid)
    return int(fields[19]) if fields else None


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    fields = _stat_fields(pid)
    return bool(fields) and fields[0] not in ("Z", "X")


def is_hidden(pid: int) -> bool:
    """Whether a process exists that ``/proc`` does not show to this user, as with its mount option ``hidepid``."""
    if (_PROC / str(pid)).exists():
        return False
    try:
        os.kill(pid, 0)  # no signal, only the check of permissions
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def read_parent(pid: int) -> int | None:
    """Return the pid of the parent; None for a process that has ended."""
    fields = _stat_fields(pid)
    return int(fields[1]) if fields else None


def list_children(pid: int) -> list[int]:
    """Return the pids of the children of a process, adopted ones and zombies included."""
    children: set[int] = set()
    try:
        for task in (_PROC / str(pid) / "task").iterdir():
            children.update(int(child) for child in (task / "children").read_text().split())
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN, or a thread that has just ended
        children = {other for other in list_pids() if read_parent(other) == pid}
    return sorted(children)


def list_descendants(pid: int) -> list[int]:
    """Return the pids of the children of a process, of their children, and so on."""
    descendants: list[int] = []
    pending = [pid]
    while pending:
        children = [child for child in list_children(pending.pop()) if child not in descendants]
        descendants += children
        pending += children
    return descendants


def list_pids() -> Iterator[int]:
    """Yield the pid of every process."""
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            yield int(entry.name)


def read_environment(pid: int) -> dict[str, str]:
    """Return the environment a process was started with; empty for one that has ended or belongs to another user."""
    try:
        raw = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (part.partition(b"=") for part in raw.split(b"\0") if part)
    return {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}


def read_rss_bytes(pid: int) -> int:
    """Return the resident memory of a process; 0 for one that has ended."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * PAGE_BYTES
    return 0


def read_cpu_s(pid: int) -> float:
    """Return the processor time used so far, user and system, in seconds; 0 for a process that has ended."""
    fields = _stat_fields(pid)
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS_PER_S if fields else 0.0


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` after the name, which may itself contain blanks and brackets."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()
