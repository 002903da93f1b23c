"""The shell every service runs in: parentage, signals, settings, logs, readiness, the loop.

A service hands over a `Worker`; this file calls its ``step`` until told to stop. What a step does, and when there is
more to do, the worker decides; a `Wakeable` one may be woken between two polls. A `TransientError` of a step is waited
out, with the reason in the status line; any other exception ends the process, for the supervisor's restart budget to
count.
"""

import faulthandler
import os
import select
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Protocol, runtime_checkable

from bgpdrift import logs, settings
from bgpdrift.clock import Clock, SystemClock
from bgpdrift.errors import BgpdriftError, SettingsError, TransientError
from bgpdrift.process.parent import follow_parent
from bgpdrift.process.sd_notify import Notifier

EXIT_OK, EXIT_INTERNAL, EXIT_USAGE = 0, 1, 2
STATUS_EVERY_S = 1.0
LONGEST_WAIT_S = 10.0
DEGRADED_AFTER_S = 10.0
"""What hinders a service for longer than this is no hiccup: it says that it is degraded."""


class Worker(Protocol):
    """What a polling service does; the collector, which waits on a socket, has a loop of its own."""

    def step(self) -> bool:
        """Do one bounded piece of work; True if more is waiting."""
        ...

    def status(self) -> str:
        """One line for a person: what is being done, what is missing."""
        ...

    def close(self) -> None:
        """Finish cleanly; called once, also after a failed step."""
        ...


@runtime_checkable
class Wakeable(Protocol):
    """A worker that may have something to do before its time to poll has come."""

    @property
    def wake_fd(self) -> int | None:
        """Readable when there is; the worker's step reads it empty. None: nothing ever wakes it."""
        ...


class StopSignal:
    """TERM and INT ask for a clean stop; a second one stops at once."""

    def __init__(self) -> None:
        # A pipe and no threading.Event: its lock may be held by the very line that the signal interrupts.
        self._asked = False
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._poll, self._poll_all = select.poll(), select.poll()
        for poll in (self._poll, self._poll_all):
            poll.register(self._reading, select.POLLIN)
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signal module's signature
        if self._asked:
            os._exit(128 + number)
        self._asked = True
        os.write(self._writing, b"1")

    def wait(self, seconds: float) -> bool:
        """Wait, or return at once when asked to stop; True when stopping."""
        self._poll.poll(max(0.0, seconds) * 1000.0)
        return self._asked

    def wake_on(self, descriptor: int) -> None:
        """Let `wait_for_work` end early when this is readable."""
        self._poll_all.register(descriptor, select.POLLIN)

    def wait_for_work(self, seconds: float) -> bool:
        """Wait; True as soon as there is a reason to go on, be it work or a stop."""
        return bool(self._poll_all.poll(max(0.0, seconds) * 1000.0)) or self._asked

    @property
    def is_set(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked


def prepare(name: str) -> settings.Settings:
    """Do what every service does first: follow the parent, arm the hang dump, read settings, set up logs."""
    follow_parent()
    faulthandler.enable()  # SIGABRT from a supervisor that finds us hung leaves our stacks in the log
    loaded = settings.load()
    logs.configure(loaded.logs.level, loaded.logs.form, service=name)
    return loaded


def run(
    name: str, build: Callable[[settings.Settings, Clock], Worker], poll_s: Callable[[settings.Settings], float]
) -> None:
    """Run a polling service until TERM or INT, then exit the process.

    Parameters
    ----------
    name : str
        The service, as in `status`.
    build : callable
        Makes the worker; may raise `BgpdriftError`.
    poll_s : callable
        Seconds to wait when a step found nothing to do.
    """
    try:
        loaded = prepare(name)
    except SettingsError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    log, clock, stop, notifier = logs.get_logger(), SystemClock(), StopSignal(), Notifier()
    worker = None
    try:
        worker = _build(build, loaded, clock, stop, notifier)
        if worker is not None:
            notifier.report_ready(worker.status())
            log.info("service.ready", pid=os.getpid(), status=worker.status())
            _loop(worker, clock, stop, notifier, poll_s(loaded))
    except Exception as error:
        # The supervisor shows the last line of a service that ended: one line must tell.
        log.error("service.failed", error=str(error), kind=type(error).__name__, exc_info=_is_bug(error))
        notifier.report_status(f"failed: {error}")
        sys.exit(EXIT_INTERNAL)
    finally:
        notifier.report_stopping()
        if worker is not None:
            worker.close()
    log.info("service.stopped")
    sys.exit(EXIT_OK)


def _is_bug(error: Exception) -> bool:
    return not isinstance(error, BgpdriftError)


def _build(
    build: Callable[[settings.Settings, Clock], Worker],
    loaded: settings.Settings,
    clock: Clock,
    stop: StopSignal,
    notifier: Notifier,
) -> Worker | None:
    """Make the worker, as often as what it needs is away for a moment; None when told to stop meanwhile."""
    while not stop.is_set:
        try:
            return build(loaded, clock)
        except TransientError as error:
            _wait_out(error, stop, notifier)
    return None


def _loop(worker: Worker, clock: Clock, stop: StopSignal, notifier: Notifier, poll_s: float) -> None:
    next_status = clock.monotonic()
    hindered_since: float | None = None
    if isinstance(worker, Wakeable) and worker.wake_fd is not None:
        stop.wake_on(worker.wake_fd)
    while not stop.is_set:
        try:
            busy = worker.step()
        except TransientError as error:
            hindered_since = clock.monotonic() if hindered_since is None else hindered_since
            if clock.monotonic() - hindered_since >= DEGRADED_AFTER_S:
                notifier.report_degraded(str(error))
            _wait_out(error, stop, notifier)
            continue
        hindered_since = None
        notifier.report_degraded("")
        notifier.report_progress()
        if clock.monotonic() >= next_status:
            notifier.report_status(worker.status())
            next_status = clock.monotonic() + STATUS_EVERY_S
        if not busy:
            _wait(poll_s, stop.wait_for_work, notifier)


def _wait_out(error: TransientError, stop: StopSignal, notifier: Notifier) -> None:
    wait_s = min(error.retry_in_s, LONGEST_WAIT_S)
    logs.get_logger().warning("service.waits", error=str(error), retry_in_s=round(wait_s, 1))
    notifier.report_status(f"waiting: {error}")
    _wait(wait_s, stop.wait, notifier)


def _wait(seconds: float, wait: Callable[[float], bool], notifier: Notifier) -> None:
    """Wait for more work; the loop that waits is alive, and says so as often as it must."""
    while seconds > 0.0 and not wait(min(seconds, notifier.pulse_s)):
        notifier.report_progress()
        seconds -= notifier.pulse_s
