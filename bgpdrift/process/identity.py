"""Which process owns a claim or a lock: pid, start time and boot together, since a pid alone is handed out again.

Reads the kernel's word on a process and nothing else; never signals one. What an owner's death means for what it
owned is decided by those who keep the claims.
"""

import os
from functools import cache
from pathlib import Path

import msgspec

_PROC = Path("/proc")


class Owner(msgspec.Struct, frozen=True):
    """One process, named for all time."""

    pid: int = 0
    start_time: int = 0
    """Clock ticks since boot."""
    boot_id: str = ""

    def __str__(self) -> str:
        return f"pid {self.pid}" if self.pid else "an unknown process"


def this_process() -> Owner:
    """Name the calling process.

    Examples
    --------
    >>> is_alive(this_process()), is_alive(Owner(pid=os.getpid(), start_time=1, boot_id=boot_id()))
    (True, False)
    """
    return Owner(os.getpid(), _start_time(os.getpid()) or 0, boot_id())


def is_alive(owner: Owner) -> bool:
    """Whether that very process still runs; one that only waits to be reaped does not."""
    if owner.pid <= 0 or owner.boot_id != boot_id():
        return False
    return _start_time(owner.pid) == owner.start_time


def of_process(pid: int) -> Owner | None:
    """Name a running process; None if there is none of this pid."""
    started = _start_time(pid)
    return None if started is None else Owner(pid, started, boot_id())


def age_s(owner: Owner) -> float | None:
    """How long that very process has been running, seconds; None if it does not any more.

    By the kernel's count since boot: no clock that anybody sets can make a process look old.

    Examples
    --------
    >>> found = age_s(this_process())
    >>> found is not None and found >= 0.0, age_s(Owner(pid=os.getpid(), start_time=1, boot_id=boot_id()))
    (True, None)
    """
    if not is_alive(owner):
        return None
    uptime = float((_PROC / "uptime").read_text().split()[0])
    return max(0.0, uptime - owner.start_time / os.sysconf("SC_CLK_TCK"))


@cache
def boot_id() -> str:
    """Name this boot of the machine; pids and start times of another boot mean nothing."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _start_time(pid: int) -> int | None:
    try:
        stat = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the name before may itself hold blanks and brackets
    return None if fields[0] in ("Z", "X") else int(fields[19])
