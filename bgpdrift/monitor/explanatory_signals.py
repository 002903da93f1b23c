"""Signals that explain why scores drift: rules, embedding, features.

This module decides when they are measured: as soon as the scores begin to differ from the reference, otherwise every
`INTERVAL_H` hours. While the scores stay different, a check repeats the last measures with their time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bgpdrift.detector_registry import BY_NAME
from bgpdrift.drift import signals, windows
from bgpdrift.drift.categories import CategoryHours, measure_categories
from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.histogram import Histogram
from bgpdrift.drift.hours import merge_hours
from bgpdrift.drift.report import Comparison, Measure
from bgpdrift.drift.rule import screen
from bgpdrift.drift.windows import DetectorHours, WindowPair
from bgpdrift.formatting import format_time
from bgpdrift.monitor.check_inputs import DAY_S, CheckInputReader, CheckInputs
from bgpdrift.settings import Settings
from bgpdrift.settings_sections import WindowPresetName
from bgpdrift.store import Store
from bgpdrift.store.window_columns import FEATURE_NAMES

SPAN_S = 9 * DAY_S
"""A day, the clean week before it, and one day in reserve for incidents."""
PRESET: WindowPresetName = "24h/7d"
INTERVAL_H = 6


@dataclass(frozen=True, slots=True)
class LastMeasures:
    """The last measures of one detector.

    Attributes
    ----------
    at : int
        Event time, epoch seconds.
    version : str
        Version of the detector.
    has_moved : bool
        Whether the scores differed from the reference at the newest check since.
    measures : sequence of Measure
        Rules, embedding, features.
    """

    at: int
    version: str
    has_moved: bool
    measures: Sequence[Measure]


class ExplanatorySignals:
    """Measures the signals; one object for each monitor."""

    def __init__(self, settings: Settings, store: Store, reader: CheckInputReader) -> None:
        self._settings, self._store, self._reader = settings, store, reader
        self._features: tuple[int, Sequence[Measure]] = (0, ())
        """Event time and features of the newest check: they are the same for all detectors."""
        self._last: dict[str, LastMeasures] = {}

    def measure(self, inputs: CheckInputs, comparisons: Sequence[Comparison]) -> Sequence[Measure]:
        """Measure the signals, or repeat the last ones; none if the scores do not differ and nothing is due."""
        has_moved = any(comparison.verdict not in ("none", "not_enough_data") for comparison in comparisons)
        last = self._last.get(inputs.model)
        if last is None or last.version != inputs.version or not 0 <= inputs.at - last.at < INTERVAL_H * HOUR_S:
            last = None
        if is_due(inputs.at, has_moved, None if last is None else last.has_moved):
            measures = self._measure_rules(inputs) if BY_NAME[inputs.model].rule_names else []
            measures += self._measure_embedding(inputs)
            measures += self._measure_features(inputs)
            self._last[inputs.model] = LastMeasures(inputs.at, inputs.version, has_moved, measures)
            return measures
        if last is None:
            return ()
        self._last[inputs.model] = replace(last, has_moved=has_moved)
        return [_add_time(measure, last.at) for measure in last.measures] if has_moved else ()

    def _measure_features(self, inputs: CheckInputs) -> Sequence[Measure]:
        if self._features[0] != inputs.at:
            names = [f"feature:{name}" for name in FEATURE_NAMES]
            series = self._reader.read_many_series(names, "", inputs.at - SPAN_S, inputs.at)
            measures = [
                signals.summarize_comparison(name, self._screen(_pair(hours, inputs)), self._settings.drift)
                for name, hours in series
            ]
            self._features = (inputs.at, measures)
        return self._features[1]

    def _measure_embedding(self, inputs: CheckInputs) -> list[Measure]:
        prefixes = [f"{kind}:{inputs.model}:" for kind in ("embedding", "projection")]
        names = [name for prefix in prefixes for name in self._store.series_names(prefix, inputs.at - DAY_S, inputs.at)]
        measures = []
        for series, hours in self._reader.read_many_series(names, inputs.version, inputs.at - SPAN_S, inputs.at):
            pair = _pair(hours, inputs)
            kind, _, number = series.split(":")
            current, reference = _pool(pair.current), _pool(pair.reference)
            comparison = self._screen(pair)
            measures.append(
                signals.measure_embedding(f"{kind}:{number}", current, reference, comparison, self._settings.drift)
            )
        return measures

    def _measure_rules(self, inputs: CheckInputs) -> list[Measure]:
        begin = inputs.at - SPAN_S
        names = self._store.series_names("rule:", begin, inputs.at)
        sides: list[dict[str, Any]] = [{}, {}]
        for series, rule_hours in self._reader.read_many_series(names, inputs.version, begin, inputs.at):
            pair = _pair(rule_hours, inputs)
            for side, hours in zip(sides, (pair.current, pair.reference), strict=True):
                side[series.removeprefix("rule:")] = list(hours.values())
        if not names:
            return []
        current, reference = (CategoryHours.of_alarms(side) for side in sides)
        return list(measure_categories("rule_mix", current, reference, self._settings.drift))

    def _screen(self, pair: WindowPair) -> Comparison:
        return screen(pair, self._settings.drift)


def is_due(at: int, has_moved: bool, had_moved: bool | None) -> bool:
    """Return whether the signals are measured at a check.

    Parameters
    ----------
    has_moved, had_moved : bool
        Whether the scores differ from the reference now, and did at the check before; ``had_moved`` is None without
        measures of the last `INTERVAL_H` hours.

    Examples
    --------
    >>> is_due(6 * 3600, False, False), is_due(7 * 3600, False, False)
    (True, False)
    >>> is_due(7 * 3600, True, False), is_due(8 * 3600, True, True), is_due(8 * 3600, True, None)
    (True, False, True)
    """
    return at % (INTERVAL_H * HOUR_S) == 0 or (has_moved and not had_moved)


def _add_time(measure: Measure, at: int) -> Measure:
    """Note the event time at which a repeated measure was taken."""
    note = f"as of {format_time(at)} UTC"
    return replace(measure, note=f"{measure.note}; {note}" if measure.note else note)


def _pair(series: windows.Series, inputs: CheckInputs) -> WindowPair:
    return windows.pair_rolling(DetectorHours(inputs.at, series, out=inputs.hours.out), PRESET)


def _pool(series: windows.Series) -> Histogram:
    return merge_hours(list(series.values())).pool()
