"""Measures beside a detector's scores: features, embedding, rules, volume, growth, age, lag, outcomes. The thin shell.

Decides which hours of which series they are taken from; what they say `bgpdrift.drift` decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from bgpdrift.clock import Clock
from bgpdrift.detector_registry import BY_NAME
from bgpdrift.drift import signals, windows
from bgpdrift.drift.accuracy import measure_performance
from bgpdrift.drift.categories import CategoryHours, measure_categories
from bgpdrift.drift.histogram import Histogram
from bgpdrift.drift.hours import HOUR_S, Hours, merge_hours
from bgpdrift.drift.report import Comparison, Measure
from bgpdrift.drift.rule import screen
from bgpdrift.drift.windows import DetectorHours, WindowPair
from bgpdrift.monitor.check_inputs import DAY_S, DriftFacts, Facts
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.window_columns import FEATURE_NAMES
from bgpdrift.verdicts.performance import LabelCounts

SPAN_S = 9 * DAY_S
"""Looked at for a day and the clean week before it, with a day to spare for incidents."""
EVERY_H = 6
GROWTH_S = 15 * DAY_S
OUTCOME_DAYS, OUTCOME_BASELINE_DAYS = 7, 60
_COUNTS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


@dataclass(frozen=True, slots=True)
class Looked:
    """What tells why scores move, as last measured for one detector.

    Attributes
    ----------
    at : int
        Event time it was measured at, epoch seconds.
    version : str
        Of the detector.
    moved : bool
        Whether scores differed from usual at the newest check since.
    found : list of Measure
        Rules, embedding, features.
    """

    at: int
    version: str
    moved: bool
    found: Sequence[Measure]


class Signals:
    """Takes them; one object a monitor."""

    def __init__(self, settings: Settings, store: Store, clock: Clock, facts: DriftFacts) -> None:
        self._settings, self._store, self._clock, self._facts = settings, store, clock, facts
        self._of_features: tuple[int, list[Measure]] = (0, [])
        self._of_growth: tuple[int, list[Measure]] = (0, [])
        self._looked: dict[str, Looked] = {}

    def of(self, facts: Facts, comparisons: Sequence[Comparison]) -> list[Measure]:
        """All signals of one check, those of the detector first."""
        found = [*self._performance(facts)]
        found += self._volume(facts, comparisons)
        found.append(signals.measure_lag(facts.at, self._clock.now()))
        return found + self._inside(facts, comparisons)

    def _inside(self, facts: Facts, comparisons: Sequence[Comparison]) -> list[Measure]:
        """What tells why scores moved; while they stay moved, as it was when last looked into."""
        moved = has_moved(comparisons)
        before = self._looked.get(facts.model)
        if before is None or before.version != facts.version or not 0 <= facts.at - before.at < EVERY_H * HOUR_S:
            before = None
        if is_due(facts.at, moved, None if before is None else before.moved):
            found = self._rules(facts) if BY_NAME[facts.model].rule_names else []
            found += self._embedding(facts)
            found += self._features(facts)
            self._looked[facts.model] = Looked(facts.at, facts.version, moved, found)
            return found
        if before is None:
            return []
        self._looked[facts.model] = replace(before, moved=moved)
        return [_as_of(measure, before.at) for measure in before.found] if moved else []

    def _features(self, facts: Facts) -> list[Measure]:
        """Drift of each feature, the same for all detectors of one event time."""
        if self._of_features[0] != facts.at:
            names = [f"feature:{name}" for name in FEATURE_NAMES]
            series = self._facts.many(names, "", facts.at - SPAN_S, facts.at)
            self._of_features = (facts.at, [self._of_series(name, hours, facts) for name, hours in series])
        return self._of_features[1]

    def _of_series(self, name: str, hours: windows.Series, facts: Facts) -> Measure:
        pair = self._paired(hours, facts)
        return signals.summarize_comparison(name, self._compared(pair), self._settings.drift)

    def _embedding(self, facts: Facts) -> list[Measure]:
        prefixes = [f"{kind}:{facts.model}:" for kind in ("embedding", "projection")]
        names = [n for prefix in prefixes for n in self._store.series_names(prefix, facts.at - DAY_S, facts.at)]
        found = []
        for series, hours in self._facts.many(names, facts.version, facts.at - SPAN_S, facts.at):
            pair = self._paired(hours, facts)
            kind, _, number = series.split(":")
            now, before = _pooled(pair.current), _pooled(pair.reference)
            name = f"{kind}:{number}"
            found.append(signals.measure_embedding(name, now, before, self._compared(pair), self._settings.drift))
        return found

    def _rules(self, facts: Facts) -> list[Measure]:
        begin = facts.at - SPAN_S
        names = self._store.series_names("rule:", begin, facts.at)
        sides: list[dict[str, Any]] = [{}, {}]
        for series, hours_of_rule in self._facts.many(names, facts.version, begin, facts.at):
            pair = self._paired(hours_of_rule, facts)
            for side, hours in zip(sides, (pair.current, pair.reference), strict=True):
                side[series.removeprefix("rule:")] = list(hours.values())
        if not names:
            return []
        now, before = (CategoryHours.of_alarms(side) for side in sides)
        return list(measure_categories("rule_mix", now, before, self._settings.drift))

    def _volume(self, facts: Facts, comparisons: Sequence[Comparison]) -> list[Measure]:
        found = []
        if comparisons:
            first = windows.pair_rolling(facts.known, self._settings.drift.preset)
            found.append(signals.measure_volume(*_count(first.current), *_count(first.reference)))
        found.append(self._growth(facts))
        ends = [int(hours.starts[-1]) + HOUR_S for hours in facts.known.profile.values() if len(hours)]
        if ends:
            found.append(signals.measure_age(max(ends), facts.at))
        return found

    def _growth(self, facts: Facts) -> Measure:
        """Growth of the announcements of all collectors, the same for all detectors of one event time."""
        if self._of_growth[0] != facts.at:
            series = self._facts.series("feature:announced", "", facts.at - GROWTH_S, facts.at)
            self._of_growth = (facts.at, [signals.measure_growth(_daily(series, facts.at))])
        return self._of_growth[1][0]

    def _performance(self, facts: Facts) -> list[Measure]:
        end = facts.at // DAY_S * DAY_S
        cut = end - OUTCOME_DAYS * DAY_S
        rows = self._store.performance_between(end - OUTCOME_BASELINE_DAYS * DAY_S, end)
        rows = [row for row in rows if row["model"] == facts.model]
        now = [row for row in rows if row["day_start"] >= cut and row["model_version"] == facts.version]
        before = [row for row in rows if row["day_start"] < cut]
        return list(measure_performance(_tally(now), _tally(before) if before else None, self._settings.drift))

    def _paired(self, hours: windows.Series, facts: Facts) -> WindowPair:
        return windows.pair_rolling(DetectorHours(facts.at, hours, out=facts.known.out), "24h/7d")

    def _compared(self, pair: WindowPair) -> Comparison:
        return screen(
            pair.current,
            pair.reference,
            window=pair.window,
            current_span=pair.current_span,
            reference_span=pair.reference_span,
            settings=self._settings.drift,
            alpha=self._settings.drift.alpha,
        )


def has_moved(comparisons: Sequence[Comparison]) -> bool:
    """Whether any comparison shows more than chance."""
    return any(comparison.verdict not in ("none", "not_enough_data") for comparison in comparisons)


def is_due(at: int, moved: bool, moved_before: bool | None) -> bool:
    """Whether rules, features and embedding are measured: where scores begin to move they tell why, else every sixth hour.

    Parameters
    ----------
    moved, moved_before : bool
        Whether scores differ from usual now, and did at the check before; None if nothing is known of the last six hours.

    Examples
    --------
    >>> is_due(6 * 3600, False, False), is_due(7 * 3600, False, False)
    (True, False)
    >>> is_due(7 * 3600, True, False), is_due(8 * 3600, True, True), is_due(8 * 3600, True, None)
    (True, False, True)
    """
    return at % (EVERY_H * HOUR_S) == 0 or (moved and not moved_before)


def _as_of(measure: Measure, at: int) -> Measure:
    """Give a measure again that was taken some hours ago, saying so."""
    said = f"as of {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
    return replace(measure, note=f"{measure.note}; {said}" if measure.note else said)


def _pooled(series: windows.Series) -> Histogram:
    return merge_hours(list(series.values())).pool()


def _count(series: windows.Series) -> tuple[float, float]:
    """Values, and hours that hold any, over all collectors."""
    return float(sum(hours.n.sum() for hours in series.values())), float(len(windows.list_hours(series)))


def _daily(series: Mapping[str, Hours], at: int) -> list[float]:
    """Sum of a feature over each whole day of the two weeks before, oldest first; days without data are left out."""
    found = []
    for days in range(14, 0, -1):
        start = at - days * DAY_S
        parts = [hours.between(start, start + DAY_S) for hours in series.values()]
        if sum(len(part) for part in parts) >= 20 * len(parts):
            found.append(float(sum(part.totals.sum() for part in parts)))
    return found


def _tally(rows: Sequence[Mapping[str, Any]]) -> LabelCounts:
    return LabelCounts(*(sum(int(row[name]) for row in rows) for name in _COUNTS))
