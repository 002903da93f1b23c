"""The drift monitor: folds scores and features into hourly histograms, and has checked what they say.

Decides the order of a step: housekeeping, folding, then checks, then what follows for the models. Two cursors, one for
scores and one for windows, move in one transaction with the histograms, and only from where this reader began: a kill
counts nothing twice, nor does a second monitor. What a row adds `bgpdrift.monitor.folding` decides, whether a detector
still fits `bgpdrift.monitor.drift_checks`, what becomes of a model that does not `bgpdrift.monitor.model_loop`. Labels
become daily figures in `bgpdrift.monitor.performance_days`.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.monitor import folding
from bgpdrift.monitor.drift_checks import DriftChecks
from bgpdrift.monitor.folding import HOUR_S, Folded
from bgpdrift.monitor.model_loop import ModelLoop
from bgpdrift.monitor.performance_days import LabelledDays
from bgpdrift.services import runtime
from bgpdrift.settings import Settings
from bgpdrift.store import Cursor, Store, open_store
from bgpdrift.store.retention import Sweeper

NAME = "drift_monitor"
ROWS_A_STEP = 2_000


class Checks(Protocol):
    """What decides whether the detectors still fit, e.g. `bgpdrift.monitor.drift_checks.DriftChecks`."""

    def step(self) -> bool:
        """Do a bounded piece of work; True if more is waiting."""
        ...

    def status(self) -> str:
        """One line for a person."""
        ...


class Loop(Protocol):
    """What acts on it, e.g. `bgpdrift.monitor.model_loop.ModelLoop`."""

    def step(self, event_now: int) -> bool:
        """Do a bounded piece of work; True if more is waiting."""
        ...


class DriftMonitor:
    """Worker.

    Parameters
    ----------
    store : Store
        Closed with the worker.
    enabled : bool
        ``drift.enabled``; off, only the housekeeping goes on.
    sweeper, labelled, checks, loop : optional
        The other parts of a step.
    """

    def __init__(
        self,
        store: Store,
        enabled: bool,
        sweeper: Sweeper | None = None,
        labelled: LabelledDays | None = None,
        checks: Checks | None = None,
        loop: Loop | None = None,
    ) -> None:
        self._store, self._enabled, self._sweeper, self._labelled = store, enabled, sweeper, labelled
        self._checks, self._loop, self._log = checks, loop, logs.get_logger()
        self._positions = {what: self._position(what) for what in ("scores", "windows")}
        self._rows = 0
        self._unusable: Counter[str] = Counter()

    def step(self) -> bool:
        """Fold the next rows, check what is due, act on it; True if more is waiting."""
        if self._sweeper is not None:
            self._sweeper.step()
        if self._labelled is not None:
            self._labelled.step()
        if not self._enabled:
            return False
        # Windows first: a score is written after its window, whose quality marks say whether it counts.
        more = self._fold_windows()
        more = self._fold_scores() or more
        # Not before all that is there was folded: an hour must be whole when it is judged.
        if not more and self._checks is not None:
            more = self._checks.step()
        if self._loop is not None:
            now = self._store.latest_window_start()
            more = (now is not None and self._loop.step(now + 60)) or more
        return more

    def status(self) -> str:
        """What was folded, what could not be, and what the last checks said."""
        if not self._enabled:
            return "switched off (drift.enabled)"
        parts = [f"{self._rows:,} rows folded"]
        parts += [f"{count:,} × {what} left out" for what, count in self._unusable.most_common(3)]
        parts += [self._checks.status()] if self._checks is not None else []
        return "; ".join(part for part in parts if part)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _position(self, what: str) -> int:
        cursor = self._store.read_cursor(f"{NAME}:{what}")
        return cursor.position if cursor else 0

    def _fold_windows(self) -> bool:
        rows = self._store.window_columns_after(folding.WINDOW_COLUMNS, self._positions["windows"], ROWS_A_STEP)
        return self._fold("windows", rows, lambda: folding.fold_windows(rows))

    def _fold_scores(self) -> bool:
        rows = self._store.score_columns_after(folding.SCORE_COLUMNS, self._positions["scores"], ROWS_A_STEP)

        def fold() -> Folded:
            hours = {int(row[3]) // HOUR_S * HOUR_S for row in rows}
            marked = folding.marked_windows(self._store.marked_windows(hours, folding.MARKS))
            return folding.fold_scores(rows, marked)

        return self._fold("scores", rows, fold)

    def _fold(self, what: str, rows: list[tuple[Any, ...]], fold: Callable[[], Folded]) -> bool:
        if not rows:
            return False
        folded, position = fold(), int(rows[-1][0])
        cursor = Cursor(f"{NAME}:{what}", position, {})
        if not self._store.fold_histograms(cursor, self._positions[what], folded.added, folding.merge(folded.added)):
            self._positions[what] = self._position(what)  # another monitor folded them; go on where it is
            return True
        self._positions[what] = position
        self._rows += len(rows)
        for reason, count in folded.unusable.items():
            if not self._unusable[reason]:
                self._log.error("drift.unusable_rows", what=reason, rows=count)
            self._unusable[reason] += count
        return len(rows) == ROWS_A_STEP


def build(settings: Settings, clock: Clock) -> DriftMonitor:
    """Make the worker."""
    store = open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s)
    days = {str(table): kept for table, kept in settings.store.retention_days.items()}
    labelled = LabelledDays(store, clock, settings.drift.min_labels)
    checks, loop = DriftChecks(settings, store, clock), ModelLoop(settings, store, clock)
    return DriftMonitor(store, settings.drift.enabled, Sweeper(store, days, clock), labelled, checks, loop)


if __name__ == "__main__":
    runtime.run(NAME, build, lambda settings: settings.drift.poll_s)
