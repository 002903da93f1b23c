"""The faults of the soak: each disturbs the running system for a while and leaves it as it was.

This module decides what a fault does to processes, database and disk. `benchmarks.soak` decides when which one happens and
what must hold afterwards.
"""

import contextlib
import os
import random
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

LOCK_S, FULL_S, PAUSE_S, PAUSE_ALL_S = (1.0, 45.0), (5.0, 30.0), (2.0, 25.0), (32.0, 45.0)
"""Shortest and longest fault, seconds. The watchdog allows 30 s: a paused service is younger, a paused machine older."""
REFUSED_BEYOND_BYTES = 4_096
"""Without a file system of its own, no file may grow beyond this size while the disk counts as full."""


@contextlib.contextmanager
def mount_small_disk(place: Path, size_mib: int) -> Iterator[bool]:
    """Mount a file system of limited size, for the length of the block; False where that is not permitted."""
    place.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0750", "tmpfs", str(place)]
    is_mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


class Faults:
    """Disturbs the system of one data directory.

    Parameters
    ----------
    data : Path
        The data directory.
    owns_disk : bool
        Whether the data directory is a file system of its own, which may be filled.
    rng : random.Random
        Chooses durations and services.
    """

    def __init__(self, data: Path, owns_disk: bool, rng: random.Random) -> None:
        self._data, self._owns_disk, self._rng = data, owns_disk, rng

    def refuse_writes(self) -> str:
        """Hold the lock of the database: every other write is refused after ``store.busy_timeout_s``."""
        seconds = self._rng.uniform(*LOCK_S)
        with contextlib.closing(sqlite3.connect(self._data / "bgpdrift.sqlite3", timeout=30.0)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.rollback()
        return f"writes refused for {seconds:.0f} s"

    def fill_disk(self, pids: Mapping[str, int]) -> str:
        """Let no file grow: fill the file system, or limit the file size of the processes."""
        seconds = self._rng.uniform(*FULL_S)
        if self._owns_disk:
            with self._filled_disk():
                time.sleep(seconds)
        else:
            with _limited_file_size(pids.values()):
                time.sleep(seconds)
        return f"disk full for {seconds:.0f} s"

    def pause_service(self, pids: Mapping[str, int]) -> str:
        """Stop one process for less than its watchdog allows."""
        name, seconds = self._rng.choice(sorted(pids)), self._rng.uniform(*PAUSE_S)
        with _stopped([pids[name]]):
            time.sleep(seconds)
        return f"{name} paused for {seconds:.0f} s"

    def pause_machine(self, supervisor: int, pids: Mapping[str, int]) -> str:
        """Stop all processes for longer than the watchdog allows, as the pause of a machine does."""
        seconds = self._rng.uniform(*PAUSE_ALL_S)
        with _stopped([supervisor, *pids.values()]):
            time.sleep(seconds)
        return f"everything paused for {seconds:.0f} s"

    def kill_service(self, pids: Mapping[str, int]) -> str:
        """Kill one process."""
        name = self._rng.choice(sorted(pids))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids[name], signal.SIGKILL)
        return f"{name} killed"

    @contextlib.contextmanager
    def _filled_disk(self) -> Iterator[None]:
        ballast = self._data / "ballast"
        try:
            with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(bytes(1 << 20)):
                    pass
            yield
        finally:
            ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    try:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in reversed(pids):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@contextlib.contextmanager
def _limited_file_size(pids: Iterable[int]) -> Iterator[None]:
    before: dict[int, tuple[int, int]] = {}
    try:
        for pid in pids:
            with contextlib.suppress(OSError):
                before[pid] = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (REFUSED_BEYOND_BYTES, before[pid][1]))
        yield
    finally:
        for pid, limits in before.items():
            with contextlib.suppress(OSError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
