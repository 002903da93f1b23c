"""What is looked at from time to time: memory and processor of each service, the disk, the control socket, strays.

Decides only when; what follows from what was seen is decided by `supervisor.supervised` and `supervisor.disk_watch`.
The disk is asked on the log writer's thread: one that hangs must not stop the wheel.
"""

import asyncio
import os
from typing import TYPE_CHECKING

from bgpdrift.clock import Clock
from bgpdrift.process.sd_notify import Notifier
from supervisor.control import ControlServer
from supervisor.disk_watch import DiskLevel, disk_level, explain, free_bytes
from supervisor.log_capture import LineWriter
from supervisor.log_files import LogFiles
from supervisor.usage import Usage, look

if TYPE_CHECKING:
    from supervisor.loop import Supervisor

LOOK_EVERY_S = 2.0
SWEEP_EVERY_S = 5.0


class Housekeeping:
    """Tasks beside the wheel, and what they saw last."""

    def __init__(
        self,
        supervisor: "Supervisor",
        control: ControlServer,
        outward: Notifier,
        clock: Clock,
        disk: LineWriter,
        files: LogFiles,
    ) -> None:
        self._supervisor, self._control, self._outward, self._clock = supervisor, control, outward, clock
        self._disk, self._files = disk, files
        self._loop = asyncio.get_running_loop()
        self._usages: dict[int, Usage] = {}
        self._level = DiskLevel.PLENTY
        self._asked_disk = False
        self.trouble = ""
        """What is wrong with the disk, for a person; empty when nothing is."""

    def start(self, foreground: bool) -> list["asyncio.Task[None]"]:
        """Begin; the caller cancels the tasks."""
        tasks = [asyncio.create_task(self._look()), asyncio.create_task(self._sweep())]
        period_s = outer_pulse_s(dict(os.environ)) if foreground else None
        if period_s:
            tasks.append(asyncio.create_task(self._outer_watchdog(period_s)))
        return tasks

    def usage(self, pid: int) -> Usage:
        """Give memory now, and the processor share of the last two looks."""
        now = self._clock.monotonic()
        before = self._usages.get(pid)
        if before is None or now - before.at >= LOOK_EVERY_S:
            return look(pid, now, before)
        fresh = look(pid, now)
        return Usage(pid, now, fresh.cpu_s, fresh.rss_bytes, before.cpu_percent)

    async def _look(self) -> None:
        while True:
            now = self._clock.monotonic()
            units = [unit for unit in self._supervisor.units.values() if unit.process is not None]
            pids = [os.getpid(), *(unit.process.pid for unit in units if unit.process is not None)]
            self._usages = {pid: look(pid, now, self._usages.get(pid)) for pid in pids}
            for unit in units:
                since = unit.crashloop_since
                if unit.has_recovered():
                    self._supervisor.recovered(unit, since)
                if unit.process is not None:
                    before = unit.state
                    unit.weigh(self._usages[unit.process.pid].rss_bytes)
                    if unit.state is not before:
                        self._supervisor.advance()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _sweep(self) -> None:
        while True:
            self._ask_disk()
            await asyncio.sleep(SWEEP_EVERY_S)
            try:
                self._supervisor.keep_run_dir()
                await self._control.ensure()
            except OSError as error:
                self._supervisor.journal.log("error", "run_dir.not_kept", error=str(error))
            self._supervisor.strangers()

    def _ask_disk(self) -> None:
        if self._asked_disk:
            return  # it has not answered yet
        self._asked_disk = True
        path = self._supervisor.settings.data_path

        def ask() -> None:
            free: int | None = None
            try:
                free = free_bytes(path)
            finally:
                self._loop.call_soon_threadsafe(self._disk_answered, free)

        self._disk.call(ask)

    def _disk_answered(self, free: int | None) -> None:
        self._asked_disk = False
        if free is None:
            return
        settings = self._supervisor.settings
        low, reserve = settings.supervisor.disk_low_bytes, settings.store.reserve_bytes
        level = disk_level(free, low, reserve, self._level)
        self.trouble = explain(level, free, settings.data_path)
        self._files.gives_way = level is DiskLevel.RESERVED
        if level is DiskLevel.RESERVED:
            self._disk.call(self._files.make_room)
        if level is self._level:
            return
        before, self._level = self._level, level
        how_bad = {"plenty": "info", "low": "warning", "reserved": "error"}[level]
        details = {"from": str(before), "free_bytes": free, "message": self.trouble}
        self._supervisor.journal.log(how_bad, f"disk.{level}", **details)
        self._supervisor.event("supervisor", f"disk_{level}", urgent=True, **details)

    async def _outer_watchdog(self, period_s: float) -> None:
        """Show an outer manager that this loop turns; it stops when the loop does."""
        while True:
            self._outward.send(WATCHDOG="1")
            await asyncio.sleep(period_s)


def outer_pulse_s(env: dict[str, str]) -> float | None:
    """Give half of what an outer manager allows between two signs of life, if it wants them of this process; seconds.

    Examples
    --------
    >>> outer_pulse_s({"WATCHDOG_USEC": "30000000"}), outer_pulse_s({}), outer_pulse_s({"WATCHDOG_USEC": "soon"})
    (15.0, None, None)
    >>> outer_pulse_s({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}) if os.getpid() != 1 else None
    """
    wanted, whose = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", str(os.getpid()))
    return int(wanted) / 2e6 if wanted.isdigit() and int(wanted) and whose == str(os.getpid()) else None
