"""The wheel: turns what happens to processes, sockets, signals and clocks into events of services, and acts in order.

Everything runs on one thread and one event loop, and no step waits for a disk, a child or a client. What an event means
is decided by `supervisor.supervised` and below; in which order services go up by `services`, down and around by `rounds`;
what an operator may ask by `commands`; what is looked at from time to time by `housekeeping`.
"""

import asyncio
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
from bgpdrift.process.sd_notify import Notifier
from bgpdrift.settings import Settings
from supervisor.commands import Commands
from supervisor.control import SOCKET_NAME, ControlServer
from supervisor.desired_state import DesiredState
from supervisor.housekeeping import Housekeeping
from supervisor.journal import Journal
from supervisor.lifecycle import UP, WITH_PROCESS, State
from supervisor.log_capture import LineWriter
from supervisor.log_files import LogFiles
from supervisor.output import become_output, essence, to_stdout
from supervisor.policies import limits_of, log_limits_of, policy_of, require_known_names
from supervisor.process_control import Hands
from supervisor.record_run import RECORDER, RecordRun
from supervisor.reloading import changed_keys, is_concerned
from supervisor.services import Service, System, may_start
from supervisor.settings_in_force import SettingsInForce
from supervisor.snapshot import picture
from supervisor.status import Status
from supervisor.supervised import Supervised
from supervisor.ticks import Rounds
from supervisor.upstream import Outward

_LEFTOVERS_S = 3.0
_LEVELS = {
    State.DEGRADED: "warning",
    State.BACKOFF: "warning",
    State.ABORTING: "warning",
    State.RECYCLING: "warning",
    State.CRASHLOOP: "error",
}


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
        after_a_kill: bool = False,
        keep_lock: Callable[[], None] = lambda: None,
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
        after_a_kill : bool
            The supervisor before this one did not end by itself.
        keep_lock : callable
            Makes the lock file anew if somebody removed it.
        """
        self._system, self._run, self._listening, self._foreground = system, run, listening, foreground
        self._after_a_kill, self._keep_lock = after_a_kill, keep_lock
        self._clock = clock or SystemClock()
        self._started_at = self._clock.monotonic()
        self._run_dir = settings.data_path / "run"
        self._in_force = SettingsInForce(
            settings, self._run_dir, check=lambda new: require_known_names(new, system.names)
        )
        self._desired = DesiredState(settings.state_path / "desired.json")
        self.units = {
            service.name: Supervised(
                service,
                limits_of(settings, service),
                policy_of(settings),
                self._clock,
                self._spawn,
                random.random,
                self._state_changed,
            )
            for service in system.services
        }
        self._launched_with: dict[str, Settings] = {}
        self.stopping = False
        self._timer: asyncio.TimerHandle | None = None
        self.waiters: list[asyncio.Event] = []

    @property
    def settings(self) -> Settings:
        """What is in force."""
        return self._in_force.present

    # -- life of the whole ------------------------------------------------------------------------------------------

    def run(self) -> int:
        """Run until stopped; the exit code."""
        adopt_orphans()
        limits = self.settings.supervisor
        own = (lambda _: None) if self._foreground else become_output
        files = LogFiles(self.settings.logs_path, log_limits_of(self.settings), limits.log_total_bytes, own)
        self._files, self._writer = files, LineWriter(files.write)
        self._writer.call(files.enforce_cap)
        self._stdout = LineWriter(to_stdout) if self._foreground else None
        self.journal = Journal(self._put, self._clock, self.settings.logs.level, self.settings.logs.form)
        self.rounds = Rounds(self.units, self._system.services, self.journal, self._clock)
        try:
            asyncio.run(self._main())
        finally:
            self._writer.close()
            if self._stdout:
                self._stdout.close()
        return 0

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(self._bug)
        self._done = asyncio.Event()
        self._outward = Outward(Notifier() if self._foreground else Notifier({}))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._signalled, number)
        self._loop.add_signal_handler(signal.SIGCHLD, self.strangers)
        names = (*self.units, RECORDER) if self._system.record else tuple(self.units)
        self.hands = Hands(names, self._run_dir, self._run, self._put, self._hear, self._child_ended)
        variables = self._in_force.config_for_services
        self._recording = RecordRun(self._system.record, self.hands, self._writer, self.journal, self._clock, variables)
        self._keep_settings()
        self._control = ControlServer(self._run_dir / SOCKET_NAME, Commands(self).answer)
        await self._control.start()
        self.journal.log("info", "supervisor.started", pid=os.getpid(), data_dir=str(self.settings.data_path))
        self._house = Housekeeping(self, self._control, self._outward.notifier, self._clock, self._writer, self._files)
        if self._after_a_kill:
            self.journal.log("warning", "supervisor.was_killed")
            self.event("supervisor", "was_killed", message="the supervisor before this one did not end by itself")
        self._listening()
        stopped = self._desired.stopped(self.units)
        for name, unit in self.units.items():
            if name not in stopped:
                unit.start()
        self.advance()
        tasks = self._house.start(self._foreground)
        try:
            await self._done.wait()
        finally:
            for task in tasks:
                task.cancel()
            await self._end()

    def _keep_settings(self) -> None:
        try:
            self._in_force.begin()
        except (SettingsError, OSError) as error:
            # What was read a moment ago is in force; only the copy for services that crash is missing.
            self.journal.log("warning", "settings.not_kept", error=str(error))

    async def _end(self) -> None:
        """Leave nothing behind."""
        give_up_at = self._clock.monotonic() + _LEFTOVERS_S
        while not self.hands.end_all() and self._clock.monotonic() < give_up_at:
            await asyncio.sleep(0.01)
        self.journal.log("info", "supervisor.stopped", uptime_s=round(self.uptime_s(), 1))
        self._control.close()
        self._outward.notifier.close()
        self.hands.close()

    def _signalled(self, number: int) -> None:
        name = signal.Signals(number).name
        # A terminal that was closed ends what ran on it; a manager's HUP means the settings.
        if number == signal.SIGHUP and not self.stopping and not _on_a_terminal():
            try:
                self.reload()
            except (SettingsError, OSError):
                return  # refused, and told in the log
        else:
            self.stop(f"signal {name}", now=self.stopping)

    def _bug(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG002 - asyncio's form
        """Supervision goes on whatever happens; the bug is told."""
        error = context.get("exception")
        self.journal.log("error", "supervisor.bug", where=context.get("message"), error=repr(error))

    def uptime_s(self) -> float:
        """Seconds since this supervisor was made."""
        return self._clock.monotonic() - self._started_at

    # -- what an operator may want ----------------------------------------------------------------------------------

    def stop(self, why: str, now: bool = False) -> None:
        """Stop everything and end; ``now`` without the time that TERM leaves."""
        if not self.stopping:
            self.journal.log("info", "supervisor.stopping", reason=why)
            self._outward.stopping()
            self.stopping = True
            self.rounds.go_down()
        if now:
            self.journal.log("warning", "supervisor.stops_at_once", reason=why)
            self.rounds.go_down(at_once=True)
            for name in self.units:
                self.hands.kill(name)
        self.advance()

    def want(self, name: str, up: bool) -> None:
        """Start or stop one service, and remember it.

        Raises
        ------
        OSError
            The wish could not be written down; nothing was changed.
        """
        stopped = self._desired.stopped(self.units) - {name} | (set() if up else {name})
        self._desired.write(stopped)
        if up:
            self.units[name].start()
        else:
            self.units[name].stop()
        self.advance()

    def restart(self, names: list[str]) -> None:
        """Give services new processes: one at once, several one after the other.

        Raises
        ------
        SettingsError, OSError
            Changed settings cannot be applied; nothing was restarted.
        """
        self._accept()
        self.rounds.left_out = []
        if len(names) == 1 and self.units[names[0]].state is State.STOPPED:
            self.want(names[0], up=True)
        elif len(names) == 1:
            self.units[names[0]].restart()
        else:
            self.rounds.restart(names, anew=True)
        self.advance()

    def reload(self) -> tuple[list[str], list[str]]:
        """Apply changed settings; gives what changed and which services are restarted for it, one after the other.

        Raises
        ------
        SettingsError, OSError
            They are refused; the old ones stay in force.
        """
        before = self._accept()
        keys = changed_keys(before, self.settings)
        concerned = [name for name in self.units if self._is_concerned(name)]
        self.rounds.restart(concerned, anew=False)
        if concerned:
            self._outward.reloading(self._clock.monotonic())
        self.journal.log("info", "settings.reloaded", changed=sorted(keys), restarting=concerned)
        self.advance()
        return sorted(keys), concerned

    def _accept(self) -> Settings:
        try:
            before = self._in_force.read_anew()
        except (SettingsError, OSError) as error:
            self.journal.log("error", "settings.refused", error=str(error))
            raise
        settings = self.settings
        for unit in self.units.values():
            unit.apply(limits_of(settings, unit.service), policy_of(settings))
        self._files.limits = log_limits_of(settings)
        self._files.total_bytes = settings.supervisor.log_total_bytes
        self._writer.call(self._files.enforce_cap)
        self.journal.adjust(settings.logs.level, settings.logs.form)
        return before

    def _is_concerned(self, name: str) -> bool:
        if self.units[name].state not in WITH_PROCESS or name not in self._launched_with:
            return False
        return is_concerned(self.units[name].service, changed_keys(self._launched_with[name], self.settings))

    # -- turning the wheel ------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """Do all that is possible now, then arm one timer for what is due next."""
        patience_s = self.settings.supervisor.stop_grace_s / 10.0
        self.rounds.advance(patience_s)
        for unit in self.units.values():
            settled = {name for name, other in self.units.items() if other.settled or other.state is State.STOPPED}
            if unit.state is State.WAITING and not self.stopping and may_start(unit.service, settled):
                unit.launch()
        if self.stopping and all(unit.state is State.STOPPED for unit in self.units.values()):
            self._done.set()
        if not self.stopping:
            self._recording.advance()
        self._tell_outward()
        for waiter in self.waiters:
            waiter.set()
        deadlines = [unit.deadline() for unit in self.units.values()]
        deadlines.append(None if self.stopping else self._recording.deadline())
        deadlines.append(self.rounds.deadline(patience_s))
        due = [deadline for deadline in deadlines if deadline is not None]
        if self._timer:
            self._timer.cancel()
        if due:
            self._timer = self._loop.call_later(max(0.0, min(due) - self._clock.monotonic()), self._tick)

    def _tick(self) -> None:
        now = self._clock.monotonic()
        for name, unit in self.units.items():
            deadline = unit.deadline()
            if deadline is not None and now >= deadline:
                # We may be the one that slept (suspended, stopped): what was said meanwhile counts first.
                self._listen(name)
                unit.tick()
        self.advance()

    def _spawn(self, service: Service) -> Child:
        self._launched_with[service.name] = self.settings
        watchdog_us = int(self.settings.supervisor.watchdog_s * 1e6)
        return self.hands.spawn(service, WATCHDOG_USEC=str(watchdog_us), **self._in_force.config_for_services())

    def _child_ended(self, name: str, how: str) -> None:
        self.strangers()
        last = self.hands.captures[name].last_lines(1)
        text = f"{how}: {essence(last[0])}" if last else how
        if name in self.units:
            self.units[name].ended(text)
        else:
            self._recording.ended(how, text)
        self.advance()

    def strangers(self) -> None:
        """Bury adopted processes; end those whose service has gone."""
        for pid in self.hands.strangers():
            self.journal.log("warning", "orphan.killed", pid=pid)

    def keep_run_dir(self) -> None:
        """Make anew what somebody removed from the run directory, as one who tidies up may.

        Raises
        ------
        OSError
            The disk refuses.
        """
        self._keep_lock()
        if self._in_force.ensure():
            self.journal.log("warning", "settings.renewed")
        if missing := self.hands.renew_sockets():
            self.journal.log("warning", "sockets.renewed", services=missing)

    def _hear(self, name: str) -> None:
        if name not in self.units:
            self.hands.words(name)
            return
        before = self.units[name].state
        self._listen(name)
        if self.units[name].state is not before:
            self.advance()

    def _listen(self, name: str) -> None:
        for words in self.hands.words(name):
            self.units[name].heard(words)

    def _state_changed(self, unit: Supervised, old: State, new: State) -> None:
        details: dict[str, object] = {"from": str(old), "message": unit.message()}
        if unit.process is not None:
            details["pid"] = unit.process.pid
        self.journal.log(_LEVELS.get(new, "info"), f"service.{new}", name=unit.name, **details)
        if new is State.CRASHLOOP:
            details |= {"since": unit.crashloop_since, "required": unit.service.required}
        self.event(unit.name, str(new), urgent=new is State.CRASHLOOP, **details)

    def recovered(self, unit: Supervised, since: float | None) -> None:
        """Tell that a crash loop is over."""
        self.journal.log("info", "service.recovered", name=unit.name)
        self.event(unit.name, "recovered", urgent=True, since=since, message=unit.message())

    def event(self, service: str, what: str, urgent: bool = False, **details: object) -> None:
        """Note something for the store's ``service_events``."""
        self.journal.service_event(service, what, **details)
        self._recording.happened(urgent)

    def _tell_outward(self) -> None:
        wanted = [unit for unit in self.units.values() if unit.state is not State.STOPPED]
        up = sum(unit.state in UP for unit in wanted)
        if self._outward.tell(up, len(wanted), self.rounds.is_around):
            self.journal.log("info", "supervisor.ready", after_s=round(self.uptime_s(), 2))

    def _put(self, name: str, lines: bytes) -> None:
        self._writer.put(name, lines)
        if self._stdout and name.endswith(".log"):
            self._stdout.put(name, lines)

    # -- telling -----------------------------------------------------------------------------------------------------

    def status(self) -> Status:
        """Say how everything is now."""
        house, was_ready = self._house, self._outward.was_ready
        return picture(self.units.values(), house.usage, house.trouble, was_ready, self.stopping, self.uptime_s())


def _on_a_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
