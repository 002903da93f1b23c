"""One service's life: feeds the life cycle with events, keeps deadlines, tells its process what to do.

Time comes from a `Clock`, processes from a launcher, chance from a function: with fakes of the three, a life of days is
a test of milliseconds. Sockets, files and the order among services are `supervisor.loop`'s affair.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bgpdrift.clock import Clock
from bgpdrift.process.sd_notify import DEGRADED_FIELD
from supervisor.lifecycle import ENDED_BY_US, ENDING_ON_REQUEST, SERVICE_LIFECYCLE, UP, WITH_PROCESS, Event, State
from supervisor.restart_budget import RestartBudget, RestartPolicy
from supervisor.services import Service


class Process(Protocol):
    """A running program and its process group."""

    pid: int

    def terminate(self) -> None:
        """Ask the group to end."""
        ...

    def abort(self) -> None:
        """Ask the leader to write its stacks and end."""
        ...

    def kill(self) -> None:
        """End the group."""
        ...


@dataclass(frozen=True)
class Limits:
    """How long a service may take; seconds.

    Attributes
    ----------
    ready_timeout_s : float
        From launch to READY.
    watchdog_s : float
        Between two signs of progress.
    stop_grace_s : float
        Between TERM and KILL.
    abort_grace_s : float
        Between ABRT and KILL: enough to write the stacks of all threads.
    memory_bytes : int
        Most resident memory of the process; 0 is no limit.
    """

    ready_timeout_s: float = 30.0
    watchdog_s: float = 30.0
    stop_grace_s: float = 2.5
    abort_grace_s: float = 0.5
    memory_bytes: int = 0


class Supervised:
    """A service and what is known of it."""

    def __init__(
        self,
        service: Service,
        limits: Limits,
        policy: RestartPolicy,
        clock: Clock,
        launch: Callable[[Service], Process],
        chance: Callable[[], float],
        changed: Callable[["Supervised", State, State], None] = lambda _unit, _old, _new: None,
    ) -> None:
        self.service, self.limits, self._policy = service, limits, policy
        self._clock, self._launch, self._chance, self._changed = clock, launch, chance, changed
        self.state = State.STOPPED
        self.process: Process | None = None
        self.launches = 0
        self.settled = False
        """Ready once, or failed once, since it was last asked to start: nobody waits for it any more."""
        self.cause = ""
        """Why the last process that ended unasked did."""
        self.crashloop_since: float | None = None
        """Wall time at which it came into its crash loop; until it has recovered or is stopped."""
        self._said = self._lacks = ""
        self._budget = RestartBudget()
        self._launched_at = self._alive_at = self._retry_at = 0.0
        self._watchdog_s = limits.watchdog_s
        self._ready_at: float | None = None
        self._kill_at: float | None = None

    @property
    def name(self) -> str:
        """The service's name."""
        return self.service.name

    def apply(self, limits: Limits, policy: RestartPolicy) -> None:
        """Go by other limits from now on; the watchdog's from the next process on, which is told it at launch."""
        self.limits, self._policy = limits, policy

    def start(self) -> None:
        """Want it up."""
        self._move(Event.START)

    def stop(self) -> None:
        """Want it down, whatever it is at."""
        self._move(Event.STOP)

    def restart(self) -> None:
        """Want a new process; an operator's wish starts with a fresh budget."""
        self._budget, self.settled = RestartBudget(), False
        self._move(Event.RESTART)

    def launch(self) -> None:
        """Start the process: it is this service's turn."""
        now = self._clock.monotonic()
        try:
            self.process = self._launch(self.service)
        except OSError as error:
            self._fail(f"cannot be started: {self.service.command[0]}: {error.strerror or error}", 0.0)
            return
        self.launches += 1
        self._launched_at, self._ready_at, self._kill_at = now, None, None
        self._said = self._lacks = ""
        self._watchdog_s = self.limits.watchdog_s
        self._move(Event.LAUNCHED)

    def heard(self, words: dict[str, str]) -> None:
        """Take what the process said by sd_notify."""
        now = self._clock.monotonic()
        self._said = words.get("STATUS", self._said)
        self._lacks = words.get(DEGRADED_FIELD, self._lacks)
        if words.get("READY") == "1" and self.state in WITH_PROCESS:
            if self._ready_at is None:
                self._ready_at = now
            self._alive_at = now
            self._move(Event.SAID_READY)
        if words.get("WATCHDOG") == "1":
            self._alive_at = now
        if self.state is State.READY and self._lacks:
            self._move(Event.SAID_DEGRADED)
        elif self.state is State.DEGRADED and not self._lacks:
            self._move(Event.SAID_WELL)

    def weigh(self, rss_bytes: int) -> None:
        """Take note of its resident memory; beyond the limit it is told to end, and starts anew."""
        if self.limits.memory_bytes and rss_bytes > self.limits.memory_bytes and self.state in UP | {State.STARTING}:
            found, allowed = rss_bytes / 2**20, self.limits.memory_bytes / 2**20
            self.cause = f"memory: {found:.0f} MiB, more than {allowed:.0f} MiB"
            self._move(Event.TOO_LARGE)

    def ended(self, how: str) -> None:
        """Take note that the process is gone; ``how`` says it for a person, as in ``exit 1``."""
        now = self._clock.monotonic()
        ready_for_s = 0.0 if self._ready_at is None else now - self._ready_at
        self.process, self._ready_at, self._kill_at = None, None, None
        if self.state in ENDING_ON_REQUEST:
            self._move(Event.ENDED)
        else:
            # Where the supervisor ended it, the reason is the hang and not the signal that followed.
            self._fail(self.cause if self.state in ENDED_BY_US else how, ready_for_s)

    def deadline(self) -> float | None:
        """Monotonic time at which `tick` has something to do, if nothing happens before."""
        match self.state:
            case State.STARTING:
                return self._launched_at + self.limits.ready_timeout_s
            case State.READY | State.DEGRADED:
                return self._alive_at + self._watchdog_s
            case State.STOPPING | State.RESTARTING | State.RECYCLING | State.ABORTING:
                return self._kill_at
            case State.BACKOFF | State.CRASHLOOP:
                return self._retry_at
            case _:
                return None

    def tick(self) -> None:
        """Do what is due."""
        deadline = self.deadline()
        if deadline is None or self._clock.monotonic() < deadline:
            return
        match self.state:
            case State.STARTING:
                said = f"; it says: {self._said}" if self._said else ""
                self.cause = f"not ready after {self.limits.ready_timeout_s:g} s{said}"
                self._move(Event.OVERDUE)
            case State.READY | State.DEGRADED:
                self.cause = f"hung: no progress for {self._watchdog_s:g} s"
                self._move(Event.HUNG)
            case State.STOPPING | State.RESTARTING | State.RECYCLING | State.ABORTING:
                self._kill_at = None
                if self.process is not None:
                    self.process.kill()
            case _:
                self._move(Event.RETRY_DUE)

    def has_recovered(self) -> bool:
        """Whether it came out of a crash loop and has been up for as long as a failure counts; true once."""
        ready_for_s = 0.0 if self._ready_at is None else self._clock.monotonic() - self._ready_at
        if self.crashloop_since is None or self.state not in UP or ready_for_s < self._policy.period_s:
            return False
        self.crashloop_since = None
        return True

    def uptime_s(self) -> float:
        """Seconds since the present process was launched; 0 without one."""
        return self._clock.monotonic() - self._launched_at if self.process is not None else 0.0

    def message(self) -> str:
        """One line for a person: what it is at, and why."""
        wait_s = max(0.0, self._retry_at - self._clock.monotonic())
        match self.state:
            case State.STOPPED:
                return ""
            case State.WAITING:
                return f"waits for {', '.join(self.service.after)}" if self.service.after else "waits for its turn"
            case State.BACKOFF:
                return f"{self.cause}; next try in {wait_s:.1f} s"
            case State.CRASHLOOP:
                return f"crashloop ({self._budget.summary()}): {self.cause}; next try in {wait_s:.0f} s"
            case State.ABORTING | State.RECYCLING:
                return self.cause
            case State.DEGRADED:
                return self._lacks
            case _:
                return self._said

    def _fail(self, cause: str, ready_for_s: float) -> None:
        now = self._clock.monotonic()
        self.cause = cause
        self._budget = self._budget.after_failure(self._policy, ready_for_s, now)
        self._retry_at = now + self._budget.delay_s(self._policy, self._chance())
        self._move(Event.FAILED_TOO_OFTEN if self._budget.is_spent(self._policy) else Event.FAILED)

    def _move(self, event: Event) -> None:
        old, self.state = self.state, SERVICE_LIFECYCLE.next_state(self.state, event)
        if old is self.state:
            return
        self._enter(old)
        self._changed(self, old, self.state)

    def _enter(self, old: State) -> None:
        """Act on having come here from another state."""
        now = self._clock.monotonic()
        if self.state is State.CRASHLOOP and self.crashloop_since is None:
            self.crashloop_since = self._clock.now()
        elif self.state is State.STOPPED:
            self.crashloop_since = None
        if self.state is State.WAITING and old is State.STOPPED:
            self.settled = False
        elif self.state in UP | {State.BACKOFF, State.CRASHLOOP}:
            self.settled = True
        elif self.state is State.ABORTING and self.process is not None:
            self._kill_at = now + self.limits.abort_grace_s
            self.process.abort()
        elif (
            self.state in ENDING_ON_REQUEST | {State.RECYCLING}
            and old in UP | {State.STARTING}
            and self.process is not None
        ):
            # From `aborting` the KILL is already near; between the two endings nothing changes for the process.
            self._kill_at = now + self.limits.stop_grace_s
            self.process.terminate()
