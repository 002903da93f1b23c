"""Resets the event time of a stopped system: what a wrong clock or a later recording left in the future is removed.

This module decides the order: first the checkpoint of the aggregator, then the store in one transaction. If it ends in between, a
second run completes it. `bgpdrift.store.time_reset` decides which rows are removed and which are kept.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from bgpdrift.bgp.spool import LOCK_FILE as SPOOL_LOCK_FILE
from bgpdrift.bgp.spool import SpoolReader
from bgpdrift.errors import AlreadyRunningError
from bgpdrift.features import checkpoint
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.features.spool_aggregation import CHECKPOINT_FILE, CURSOR
from bgpdrift.formatting import escape_control
from bgpdrift.process.locks import FileLock
from bgpdrift.services.feature_aggregator import LOCK_FILE
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.time_reset import SPANS_S

SUPERVISOR_LOCK = "run/supervisor.lock"


class Plan(NamedTuple):
    """What a reset would do."""

    time: int  # event time, epoch seconds
    rows: dict[str, int]  # rows to remove, by table
    newest: int | None  # start of the newest window in the store
    collectors: list[str]  # whose event time in the checkpoint is later
    unread_segments: int  # of the spool, which are kept and read at the next start

    @property
    def changes_nothing(self) -> bool:
        """Whether neither the store nor the checkpoint is later."""
        return not any(self.rows.values()) and not self.collectors


def plan_reset(settings: Settings, store: Store, time: int) -> Plan:
    """Find out what a reset to an event time would do; changes nothing."""
    file = settings.state_path / CHECKPOINT_FILE
    collectors: list[str] = []
    if file.is_file():
        aggregator, _ = _load(settings)
        collectors = aggregator.reset_time(time)
    unread = SpoolReader(settings.spool_path).segments_after(store.read_position(CURSOR))
    return Plan(time, store.count_after(time), store.newest_window_start(), collectors, len(unread))


def reset_time(settings: Settings, store: Store, time: int) -> dict[str, int]:
    """Reset the checkpoint and the store; return the number of removed rows by table. The caller holds `hold_stopped`."""
    file = settings.state_path / CHECKPOINT_FILE
    if file.is_file():
        aggregator, position = _load(settings)
        if aggregator.reset_time(time):
            arrays, values = aggregator.save()
            checkpoint.save(file, arrays, {"position": position, "aggregator": values})
    return store.reset_time(time)


@contextmanager
def hold_stopped(settings: Settings) -> Iterator[None]:
    """Hold the locks of supervisor, collector and aggregator, so that none of them starts meanwhile.

    Raises
    ------
    AlreadyRunningError
        One of them runs.
    """
    places = {
        "the supervisor": settings.data_path / SUPERVISOR_LOCK,
        "ris_live_collector": settings.spool_path / SPOOL_LOCK_FILE,
        "feature_aggregator": settings.state_path / LOCK_FILE,
    }
    held: list[FileLock] = []
    try:
        for name, path in places.items():
            try:
                lock = FileLock(path, create=False)
            except FileNotFoundError:
                continue  # it never ran here
            held.append(lock)
            if not lock.try_acquire():
                raise AlreadyRunningError(
                    f"expected no running service, found {name} ({path} is locked); `python run_all_services.py stop` stops all",
                    0,
                )
        yield
    finally:
        for lock in held:
            lock.close()


def _load(settings: Settings) -> tuple[Aggregator, int]:
    arrays, values = checkpoint.load(settings.state_path / CHECKPOINT_FILE)
    aggregator = Aggregator(settings.windows)
    aggregator.restore(arrays, values["aggregator"])
    return aggregator, int(values["position"])


def describe_plan(plan: Plan, when: str, newest: str) -> str:
    """Describe what a reset does and what it keeps.

    Examples
    --------
    >>> plan = Plan(60, {"feature_windows": 3, "scores": 0}, 600, ["rrc00"], 0)
    >>> print(describe_plan(plan, "1970-01-01 00:01", "1970-01-01 00:10"))
    Event time goes back to 1970-01-01 00:01 UTC; the newest window is of 1970-01-01 00:10 UTC.
    Removed: 3 feature_windows, and the time of rrc00 in the checkpoint of the aggregator.
    Kept: earlier rows, the routing state, models, labels, requests and approvals, unread frames of the spool (0 segments).
    """
    rows = [f"{number:,} {name}" for name in SPANS_S if (number := plan.rows.get(name, 0))]
    if plan.collectors:
        names = escape_control(", ".join(plan.collectors))
        rows.append(f"and the time of {names} in the checkpoint of the aggregator")
    return (
        f"Event time goes back to {when} UTC; the newest window is of {newest} UTC.\n"
        f"Removed: {', '.join(rows) or 'nothing'}.\n"
        "Kept: earlier rows, the routing state, models, labels, requests and approvals, unread frames of the spool "
        f"({plan.unread_segments} segments)."
    )
