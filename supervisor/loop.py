"""The supervisor: joins processes, sockets, signals and clocks on one event loop, and acts on what happens.

Everything runs on one thread, and nothing waits for a disk, a child or a client. `supervisor.supervised` decides what an
event means for a service, `services` in which order services start, `sequencer` in which order they stop or restart.
Operators' requests are `operations` and `commands`; periodic measurements are `housekeeping`.
"""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Callable
from typing import Any

from bgpdrift.clock import Clock, SystemClock
from bgpdrift.errors import SettingsError
from bgpdrift.process.child import Child
from bgpdrift.process.parent import adopt_orphans
from bgpdrift.process.pause_watch import PauseWatch
from bgpdrift.process.sd_notify import Notifier
from bgpdrift.settings import Settings
from supervisor.active_settings import ActiveSettings
from supervisor.commands import Commands
from supervisor.control import ControlServer
from supervisor.control_address import SOCKET_NAME
from supervisor.desired_state import DesiredState
from supervisor.event_recorder import RECORDER, EventRecorder
from supervisor.guard import Guard
from supervisor.housekeeping import Housekeeping
from supervisor.journal import Journal
from supervisor.lifecycle import UP, State
from supervisor.log_capture import LineWriter
from supervisor.log_files import LogFiles
from supervisor.operations import Operations
from supervisor.output import redirect_own_output, summarize_line, write_to_stdout
from supervisor.policies import build_limits, build_log_limits, build_restart_policy, check_service_names
from supervisor.preparation import PREPARER, Preparation
from supervisor.process_control import ProcessControl
from supervisor.sequencer import Sequencer
from supervisor.services import Service, System, may_start
from supervisor.snapshot import take_snapshot
from supervisor.status import Status
from supervisor.supervised import SupervisedService
from supervisor.upstream import UpstreamNotifier, find_watchdog_interval_s

_LEFTOVERS_LIMIT_S = 3.0
_REPEAT_FAILED_S = 1.0
"""Wait before a failed step is repeated."""
_LOG_LEVELS = {
    State.DEGRADED: "warning",
    State.BACKOFF: "warning",
    State.ABORTING: "warning",
    State.RECYCLING: "warning",
    State.CRASHLOOP: "error",
}


class Supervisor:
    """Runs a `System` until it is stopped. Build and run it on the main thread; nothing starts before `run`.

    Parameters
    ----------
    system : System
        The programs.
    settings : Settings
        Directories and limits.
    run : str
        A random name of this run, by which its processes are recognized.
    foreground : bool
        Whether all log lines are copied to standard output and a manager is notified.
    clock : Clock, optional
        Default the system's.
    on_listening : callable
        Called when the control socket accepts connections.
    predecessor_killed : bool
        Whether the supervisor before this one was killed.
    restore_lock : callable
        Creates the lock file again if it was removed.
    unprepared : str
        Why the store is not prepared yet; "" if it is.
    """

    def __init__(
        self,
        system: System,
        settings: Settings,
        run: str,
        foreground: bool = False,
        clock: Clock | None = None,
        on_listening: Callable[[], None] = lambda: None,
        predecessor_killed: bool = False,
        restore_lock: Callable[[], None] = lambda: None,
        unprepared: str = "",
    ) -> None:
        self._system, self._run, self._on_listening, self._foreground = system, run, on_listening, foreground
        self._predecessor_killed, self._restore_lock = predecessor_killed, restore_lock
        self._clock = clock or SystemClock()
        self._started_at = self._clock.monotonic()
        self._run_dir = settings.data_path / "run"
        self._active = ActiveSettings(settings, self._run_dir, check=lambda new: check_service_names(new, system.names))
        self._desired = DesiredState(settings.state_path / "desired.json")
        self._units = {
            service.name: SupervisedService(
                service,
                build_limits(settings, service),
                build_restart_policy(settings),
                self._clock,
                self._spawn,
                random.random,
                self._handle_change,
            )
            for service in system.services
        }
        self._launch_settings: dict[str, Settings] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._pause_watch = PauseWatch(self._clock)
        self._preparation = Preparation(unprepared, self._clock)

    @property
    def settings(self) -> Settings:
        """The active settings."""
        return self._active.current

    def run(self) -> int:
        """Run until stopped; returns the exit code."""
        adopt_orphans()
        on_own_open = (lambda _: None) if self._foreground else redirect_own_output
        log_limits, total_bytes = build_log_limits(self.settings), self.settings.supervisor.log_total_bytes
        self._files = LogFiles(self.settings.logs_path, log_limits, total_bytes, on_own_open)
        self._writer = LineWriter(self._files.write)
        self._writer.call(self._files.enforce_cap)
        self._stdout = LineWriter(write_to_stdout) if self._foreground else None
        self._journal = Journal(self._put, self._clock, self.settings.logs.level, self.settings.logs.form)
        try:
            asyncio.run(self._main())
        finally:
            self._writer.close()
            if self._stdout:
                self._stdout.close()
        return 0

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._build()
        self._loop.set_exception_handler(self._log_bug)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._handle_signal, number)
        self._loop.add_signal_handler(
            signal.SIGCHLD, self._guard.run, "end foreign processes", self.end_foreign_processes
        )
        try:
            self._active.create_copy()
        except (SettingsError, OSError) as error:
            # The settings that were read a moment ago are active; only the copy for services that crash is missing.
            self._journal.log("warning", "settings.copy_failed", error=str(error))
        # Without a socket the services run, and housekeeping binds it as soon as it can.
        await self._guard.run_async("bind the control socket", self._control_socket.start)
        self._journal.log("info", "supervisor.started", pid=os.getpid(), data_dir=str(self.settings.data_path))
        if self._predecessor_killed:
            self._journal.log("warning", "supervisor.was_killed")
            self.record_event("supervisor", "was_killed", message="the supervisor before this one was killed")
        self._on_listening()
        stopped = self._desired.read_stopped(self._units)
        for name, unit in self._units.items():
            if name not in stopped:
                unit.start()
        self.advance()
        tasks = self._housekeeping.start()
        interval_s = find_watchdog_interval_s(os.environ) if self._foreground else None
        if interval_s:
            report = self._guard.repeat(interval_s, "report to the manager", self._upstream.report_alive)
            tasks.append(asyncio.create_task(report))
        try:
            await self._done.wait()
        finally:
            for task in tasks:
                task.cancel()
            await self._end()

    def _build(self) -> None:
        programs = ((RECORDER, self._system.record), (PREPARER, self._system.prepare))
        names = (*self._units, *(name for name, command in programs if command))
        self._guard = Guard(self._journal)
        self._control = ProcessControl(
            names, self._run_dir, self._run, self._put, self._handle_messages, self._handle_exit, self._guard
        )
        self._upstream = UpstreamNotifier(Notifier() if self._foreground else Notifier({}))
        self._sequencer = Sequencer(self._units, self._system.services, self._journal, self._clock)
        self._operations = Operations(
            self._units,
            self._launch_settings,
            self._control.kill,
            self.advance,
            settings=self._active,
            desired=self._desired,
            sequencer=self._sequencer,
            upstream=self._upstream,
            journal=self._journal,
            clock=self._clock,
            writer=self._writer,
            files=self._files,
        )
        self._commands = Commands(
            self._operations,
            self._units,
            self._sequencer,
            self._take_snapshot,
            self._control.read_last_lines,
            self._clock,
        )
        self._control_socket = ControlServer(self._run_dir / SOCKET_NAME, self._commands.reply)
        variables = self._active.build_variables
        self._recorder = EventRecorder(
            self._system.record, self._control, self._writer, self._journal, self._clock, variables
        )
        self._housekeeping = Housekeeping(
            self,
            self._units,
            self._control_socket.restore,
            self._journal,
            self._clock,
            self._writer,
            self._files,
            self._guard,
        )

    async def _end(self) -> None:
        """Kill what is left, and close everything."""
        give_up_at = self._clock.monotonic() + _LEFTOVERS_LIMIT_S
        is_clean = False
        while not is_clean and self._clock.monotonic() < give_up_at:
            try:
                is_clean = self._control.kill_everything()
            except OSError as error:
                self._guard.count("kill what is left", error)
            await asyncio.sleep(0.0 if is_clean else 0.01)
        self._journal.log("info", "supervisor.stopped", uptime_s=round(self._uptime_s(), 1))
        for part in (self._control_socket, self._upstream, self._control):
            self._guard.run("close", part.close)

    def advance(self) -> None:
        """Do all that is possible now, then set one timer for the next deadline."""
        deadlines = [] if self._guard.run("advance", self._act) else [self._clock.monotonic() + _REPEAT_FAILED_S]
        patience_s = self.settings.supervisor.stop_grace_s / 10.0
        deadlines += [deadline for unit in self._units.values() if (deadline := unit.deadline()) is not None]
        others = (
            None if self._operations.is_stopping else self._recorder.deadline(),
            None if self._operations.is_stopping else self._preparation.deadline(),
            self._sequencer.deadline(patience_s),
        )
        deadlines += [deadline for deadline in others if deadline is not None]
        if self._timer:
            self._timer.cancel()
        if deadlines:
            self._timer = self._loop.call_later(max(0.0, min(deadlines) - self._clock.monotonic()), self._tick)

    def _act(self) -> None:
        """Do all that is possible now."""
        patience_s = self.settings.supervisor.stop_grace_s / 10.0
        is_stopping = self._operations.is_stopping
        self._sequencer.advance(patience_s)
        is_prepared = self._is_prepared(is_stopping)
        for unit in self._units.values():
            if unit.state is State.WAITING and is_prepared and may_start(unit.service, self._list_settled()):
                unit.launch()
        if is_stopping and all(unit.state is State.STOPPED for unit in self._units.values()):
            self._done.set()
        if is_prepared:
            self._recorder.advance()
        self._report_upstream()
        self._commands.wake()

    def _is_prepared(self, is_stopping: bool) -> bool:
        """Whether services may start now; begins an attempt to prepare the store that is due."""
        if not is_stopping and self._preparation.begin():
            try:
                self._control.spawn(Service(PREPARER, self._system.prepare), **self._active.build_variables())
            except OSError as error:
                self._preparation.end(str(error))
        return not is_stopping and self._preparation.is_done

    def end_foreign_processes(self) -> None:
        """Reap foreign processes, and kill those whose service has ended."""
        for pid in self._control.end_foreign_processes():
            self._journal.log("warning", "orphan.killed", pid=pid)

    def collect_ended(self) -> None:
        """Collect processes whose end could not be handled when it happened."""
        self._control.collect_ended()

    def restore_run_dir(self) -> None:
        """Create again what was removed from the run directory.

        Raises
        ------
        OSError
            The disk is full or fails.
        """
        self._restore_lock()
        if self._active.restore_copy():
            self._journal.log("warning", "settings.copy_restored")
        if missing := self._control.restore_sockets():
            self._journal.log("warning", "sockets.restored", services=missing)

    def record_event(self, service: str, event: str, urgent: bool = False, **details: object) -> None:
        """Record an event for the store's ``service_events``."""
        self._journal.record_service_event(service, event, **details)
        self._recorder.add_event(urgent)

    def _list_settled(self) -> set[str]:
        """Return the services for which later ones do not wait."""
        return {name for name, unit in self._units.items() if unit.first_attempt_over or unit.state is State.STOPPED}

    def observe_pause(self) -> None:
        """Let no service be killed as hung because the whole machine was paused."""
        paused_s = self._pause_watch.observe()
        if paused_s:
            self._journal.log("warning", "supervisor.paused", seconds=round(paused_s, 1))
            for unit in self._units.values():
                unit.handle_pause(paused_s)

    def _tick(self) -> None:
        self.observe_pause()
        now = self._clock.monotonic()
        for name, unit in self._units.items():
            deadline = unit.deadline()
            if deadline is not None and now >= deadline:
                # The supervisor itself may have been suspended: messages that arrived meanwhile count first.
                self._guard.run(f"read messages of {name}", self._read_messages, name)
                self._guard.run(f"tick {name}", unit.tick)
        self.advance()

    def _spawn(self, service: Service) -> Child:
        self._launch_settings[service.name] = self.settings
        watchdog_us = int(self.settings.supervisor.watchdog_s * 1e6)
        return self._control.spawn(service, WATCHDOG_USEC=str(watchdog_us), **self._active.build_variables())

    def _handle_signal(self, number: int) -> None:
        # HUP reloads the settings, unless it comes from a terminal that was closed, which ends what runs on it.
        if number == signal.SIGHUP and not self._operations.is_stopping and not _is_on_terminal():
            with contextlib.suppress(SettingsError, OSError):  # the refusal is in the log
                self._operations.reload()
        else:
            reason = f"signal {signal.Signals(number).name}"
            self._operations.stop_all(reason, now=self._operations.is_stopping)

    def _handle_messages(self, name: str) -> None:
        if name not in self._units:
            self._control.read_messages(name)
            return
        before = self._units[name].state
        self._read_messages(name)
        if self._units[name].state is not before:
            self.advance()

    def _read_messages(self, name: str) -> None:
        for fields in self._control.read_messages(name):
            self._units[name].handle_message(fields)

    def _handle_exit(self, name: str, status: str) -> None:
        # First the state of the service, then what may fail for lack of descriptors.
        last_lines = self._control.read_last_lines(name, 1)
        reason = f"{status}: {summarize_line(last_lines[0])}" if last_lines else status
        if name in self._units:
            self._guard.run(f"handle the end of {name}", self._units[name].handle_exit, reason)
        elif name == PREPARER:
            self._preparation.end("" if status == "exit 0" else reason)
            level, event = ("info", "store.prepared") if self._preparation.is_done else ("error", "store.not_prepared")
            self._journal.log(level, event, status=reason)
        else:
            self._guard.run(f"handle the end of {name}", self._recorder.handle_exit, status, reason)
        self._guard.run("end foreign processes", self.end_foreign_processes)
        self.advance()

    def _handle_change(self, unit: SupervisedService, old: State, new: State) -> None:
        details: dict[str, object] = {"from": str(old), "message": unit.message()}
        if unit.process is not None:
            details["pid"] = unit.process.pid
        self._journal.log(_LOG_LEVELS.get(new, "info"), f"service.{new}", name=unit.name, **details)
        if new is State.CRASHLOOP:
            details |= {"since": unit.crashloop_since, "required": unit.service.required}
        self.record_event(unit.name, str(new), urgent=new is State.CRASHLOOP, **details)

    def _report_upstream(self) -> None:
        wanted = [unit for unit in self._units.values() if unit.state is not State.STOPPED]
        up = sum(unit.state in UP for unit in wanted)
        if self._upstream.report_services(up, len(wanted), self._sequencer.is_restart_over):
            self._journal.log("info", "supervisor.ready", after_s=round(self._uptime_s(), 2))

    def _log_bug(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG002 - asyncio's form
        """Log an exception of a callback; supervision continues."""
        self._guard.count(str(context.get("message")), context.get("exception"))

    def _put(self, name: str, lines: bytes) -> None:
        self._writer.put(name, lines)
        if self._stdout and name.endswith(".log"):
            self._stdout.put(name, lines)

    def _uptime_s(self) -> float:
        return self._clock.monotonic() - self._started_at

    def _list_problems(self) -> list[str]:
        unprepared = f"the store cannot be prepared yet: {self._preparation.reason}" if self._preparation.reason else ""
        return [problem for problem in (unprepared, self._housekeeping.disk_problem) if problem]

    def _take_snapshot(self) -> Status:
        return take_snapshot(
            self._units.values(),
            self._housekeeping.find_usage,
            self._list_problems(),
            self._upstream.was_ready,
            self._operations.is_stopping,
            self._uptime_s(),
            self._guard.failures,
        )


def _is_on_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
