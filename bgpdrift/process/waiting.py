"""Reports that a wait with a limit continues, so that a process that waits for a lock does not count as hung.

The working loop of a service registers how it reports progress. Code that waits in slices calls `report_wait` between
them. Only waits of the registered thread count: another thread may wait while the loop hangs.
"""

import threading
from collections.abc import Callable

_registered: tuple[int, Callable[[], None]] | None = None


def register_progress(report: Callable[[], None]) -> None:
    """Let the waits of the calling thread report progress by ``report``, which must be cheap."""
    global _registered
    _registered = (threading.get_ident(), report)


def report_wait() -> None:
    """Report that the calling thread waits, with a limit, and is not hung."""
    if _registered is not None and _registered[0] == threading.get_ident():
        _registered[1]()
