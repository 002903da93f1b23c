"""The identity of a process: pid, start time and boot together. A pid alone is reused by the kernel.

This module never sends a signal. The module that owns a claim or a lock decides what the end of its process means.
"""

import os

import msgspec

from bgpdrift.process import procfs


class ProcessIdentity(msgspec.Struct, frozen=True):
    """One process, distinct from every earlier and later process."""

    pid: int = 0
    start_time: int = 0
    """Clock ticks since boot."""
    boot_id: str = ""

    def __str__(self) -> str:
        return f"pid {self.pid}" if self.pid else "an unknown process"


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of the process that has this pid now; None if there is none. A zombie still has one."""
    start_time = procfs.read_start_time(pid)
    return None if start_time is None else ProcessIdentity(pid, start_time, procfs.read_boot_id())


def identify_self() -> ProcessIdentity:
    """Return the identity of the calling process.

    Examples
    --------
    >>> me = identify_self()
    >>> is_alive(me), is_alive(ProcessIdentity(me.pid, me.start_time + 1, me.boot_id))
    (True, False)
    """
    return identify(os.getpid()) or ProcessIdentity(os.getpid(), 0, procfs.read_boot_id())


def is_alive(process: ProcessIdentity) -> bool:
    """Whether this very process still runs; a zombie does not."""
    return process.pid > 0 and identify(process.pid) == process and procfs.is_running(process.pid)


def measure_age_s(process: ProcessIdentity) -> float | None:
    """Return the seconds since a process started, by the kernel's clock; None if it no longer runs.

    Examples
    --------
    >>> age_s = measure_age_s(identify_self())
    >>> age_s is not None and age_s >= 0.0, measure_age_s(ProcessIdentity())
    (True, None)
    """
    if not is_alive(process):
        return None
    return max(0.0, procfs.read_uptime_s() - process.start_time / procfs.CLOCK_TICKS_PER_S)
