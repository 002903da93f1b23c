"""The common part of all services: parent, signals, settings, logs, readiness and the working loop.

A service provides a `Worker`, whose ``step`` is called until the service is stopped. The worker decides what a step does and
whether more work is waiting; a `Wakeable` worker can end the wait between two polls. After a `TransientError` the loop waits
and shows the reason in the status. Any other exception ends the process, and the supervisor's restart budget counts it.
"""

import faulthandler
import os
import sys
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from bgpdrift import logs, settings
from bgpdrift.clock import Clock, SystemClock
from bgpdrift.errors import BgpdriftError, SettingsError, StoreFileError, StoreReplacedError, TransientError
from bgpdrift.process.parent import follow_parent
from bgpdrift.process.sd_notify import Notifier
from bgpdrift.process.signals import StopSignal, ignore_unknown_signals
from bgpdrift.process.waiting import register_progress

EXIT_OK, EXIT_INTERNAL, EXIT_USAGE = 0, 1, 2
STATUS_EVERY_S = 1.0
MAX_WAIT_S = 10.0
DEGRADED_AFTER_S = 10.0
"""A service that cannot work for longer than this reports that it is degraded; seconds."""


class Worker(Protocol):
    """The work of a polling service. The collector waits on a socket and has a loop of its own."""

    def step(self) -> bool:
        """Do one bounded piece of work; True if more work is waiting."""
        ...

    def status(self) -> str:
        """Describe in one line what is done and what is missing."""
        ...

    def close(self) -> None:
        """Release everything; called once, also after a failed step."""
        ...


@runtime_checkable
class Wakeable(Protocol):
    """A worker that can have work before its next poll."""

    @property
    def wake_fd(self) -> int | None:
        """A descriptor that is readable when there is work, and that the step reads empty; None for no early wake."""
        ...


def prepare(name: str) -> settings.Settings:
    """Do the first steps of every service: follow the parent, enable stack dumps, read the settings, set up logs."""
    follow_parent()
    ignore_unknown_signals()
    faulthandler.enable()  # the supervisor sends ABRT to a hung service, whose stacks then go to the log
    loaded = settings.load()
    logs.configure(loaded.logs.level, loaded.logs.form, service=name)
    return loaded


def run(
    name: str, build: Callable[[settings.Settings, Clock], Worker], poll_s: Callable[[settings.Settings], float]
) -> None:
    """Run a polling service until it is asked to stop, then end the process.

    Parameters
    ----------
    name : str
        The service, as in `status`.
    build : callable
        Builds the worker; may raise `BgpdriftError`.
    poll_s : callable
        Returns the seconds to wait after a step without more work.
    """
    try:
        loaded = prepare(name)
    except SettingsError as error:
        print(f"{name}: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    log, clock, stop, notifier = logs.get_logger(), SystemClock(), StopSignal(), Notifier()
    register_progress(notifier.report_progress, notifier.extend_start)
    try:
        while not stop.is_set:
            _serve(lambda: build(loaded, clock), clock, stop, notifier, poll_s(loaded))
    except Exception as error:
        # The supervisor shows the last line of a service that ended, so this line contains the error.
        log.error("service.failed", error=str(error), kind=type(error).__name__, exc_info=_is_bug(error))
        notifier.report_status(f"failed: {error}")
        sys.exit(EXIT_INTERNAL)
    finally:
        notifier.report_stopping()
    log.info("service.stopped")
    sys.exit(EXIT_OK)


def _is_bug(error: Exception) -> bool:
    return not isinstance(error, BgpdriftError)


def _serve(build: Callable[[], Worker], clock: Clock, stop: StopSignal, notifier: Notifier, poll_s: float) -> None:
    """Build a worker and let it work until a stop is requested or its store was replaced."""
    problems = Problems(clock, notifier)
    worker = _build(build, stop, notifier, problems)
    if worker is None:
        return
    wake_fd = worker.wake_fd if isinstance(worker, Wakeable) else None
    if wake_fd is not None:
        stop.wake_on(wake_fd)
    try:
        status = worker.status()
        notifier.report_ready(status)
        logs.get_logger().info("service.ready", pid=os.getpid(), status=status)
        _loop(worker, clock, stop, notifier, problems, poll_s)
    except StoreReplacedError as error:
        logs.get_logger().warning("store.replaced", reason=str(error))
        _wait_after(error, stop, notifier)
    finally:
        if wake_fd is not None:
            stop.forget(wake_fd)
        if stop.is_set:
            notifier.report_stopping()
        worker.close()


class Problems:
    """Reports a problem of the worker that lasts: the service is then degraded, not ready and not hung."""

    def __init__(self, clock: Clock, notifier: Notifier) -> None:
        self._clock, self._notifier = clock, notifier
        self._since: float | None = None

    def add(self, error: TransientError | StoreFileError) -> bool:
        """Report a failed attempt; return whether the service is degraded.

        It is degraded at once if a person must act, else once the problem has lasted for `DEGRADED_AFTER_S`.
        """
        now = self._clock.monotonic()
        self._since = now if self._since is None else self._since
        if isinstance(error, TransientError) and now - self._since < DEGRADED_AFTER_S:
            return False
        self._notifier.report_degraded(str(error))
        return True

    def end(self) -> None:
        """Report that an attempt succeeded."""
        self._since = None
        self._notifier.report_degraded("")


def _build(build: Callable[[], Worker], stop: StopSignal, notifier: Notifier, problems: Problems) -> Worker | None:
    """Build the worker, again after each error that time or a person can mend; None if a stop is requested meanwhile.

    A process that waits for its store for long is degraded. It has to be ready for that, since the manager would end a process
    that is not ready in time and show only that.
    """
    while not stop.is_set:
        try:
            return build()
        except (TransientError, StoreFileError) as error:
            if problems.add(error):
                notifier.report_ready(f"waiting: {error}")
            _wait_after(error, stop, notifier)
    return None


def _loop(
    worker: Worker, clock: Clock, stop: StopSignal, notifier: Notifier, problems: Problems, poll_s: float
) -> None:
    next_status = clock.monotonic()
    while not stop.is_set:
        try:
            busy = worker.step()
        except StoreReplacedError:
            raise
        except (TransientError, StoreFileError) as error:
            problems.add(error)
            _wait_after(error, stop, notifier)
            continue
        problems.end()
        notifier.report_progress()
        if clock.monotonic() >= next_status:
            notifier.report_status(worker.status())
            next_status = clock.monotonic() + STATUS_EVERY_S
        if not busy:
            _wait(poll_s, stop.wait_for_work, notifier)


def _wait_after(error: TransientError | StoreFileError, stop: StopSignal, notifier: Notifier) -> None:
    wait_s = min(error.retry_in_s, MAX_WAIT_S)
    logs.get_logger().warning("service.waits", error=str(error), retry_in_s=round(wait_s, 1))
    notifier.report_status(f"waiting: {error}")
    _wait(wait_s, stop.wait, notifier)


def _wait(seconds: float, wait: Callable[[float], bool], notifier: Notifier) -> None:
    """Wait, and report progress meanwhile, since a loop that waits works."""
    while seconds > 0.0 and not wait(min(seconds, notifier.pulse_s)):
        notifier.report_progress()
        seconds -= notifier.pulse_s
