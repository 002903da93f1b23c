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
from bgpdrift.errors import BgpdriftError, SettingsError, TransientError
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
    register_progress(notifier.report_progress)
    worker = None
    try:
        worker = _build(build, loaded, clock, stop, notifier)
        if worker is not None:
            notifier.report_ready(worker.status())
            log.info("service.ready", pid=os.getpid(), status=worker.status())
            _loop(worker, clock, stop, notifier, poll_s(loaded))
    except Exception as error:
        # The supervisor shows the last line of a service that ended, so this line contains the error.
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
    """Build the worker, again after each `TransientError`; None if a stop is requested meanwhile."""
    while not stop.is_set:
        try:
            return build(loaded, clock)
        except TransientError as error:
            _wait_after(error, stop, notifier)
    return None


def _loop(worker: Worker, clock: Clock, stop: StopSignal, notifier: Notifier, poll_s: float) -> None:
    next_status = clock.monotonic()
    failing_since: float | None = None
    if isinstance(worker, Wakeable) and worker.wake_fd is not None:
        stop.wake_on(worker.wake_fd)
    while not stop.is_set:
        try:
            busy = worker.step()
        except TransientError as error:
            failing_since = clock.monotonic() if failing_since is None else failing_since
            if clock.monotonic() - failing_since >= DEGRADED_AFTER_S:
                notifier.report_degraded(str(error))
            _wait_after(error, stop, notifier)
            continue
        failing_since = None
        notifier.report_degraded("")
        notifier.report_progress()
        if clock.monotonic() >= next_status:
            notifier.report_status(worker.status())
            next_status = clock.monotonic() + STATUS_EVERY_S
        if not busy:
            _wait(poll_s, stop.wait_for_work, notifier)


def _wait_after(error: TransientError, stop: StopSignal, notifier: Notifier) -> None:
    wait_s = min(error.retry_in_s, MAX_WAIT_S)
    logs.get_logger().warning("service.waits", error=str(error), retry_in_s=round(wait_s, 1))
    notifier.report_status(f"waiting: {error}")
    _wait(wait_s, stop.wait, notifier)


def _wait(seconds: float, wait: Callable[[float], bool], notifier: Notifier) -> None:
    """Wait, and report progress meanwhile, since a loop that waits works."""
    while seconds > 0.0 and not wait(min(seconds, notifier.pulse_s)):
        notifier.report_progress()
        seconds -= notifier.pulse_s
