"""The identity of a process: pid, start time and boot together. A pid alone is reused by the kernel.

A record of a process in a file or in the store also names the directory to which it belongs. In a copy of that directory
the record names another directory, so that nothing acts on the processes of the original. This module never sends a
signal. The module that owns a claim or a lock decides what the end of its process means.
"""

import os
from pathlib import Path

import msgspec
from msgspec.structs import replace

from bgpdrift.process import procfs

DirectoryIdentity = tuple[int, int]
"""Device and inode."""
NO_DIRECTORY: DirectoryIdentity = (0, 0)


class ProcessIdentity(msgspec.Struct, frozen=True):
    """One process, distinct from every earlier and later process."""

    pid: int = 0
    start_time: int = 0
    """Clock ticks since boot."""
    boot_id: str = ""
    directory: DirectoryIdentity = NO_DIRECTORY
    """The directory in which the process is recorded, see `record`."""

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


def identify_directory(directory: Path) -> DirectoryIdentity:
    """Return device and inode of a directory, `NO_DIRECTORY` if there is none."""
    try:
        stat = directory.stat()
    except OSError:
        return NO_DIRECTORY
    return stat.st_dev, stat.st_ino


def record(process: ProcessIdentity, directory: Path) -> ProcessIdentity:
    """Return the identity to write into a record that belongs to ``directory``."""
    return replace(process, directory=identify_directory(directory))


def is_alive(process: ProcessIdentity) -> bool:
    """Whether this very process still runs; a zombie does not.

    A process that exists and that ``/proc`` hides from this user (``hidepid``) counts as running: its start time is unknown,
    and the work of a process that runs must not be given to another one.
    """
    if process.pid <= 0 or process.boot_id != procfs.read_boot_id():
        return False
    start_time = procfs.read_start_time(process.pid)
    if start_time is None:
        return procfs.is_hidden(process.pid)
    return start_time == process.start_time and procfs.is_running(process.pid)


def is_alive_in(process: ProcessIdentity, directory: Path) -> bool:
    """Whether a recorded process still runs and works in ``directory``, and not in one of which it is a copy."""
    return process.directory == identify_directory(directory) and is_alive(process)


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
