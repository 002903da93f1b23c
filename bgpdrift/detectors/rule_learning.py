"""Learns the rules from calm windows: thresholds in spreads, and a baseline for each collector.

There are two baselines, each with thresholds of its own: the rolling one of the last hours, which serves any collector,
and the learned one of the training span (`LearnedBaseline`), which does not follow an incident. The records of the rules
decide the signals and the sizes that matter.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bgpdrift.detectors.interface import EXCLUDED, INCOMPLETE, BoolArray, FloatArray, ModelContent, WindowFrame
from bgpdrift.detectors.preparation import group_key
from bgpdrift.detectors.rule_evidence import (
    Evidence,
    RuleMinutes,
    compare_with_learned,
    compare_with_recent,
    measure_rules,
    smooth_at_scales,
    to_log_scale,
)
from bgpdrift.detectors.rules import RULES
from bgpdrift.detectors.smoothing import SCALES_MIN, MinuteGrid, span_minutes
from bgpdrift.detectors.tail import fit_tail

MIN_THRESHOLD_SPREADS, MAX_THRESHOLD_SPREADS = 3.0, 60.0
"""Bounds of a learned threshold: less than 3 spreads is never unusual, and no calm sample may disable a rule."""
MIN_MARGIN, MAX_MARGIN = 1.2, 1.5
"""A learned threshold lies between these multiples of the largest calm value."""
MIN_TAIL_MINUTES, TAIL_SHARE = 1_000, 0.01
"""Minutes of a rule below which its threshold stays at the lower bound; share of them that is the tail."""
MIN_BASELINE_MINUTES = 360
"""Clean minutes of a collector below which no baseline is learned for it."""
MIN_LEARNED_SPREAD = 1e-9
"""Spread of a rule that never moved; the counting noise of `rule_evidence` replaces it."""


@dataclass(frozen=True, slots=True)
class MeasuredStretch:
    """A stretch of training windows without gaps, smoothed once for every fit on parts of it."""

    minutes: RuleMinutes
    recent: Evidence


def measure_stretches(frames: Iterable[WindowFrame], history_minutes: int) -> list[list[MeasuredStretch]]:
    """Smooth frames and compare them with their rolling baseline; one list for each frame.

    Windows that a trainer excluded are holes, so that smoothed minutes contain no trace of them.
    """
    stretches = []
    for frame in frames:
        parts = _with_holes(frame).split_at_gaps(span_minutes(history_minutes))
        measured = [measure_rules(part, RULES) for part in parts]
        stretches.append(
            [MeasuredStretch(minutes, compare_with_recent(minutes, history_minutes)) for minutes in measured]
        )
    return stretches


def learn_rules(
    frames: Iterable[WindowFrame],
    history_minutes: int,
    false_alarms_per_day: float = 0.02,
    with_baseline: bool = False,
    measured: Sequence[Sequence[MeasuredStretch]] | None = None,
) -> ModelContent:
    """Learn thresholds from calm windows, and with ``with_baseline`` also the baseline of each collector.

    Marked windows set no threshold, so that an incident in the span does not raise the threshold for the next one.

    Parameters
    ----------
    frames : iterable of WindowFrame
        Windows without incidents, one frame for each (collector, peer).
    history_minutes : int
        Length of the rolling baseline, the same as later in scoring.
    false_alarms_per_day : float
        Budget of one rule at one time scale. It is far below the budget of a detector, which about eighty of them share.
    with_baseline : bool
        Also learn the baseline of each group.
    measured : sequence, optional
        Result of `measure_stretches` for these frames; some of their windows may be excluded since.
    """
    given = list(frames)
    stretches_by_frame = measure_stretches(given, history_minutes) if measured is None else measured
    parts = [
        (group_key(frame), part.clean[part.first :], stretch)
        for frame, stretches in zip(given, stretches_by_frame, strict=True)
        for part, stretch in zip(frame.split_at_gaps(span_minutes(history_minutes)), stretches, strict=True)
    ]
    recent = [(stretch.recent, clean) for _, clean, stretch in parts]
    arrays: dict[str, FloatArray] = {"thresholds": _learn_thresholds(recent, false_alarms_per_day)}
    groups, levels = _learn_levels(given) if with_baseline else ((), np.zeros(0))
    if groups:
        learned = [
            (compare_with_learned(stretch.minutes, levels[groups.index(key)]), clean)
            for key, clean, stretch in parts
            if key in groups
        ]
        arrays |= {"baseline": levels, "baseline_thresholds": _learn_thresholds(learned, false_alarms_per_day)}
    columns = dict.fromkeys(name for rule in RULES for name in rule.needs)
    return ModelContent(
        model="heuristic",
        feature_names=tuple(columns),
        arrays=arrays,
        hyper_parameters={
            "rules": [rule.name for rule in RULES],
            "scales_min": list(SCALES_MIN),
            "groups": list(groups),
            "history_minutes": history_minutes,
            "false_alarms_per_day_of_a_rule": false_alarms_per_day,
        },
    )


def _with_holes(frame: WindowFrame) -> WindowFrame:
    """Mark the windows that a trainer excluded as incomplete."""
    holes = frame.mark(INCOMPLETE) | frame.mark(EXCLUDED)
    return replace(frame, quality={**frame.quality, INCOMPLETE: holes.astype(np.float64)})


def _learn_levels(frames: Iterable[WindowFrame]) -> tuple[tuple[str, ...], FloatArray]:
    """Median and both spreads of every rule at every scale, for each group with enough clean windows."""
    is_events = np.array([rule.form == "events" for rule in RULES])
    series: dict[str, list[FloatArray]] = {}
    for frame in frames:
        if not frame.clean.any():
            continue
        grid = MinuteGrid.of(frame.window_start)
        raw = np.full((len(RULES), grid.length), np.nan)
        for index, rule in enumerate(RULES):
            if all(name in frame.features for name in rule.needs):
                values = to_log_scale(rule, rule.signal(frame.features))
                raw[index] = grid.spread(np.where(frame.clean, values, np.nan))
        series.setdefault(group_key(frame), []).append(smooth_at_scales(raw, is_events))
    groups, levels = [], []
    for key, parts in sorted(series.items()):
        values = np.concatenate(parts, axis=1)
        if np.isfinite(values).any(axis=0).sum() < MIN_BASELINE_MINUTES:
            continue
        level = np.zeros((3, len(SCALES_MIN) * len(RULES)))
        for at, row in enumerate(values):
            known = row[np.isfinite(row)]
            if len(known) >= MIN_BASELINE_MINUTES // 2:
                q = np.quantile(known, [0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95])
                above = max((q[4] - q[3]) / 0.6745, (q[5] - q[3]) / 1.2816, (q[6] - q[3]) / 1.6449)
                below = max((q[3] - q[2]) / 0.6745, (q[3] - q[1]) / 1.2816, (q[3] - q[0]) / 1.6449)
                level[:, at] = q[3], max(above, MIN_LEARNED_SPREAD), max(below, MIN_LEARNED_SPREAD)
        groups.append(key)
        levels.append(level.reshape(3, len(SCALES_MIN), len(RULES)).transpose(0, 2, 1))
    return tuple(groups), np.stack(levels) if levels else np.zeros((0, 3, len(RULES), len(SCALES_MIN)))


def _learn_thresholds(evidence: Sequence[tuple[Evidence, BoolArray]], false_alarms_per_day: float) -> FloatArray:
    thresholds = np.full((len(RULES), len(SCALES_MIN)), MIN_THRESHOLD_SPREADS)
    for index in range(len(RULES)):
        for scale in range(len(SCALES_MIN)):
            spreads = np.concatenate(
                [part.spreads[index, scale][part.known[index, scale] & clean] for part, clean in evidence]
                or [np.zeros(0)]
            )
            if len(spreads) >= MIN_TAIL_MINUTES:
                limit = fit_tail(spreads, TAIL_SHARE).quantile(false_alarms_per_day / 1440.0)
                # Smoothed minutes come in clusters, which mislead the tail. The threshold therefore exceeds the largest
                # calm value, since other calm spans reach further, but never by much.
                largest = float(spreads.max())
                limit = float(np.clip(limit, MIN_MARGIN * largest, MAX_MARGIN * largest))
                thresholds[index, scale] = np.clip(limit, MIN_THRESHOLD_SPREADS, MAX_THRESHOLD_SPREADS)
    return thresholds
