"""Signals of long-running processes: a request to stop, and those that bgpdrift does not use.

This module decides which signals mean a stop and which mean nothing. The process decides how it stops.
"""

import os
import select
import signal
import threading
from contextlib import suppress
from types import FrameType

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
IGNORED = frozenset(
    {
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGALRM,
        signal.SIGVTALRM,
        signal.SIGPROF,
        signal.SIGIO,
        signal.SIGPWR,
        signal.SIGSTKFLT,
        *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
    }
)
"""The numbers of signals that mean nothing; by default they end the process."""


class StopSignal:
    """TERM, INT and HUP request a clean stop.

    INT and HUP are not handled if the caller ignores them: ``nohup``, and background jobs of a shell.

    Parameters
    ----------
    ends_at_second : bool
        Whether a second signal ends the process at once.

    Attributes
    ----------
    number : int
        The first signal; 0 for none.
    descriptor : int
        Readable after it.
    """

    def __init__(self, *, ends_at_second: bool = True) -> None:
        # A pipe, not a threading.Event: the signal may interrupt the very line that holds the lock of an Event.
        self.number = 0
        self._ends_at_second = ends_at_second
        self.descriptor, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._poll, self._poll_all = select.poll(), select.poll()
        for poll in (self._poll, self._poll_all):
            poll.register(self.descriptor, select.POLLIN)
        for number in STOP_SIGNALS:
            if number is signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signal module's signature
        if self.number and self._ends_at_second:
            os._exit(128 + number)
        self.number = self.number or number
        with suppress(BlockingIOError):
            os.write(self._writing, b"1")

    @property
    def is_set(self) -> bool:
        """Whether a stop was requested."""
        return bool(self.number)

    def wait(self, seconds: float) -> bool:
        """Wait until the time is over or a stop is requested; True if one is."""
        self._poll.poll(max(0.0, seconds) * 1000.0)
        return self.is_set

    def wake_on(self, descriptor: int) -> None:
        """Let `wait_for_work` also end when this descriptor is readable."""
        self._poll_all.register(descriptor, select.POLLIN)

    def forget(self, descriptor: int) -> None:
        """End what `wake_on` began."""
        self._poll_all.unregister(descriptor)

    def wait_for_work(self, seconds: float) -> bool:
        """Wait until the time is over, or until there is work or a stop is requested; True if there is."""
        return bool(self._poll_all.poll(max(0.0, seconds) * 1000.0)) or self.is_set


def ignore_unknown_signals() -> None:
    """Ignore the signals that mean nothing from now on. A handler, not SIG_IGN, since a child would inherit that."""
    if threading.current_thread() is threading.main_thread():
        for number in IGNORED & signal.valid_signals():
            signal.signal(number, _do_nothing)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass
