"""Ignores signals that bgpdrift does not use, such as USR1, because by default they end the process."""

import signal
import threading
from types import FrameType

IGNORED = frozenset(
    {
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGALRM,
        signal.SIGVTALRM,
        signal.SIGPROF,
        signal.SIGIO,
        signal.SIGPWR,
        *range(signal.SIGRTMIN, signal.SIGRTMAX + 1),
    }
)
"""The numbers of these signals."""


def ignore_unknown_signals() -> None:
    """Ignore them from now on. A handler, not SIG_IGN, since a child would inherit that."""
    if threading.current_thread() is threading.main_thread():
        for number in IGNORED & signal.valid_signals():
            signal.signal(number, _do_nothing)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass
