"""Reports that a wait with a limit or a long work continues, so that a process in it does not count as hung.

The working loop of a service registers how it reports progress. Code that waits in slices calls `report_wait` between them,
and code that reads or writes much data calls `report_work`. Only the registered thread counts: another thread may wait while
the loop hangs.
"""

import threading
from collections.abc import Callable

_registered: tuple[int, Callable[[], None], Callable[[], None]] | None = None


def register_progress(report: Callable[[], None], extend_start: Callable[[], None] = lambda: None) -> None:
    """Let the waits and the long work of the calling thread report progress; both functions must be cheap.

    Parameters
    ----------
    report : callable
        Reports progress.
    extend_start : callable
        Requests more time to become ready.
    """
    global _registered
    _registered = (threading.get_ident(), report, extend_start)


def report_wait() -> None:
    """Report that the calling thread waits, with a limit, and is not hung."""
    if _registered is not None and _registered[0] == threading.get_ident():
        _registered[1]()


def report_work() -> None:
    """Report that the calling thread has done a part of a long work of known size; a service may need it before it is ready."""
    if _registered is not None and _registered[0] == threading.get_ident():
        _registered[1]()
        _registered[2]()
