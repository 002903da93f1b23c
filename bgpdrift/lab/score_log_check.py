"""A check of one score log, or of a recent one against a baseline: the windows, the decision and what goes with it.

Decides which hours are current and which reference. What they say is the rule's affair, or a named policy's.
"""

from dataclasses import replace

from bgpdrift.drift import signals
from bgpdrift.drift.accuracy import measure_performance
from bgpdrift.drift.check import DAY_S, PRESETS, spans
from bgpdrift.drift.report import Comparison, DriftReport, Measure
from bgpdrift.drift.rule import compare, decide
from bgpdrift.lab.score_log import ScoreLog
from bgpdrift.settings_sections import DriftSettings

_SERIES = "scores"
Span = tuple[int, int]


def needed_s(preset: str) -> int:
    """Seconds before the newest row that a preset looks at.

    Examples
    --------
    >>> needed_s("24h/7d") // 86_400
    8
    """
    return PRESETS[preset][2] * DAY_S


def check_log(log: ScoreLog, settings: DriftSettings) -> DriftReport:
    """Check the newest hours of a log against those before them, by ``settings.preset``."""
    end = log.span[1]
    current, reference = spans(settings.preset, end)
    return _checked(log, log, settings.preset, current, reference, settings)


def check_logs(baseline: ScoreLog, recent: ScoreLog, settings: DriftSettings) -> DriftReport:
    """Check all of a recent log against all of a baseline, whenever that was."""
    return _checked(recent, baseline, "recent/baseline", recent.span, baseline.span, settings)


def _checked(
    now: ScoreLog, before: ScoreLog, window: str, current: Span, reference: Span, settings: DriftSettings
) -> DriftReport:
    found = compare(
        {_SERIES: now.hours},
        {_SERIES: before.hours},
        window=window,
        reference_kind="rolling",
        current_span=current,
        reference_span=reference,
        settings=settings,
        alpha=settings.alpha,
    )
    if now.columns.alarm is None or before.columns.alarm is None:
        found = replace(found, measures=tuple(measure for measure in found.measures if measure.name != "anomaly_rate"))
    labelled, labelled_before = now.confusion(*current), before.confusion(*reference)
    performance = measure_performance(labelled, labelled_before, settings) if labelled else ()
    return decide(
        [found],
        model="",
        model_version="",
        at=current[1],
        settings=settings,
        signals=(*performance, _volume(found, now, before)),
    )


def _volume(found: Comparison, now: ScoreLog, before: ScoreLog) -> Measure:
    current = now.hours.between(found.current_start, found.current_end)
    reference = before.hours.between(found.reference_start, found.reference_end)
    return signals.measure_volume(int(current.n.sum()), len(current), int(reference.n.sum()), len(reference))
