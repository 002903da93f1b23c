"""The service feature_aggregator: builds feature windows from the segments of the spool."""

from contextlib import ExitStack

from bgpdrift.clock import Clock
from bgpdrift.errors import BgpdriftError
from bgpdrift.features.spool_aggregation import SpoolAggregation
from bgpdrift.process.locks import FileLock
from bgpdrift.services import runtime
from bgpdrift.settings import Settings
from bgpdrift.store import open_store

NAME = "feature_aggregator"
LOCK_FILE = "aggregator.lock"


def build(settings: Settings, clock: Clock) -> SpoolAggregation:
    """Build the worker; it holds a lock on the data directory until it is closed or its process ends.

    Raises
    ------
    BgpdriftError
        Another aggregator holds the lock. Two of them would delete segments that the other has not read.
    """
    settings.state_path.mkdir(parents=True, exist_ok=True)
    path = settings.state_path / LOCK_FILE
    with ExitStack() as stack:
        lock = stack.enter_context(FileLock(path))
        if not lock.try_acquire():
            raise BgpdriftError(f"{path}: expected no other {NAME} on this data directory, found one")
        store = open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s)
        stack.callback(store.close)
        worker = SpoolAggregation(settings, store, clock, on_close=lock.close)
        stack.pop_all()  # the worker closes both from now on
    return worker


if __name__ == "__main__":
    runtime.run(NAME, build, lambda settings: min(0.2, settings.spool.segment_s / 2))
