"""What a benchmark started, found again by a mark in its environment, however far it has gone; and what one process uses.

Reads ``/proc``. Ends processes only through a pidfd taken before the mark was read, so never anybody else's.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

MARK = "BENCH_MANAGERS_MARK"
"""Variable whose random value all processes of one benchmark carry."""
CHILD = "manager_child.py"
_PROC = Path("/proc")


def marked(mark: str) -> list[int]:
    """Pids of living processes with the mark, ourselves left out."""
    wanted = f"{MARK}={mark}".encode()
    return [pid for pid in _pids() if pid != os.getpid() and wanted in _read(pid, "environ").split(b"\0")]


def fleet(mark: str) -> dict[str, list[int]]:
    """Pids of the fleet's living programs, by the name each was given."""
    found: dict[str, list[int]] = {}
    for pid in marked(mark):
        words = words_of(pid)
        place = next((index for index, word in enumerate(words) if word.endswith(CHILD)), None)
        if place is not None:
            found.setdefault(words[place + 1], []).append(pid)
    return found


def words_of(pid: int) -> list[str]:
    """Give its command line; empty for one that has gone."""
    return _read(pid, "cmdline").decode(errors="replace").split("\0")


def children_of(pid: int) -> set[int]:
    """Pids of its children, whichever of its threads made them."""
    found: set[int] = set()
    with contextlib.suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                found.update(int(child) for child in (task / "children").read_text().split())
    return found


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie does not."""
    stat = _read(pid, "stat").rpartition(b")")[2].split()
    return bool(stat) and stat[0] != b"Z"


def resident_mib(pid: int) -> float:
    """Resident memory."""
    return int(_read(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def cpu_s(pid: int) -> float:
    """Processor time of all its threads, from the scheduler's own count in nanoseconds: ticks of 10 ms are too coarse."""
    tasks = (_PROC / str(pid) / "task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def end_all(mark: str, limit_s: float = 10.0) -> None:
    """KILL every process with the mark, again until none is found."""
    give_up_at = time.monotonic() + limit_s
    while (found := marked(mark)) and time.monotonic() < give_up_at:
        for pid in found:
            with contextlib.suppress(OSError):
                pidfd = os.pidfd_open(pid)
                try:
                    if f"{MARK}={mark}".encode() in _read(pid, "environ"):
                        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                finally:
                    os.close(pidfd)
        time.sleep(0.02)
    if found:
        raise RuntimeError(f"not ended after {limit_s:g} s: {found}")


def _pids() -> list[int]:
    return [int(entry.name) for entry in os.scandir(_PROC) if entry.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return (_PROC / str(pid) / name).read_bytes()
    except OSError:
        return b""
