"""The figures of a model on the held-out windows: on clean ones, with injected anomalies, and on labelled time.

The candidate and the active model score the same windows, with the same anomalies in the same minutes, and raise alarms as
their services do, by p-value and alarm budget. An abstention is no alarm. An injected anomaly counts as found only in
minutes in which the model raises no alarm without it (`bgpdrift.models.detector_output`): after a level change the active
model alarms all the time and finds nothing. `bgpdrift.models.gate` compares the figures.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bgpdrift.detectors.interface import MINUTE_S, BoolArray, Detector, FloatArray, IntArray, WindowFrame
from bgpdrift.intervals import has_enough_labels
from bgpdrift.models.detector_output import CalmAlarms, DetectorOutput, count_episodes, find_new_alarms
from bgpdrift.models.excluded_intervals import ANOMALOUS, NORMAL, Interval
from bgpdrift.models.gate import ModelFigures
from bgpdrift.models.injection import Injected, inject
from bgpdrift.settings import Settings
from bgpdrift.verdicts.calibration import MINUTES_A_DAY, Calibration
from bgpdrift.verdicts.quality import roc_auc
from retrainers.span import Span


@dataclass(frozen=True, slots=True)
class Model:
    """A detector with its calibration."""

    version: str
    detector: Detector
    calibration: Calibration
    record: Mapping[str, float] = field(default_factory=dict)
    """Recall per kind of injected anomaly that a successor is compared with (`bgpdrift.models.ancestors`)."""


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """A frame with the rows that a person labelled."""

    frame: WindowFrame
    rows: BoolArray
    """Labelled rows among the rows to score."""
    truth: BoolArray
    """Whether each row to score is an anomaly by the label."""
    label: str


@dataclass(frozen=True, slots=True)
class HeldOutSet:
    """The held-out windows, prepared once for all models."""

    clean: tuple[WindowFrame, ...]
    injected: tuple[Injected, ...]
    labelled: tuple[LabelledRows, ...]
    anomalous_labels: int = 0
    normal_labels: int = 0
    """Labels of each class that touch the windows; a label counts once, however many windows it covers."""

    @property
    def labelled_windows(self) -> int:
        """Windows that a person labelled."""
        return sum(int(part.rows.sum()) for part in self.labelled)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one model, and the scores they are from.

    Attributes
    ----------
    figures : ModelFigures
        For the gate and the metadata.
    scores : ndarray of float
        Of the clean held-out windows with a vote.
    starts : ndarray of int
        Starts of the same windows, epoch seconds.
    unusable : int
        Scores that are NaN or infinite.
    """

    figures: ModelFigures
    scores: FloatArray
    starts: IntArray
    unusable: int


def prepare_held_out(span: Span, history_minutes: int, seed: int) -> HeldOutSet:
    """Cut out the held-out windows and inject anomalies.

    Parameters
    ----------
    span : Span
        As it was read.
    history_minutes : int
        The longest history that any of the models needs.
    seed : int
        Equal seeds give equal anomalies.
    """
    frames = [frame for frame in span.held_out_frames(history_minutes) if frame.clean[frame.first :].any()]
    labelled: list[LabelledRows] = []
    counts = {True: 0, False: 0}
    for label in span.labels:
        if label.label not in ANOMALOUS | NORMAL:
            continue
        parts = [_cut_labelled(frame, label, history_minutes) for frame in span.frames]
        found = [part for part in parts if part is not None]
        counts[label.label in ANOMALOUS] += bool(found)
        labelled += found
    injected = inject(frames, seed, history_minutes)
    return HeldOutSet(tuple(frames), injected, tuple(labelled), counts[True], counts[False])


def longest_history(models: Sequence[Model | None]) -> int:
    """Return the longest history that any of the models needs, in minutes."""
    return max(model.detector.history_minutes for model in models if model is not None)


def evaluate_model(model: Model, held_out: HeldOutSet, settings: Settings) -> Evaluation:
    """Score everything with one model and compute its figures."""
    alarms, minutes, unusable, abstained, tally, calm = 0, 0, 0, 0, _Tally(), CalmAlarms()
    score_parts: list[FloatArray] = []
    start_parts: list[IntArray] = []
    for frame in held_out.clean:
        output = _score(model, frame, settings)
        calm.add(frame, output)
        clean, has_vote, scores = frame.clean[frame.first :], output.has_vote, output.scores.score
        finite = np.isfinite(scores)
        unusable += int((~finite & clean & has_vote).sum())
        abstained += int((clean & ~has_vote).sum())
        score_parts.append(scores[clean & has_vote & finite])
        start_parts.append(frame.to_score[clean & has_vote & finite])
        alarms += count_episodes(frame.to_score, output.is_alarm & clean)
        minutes += int(clean.sum())
        tally.add(output.is_alarm[clean], np.zeros(int(clean.sum()), bool))
    clean_scores = np.concatenate(score_parts) if score_parts else np.zeros(0)
    injected, injected_scores = _evaluate_injected(model, held_out, settings, tally, calm)
    label_tally = _evaluate_labels(model, held_out, settings)
    uses_labels = can_judge_by_labels(held_out, settings)
    accuracy, f1 = (label_tally if uses_labels else tally).compute_accuracy_and_f1()
    auc_by_kind = {kind: _auc(clean_scores, values) for kind, values in injected_scores.items()}
    all_injected = np.concatenate(list(injected_scores.values())) if injected_scores else np.zeros(0)
    figures = ModelFigures(
        accuracy=accuracy,
        f1=f1,
        auc=_auc(clean_scores, all_injected),
        judged_by="labels" if uses_labels else "injected",
        classes=label_tally.compute_recalls() if uses_labels else {},
        injected=injected,
        injected_auc={kind: auc for kind, auc in auc_by_kind.items() if auc is not None},
        # Less than a day counts as a day: one alarm in an hour is not a rate of twenty-four a day.
        alarms_per_day=alarms / max(minutes / MINUTES_A_DAY, 1.0),
        abstained_windows=abstained,
    )
    starts = np.concatenate(start_parts) if start_parts else np.zeros(0, np.int64)
    return Evaluation(figures, clean_scores, starts, unusable)


def can_judge_by_labels(held_out: HeldOutSet, settings: Settings) -> bool:
    """Return whether accuracy and F1 come from labels; otherwise they come from injected anomalies.

    Labels must cover enough windows, and there must be enough of them, of each class: the windows of one label are not
    independent of each other, and two long labels would decide by chance.
    """
    enough = has_enough_labels(held_out.anomalous_labels, held_out.normal_labels, settings.drift.min_labels)
    return enough and held_out.labelled_windows >= settings.retrain.min_labelled_windows


class _Tally:
    """Counts of minutes by truth and alarm."""

    def __init__(self) -> None:
        self._cells: defaultdict[tuple[bool, bool], int] = defaultdict(int)
        self._by_class: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])

    def add(self, alarms: BoolArray, truth: BoolArray, name: str = "") -> None:
        for was_anomaly in (False, True):
            for was_alarm in (False, True):
                self._cells[was_anomaly, was_alarm] += int(((truth == was_anomaly) & (alarms == was_alarm)).sum())
        counts = self._by_class[name]
        counts[0] += int((alarms == truth).sum())
        counts[1] += len(truth)

    def compute_accuracy_and_f1(self) -> tuple[float | None, float | None]:
        cells = self._cells
        hits, total = cells[True, True], sum(cells.values())
        denominator = 2 * hits + cells[True, False] + cells[False, True]
        anomalies = hits + cells[True, False]
        accuracy = (hits + cells[False, False]) / total if total else None
        return accuracy, 2 * hits / denominator if anomalies else None

    def compute_recalls(self) -> dict[str, float]:
        return {name: right / total for name, (right, total) in sorted(self._by_class.items()) if total}


def _evaluate_injected(
    model: Model, held_out: HeldOutSet, settings: Settings, tally: _Tally, calm: CalmAlarms
) -> tuple[dict[str, float], dict[str, FloatArray]]:
    """Compute the recall and the scores of injected minutes, by kind; add the minutes to the tally."""
    hits: defaultdict[str, list[bool]] = defaultdict(list)
    scores: defaultdict[str, list[FloatArray]] = defaultdict(list)
    for anomaly in held_out.injected:
        output = _score(model, anomaly.frame, settings)
        new_alarms = find_new_alarms(output, calm.at(anomaly.frame))
        hits[anomaly.kind].append(bool(new_alarms.any()))
        scores[anomaly.kind].append(np.where(output.has_vote, output.scores.score, -np.inf))
        tally.add(new_alarms, np.ones(len(new_alarms), bool))
    recalls = {kind: sum(kind_hits) / len(kind_hits) for kind, kind_hits in sorted(hits.items())}
    return recalls, {kind: np.concatenate(values) for kind, values in sorted(scores.items())}


def _auc(clean: FloatArray, anomalous: FloatArray) -> float | None:
    values = np.nan_to_num(np.concatenate([clean, anomalous]), nan=-np.inf, neginf=-np.inf, posinf=np.inf)
    return roc_auc(values, np.arange(len(values)) >= len(clean))


def _evaluate_labels(model: Model, held_out: HeldOutSet, settings: Settings) -> _Tally:
    tally = _Tally()
    for part in held_out.labelled:
        alarms = _score(model, part.frame, settings).is_alarm
        tally.add(alarms[part.rows], part.truth[part.rows], part.label)
    return tally


def _cut_labelled(frame: WindowFrame, label: Interval, history_minutes: int) -> LabelledRows | None:
    """Cut a frame from the history before a label to the end of the label; None if the label does not touch it."""
    rows = np.flatnonzero(label.rows(frame))
    if not len(rows):
        return None
    first, end = int(rows[0]), int(rows[-1]) + 1
    begin = int(np.searchsorted(frame.window_start, frame.window_start[first] - history_minutes * MINUTE_S))
    is_labelled = np.zeros(end - first, bool)
    is_labelled[rows - first] = True
    truth = is_labelled & (label.label in ANOMALOUS)
    return LabelledRows(frame.rows(begin, end, first - begin), is_labelled, truth, label.label)


def _score(model: Model, frame: WindowFrame, settings: Settings) -> DetectorOutput:
    return DetectorOutput.of(model.detector, model.calibration, frame, settings)
