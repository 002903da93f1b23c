"""What a model shows on the held-out windows: on calm ones, on injected anomalies, on labelled time.

The candidate and the active model see the very same windows, with the same anomalies in the same minutes, and speak as
their services do: alarm by p-value and budget. An abstention is no alarm. What a model finds of an injected anomaly are
minutes in which it is quiet without it (`bgpdrift.models.detector_output`): after a change of level the active model
alarms all the time, and finds nothing. Decides nothing; the gate compares.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import MINUTE_S, BoolArray, Detector, FloatArray, IntArray, WindowFrame
from bgpdrift.models.detector_output import CalmAlarms, DetectorOutput, count_episodes, find_new_alarms
from bgpdrift.models.gate import Judged
from bgpdrift.models.injection import Injected, inject
from bgpdrift.settings import Settings
from bgpdrift.verdicts.calibration import MINUTES_A_DAY, Calibration
from bgpdrift.verdicts.quality import roc_auc
from retrainers.span import ANOMALOUS, NORMAL, Interval, Span


@dataclass(frozen=True, slots=True)
class Model:
    """What can speak: a detector, and what its scores are worth."""

    version: str
    detector: Detector
    calibration: Calibration
    record: Mapping[str, float] = field(default_factory=dict)
    """Share of injected anomalies of each kind that a successor is held to (`bgpdrift.models.ancestors`)."""


@dataclass(frozen=True, slots=True)
class Bench:
    """The windows that judge, prepared once for all models."""

    clean: tuple[WindowFrame, ...]
    injected: tuple[Injected, ...]
    labelled: tuple[tuple[WindowFrame, BoolArray, BoolArray, str], ...]
    """Frame, its labelled rows, what each of them truly is, and the label."""

    @property
    def labelled_windows(self) -> int:
        """Windows a person has judged."""
        return sum(int(rows.sum()) for _, rows, _, _ in self.labelled)


@dataclass(frozen=True, slots=True)
class Shown:
    """What one model showed.

    Attributes
    ----------
    judged : Judged
        For the gate.
    scores : ndarray of float
        Of clean held-out windows with an opinion.
    starts : ndarray of int
        Of the same windows, epoch seconds.
    unusable : int
        Scores that are no finite number.
    abstained : int
        Clean held-out windows without an opinion.
    auc : float or None
        Of injected minutes against calm ones, all kinds together.
    auc_by_kind : mapping of str to float
        The same for each kind.
    judged_by : str
        Where accuracy and F1 come from: ``labels`` or ``injected``.
    """

    judged: Judged
    scores: FloatArray
    starts: IntArray
    unusable: int
    abstained: int
    auc: float | None
    auc_by_kind: Mapping[str, float] = field(default_factory=dict)
    judged_by: str = "injected"

    def as_fields(self) -> dict[str, Any]:
        """Give the figures by name, as they stand in an artifact's ``metrics``."""
        judged = self.judged
        return {
            "accuracy": _short(judged.accuracy),
            "f1": _short(judged.f1),
            "auc": _short(self.auc),
            "judged_by": self.judged_by,
            "classes": {name: _short(value) for name, value in judged.classes.items()},
            "injected_mean": _short(judged.injected_mean),
            "injected": {name: _short(value) for name, value in judged.injected.items()},
            "injected_auc": {name: _short(value) for name, value in self.auc_by_kind.items()},
            "alarms_per_day": _short(judged.alarms_per_day),
            "abstained_windows": self.abstained,
        }


def prepare(span: Span, history_minutes: int, seed: int) -> Bench:
    """Cut out and lay over what all models are judged on; ``history_minutes`` is the longest that any of them needs."""
    frames = [frame for frame in span.judging(history_minutes) if frame.clean[frame.first :].any()]
    labelled = [
        (*part, label.label)
        for label in span.labels
        if label.label in ANOMALOUS | NORMAL
        for frame in span.frames
        if (part := _around(frame, label, history_minutes)) is not None
    ]
    return Bench(tuple(frames), inject(frames, seed, history_minutes), tuple(labelled))


def show(model: Model, bench: Bench, settings: Settings) -> Shown:
    """Let a model speak on everything."""
    alarms, minutes, unusable, abstained, right, calm = 0, 0, 0, 0, _Tally(), CalmAlarms()
    scores: list[FloatArray] = []
    starts: list[IntArray] = []
    for frame in bench.clean:
        voice = _voice(model, frame, settings)
        calm.add(frame, voice)
        clean, spoken = frame.clean[frame.first :], voice.spoken
        finite = np.isfinite(voice.scores.score)
        unusable += int((~finite & clean & spoken).sum())
        abstained += int((clean & ~spoken).sum())
        scores.append(voice.scores.score[clean & spoken & finite])
        starts.append(frame.to_score[clean & spoken & finite])
        alarms += count_episodes(frame.to_score, voice.is_alarm & clean)
        minutes += int(clean.sum())
        right.add(voice.is_alarm[clean], np.zeros(int(clean.sum()), bool))
    # Less than a day is taken for a day: one unlucky hour must not become a rate of twenty a day.
    rate = alarms / max(minutes / MINUTES_A_DAY, 1.0)
    every = np.concatenate(scores) if scores else np.zeros(0)
    found, injected_scores = _on_injected(model, bench, settings, right, calm)
    labels = _on_labels(model, bench, settings)
    by_labels = bench.labelled_windows >= settings.retrain.min_labelled_windows
    accuracy, f1 = (labels if by_labels else right).accuracy_and_f1()
    judged = Judged(accuracy, f1, labels.classes() if by_labels else {}, found, rate)
    by_kind = {kind: _auc(every, values) for kind, values in injected_scores.items()}
    together = np.concatenate(list(injected_scores.values())) if injected_scores else np.zeros(0)
    auc_by_kind = {kind: auc for kind, auc in by_kind.items() if auc is not None}
    named = "labels" if by_labels else "injected"
    times = np.concatenate(starts) if starts else np.zeros(0, np.int64)
    return Shown(judged, every, times, unusable, abstained, _auc(every, together), auc_by_kind, named)


class _Tally:
    """Minutes by what they were and what was said of them."""

    def __init__(self) -> None:
        self._cells: defaultdict[tuple[bool, bool], int] = defaultdict(int)
        self._by_class: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])

    def add(self, alarms: BoolArray, truth: BoolArray, name: str = "") -> None:
        for was in (False, True):
            for said in (False, True):
                self._cells[was, said] += int(((truth == was) & (alarms == said)).sum())
        counts = self._by_class[name]
        counts[0] += int((alarms == truth).sum())
        counts[1] += len(truth)

    def accuracy_and_f1(self) -> tuple[float | None, float | None]:
        cells = self._cells
        hits, total = cells[True, True], sum(cells.values())
        wanted = 2 * hits + cells[True, False] + cells[False, True]
        anomalous = hits + cells[True, False]
        return (hits + cells[False, False]) / total if total else None, 2 * hits / wanted if anomalous else None

    def classes(self) -> dict[str, float]:
        return {name: right / total for name, (right, total) in sorted(self._by_class.items()) if total}


def _on_injected(
    model: Model, bench: Bench, settings: Settings, right: _Tally, calm: CalmAlarms
) -> tuple[dict[str, float], dict[str, FloatArray]]:
    """Share of anomalies found and scores of their minutes, by kind; minutes rightly called go into the tally."""
    found: defaultdict[str, list[bool]] = defaultdict(list)
    scores: defaultdict[str, list[FloatArray]] = defaultdict(list)
    for laid in bench.injected:
        voice = _voice(model, laid.frame, settings)
        heard = find_new_alarms(voice, calm.at(laid.frame))
        found[laid.kind].append(bool(heard.any()))
        scores[laid.kind].append(np.where(voice.spoken, voice.scores.score, -np.inf))
        right.add(heard, np.ones(len(heard), bool))
    shares = {kind: sum(hits) / len(hits) for kind, hits in sorted(found.items())}
    return shares, {kind: np.concatenate(values) for kind, values in sorted(scores.items())}


def _auc(calm: FloatArray, anomalous: FloatArray) -> float | None:
    values = np.nan_to_num(np.concatenate([calm, anomalous]), nan=-np.inf, neginf=-np.inf, posinf=np.inf)
    return roc_auc(values, np.arange(len(values)) >= len(calm))


def _on_labels(model: Model, bench: Bench, settings: Settings) -> _Tally:
    tally = _Tally()
    for frame, rows, truth, label in bench.labelled:
        alarms = _voice(model, frame, settings).is_alarm
        tally.add(alarms[rows], truth[rows], label)
    return tally


def _around(
    frame: WindowFrame, label: Interval, history_minutes: int
) -> tuple[WindowFrame, BoolArray, BoolArray] | None:
    """A frame from the history before a label to its end; its labelled rows among those to be scored, and their truth."""
    rows = np.flatnonzero(label.rows(frame))
    if not len(rows):
        return None
    first, end = int(rows[0]), int(rows[-1]) + 1
    begin = int(np.searchsorted(frame.window_start, frame.window_start[first] - history_minutes * MINUTE_S))
    inside = np.zeros(end - first, bool)
    inside[rows - first] = True
    return frame.rows(begin, end, first - begin), inside, inside & (label.label in ANOMALOUS)


def _voice(model: Model, frame: WindowFrame, settings: Settings) -> DetectorOutput:
    return DetectorOutput.of(model.detector, model.calibration, frame, settings)


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")


def longest_history(models: Sequence[Model | None]) -> int:
    """Minutes of history that the most demanding of some models needs."""
    return max(model.detector.history_minutes for model in models if model is not None)
