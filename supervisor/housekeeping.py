"""Periodic measurements: memory and processor of each service, free disk space, files in the run directory.

This module decides when to measure. `supervisor.supervised` and `bgpdrift.process.disk_space` decide what follows. The disk is
measured on the thread of the log writer, because a disk that hangs must not stop the event loop.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from bgpdrift.clock import Clock
from bgpdrift.process.disk_space import DiskLevel, assess_disk, describe_disk, measure_free_bytes
from bgpdrift.process.pause_watch import OBSERVE_EVERY_S
from bgpdrift.settings import Settings
from supervisor.guard import Guard
from supervisor.journal import Journal
from supervisor.log_capture import LineWriter
from supervisor.log_files import LogFiles
from supervisor.supervised import SupervisedService
from supervisor.usage import Usage, measure_usage

MEASURE_EVERY_S = OBSERVE_EVERY_S
SWEEP_EVERY_S = 5.0
_LOG_LEVELS = {DiskLevel.PLENTY: "info", DiskLevel.LOW: "warning", DiskLevel.RESERVED: "error"}


class Host(Protocol):
    """The supervisor, as housekeeping uses it."""

    @property
    def settings(self) -> Settings:
        """The active settings."""
        ...

    def advance(self) -> None:
        """Act on changed states."""
        ...

    def end_foreign_processes(self) -> None:
        """Reap foreign processes, and kill those whose service has ended."""
        ...

    def observe_pause(self) -> None:
        """Let no service be killed as hung because the whole machine was paused."""
        ...

    def collect_ended(self) -> None:
        """Collect processes whose end could not be handled when it happened."""
        ...

    def restore_run_dir(self) -> None:
        """Create again what was removed from the run directory."""
        ...

    def record_event(self, service: str, event: str, urgent: bool = False, **details: object) -> None:
        """Record an event for the store."""
        ...


class Housekeeping:
    """Tasks beside the event loop's other work, and their last results.

    Parameters
    ----------
    host : Host
        The supervisor.
    units : mapping of str to SupervisedService
        All services.
    restore_control_socket : callable
        Binds the control socket again if it was removed.
    journal, clock, writer, files, guard
        The supervisor's.
    """

    def __init__(
        self,
        host: Host,
        units: Mapping[str, SupervisedService],
        restore_control_socket: Callable[[], Awaitable[None]],
        journal: Journal,
        clock: Clock,
        writer: LineWriter,
        files: LogFiles,
        guard: Guard,
    ) -> None:
        self._host, self._units, self._restore_control_socket = host, units, restore_control_socket
        self._journal, self._clock, self._writer = journal, clock, writer
        self._files, self._guard = files, guard
        self._loop = asyncio.get_running_loop()
        self._usages: dict[int, Usage] = {}
        self._level = DiskLevel.PLENTY
        self._disk_pending = False
        self.disk_problem = ""
        """What is wrong with the disk, for a person; "" for nothing."""

    def start(self) -> list["asyncio.Task[None]"]:
        """Start the tasks; the caller cancels them."""
        measure = self._guard.repeat(MEASURE_EVERY_S, "measure the services", self._measure)
        return [asyncio.create_task(measure), asyncio.create_task(self._sweep())]

    def find_usage(self, pid: int) -> Usage:
        """Return the memory of a process now, and its processor share between the last two measurements."""
        now = self._clock.monotonic()
        before = self._usages.get(pid)
        if before is None or now - before.at >= MEASURE_EVERY_S:
            return measure_usage(pid, now, before)
        fresh = measure_usage(pid, now)
        return Usage(pid, now, fresh.cpu_s, fresh.rss_bytes, before.cpu_percent)

    def _measure(self) -> None:
        self._host.observe_pause()
        now = self._clock.monotonic()
        running = [(unit, unit.process.pid) for unit in self._units.values() if unit.process is not None]
        pids = [os.getpid(), *(pid for _, pid in running)]
        self._usages = {pid: measure_usage(pid, now, self._usages.get(pid)) for pid in pids}
        for unit, pid in running:
            since = unit.end_crashloop()
            if since is not None:
                self._journal.log("info", "service.recovered", name=unit.name)
                self._host.record_event(unit.name, "recovered", urgent=True, since=since, message=unit.message())
            if unit.process is not None and unit.process.pid == pid:
                before = unit.state
                unit.check_memory(self._usages[pid].rss_bytes)
                if unit.state is not before:
                    self._host.advance()

    async def _sweep(self) -> None:
        while True:
            self._guard.run("measure the disk", self._request_disk)
            await asyncio.sleep(SWEEP_EVERY_S)
            self._guard.run("restore the run directory", self._host.restore_run_dir)
            await self._guard.run_async("restore the control socket", self._restore_control_socket)
            self._guard.run("collect ended processes", self._host.collect_ended)
            self._guard.run("end foreign processes", self._host.end_foreign_processes)

    def _request_disk(self) -> None:
        if self._disk_pending:
            return  # the last measurement has not returned yet
        self._disk_pending = True
        path = self._host.settings.data_path

        def measure() -> None:
            free: int | None = None
            try:
                free = measure_free_bytes(path)
            finally:
                self._loop.call_soon_threadsafe(self._handle_disk, free)

        self._writer.call(measure)

    def _handle_disk(self, free: int | None) -> None:
        self._disk_pending = False
        if free is None:
            return
        settings = self._host.settings
        level = assess_disk(free, settings.supervisor.disk_low_bytes, settings.store.reserve_bytes, self._level)
        self.disk_problem = describe_disk(level, free, settings.data_path)
        self._files.drop_services = level is DiskLevel.RESERVED
        if level is DiskLevel.RESERVED:
            self._writer.call(self._files.remove_rotated)
        if level is self._level:
            return
        before, self._level = self._level, level
        details = {"from": str(before), "free_bytes": free, "message": self.disk_problem}
        self._journal.log(_LOG_LEVELS[level], f"disk.{level}", **details)
        self._host.record_event("supervisor", f"disk_{level}", urgent=True, **details)
