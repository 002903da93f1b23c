"""The drift monitor's worker: one step is housekeeping, then fold -> check -> request -> run -> probation.

This module decides the order of a step. Windows are folded before scores, because the quality marks of a window decide whether
its scores count. Checks follow only when all stored rows are folded, because an hour must be complete when it is checked. The
position of each reader moves in one transaction with its histograms, and only from the position that was read. Neither a kill
nor a second monitor therefore counts a row twice.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from bgpdrift import logs
from bgpdrift.monitor import folding
from bgpdrift.monitor.folding import HOUR_S, Folded
from bgpdrift.monitor.performance_days import PerformanceDays
from bgpdrift.store import Cursor, Store
from bgpdrift.store.retention import Sweeper

NAME = "drift_monitor"
ROWS_PER_STEP = 2_000
SHOWN_PROBLEMS = 3
MAX_PROBLEMS = 100
"""Kinds of unusable rows that are remembered: their names hold versions and collectors, of which there is no end."""


class Checks(Protocol):
    """Checks the detectors, e.g. `bgpdrift.monitor.drift_checks.DriftChecks`."""

    def step(self) -> bool:
        """Do a bounded piece of work; return whether more waits."""
        ...

    def status(self) -> str:
        """Describe the state in one line."""
        ...


class Loop(Protocol):
    """Acts on the checks, e.g. `bgpdrift.monitor.model_loop.ModelLoop`."""

    def step(self, event_now: int) -> bool:
        """Do a bounded piece of work; return whether more waits."""
        ...


class FactsReport(Protocol):
    """Reports what may need a person, e.g. `bgpdrift.status.facts_writer.FactsWriter`."""

    def step(self) -> None:
        """Report if it is time."""
        ...


class DriftMonitor:
    """The worker.

    Parameters
    ----------
    store : Store
        Closed with the worker.
    enabled : bool
        ``drift.enabled``; if off, only the housekeeping runs.
    sweeper, performance, checks, loop, facts : optional
        The other parts of a step.
    """

    def __init__(
        self,
        store: Store,
        enabled: bool,
        sweeper: Sweeper | None = None,
        performance: PerformanceDays | None = None,
        checks: Checks | None = None,
        loop: Loop | None = None,
        facts: FactsReport | None = None,
    ) -> None:
        self._store, self._enabled, self._sweeper, self._performance = store, enabled, sweeper, performance
        self._checks, self._loop, self._facts, self._log = checks, loop, facts, logs.get_logger()
        self._positions = {reader: self._read_position(reader) for reader in ("scores", "windows")}
        self._folded_rows = 0
        self._unusable: Counter[str] = Counter()

    def step(self) -> bool:
        """Do one step; return whether more waits."""
        if self._facts is not None:
            self._facts.step()
        if self._sweeper is not None:
            self._sweeper.step()
        if self._performance is not None:
            self._performance.step()
        if not self._enabled:
            return False
        more = self._fold_windows()
        more = self._fold_scores() or more
        if not more and self._checks is not None:
            more = self._checks.step()
        if self._loop is not None:
            now = self._store.latest_window_start()
            more = (now is not None and self._loop.step(now + 60)) or more
        return more

    def status(self) -> str:
        """Describe the folded and the unusable rows, and the last checks."""
        if not self._enabled:
            return "switched off (drift.enabled)"
        parts = [f"{self._folded_rows:,} rows folded"]
        parts += [
            f"{count:,} × {problem}, not counted" for problem, count in self._unusable.most_common(SHOWN_PROBLEMS)
        ]
        hidden = len(self._unusable) - SHOWN_PROBLEMS
        parts += [f"{hidden} other kinds of unusable rows"] if hidden > 0 else []
        parts += [self._checks.status()] if self._checks is not None else []
        return "; ".join(part for part in parts if part)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _read_position(self, reader: str) -> int:
        return self._store.read_position(f"{NAME}:{reader}")

    def _fold_windows(self) -> bool:
        rows = self._store.window_columns_after(folding.WINDOW_COLUMNS, self._positions["windows"], ROWS_PER_STEP)
        return self._fold("windows", rows, lambda: folding.fold_windows(rows))

    def _fold_scores(self) -> bool:
        rows = self._store.score_columns_after(folding.SCORE_COLUMNS, self._positions["scores"], ROWS_PER_STEP)

        def fold() -> Folded:
            hours = {int(row[3]) // HOUR_S * HOUR_S for row in rows}
            marked = folding.find_marked_windows(self._store.marked_windows(hours, folding.MARKS))
            return folding.fold_scores(rows, marked)

        return self._fold("scores", rows, fold)

    def _fold(self, reader: str, rows: list[tuple[Any, ...]], fold: Callable[[], Folded]) -> bool:
        if not rows:
            return False
        folded, position = fold(), int(rows[-1][0])
        cursor = Cursor(f"{NAME}:{reader}", position)
        merge = folding.build_merge(folded.added)
        if not self._store.fold_histograms(cursor, self._positions[reader], folded.added, merge):
            self._positions[reader] = self._read_position(reader)  # another monitor has folded these rows
            return True
        self._positions[reader] = position
        self._folded_rows += len(rows)
        for problem, count in folded.unusable.items():
            if not self._unusable[problem]:
                self._log.error("drift.unusable_rows", problem=problem, rows=count)
            self._unusable[problem] += count
        self._unusable = Counter(dict(self._unusable.most_common(MAX_PROBLEMS)))
        return len(rows) == ROWS_PER_STEP
