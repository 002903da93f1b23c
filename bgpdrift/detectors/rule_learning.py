"""What the rules learn from calm windows: how many spreads from usual is too far, and what is usual for each collector.

Two yardsticks and a set of thresholds for each: the last hours, which serve any collector, and the usual of the training
span (`Yardstick`), which does not forget. What is looked at and from which size on it matters stays with the rule table.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bgpdrift.detectors.interface import EXCLUDED, INCOMPLETE, FloatArray, ModelContent, WindowFrame
from bgpdrift.detectors.preparation import SCALES_MIN, BoolArray, MinuteGrid, span_minutes
from bgpdrift.detectors.prepared import group_key
from bgpdrift.detectors.rule_evidence import (
    Evidence,
    Minutes,
    against_learned,
    against_recent,
    at_scales,
    look,
    on_scale,
)
from bgpdrift.detectors.rules import RULES
from bgpdrift.detectors.splitting import parts_of
from bgpdrift.detectors.tail import fit_tail

LEAST_SPREADS, MOST_SPREADS = 3.0, 60.0
"""Bounds of a learned threshold: below 3 spreads nothing is unusual, and no calm sample may switch a rule off."""
LEAST_BEYOND, FURTHEST_BEYOND = 1.2, 1.5
"""A learned threshold lies between these multiples of the largest calm value."""
LEAST_PINNED_MIN = 360
"""Clean minutes of a collector from which its usual is learned."""
SMALLEST_PINNED = 1e-9
"""Spread of a rule that never moved; the counting noise of `rule_evidence` takes its place."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A stretch of training windows, smoothed once for every fit on parts of them."""

    minutes: Minutes
    recent: Evidence


def watch(frames: Iterable[WindowFrame], history_minutes: int) -> list[list[Watched]]:
    """Smooth frames and compare them with their own last hours; one list a frame, one entry a stretch without gaps.

    Windows that a trainer excluded are holes, so that not even their echo in smoothed minutes teaches.
    """
    found = []
    for frame in frames:
        seen = [look(part, RULES) for part in parts_of(_with_holes(frame), span_minutes(history_minutes))]
        found.append([Watched(minutes, against_recent(minutes, history_minutes)) for minutes in seen])
    return found


def learn(
    frames: Iterable[WindowFrame],
    history_minutes: int,
    false_alarms_per_day: float = 0.02,
    pin: bool = False,
    watched: Sequence[Sequence[Watched]] | None = None,
) -> ModelContent:
    """Learn thresholds from calm windows, and with ``pin`` what is usual for each collector among them.

    Windows that a mark keeps out of training set no threshold: an incident in the span must not become the yardstick of
    the next one.

    Parameters
    ----------
    frames : iterable of WindowFrame
        Windows without incidents, one frame a (collector, peer).
    history_minutes : int
        What the usual rests on, as later in scoring.
    false_alarms_per_day : float
        Budget of one rule at one time scale. Far below a detector's budget, since some eighty of them share it.
    pin : bool
        Also learn the usual of each group.
    watched : sequence, optional
        What `watch` made of these very frames, where some of their windows are excluded only now.
    """
    given = list(frames)
    seen = watch(given, history_minutes) if watched is None else watched
    parts = [
        (group_key(frame), part.clean[part.first :], stretch)
        for frame, stretches in zip(given, seen, strict=True)
        for part, stretch in zip(parts_of(frame, span_minutes(history_minutes)), stretches, strict=True)
    ]
    recent = [(stretch.recent, clean) for _, clean, stretch in parts]
    arrays: dict[str, FloatArray] = {"thresholds": _thresholds(recent, false_alarms_per_day)}
    groups, levels = _levels(given) if pin else ((), np.zeros(0))
    if groups:
        learned = [
            (against_learned(stretch.minutes, levels[groups.index(key)]), clean)
            for key, clean, stretch in parts
            if key in groups
        ]
        arrays |= {"usual": levels, "usual_thresholds": _thresholds(learned, false_alarms_per_day)}
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
    """Make holes of what a trainer left out, so that not even its echo in smoothed minutes teaches."""
    holes = frame.mark(INCOMPLETE) | frame.mark(EXCLUDED)
    return replace(frame, quality={**frame.quality, INCOMPLETE: holes.astype(np.float64)})


def _levels(frames: Iterable[WindowFrame]) -> tuple[tuple[str, ...], FloatArray]:
    """Median and both spreads of every rule at every scale, for each group with enough clean windows."""
    events = np.array([rule.form == "events" for rule in RULES])
    series: dict[str, list[FloatArray]] = {}
    for frame in frames:
        if not frame.clean.any():
            continue
        grid = MinuteGrid.of(frame.window_start)
        raw = np.full((len(RULES), grid.length), np.nan)
        for index, rule in enumerate(RULES):
            if all(name in frame.features for name in rule.needs):
                values = on_scale(rule, rule.value(frame.features))
                raw[index] = grid.spread(np.where(frame.clean, values, np.nan))
        series.setdefault(group_key(frame), []).append(at_scales(raw, events))
    groups, levels = [], []
    for key, parts in sorted(series.items()):
        values = np.concatenate(parts, axis=1)
        if np.isfinite(values).any(axis=0).sum() < LEAST_PINNED_MIN:
            continue
        found = np.zeros((3, len(SCALES_MIN) * len(RULES)))
        for at, row in enumerate(values):
            known = row[np.isfinite(row)]
            if len(known) >= LEAST_PINNED_MIN // 2:
                q = np.quantile(known, [0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95])
                above = max((q[4] - q[3]) / 0.6745, (q[5] - q[3]) / 1.2816, (q[6] - q[3]) / 1.6449)
                below = max((q[3] - q[2]) / 0.6745, (q[3] - q[1]) / 1.2816, (q[3] - q[0]) / 1.6449)
                found[:, at] = q[3], max(above, SMALLEST_PINNED), max(below, SMALLEST_PINNED)
        groups.append(key)
        levels.append(found.reshape(3, len(SCALES_MIN), len(RULES)).transpose(0, 2, 1))
    return tuple(groups), np.stack(levels) if levels else np.zeros((0, 3, len(RULES), len(SCALES_MIN)))


def _thresholds(evidence: Sequence[tuple[Evidence, BoolArray]], false_alarms_per_day: float) -> FloatArray:
    thresholds = np.full((len(RULES), len(SCALES_MIN)), LEAST_SPREADS)
    for index in range(len(RULES)):
        for scale in range(len(SCALES_MIN)):
            spreads = np.concatenate(
                [part.spreads[index, scale][part.known[index, scale] & clean] for part, clean in evidence]
                or [np.zeros(0)]
            )
            if len(spreads) >= 1_000:
                limit = fit_tail(spreads, 0.01).quantile(false_alarms_per_day / 1440.0)
                # Smoothed minutes come in clusters, which mislead the tail: always some way beyond what a calm minute
                # reached, since other calm worlds reach further, and never far beyond it.
                most = float(spreads.max())
                limit = float(np.clip(limit, LEAST_BEYOND * most, FURTHEST_BEYOND * most))
                thresholds[index, scale] = np.clip(limit, LEAST_SPREADS, MOST_SPREADS)
    return thresholds
