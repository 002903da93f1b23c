"""Signals about the data and the model of a check: performance against labels, volume, growth, model age, lag.

This module decides which spans they are taken from. `bgpdrift.drift.signals` computes them.
"""

from collections.abc import Mapping, Sequence

from bgpdrift.clock import Clock
from bgpdrift.drift import signals, windows
from bgpdrift.drift.accuracy import measure_performance
from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.hours import Hours
from bgpdrift.drift.report import Comparison, Measure
from bgpdrift.monitor.check_inputs import DAY_S, CheckInputReader, CheckInputs
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.outcomes import DailyPerformance
from bgpdrift.verdicts.performance import LabelCounts, count_labels

GROWTH_DAYS = 14
MIN_DAY_HOURS = 20
"""Mean hours of data by collector from which a day counts as whole."""
OUTCOME_DAYS, OUTCOME_REFERENCE_DAYS = 7, 60


class ContextSignals:
    """Measures the signals of each check; one object for each monitor."""

    def __init__(self, settings: Settings, store: Store, clock: Clock, reader: CheckInputReader) -> None:
        self._settings, self._store, self._clock, self._reader = settings, store, clock, reader
        self._growth: tuple[int, Measure] | None = None
        """Event time and growth of the newest check: it is the same for all detectors."""

    def measure(self, inputs: CheckInputs, comparisons: Sequence[Comparison]) -> list[Measure]:
        """Measure all signals; performance comes first."""
        measures = [*self._measure_performance(inputs)]
        if comparisons:
            pair = windows.pair_rolling(inputs.hours, self._settings.drift.preset)
            measures.append(signals.measure_volume(*_count_values(pair.current), *_count_values(pair.reference)))
        measures.append(self._measure_growth(inputs.at))
        ends = [int(hours.starts[-1]) + HOUR_S for hours in inputs.hours.profile.values() if len(hours)]
        if ends:
            measures.append(signals.measure_age(max(ends), inputs.at))
        measures.append(signals.measure_lag(inputs.at, self._clock.now()))
        return measures

    def _measure_growth(self, at: int) -> Measure:
        """Measure the growth of the announcements of all collectors."""
        if self._growth is None or self._growth[0] != at:
            series = self._reader.read_series("feature:announced", "", at - (GROWTH_DAYS + 1) * DAY_S, at)
            self._growth = (at, signals.measure_growth(_sum_days(series, at)))
        return self._growth[1]

    def _measure_performance(self, inputs: CheckInputs) -> Sequence[Measure]:
        end = inputs.at // DAY_S * DAY_S
        cut = end - OUTCOME_DAYS * DAY_S
        rows = self._store.performance_between(end - OUTCOME_REFERENCE_DAYS * DAY_S, end)
        rows = [row for row in rows if row.model == inputs.model]
        current = [row for row in rows if row.day_start >= cut and row.model_version == inputs.version]
        reference = [row for row in rows if row.day_start < cut]
        counts = _sum_labels(reference) if reference else None
        return measure_performance(_sum_labels(current), counts, self._settings.drift)


def _count_values(series: windows.Series) -> tuple[float, float]:
    """Count the values, and the hours that hold any, over all collectors."""
    return float(sum(hours.n.sum() for hours in series.values())), float(len(windows.list_hours(series)))


def _sum_days(series: Mapping[str, Hours], at: int) -> list[float]:
    """Sum a feature over each whole day of the two weeks before ``at``, oldest first; incomplete days are left out."""
    sums = []
    for days in range(GROWTH_DAYS, 0, -1):
        start = at - days * DAY_S
        parts = [hours.between(start, start + DAY_S) for hours in series.values()]
        if sum(len(part) for part in parts) >= MIN_DAY_HOURS * len(parts):
            sums.append(float(sum(part.totals.sum() for part in parts)))
    return sums


def _sum_labels(rows: Sequence[DailyPerformance]) -> LabelCounts:
    return sum(map(count_labels, rows), LabelCounts())
