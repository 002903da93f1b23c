"""Decides how long rows are kept, and deletes expired rows in short batches.

Tables of data age in event time, so that a replay of 2013 is not deleted at once. Tables about the system age in wall time.
The current event time is never later than the wall clock, so that a wrong time in the data does not delete everything.
"""

from collections.abc import Mapping
from typing import Protocol

from bgpdrift.clock import Clock

DAY_S = 86_400.0

DEFAULT_DAYS: dict[str, int] = {
    "feature_windows": 90,  # drift compares last week with 30 to 60 days ago, and training wants some more
    "scores": 90,
    "hourly_histograms": 400,  # a year and a month: the same season last year
    "verdicts": 180,
    "incidents": 730,
    "outcomes": 1825,  # labels by people cannot be made again
    "performance_metrics": 730,
    "drift_metrics": 400,
    "retrain_requests": 400,
    "model_retrain_events": 1825,
    "approvals": 730,
    "alerts": 90,
    "service_events": 30,
}
"""Days by table; `store.retention_days` overrides them. Only closed incidents and answered approvals expire. The events of
an incident and the signals of a drift check are deleted with it. Model versions and cursors do not expire."""

WALL_TIME_TABLES = frozenset({"model_retrain_events", "alerts", "service_events"})
"""Tables whose times are of the wall clock; the others hold event time."""

BATCH_ROWS = 2_000
"""Rows deleted in one transaction: tens of milliseconds for which other writers wait."""

SWEEP_EVERY_S = 3600.0


class Deletable(Protocol):
    """The part of `bgpdrift.store.Store` that the sweeper uses."""

    def newest_window_start(self) -> int | None:
        """Event time now."""
        ...

    def delete_expired(self, table: str, before: float, batch: int) -> int:
        """Delete a batch; return the number of deleted rows."""
        ...


def horizons(days: Mapping[str, int], newest_event: float | None, wall_now: float) -> dict[str, float]:
    """Return the time before which rows expire, by table.

    Parameters
    ----------
    days : mapping
        ``store.retention_days``; tables that are not named keep `DEFAULT_DAYS`.
    newest_event : float or None
        Start of the newest window, epoch seconds; None keeps all tables of event time.
    wall_now : float
        Epoch seconds.

    Examples
    --------
    >>> limits = horizons({"scores": 1}, newest_event=1_000_000, wall_now=9_000_000_000)
    >>> limits["scores"], limits["service_events"]
    (913600.0, 8997408000.0)
    """
    limits = {}
    for table, default in DEFAULT_DAYS.items():
        kept_s = days.get(table, default) * DAY_S
        if table in WALL_TIME_TABLES:
            limits[table] = wall_now - kept_s
        elif newest_event is not None:
            limits[table] = min(newest_event, wall_now) - kept_s
    return limits


class Sweeper:
    """Deletes one batch of expired rows in each step, then pauses for an hour; one service runs it."""

    def __init__(self, store: Deletable, days: Mapping[str, int], clock: Clock, batch: int = BATCH_ROWS) -> None:
        self._store, self._days, self._clock, self._batch = store, dict(days), clock, batch
        self._pending: dict[str, float] = {}
        self._next_at = clock.monotonic()

    def step(self) -> int:
        """Delete at most one batch of one table; return the number of deleted rows, 0 also during the pause."""
        if not self._pending:
            if self._clock.monotonic() < self._next_at:
                return 0
            self._pending = horizons(self._days, self._store.newest_window_start(), self._clock.now())
            self._next_at = self._clock.monotonic() + SWEEP_EVERY_S
        while self._pending:
            table, before = next(iter(self._pending.items()))
            deleted = self._store.delete_expired(table, before, self._batch)
            if deleted < self._batch:
                del self._pending[table]
            if deleted:
                return deleted
        return 0
