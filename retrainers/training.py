"""Training of any of the three models: fit on clean windows, and calibrate on scores of minutes the fit had not seen.

Calibration is cross-fitted: the span is cut into stretches, and each is scored by a model fitted without it. A model's
scores of its own training minutes are flattering, and would make an alarm budget a wish. How a model is fitted the
``fit_<model>`` files decide; what a span holds, what the figures are held against and what is published, others.
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
from bgpdrift.drift.histogram import Histogram
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
"""A span from which on folds are whole stretches of it."""
SHORT_BLOCKS = 12
LEAST_CALIBRATION = 500
SELF_TEST_ROWS = 4
"""Windows of the self-test, after the history they need."""
SELF_TEST_SEARCHED = 120
"""Newest windows that are looked at first for it."""


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
    """Out-of-sample scores of one stretch of one frame.

    Attributes
    ----------
    collector, peer : str
        Whose.
    window_start : ndarray of int, shape (n,)
        Epoch seconds.
    score : ndarray of float, shape (n,)
        Of clean windows with a vote.
    may_alarm : ndarray of bool, shape (n,)
        Where there was something to act on.
    """

    collector: str
    peer: str
    window_start: IntArray
    score: FloatArray
    may_alarm: BoolArray


@dataclass(frozen=True, slots=True)
class Trained:
    """A model that was fitted and calibrated, before anybody judged it.

    Attributes
    ----------
    content : ModelContent
        What was learned.
    detector : Detector
        Built from it.
    calibration : Calibration
        From out-of-sample scores.
    clean_scores : ndarray of float
        Those scores, in the order of blocks and frames.
    train_rows, calibration_rows : int
        Clean windows fitted on; clean windows with a vote that calibrated.
    held_out : tuple of HeldOut
        Where and when those scores are from.
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
        One a (collector, peer); marks of `CLEAN_MARKS` keep a window out.
    seed : int
        Equal seeds give equal models.
    progress : callable
        Told the phase and the share of it that is done.
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
        found += [part for frame in given for part in _held_scores(fold_detector, replace(frame, first=0), fold, folds)]
    scores = np.concatenate([part.score for part in found]) if found else np.zeros(0)
    progress("calibrate", 1.0)
    if len(scores) < LEAST_CALIBRATION:
        raise NotEnoughDataError(f"{model}: {len(scores)} clean windows to calibrate on, {LEAST_CALIBRATION} expected")
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
        reference=reference_arrays(hours_of(trained, alarms_per_day)),
    )
    return add_self_test(artifact, trained.detector, self_test_frame(trained.detector, given))


def hours_of(trained: Trained, alarms_per_day: float) -> list[ReferenceHour]:
    """Out-of-sample scores of whole collectors by hour, with the alarms they would have raised."""
    limit = trained.calibration.alarm_p(alarms_per_day)
    hours: dict[tuple[str, int], tuple[Histogram, int]] = {}
    for part in trained.held_out:
        if part.peer:
            continue
        alarms = part.may_alarm & (trained.calibration.p_value(part.score) <= limit)
        starts = part.window_start // HOUR_S * HOUR_S
        for hour in np.unique(starts).tolist():
            rows = starts == hour
            before, rung = hours.get((part.collector, hour), (Histogram(), 0))
            counted = Histogram.of(part.score[rows].tolist())
            hours[part.collector, hour] = (before + counted, rung + int(alarms[rows].sum()))
    return [(collector, hour, *hours[collector, hour]) for collector, hour in sorted(hours)]


def self_test_frame(detector: Detector, frames: Sequence[WindowFrame]) -> WindowFrame:
    """Cut a few clean windows with their history, of a group on which the detector votes."""
    recent = detector.history_minutes + SELF_TEST_SEARCHED
    by_length = sorted(frames, key=len, reverse=True)
    # The newest minutes mostly do; only where they do not is all of a long span scored.
    for frame in (*(frame.rows(max(len(frame) - recent, 0), len(frame), 0) for frame in by_length), *by_length):
        scores = detector.score(replace(frame, first=0))
        spoken = np.array([not reason for reason in scores.abstained]) & frame.clean
        rows = np.flatnonzero(spoken)
        if len(rows) >= SELF_TEST_ROWS:
            # As far back in the past as it needs, and no further: the frame travels with every file.
            end = int(rows[-1]) + 1
            first = max(end - SELF_TEST_ROWS, 0)
            horizon = frame.window_start[first] - detector.history_minutes * 60
            begin = int(np.searchsorted(frame.window_start, horizon))
            cut = frame.rows(begin, end, first - begin)
            # Quality marks do not travel; windows that carry one must not either.
            keep = cut.clean
            keep[cut.first :] = True
            columns = {name: values[keep] for name, values in cut.features.items()}
            return WindowFrame(
                frame.collector, frame.peer, cut.window_start[keep], columns, {}, int(keep[: cut.first].sum())
            )
    raise NotEnoughDataError(f"{detector.name}: no group with {SELF_TEST_ROWS} clean windows for a self-test")


def _held(frame: WindowFrame, fold: int, folds: int) -> BoolArray:
    """Rows of a fold: a stretch of the span, as long as can be, so that days differ in it as days to come will.

    A span of less than two days would be cut into times of day, and a model that has not seen the night calls it unusual.
    There the folds are short blocks dealt out in turn, and the calibration knows nothing of how days differ.
    """
    since = frame.window_start - frame.window_start[0]
    blocks = folds if since[-1] >= WHOLE_DAYS_S else SHORT_BLOCKS
    return np.asarray((since * blocks // (since[-1] + 60)) % folds == fold)


def _without(frame: WindowFrame, fold: int, folds: int) -> WindowFrame:
    excluded = frame.mark(EXCLUDED) | _held(frame, fold, folds)
    return replace(frame, quality={**frame.quality, EXCLUDED: excluded.astype(np.float64)})


def _held_scores(detector: Detector, frame: WindowFrame, fold: int, folds: int) -> list[HeldOut]:
    """Scores of the clean windows of a fold on which the detector votes, block by block."""
    held = np.flatnonzero(_held(frame, fold, folds))
    blocks = np.split(held, np.flatnonzero(np.diff(held) > 1) + 1) if len(held) else []
    found = []
    for block in blocks:
        first, end = int(block[0]), int(block[-1]) + 1
        horizon = frame.window_start[first] - detector.history_minutes * MINUTE_S
        begin = int(np.searchsorted(frame.window_start, horizon))
        scores = detector.score(frame.rows(begin, end, first - begin))
        usable = np.array([not reason for reason in scores.abstained], bool) & frame.clean[first:end]
        may_alarm = np.array([scores.may_alarm(i) for i in range(end - first)], bool)
        starts = frame.window_start[first:end]
        found.append(HeldOut(frame.collector, frame.peer, starts[usable], scores.score[usable], may_alarm[usable]))
    return [part for part in found if len(part.score)]
