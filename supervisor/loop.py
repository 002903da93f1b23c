"""The wheel: turns what happens to processes, sockets, signals and clocks into events of services, and acts in order.

Everything runs on one thread and one event loop, and no step waits for a disk, a child or a client. What an event means
is decided by `supervisor.supervised` and below; in which order services go up and down by `supervisor.services`.
"""

import asyncio
import ctypes
import os
import random
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from bgpdrift.clock import Clock, SystemClock
from bgpdrift.services.notify import Notifier
from bgpdrift.settings import Settings
from supervisor import procfs
from supervisor.child import Child, child_environment
from supervisor.control import SOCKET_NAME, ControlServer, RefusedError
from supervisor.journal import OWN_LOG, Journal
from supervisor.lifecycle import WITH_PROCESS, State
from supervisor.log_capture import LineWriter, LogCapture
from supervisor.notify_socket import NotifySocket
from supervisor.orphans import RUN_VARIABLE, SERVICE_VARIABLE, Adopted, ChildRecord
from supervisor.output import become_output, essence, to_stdout
from supervisor.restart_budget import RestartPolicy
from supervisor.rotating_file import RotatingFile
from supervisor.services import Service, System, may_start, may_stop
from supervisor.status import ServiceStatus, Status, SupervisorStatus, overall_state
from supervisor.supervised import Limits, Supervised

_HOUSEKEEPING_S = 5.0
_LEFTOVERS_S = 3.0
_PROBLEM_LINES = 5
_PR_SET_CHILD_SUBREAPER = 36
_LEVELS = {State.BACKOFF: "warning", State.ABORTING: "warning", State.CRASHLOOP: "error"}


class Supervisor:
    """Runs a `System` until it is told to stop. Build and run it on the main thread."""

    def __init__(
        self,
        system: System,
        settings: Settings,
        run: str,
        foreground: bool = False,
        clock: Clock | None = None,
        listening: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare; nothing starts before `run`.

        Parameters
        ----------
        system : System
            What to run.
        settings : Settings
            Directories and limits.
        run : str
            Random name of this run, by which its processes are known.
        foreground : bool
            Copy all log lines to standard output and tell an outer manager by sd_notify.
        clock : Clock, optional
            Default the system's.
        listening : callable
            Called once the control socket answers.
        """
        self._system, self._settings, self._run, self._listening = system, settings, run, listening
        self._foreground = foreground
        self._clock = clock or SystemClock()
        self._started_at = self._clock.monotonic()
        self._run_dir = settings.data_path / "run"
        limits = settings.supervisor
        policy = RestartPolicy(
            limits.restart_limit, limits.restart_period_s, limits.backoff_max_s, limits.crashloop_retry_s
        )
        patience = Limits(limits.ready_timeout_s, limits.watchdog_s, limits.stop_grace_s)
        self._units = {
            service.name: Supervised(
                service, patience, policy, self._clock, self._spawn, random.random, self._state_changed
            )
            for service in system.services
        }
        self._children: dict[str, Child] = {}
        self._stopping = self._was_ready = self._going_down = False
        self._said_outward = ""
        self._told: set[str] = set()
        self._tell_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiters: list[asyncio.Event] = []

    # -- life of the whole ------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run until stopped; the exit code."""
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._adopted = Adopted(self._run)
        self._record = ChildRecord(self._run_dir / "children.json", self._run)
        files: dict[str, RotatingFile] = {}
        own = (lambda _: None) if self._foreground else become_output

        def to_file(name: str, lines: bytes) -> int:
            if name not in files:
                path, limits = self._settings.logs_path / name, self._settings.supervisor
                opened = own if name == OWN_LOG else (lambda _: None)
                files[name] = RotatingFile(path, limits.log_max_bytes, limits.log_keep, opened)
            return files[name].write(lines)

        self._files = LineWriter(to_file)
        self._stdout = LineWriter(to_stdout) if self._foreground else None
        self._journal = Journal(self._put, self._clock, self._settings.logs.level, self._settings.logs.form)
        try:
            asyncio.run(self._main())
        finally:
            self._files.close()
            if self._stdout:
                self._stdout.close()
        return 0

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._bug)
        self._done = asyncio.Event()
        self._outward = Notifier() if self._foreground else Notifier({})
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._asked_to_stop, number)
        self._loop.add_signal_handler(signal.SIGCHLD, self._strangers)
        self._captures = {name: LogCapture(partial(self._put, f"{name}.log")) for name in self._units}
        self._notify = {name: NotifySocket(self._run_dir, name, self._run) for name in self._units}
        for name in self._units:
            self._loop.add_reader(self._captures[name].fileno(), self._captures[name].read_some)
            self._loop.add_reader(self._notify[name].fileno(), self._hear, name)
        self._control = ControlServer(self._run_dir / SOCKET_NAME, self._command)
        await self._control.start()
        self._journal.log("info", "supervisor.started", pid=os.getpid(), data_dir=str(self._settings.data_path))
        self._listening()
        for unit in self._units.values():
            unit.start()
        self._advance()
        keeper = asyncio.create_task(self._keep_house())
        pulse = asyncio.create_task(self._outer_watchdog())
        try:
            await self._done.wait()
        finally:
            keeper.cancel()
            pulse.cancel()
            await self._end()

    async def _end(self) -> None:
        """Leave nothing behind."""
        give_up_at = self._clock.monotonic() + _LEFTOVERS_S
        while not self._adopted.kill_all() and self._clock.monotonic() < give_up_at:
            await asyncio.sleep(0.01)
        self._journal.log("info", "supervisor.stopped", uptime_s=round(self._uptime_s(), 1))
        self._control.close()
        self._outward.close()
        for name in self._units:
            self._loop.remove_reader(self._captures[name].fileno())
            self._loop.remove_reader(self._notify[name].fileno())
            self._captures[name].finish()
            self._captures[name].close()
            self._notify[name].close()

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(_HOUSEKEEPING_S)
            try:
                await self._control.ensure()
            except OSError as error:
                self._journal.log("error", "control.failed", error=str(error))
            self._strangers()

    async def _outer_watchdog(self) -> None:
        """Show an outer manager that this loop turns; it stops when the loop does."""
        period_s = int(os.environ.get("WATCHDOG_USEC") or 0) / 2e6
        while self._foreground and period_s:
            self._outward.send(WATCHDOG="1")
            await asyncio.sleep(period_s)

    def _asked_to_stop(self, number: int) -> None:
        if self._stopping:
            self._journal.log("warning", "supervisor.stops_at_once", signal=signal.Signals(number).name)
            for child in self._children.values():
                child.kill()
            return
        self._stop(f"signal {signal.Signals(number).name}")

    def _stop(self, why: str) -> None:
        if not self._stopping:
            self._journal.log("info", "supervisor.stopping", reason=why)
            self._outward.stopping()
            self._stopping = True
            self._go_down()
        self._advance()

    def _go_down(self) -> None:
        self._going_down, self._told, self._tell_at = True, set(), self._clock.monotonic()

    # -- turning the wheel ------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Do all that is possible now, then arm one timer for what is due next."""
        self._tell_down()
        for unit in self._units.values():
            settled = {name for name, other in self._units.items() if other.settled}
            if unit.state is State.WAITING and not self._going_down and may_start(unit.service, settled):
                unit.launch()
        if self._stopping and all(unit.state is State.STOPPED for unit in self._units.values()):
            self._done.set()
        self._tell_outward()
        for waiter in self._waiters:
            waiter.set()
        deadlines = [deadline for unit in self._units.values() if (deadline := unit.deadline()) is not None]
        if self._going_down:
            deadlines.append(self._tell_at + self._stagger_s)
        if self._timer:
            self._timer.cancel()
        if deadlines:
            delay_s = max(0.0, min(deadlines) - self._clock.monotonic())
            self._timer = self._loop.call_later(delay_s, self._tick)

    def _tick(self) -> None:
        now = self._clock.monotonic()
        for name, unit in self._units.items():
            deadline = unit.deadline()
            if deadline is not None and now >= deadline:
                # We may be the one that slept (suspended, stopped): what was said meanwhile counts first.
                self._listen(name)
                unit.tick()
        self._advance()

    @property
    def _stagger_s(self) -> float:
        return self._settings.supervisor.stop_grace_s / 10.0

    def _tell_down(self) -> None:
        """Going down, consumers first: tell each whose consumers have gone, or have been told a while ago."""
        if not self._going_down:
            return
        now = self._clock.monotonic()
        running = {name for name, unit in self._units.items() if name not in self._told or unit.state in WITH_PROCESS}
        patience_over = now >= self._tell_at + self._stagger_s
        blocking = (running - self._told) if patience_over else running
        told_now = [
            name
            for name, unit in self._units.items()
            if name not in self._told and may_stop(unit.service, self._system.services, blocking)
        ]
        for name in told_now:
            self._told.add(name)
            self._tell_at = now
            if self._stopping:
                self._units[name].stop()
            else:
                self._units[name].restart()
        if told_now and not any(self._units[name].state in WITH_PROCESS for name in told_now):
            self._tell_down()
        if len(self._told) == len(self._units) and not any(unit.state in WITH_PROCESS for unit in self._units.values()):
            self._going_down = False

    def _spawn(self, service: Service) -> Child:
        name = service.name
        self._captures[name].forget_tail()
        env = child_environment(
            os.environ,
            NOTIFY_SOCKET=self._notify[name].address,
            WATCHDOG_USEC=str(int(self._settings.supervisor.watchdog_s * 1e6)),
            BGPDRIFT_PARENT_PID=str(os.getpid()),
            **{RUN_VARIABLE: self._run, SERVICE_VARIABLE: name},
        )
        child = Child(service.command, env, self._captures[name].write_end)
        self._children[name] = child
        self._loop.add_reader(child.pidfd, self._child_ended, name)
        self._write_record()
        return child

    def _child_ended(self, name: str) -> None:
        child, unit, capture = self._children[name], self._units[name], self._captures[name]
        self._listen(name)
        self._loop.remove_reader(child.pidfd)
        how = child.collect()
        if how is None:
            self._loop.add_reader(child.pidfd, self._child_ended, name)
            return
        del self._children[name]
        self._strangers()
        capture.finish()
        last = capture.last_lines(1)
        unit.ended(f"{how}: {essence(last[0])}" if last else how)
        self._write_record()
        self._advance()

    def _strangers(self) -> None:
        """Bury adopted processes; end those whose service has gone."""
        spawned = {child.pid for child in self._children.values()}
        self._adopted.reap(spawned)

        def running_since(name: str) -> int | None:
            child = self._children.get(name)
            process = procfs.identify(child.pid) if child else None
            return process.start_time if process else None

        for pid in self._adopted.kill(spawned, running_since):
            self._journal.log("warning", "orphan.killed", pid=pid)

    def _write_record(self) -> None:
        self._record.write(child.pid for child in self._children.values())

    def _hear(self, name: str) -> None:
        before = self._units[name].state
        self._listen(name)
        if self._units[name].state is not before:
            self._advance()

    def _listen(self, name: str) -> None:
        child = self._children.get(name)
        for words in self._notify[name].receive(child.pid if child else None):
            self._units[name].heard(words)

    def _state_changed(self, unit: Supervised, old: State, new: State) -> None:
        details: dict[str, object] = {"from": str(old), "message": unit.message()}
        if unit.process is not None:
            details["pid"] = unit.process.pid
        self._journal.log(_LEVELS.get(new, "info"), f"service.{new}", name=unit.name, **details)
        self._journal.service_event(unit.name, str(new), **details)

    def _tell_outward(self) -> None:
        states = [str(unit.state) for unit in self._units.values()]
        ready = sum(state == "ready" for state in states)
        if ready == len(states) and not self._stopping and not self._was_ready:
            self._was_ready = True
            self._journal.log("info", "supervisor.ready", after_s=round(self._uptime_s(), 2))
            self._outward.ready(f"{ready} of {len(states)} services ready")
        text = f"{ready} of {len(states)} services ready"
        if text != self._said_outward:
            self._said_outward = text
            self._outward.status(text)

    def _put(self, name: str, lines: bytes) -> None:
        self._files.put(name, lines)
        if self._stdout and name.endswith(".log"):
            self._stdout.put(name, lines)

    def _bug(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG002 - asyncio's form
        """Supervision goes on whatever happens; the bug is told."""
        error = context.get("exception")
        self._journal.log("error", "supervisor.bug", where=context.get("message"), error=repr(error))

    def _uptime_s(self) -> float:
        return self._clock.monotonic() - self._started_at

    # -- answering ---------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """Say how everything is now."""
        services = tuple(
            ServiceStatus(
                name=unit.name,
                state=str(unit.state),
                pid=unit.process.pid if unit.process else None,
                restarts=max(0, unit.launches - 1),
                uptime_s=round(unit.uptime_s(), 3),
                rss_bytes=procfs.rss_bytes(unit.process.pid) if unit.process else 0,
                message=unit.message(),
            )
            for unit in self._units.values()
        )
        state = overall_state([service.state for service in services], self._was_ready, self._stopping)
        return Status(SupervisorStatus(os.getpid(), state, round(self._uptime_s(), 3)), services)

    async def _command(self, request: dict[str, Any]) -> dict[str, Any]:
        match request:
            case {"command": "status"}:
                return {"status": msgspec.to_builtins(self.status())}
            case {"command": "stop"}:
                self._stop("command")
                return {"pid": os.getpid()}
            case {"command": "restart", **rest}:
                self._restart(rest.get("name"))
                return {}
            case {"command": "wait", "timeout_s": int() | float() as timeout_s, **rest}:
                return await self._wait_ready(float(timeout_s), rest.get("name"))
            case _:
                raise RefusedError(f"unknown request {request}; expected command status, stop, restart or wait")

    def _unit(self, name: object) -> Supervised:
        unit = self._units.get(str(name))
        if unit is None:
            raise RefusedError(f"no service {name!r}; there are {', '.join(self._units)}")
        return unit

    def _restart(self, name: object) -> None:
        if self._stopping:
            raise RefusedError("everything is being stopped")
        if name is not None:
            self._unit(name).restart()
        else:
            for unit in self._units.values():
                unit.settled = False
            self._go_down()
        self._advance()

    async def _wait_ready(self, timeout_s: float, name: object) -> dict[str, Any]:
        """Answer once the services concerned are ready, have turned out not to become so, or the time is over."""
        units = list(self._units.values()) if name is None else [self._unit(name)]
        woken = asyncio.Event()
        self._waiters.append(woken)
        give_up_at = self._clock.monotonic() + min(timeout_s, 600.0)
        try:
            while not self._stopping:
                undecided = [unit for unit in units if unit.state not in {State.READY, State.CRASHLOOP}]
                left_s = give_up_at - self._clock.monotonic()
                if (not undecided and not self._going_down) or left_s <= 0:
                    break
                woken.clear()
                try:
                    await asyncio.wait_for(woken.wait(), left_s)
                except TimeoutError:
                    break
        finally:
            self._waiters.remove(woken)
        problems = [
            {
                "name": unit.name,
                "state": str(unit.state),
                "message": unit.message(),
                "log": self._captures[unit.name].last_lines(_PROBLEM_LINES),
            }
            for unit in units
            if unit.state is not State.READY
        ]
        return {"ready": not problems, "problems": problems, "status": msgspec.to_builtins(self.status())}
