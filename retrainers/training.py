"""Training of a model: fit on clean windows, calibrate on scores of minutes that the fit did not use.

The calibration is cross-fitted: the span is cut into folds, and each is scored by a model fitted without it. The scores of a
model's own training minutes are too low, so an alarm budget calibrated on them would be exceeded. The trainers of
`bgpdrift.detector_registry` fit; `retrainers.training_run` runs the phases.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import msgspec
import numpy as np

from bgpdrift.detector_registry import find
from bgpdrift.detectors.interface import (
    EXCLUDED,
    MINUTE_S,
    BoolArray,
    Detector,
    FloatArray,
    IntArray,
    ModelContent,
    WindowFrame,
)
from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.exact_values import ExactValues
from bgpdrift.errors import NotEnoughDataError
from bgpdrift.models.artifact import Artifact
from bgpdrift.models.flags import DriftCause
from bgpdrift.models.loading import builder
from bgpdrift.models.metadata import NO_CAUSE, NO_METRICS, NO_TRAINING, EvaluationMetrics, TrainingRecord
from bgpdrift.models.reference import ReferenceHour, reference_arrays
from bgpdrift.models.self_test import add_self_test
from bgpdrift.verdicts.calibration import Calibration, extremal_index

Progress = Callable[[str, float], None]
WHOLE_DAYS_S = 1.9 * 86_400
"""From this span on, a fold is one contiguous part of it."""
SHORT_BLOCKS = 12
MIN_CALIBRATION_SCORES = 500
SELF_TEST_ROWS = 4
"""Scored windows of the self-test, after their history."""
SELF_TEST_SEARCH_MINUTES = 120
"""The newest windows, which are searched first for the self-test."""


class Trainer(Protocol):
    """The function that fits one detector, named by the field ``train`` of its record."""

    def __call__(
        self,
        frames: Sequence[WindowFrame],
        *,
        history_minutes: int,
        seed: int,
        progress: Progress,
        draft: bool,
        shared: Any,
    ) -> ModelContent:
        """Fit a model on the clean windows of some frames.

        Parameters
        ----------
        frames : sequence of WindowFrame
            One for each (collector, peer); windows with a mark of `CLEAN_MARKS` must not be learned from.
        history_minutes : int
            Setting ``detectors.history_minutes``.
        seed : int
            Equal seeds and equal frames give equal models.
        progress : callable
            Called with the phase and the share of it that is done.
        draft : bool
            True where the model only calibrates another and may be fitted with less effort.
        shared : object
            Result of the record's ``share`` function for the frames of this run; None without one.

        Raises
        ------
        NotEnoughDataError
            Too few clean windows.
        """
        ...


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Out-of-sample scores of a contiguous part of one frame.

    Attributes
    ----------
    collector, peer : str
        Collector and peer of the frame.
    window_start : ndarray of int, shape (n,)
        Epoch seconds.
    score : ndarray of float, shape (n,)
        Scores of clean windows with a vote.
    may_alarm : ndarray of bool, shape (n,)
        Rows in which the detector permits an alarm.
    """

    collector: str
    peer: str
    window_start: IntArray
    score: FloatArray
    may_alarm: BoolArray


@dataclass(frozen=True, slots=True)
class Trained:
    """A model that was fitted and calibrated, and not evaluated yet.

    Attributes
    ----------
    content : ModelContent
        The learned content.
    detector : Detector
        Built from it.
    calibration : Calibration
        From out-of-sample scores.
    clean_scores : ndarray of float
        The out-of-sample scores, in the order of folds and frames.
    train_rows, calibration_rows : int
        Clean windows used for the fit, and clean windows with a vote used for the calibration.
    held_out : tuple of HeldOut
        The same scores with collector, peer and time.
    """

    content: ModelContent
    detector: Detector
    calibration: Calibration
    clean_scores: FloatArray
    train_rows: int
    calibration_rows: int
    held_out: tuple[HeldOut, ...] = ()


def train(
    model: str,
    frames: Sequence[WindowFrame],
    *,
    seed: int = 0,
    progress: Progress = lambda *_: None,
    history_minutes: int,
) -> Trained:
    """Fit and calibrate a model on the clean windows of some frames.

    Parameters
    ----------
    model : str
        Name of a registered detector.
    frames : sequence of WindowFrame
        One per collector and peer; marks of `CLEAN_MARKS` exclude a window.
    seed : int
        Equal seeds give equal models.
    progress : callable
        Called with the phase and the share of it that is done.
    history_minutes : int
        Setting ``detectors.history_minutes``.

    Raises
    ------
    NotEnoughDataError
        Too few clean windows.
    InputError
        No detector has this name.
    """
    record = find(model)
    fit: Trainer = record.load_trainer()
    share = record.load_share()
    build = builder(model, history_minutes)
    given = [frame for frame in frames if frame.clean.any()]
    if not given:
        raise NotEnoughDataError(f"{model}: no clean window to learn from")
    shared = share(given, history_minutes=history_minutes) if share else None
    refit = partial(fit, history_minutes=history_minutes, seed=seed, shared=shared)
    content = refit(given, progress=progress, draft=False)
    found: list[HeldOut] = []
    folds = record.folds
    for fold in range(folds):
        progress("calibrate", fold / folds)
        try:
            left = [_without(frame, fold, folds) for frame in given]
            fold_detector = build(refit(left, progress=lambda *_: None, draft=True))
        except NotEnoughDataError:
            continue
        found += [part for frame in given for part in _score_fold(fold_detector, replace(frame, first=0), fold, folds)]
    scores = np.concatenate([part.score for part in found]) if found else np.zeros(0)
    progress("calibrate", 1.0)
    if len(scores) < MIN_CALIBRATION_SCORES:
        raise NotEnoughDataError(
            f"{model}: expected {MIN_CALIBRATION_SCORES} clean windows to calibrate on, found {len(scores)}"
        )
    return Trained(
        content=content,
        detector=build(content),
        calibration=Calibration.fit(scores, extremal_index([part.score for part in found])),
        clean_scores=scores,
        train_rows=sum(int(frame.clean.sum()) for frame in given),
        calibration_rows=len(scores),
        held_out=tuple(found),
    )


def to_artifact(
    trained: Trained,
    frames: Sequence[WindowFrame],
    *,
    version: str,
    created_at: int,
    parent_version: str = "",
    metrics: EvaluationMetrics = NO_METRICS,
    training: TrainingRecord = NO_TRAINING,
    drift_cause: DriftCause = NO_CAUSE,
    alarms_per_day: float,
) -> Artifact:
    """Build the artifact of a trained model, with its reference hours and a self-test cut from its training span.

    The reference hours are the reference window of drift checks until the version has been active for a week.
    """
    given = [frame for frame in frames if frame.clean.any()]
    artifact = Artifact(
        content=trained.content,
        version=version,
        created_at=created_at,
        calibration=trained.calibration.as_fields(),
        metrics=metrics,
        training=msgspec.structs.replace(
            training,
            rows=trained.train_rows,
            calibration_rows=trained.calibration_rows,
            start=int(min(frame.window_start[0] for frame in given)),
            end=int(max(frame.window_start[-1] for frame in given)) + 60,
            groups=len(given),
        ),
        drift_cause=drift_cause,
        parent_version=parent_version,
        reference=reference_arrays(count_reference_hours(trained, alarms_per_day)),
    )
    return add_self_test(artifact, trained.detector, cut_self_test_frame(trained.detector, given))


def count_reference_hours(trained: Trained, alarms_per_day: float) -> list[ReferenceHour]:
    """Count the out-of-sample scores of whole collectors by hour, with the alarms they would have raised."""
    limit = trained.calibration.alarm_p(alarms_per_day)
    hours: dict[tuple[str, int], tuple[ExactValues, int]] = {}
    for part in trained.held_out:
        if part.peer:
            continue
        alarms = part.may_alarm & (trained.calibration.p_value(part.score) <= limit)
        starts = part.window_start // HOUR_S * HOUR_S
        for hour in np.unique(starts).tolist():
            rows = starts == hour
            scores, alarm_count = hours.get((part.collector, hour), (ExactValues(), 0))
            scores += ExactValues.of(part.score[rows].tolist())
            hours[part.collector, hour] = (scores, alarm_count + int(alarms[rows].sum()))
    return [(collector, hour, *hours[collector, hour]) for collector, hour in sorted(hours)]


def cut_self_test_frame(detector: Detector, frames: Sequence[WindowFrame]) -> WindowFrame:
    """Cut a few clean windows with their history, of a group on which the detector votes."""
    recent = detector.history_minutes + SELF_TEST_SEARCH_MINUTES
    by_length = sorted(frames, key=len, reverse=True)
    # The newest minutes mostly suffice; only otherwise is the whole span scored.
    for frame in (*(frame.rows(max(len(frame) - recent, 0), len(frame), 0) for frame in by_length), *by_length):
        scores = detector.score(replace(frame, first=0))
        has_vote = np.array([not reason for reason in scores.abstained]) & frame.clean
        rows = np.flatnonzero(has_vote)
        if len(rows) >= SELF_TEST_ROWS:
            # Only the history that the detector needs, because every model file contains the frame.
            end = int(rows[-1]) + 1
            first = max(end - SELF_TEST_ROWS, 0)
            horizon = frame.window_start[first] - detector.history_minutes * 60
            begin = int(np.searchsorted(frame.window_start, horizon))
            cut = frame.rows(begin, end, first - begin)
            # The file stores no quality marks, so marked windows are left out.
            keep = cut.clean
            keep[cut.first :] = True
            columns = {name: values[keep] for name, values in cut.features.items()}
            return WindowFrame(
                frame.collector, frame.peer, cut.window_start[keep], columns, {}, int(keep[: cut.first].sum())
            )
    raise NotEnoughDataError(f"{detector.name}: no group with {SELF_TEST_ROWS} clean windows for a self-test")


def select_fold(frame: WindowFrame, fold: int, folds: int) -> BoolArray:
    """Select the rows of a fold.

    A fold is a contiguous part of the span, so that its days differ from the training days as future days will. A span of
    less than two days would be cut into times of day, and a model trained without the night scores the night as unusual.
    There the folds are short blocks in turn, and the calibration does not cover differences between days.
    """
    since = frame.window_start - frame.window_start[0]
    blocks = folds if since[-1] >= WHOLE_DAYS_S else SHORT_BLOCKS
    return np.asarray((since * blocks // (since[-1] + 60)) % folds == fold)


def _without(frame: WindowFrame, fold: int, folds: int) -> WindowFrame:
    excluded = frame.mark(EXCLUDED) | select_fold(frame, fold, folds)
    return replace(frame, quality={**frame.quality, EXCLUDED: excluded.astype(np.float64)})


def _score_fold(detector: Detector, frame: WindowFrame, fold: int, folds: int) -> list[HeldOut]:
    """Score the clean windows of a fold, block by block; windows without a vote are left out."""
    held = np.flatnonzero(select_fold(frame, fold, folds))
    blocks = np.split(held, np.flatnonzero(np.diff(held) > 1) + 1) if len(held) else []
    parts = []
    for block in blocks:
        first, end = int(block[0]), int(block[-1]) + 1
        horizon = frame.window_start[first] - detector.history_minutes * MINUTE_S
        begin = int(np.searchsorted(frame.window_start, horizon))
        scores = detector.score(frame.rows(begin, end, first - begin))
        usable = np.array([not reason for reason in scores.abstained], bool) & frame.clean[first:end]
        may_alarm = np.array([scores.may_alarm(i) for i in range(end - first)], bool)
        starts = frame.window_start[first:end]
        parts.append(HeldOut(frame.collector, frame.peer, starts[usable], scores.score[usable], may_alarm[usable]))
    return [part for part in parts if len(part.score)]
