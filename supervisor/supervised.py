"""One service: its state, its deadlines and the signals to its process.

Time comes from a `Clock`, processes from a function, random numbers from a function: with fakes of the three, days of
supervision are a test of milliseconds. `supervisor.loop` handles sockets, files and the order among services.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bgpdrift.clock import Clock
from bgpdrift.process.sd_notify import DEGRADED_FIELD
from supervisor.lifecycle import (
    ENDED_BY_SUPERVISOR,
    ENDING_ON_REQUEST,
    SERVICE_LIFECYCLE,
    UP,
    WITH_PROCESS,
    Event,
    State,
)
from supervisor.restart_budget import RestartBudget, RestartPolicy
from supervisor.services import Service

MAX_EXTENSIONS = 10
"""A starting process that reports progress may take so many times `Limits.ready_timeout_s`."""


class Process(Protocol):
    """A running program and its process group."""

    pid: int

    def terminate(self) -> None:
        """Send TERM to the group."""
        ...

    def abort(self) -> None:
        """Send ABRT to the leader, which then writes its stacks and ends."""
        ...

    def kill(self) -> None:
        """Send KILL to the group."""
        ...


@dataclass(frozen=True)
class Limits:
    """The limits of a service.

    Attributes
    ----------
    ready_timeout_s : float
        Seconds from launch to READY.
    watchdog_s : float
        Seconds between two reports of progress.
    stop_grace_s : float
        Seconds between TERM and KILL.
    abort_grace_s : float
        Seconds between ABRT and KILL, enough to write the stacks of all threads.
    memory_bytes : int
        Largest resident memory of the process; 0 is no limit.
    """

    ready_timeout_s: float = 30.0
    watchdog_s: float = 30.0
    stop_grace_s: float = 2.5
    abort_grace_s: float = 0.5
    memory_bytes: int = 0


class SupervisedService:
    """A service with its state and its process.

    Parameters
    ----------
    service : Service
        The program.
    limits : Limits
        Its limits.
    policy : RestartPolicy
        When it is started again after a failure.
    clock : Clock
        Monotonic for deadlines, wall time for ``crashloop_since``.
    launch : callable
        Creates the process; raises OSError if it cannot.
    random : callable
        Returns a number from 0 to 1.
    on_change : callable
        Called with this object, the old and the new state after each change of state.
    """

    def __init__(
        self,
        service: Service,
        limits: Limits,
        policy: RestartPolicy,
        clock: Clock,
        launch: Callable[[Service], Process],
        random: Callable[[], float],
        on_change: Callable[["SupervisedService", State, State], None] = lambda _unit, _old, _new: None,
    ) -> None:
        self.service, self.limits, self._policy = service, limits, policy
        self._clock, self._launch, self._random, self._on_change = clock, launch, random, on_change
        self.state = SERVICE_LIFECYCLE.initial
        self.process: Process | None = None
        self.launches = 0
        self.first_attempt_over = False
        """Whether it was ready once, or failed once, since the last start: later services no longer wait for it."""
        self.last_failure = ""
        """Why the last process that ended without a request did so; "" if none has."""
        self.crashloop_since: float | None = None
        """Epoch seconds at which the crash loop began; None again after it has recovered or was stopped."""
        self._status = self._degraded_reason = ""
        self._budget = RestartBudget()
        self._launched_at = self._starting_since = self._progress_at = self._retry_at = self._extended_until = 0.0
        self._watchdog_s = limits.watchdog_s
        self._ready_at: float | None = None
        self._kill_at: float | None = None

    @property
    def name(self) -> str:
        """The name of the service."""
        return self.service.name

    def set_limits(self, limits: Limits, policy: RestartPolicy) -> None:
        """Apply new limits now; that of the watchdog with the next process, since a process learns it at launch."""
        self.limits, self._policy = limits, policy

    def start(self) -> None:
        """Handle an operator's start."""
        self._move(Event.START)

    def stop(self) -> None:
        """Handle an operator's stop; it cancels every transition in progress."""
        self._move(Event.STOP)

    def restart(self) -> None:
        """Handle an operator's request for a new process; the restart budget is reset."""
        self._budget, self.first_attempt_over = RestartBudget(), False
        self._move(Event.RESTART)

    def launch(self) -> None:
        """Create a process, when it is the service's turn."""
        now = self._clock.monotonic()
        try:
            self.process = self._launch(self.service)
        except OSError as error:
            self._fail(f"cannot be started: {self.service.command[0]}: {error.strerror or error}", 0.0)
            return
        self.launches += 1
        self._launched_at = self._starting_since = self._extended_until = now
        self._ready_at, self._kill_at = None, None
        self._status = self._degraded_reason = ""
        self._watchdog_s = self.limits.watchdog_s
        self._move(Event.LAUNCHED)

    def handle_message(self, fields: dict[str, str]) -> None:
        """Handle one sd_notify message of the process."""
        now = self._clock.monotonic()
        self._status = fields.get("STATUS", self._status)
        self._degraded_reason = fields.get(DEGRADED_FIELD, self._degraded_reason)
        if fields.get("READY") == "1" and self.state in WITH_PROCESS:
            if self._ready_at is None:
                self._ready_at = now
            self._progress_at = now
            self._move(Event.REPORTED_READY)
        if fields.get("WATCHDOG") == "1":
            self._progress_at = now
        self._extend_start(fields.get("EXTEND_TIMEOUT_USEC", ""), now)
        if self.state is State.READY and self._degraded_reason:
            self._move(Event.REPORTED_DEGRADED)
        elif self.state is State.DEGRADED and not self._degraded_reason:
            self._move(Event.REPORTED_RECOVERED)

    def _extend_start(self, requested_us: str, now: float) -> None:
        """Give a starting process the time that it requests, at most `MAX_EXTENSIONS` times the limit in total."""
        if (
            self.state is State.STARTING
            and requested_us.isascii()
            and requested_us.isdigit()
            and len(requested_us) <= 15
        ):
            latest = self._starting_since + MAX_EXTENSIONS * self.limits.ready_timeout_s
            self._extended_until = max(self._extended_until, min(now + int(requested_us) / 1e6, latest))

    def check_memory(self, rss_bytes: int) -> None:
        """End the process with TERM if it holds more memory than its limit; it is started again."""
        if self.limits.memory_bytes and rss_bytes > self.limits.memory_bytes and self.state in UP | {State.STARTING}:
            used_mib, limit_mib = rss_bytes / 2**20, self.limits.memory_bytes / 2**20
            self.last_failure = f"memory: {used_mib:.0f} MiB, more than {limit_mib:.0f} MiB"
            self._move(Event.MEMORY_EXCEEDED)

    def handle_exit(self, reason: str) -> None:
        """Handle the end of the process; ``reason`` describes it, as in ``exit 1``."""
        # A process that hung has worked until its last report of progress.
        worked_until = self._progress_at if self.state is State.ABORTING else self._clock.monotonic()
        ready_for_s = 0.0 if self._ready_at is None else worked_until - self._ready_at
        self.process, self._ready_at, self._kill_at = None, None, None
        if self.state in ENDING_ON_REQUEST:
            self._move(Event.ENDED)
        else:
            # If the supervisor ended it, the cause is the hang or the memory, not the signal that followed.
            self._fail(self.last_failure if self.state in ENDED_BY_SUPERVISOR else reason, ready_for_s)

    def deadline(self) -> float | None:
        """Return the monotonic time at which `tick` must be called if nothing happens before; None for never."""
        match self.state:
            case State.STARTING:
                return max(self._starting_since + self.limits.ready_timeout_s, self._extended_until)
            case State.READY | State.DEGRADED:
                return self._progress_at + self._watchdog_s
            case State.STOPPING | State.RESTARTING | State.RECYCLING | State.ABORTING:
                return self._kill_at
            case State.BACKOFF | State.CRASHLOOP:
                return self._retry_at
            case _:
                return None

    def tick(self) -> None:
        """Act if the deadline has passed."""
        deadline = self.deadline()
        if deadline is None or self._clock.monotonic() < deadline:
            return
        match self.state:
            case State.STARTING:
                status = f"; its status: {self._status}" if self._status else ""
                waited_s = deadline - self._starting_since
                self.last_failure = f"not ready after {waited_s:g} s{status}"
                self._move(Event.READY_TIMEOUT)
            case State.READY | State.DEGRADED:
                self.last_failure = f"hung: no progress for {self._watchdog_s:g} s"
                self._move(Event.WATCHDOG_TIMEOUT)
            case State.STOPPING | State.RESTARTING | State.RECYCLING | State.ABORTING:
                self._kill_at = None
                if self.process is not None:
                    self.process.kill()
            case _:
                self._move(Event.RETRY_DUE)

    def handle_pause(self, paused_s: float) -> None:
        """Let the deadlines of the process begin anew after a pause of the machine, in which it could not run either."""
        self._progress_at = self._starting_since = self._clock.monotonic()
        if self._kill_at is not None:
            self._kill_at += paused_s

    def end_crashloop(self) -> float | None:
        """End a crash loop after the service has been up for long enough.

        Returns
        -------
        float or None
            Epoch seconds at which it began; None if none has ended now.
        """
        now = self._clock.monotonic()
        ready_for_s = 0.0 if self._ready_at is None else now - self._ready_at
        is_over = self.state in UP and self._budget.is_recovered(self._policy, ready_for_s, now)
        if self.crashloop_since is None or not is_over:
            return None
        since, self.crashloop_since = self.crashloop_since, None
        return since

    def instability(self) -> str:
        """Return why a service that is up may fail again soon; "" if nothing indicates it."""
        if self.crashloop_since is None or self.state not in UP:
            return ""
        return f"up again after a crash loop ({self._budget.summary(self._policy)}): {self.last_failure}"

    def uptime_s(self) -> float:
        """Return the seconds since the present process was created; 0 without one."""
        return self._clock.monotonic() - self._launched_at if self.process is not None else 0.0

    def message(self) -> str:
        """Describe the state and its cause in one line."""
        wait_s = max(0.0, self._retry_at - self._clock.monotonic())
        match self.state:
            case State.STOPPED:
                return ""
            case State.WAITING:
                return f"waits for {', '.join(self.service.after)}" if self.service.after else "waits for its turn"
            case State.BACKOFF:
                return f"{self.last_failure}; next attempt in {wait_s:.1f} s"
            case State.CRASHLOOP:
                return f"crashloop ({self._budget.summary(self._policy)}): {self.last_failure}; next attempt in {wait_s:.0f} s"
            case State.ABORTING | State.RECYCLING:
                return self.last_failure
            case State.DEGRADED:
                return self._degraded_reason
            case _:
                return self._status

    def _fail(self, cause: str, ready_for_s: float) -> None:
        now = self._clock.monotonic()
        self.last_failure = cause
        self._budget = self._budget.after_failure(self._policy, ready_for_s, now)
        self._retry_at = now + self._budget.delay_s(self._policy, self._random())
        self._move(Event.FAILED_TOO_OFTEN if self._budget.is_spent(self._policy) else Event.FAILED)

    def _move(self, event: Event) -> None:
        old, self.state = self.state, SERVICE_LIFECYCLE.next_state(self.state, event)
        if old is self.state:
            return
        self._enter(old)
        self._on_change(self, old, self.state)

    def _enter(self, old: State) -> None:
        """Act on a change from another state."""
        now = self._clock.monotonic()
        if self.state is State.CRASHLOOP and self.crashloop_since is None:
            self.crashloop_since = self._clock.now()
        elif self.state is State.STOPPED:
            self.crashloop_since = None
        if self.state is State.WAITING and old is State.STOPPED:
            self.first_attempt_over = False
        elif self.state in UP | {State.BACKOFF, State.CRASHLOOP}:
            self.first_attempt_over = True
        elif self.state is State.ABORTING and self.process is not None:
            self._kill_at = now + self.limits.abort_grace_s
            self.process.abort()
        elif (
            self.state in ENDING_ON_REQUEST | {State.RECYCLING}
            and old in UP | {State.STARTING}
            and self.process is not None
        ):
            # After `aborting` the KILL is due soon; between `stopping` and `restarting` nothing changes for the process.
            self._kill_at = now + self.limits.stop_grace_s
            self.process.terminate()
