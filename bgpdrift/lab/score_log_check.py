"""A drift check of one score log, or of a current log against a reference log.

This module decides which hours are the current window and which the reference. `bgpdrift.drift.rule` decides the
verdict.
"""

from dataclasses import replace

from bgpdrift.drift import signals
from bgpdrift.drift.accuracy import measure_performance
from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.report import Comparison, DriftReport, Measure
from bgpdrift.drift.rule import compare, decide
from bgpdrift.drift.windows import PRESETS, TimeSpan, WindowPair, split_windows
from bgpdrift.lab.score_log import ScoreLog
from bgpdrift.settings_sections import DriftSettings, WindowPresetName

_SERIES = "scores"


def compute_needed_s(preset: WindowPresetName) -> int:
    """Compute how many seconds before the newest row a preset uses.

    Examples
    --------
    >>> compute_needed_s("24h/7d") // 86_400
    8
    """
    return PRESETS[preset].span_h * HOUR_S


def compute_current_s(preset: WindowPresetName) -> int:
    """Compute the length of a preset's current window in seconds."""
    return PRESETS[preset].current_h * HOUR_S


def check_log(log: ScoreLog, settings: DriftSettings) -> DriftReport:
    """Check the newest hours of a log against those before them, by ``settings.preset``."""
    current, reference = split_windows(settings.preset, log.span[1])
    return _check(log, log, settings.preset, current, reference, settings)


def check_logs(reference: ScoreLog, current: ScoreLog, settings: DriftSettings) -> DriftReport:
    """Check all of a current log against all of a reference log, whatever their times."""
    return _check(current, reference, "current/reference", current.span, reference.span, settings)


def _check(
    now: ScoreLog, before: ScoreLog, window: str, current: TimeSpan, reference: TimeSpan, settings: DriftSettings
) -> DriftReport:
    pair = WindowPair(
        window=window,
        reference_kind="rolling",
        current={_SERIES: now.hours},
        reference={_SERIES: before.hours},
        current_span=current,
        reference_span=reference,
    )
    comparison = compare(pair, settings)
    if now.columns.alarm is None or before.columns.alarm is None:
        measures = tuple(measure for measure in comparison.measures if measure.name != "anomaly_rate")
        comparison = replace(comparison, measures=measures)
    labels, labels_before = now.count_labels(*current), before.count_labels(*reference)
    performance = measure_performance(labels, labels_before, settings) if labels else ()
    return decide(
        [comparison],
        model="",
        model_version="",
        at=current[1],
        settings=settings,
        signals=(*performance, _measure_volume(comparison, now, before)),
    )


def _measure_volume(comparison: Comparison, now: ScoreLog, before: ScoreLog) -> Measure:
    current = now.hours.between(comparison.current_start, comparison.current_end)
    reference = before.hours.between(comparison.reference_start, comparison.reference_end)
    return signals.measure_volume(int(current.n.sum()), len(current), int(reference.n.sum()), len(reference))
