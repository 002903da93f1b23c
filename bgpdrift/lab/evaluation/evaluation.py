"""Trains every detector on the first minutes of labelled windows and judges it on all that follow.

Decides what is training and what is test: the first ``train_minutes`` by time train (what is labelled anomalous within
them carries the `EXCLUDED` mark), every later minute is scored and judged. A detector that cannot be trained has no
figures and a reason; the ensemble goes on without it, as it would at night.
"""

import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgpdrift.detector_registry import MODELS
from bgpdrift.detectors.interface import EXCLUDED, MINUTE_S, BoolArray, Detector, FloatArray, IntArray, WindowFrame
from bgpdrift.errors import BgpdriftError, InputError
from bgpdrift.lab.evaluation import announcements_counter
from bgpdrift.lab.evaluation.announcements_counter import AnnouncementsCounter
from bgpdrift.lab.evaluation.detections import ENSEMBLE, Judged, joined, judge_alone, judge_together
from bgpdrift.lab.labelled_sets.windows import LabelledWindows
from bgpdrift.models.detector_output import DetectorOutput
from bgpdrift.settings import Settings
from bgpdrift.verdicts.calibration import Calibration
from bgpdrift.verdicts.ensemble import ensemble_policy
from bgpdrift.verdicts.quality import Figures, figures

COUNTER = announcements_counter.NAME
ROWS = (COUNTER, *MODELS, ENSEMBLE)
"""The rows of every quality table, in its order."""
DEFAULT_TRAIN_MINUTES = 2880
LEAST_TRAIN_MINUTES = 360

TrainOne = Callable[[str, Sequence[WindowFrame], int], tuple[Detector, Calibration]]
"""Model, training frames and seed to what scores and what its scores are worth."""
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One detector's figures, or why there are none."""

    figures: Figures | None
    unavailable: str = ""
    abstained_minutes: int = 0
    train_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came out for one file; the minute series are those after training.

    Attributes
    ----------
    rows : mapping of detector to Row
        In the order of `ROWS`, those asked for.
    judged : mapping of detector to Judged
        Minute by minute, of the detectors that have figures.
    window_start, truth, announced : ndarray
        Of every minute of the file, training included; ``announced`` summed over collectors.
    test_from : int
        Epoch seconds of the first minute that was judged.
    """

    rows: Mapping[str, Row]
    judged: Mapping[str, Judged]
    window_start: IntArray
    truth: BoolArray
    announced: FloatArray
    test_from: int


def evaluate(
    groups: Sequence[LabelledWindows],
    train: TrainOne,
    settings: Settings,
    *,
    train_minutes: int = DEFAULT_TRAIN_MINUTES,
    seed: int = 0,
    wanted: Sequence[str] = ROWS,
    tell: Tell = lambda _: None,
) -> Evaluation:
    """Train and judge.

    Parameters
    ----------
    groups : sequence of LabelledWindows
        Of one file. Windows of single peers are left out where there are windows of whole collectors.
    train : TrainOne
        Trains one model.
    settings : Settings
        Budgets, weights and debounce: those of the services.
    train_minutes : int
        From the first minute of the file.
    seed : int
        For all that is random in training.
    wanted : sequence of str
        Rows to report, of `ROWS`.
    tell : callable
        Hears what is being done.

    Raises
    ------
    InputError
        Nothing would be left to judge, or an unknown row.
    """
    unknown = [name for name in wanted if name not in ROWS]
    if unknown:
        raise InputError(f"no detector {', '.join(unknown)}; expected some of {', '.join(ROWS)}")
    groups = [group for group in groups if not group.peer] or list(groups)
    test_from = _test_from(groups, train_minutes)
    frames = [frame for group in groups if len((frame := _whole(group, test_from)).to_score)]
    training = [frame for group in groups if len(frame := _training(group, test_from))]
    models = MODELS if ENSEMBLE in wanted else tuple(name for name in MODELS if name in wanted)
    policy = ensemble_policy(settings)
    trained: dict[str, tuple[Detector, Calibration]] = {}
    absent: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for name in (COUNTER, *models) if COUNTER in wanted else models:
        tell(f"training {name}")
        began = time.monotonic()
        try:
            trained[name] = _counter(training) if name == COUNTER else train(name, training, seed)
        except BgpdriftError as error:
            absent[name] = str(error)
        seconds[name] = time.monotonic() - began
    voices: dict[str, list[DetectorOutput]] = {}
    for name, (detector, calibration) in trained.items():
        tell(f"scoring with {name}")
        voices[name] = [DetectorOutput.of(detector, calibration, frame, settings) for frame in frames]
    judged = {name: joined([judge_alone(voice, policy) for voice in of_groups]) for name, of_groups in voices.items()}
    speaking = [name for name in models if name in voices]
    if ENSEMBLE in wanted and speaking:
        tell("combining")
        silent = {name: absent[name] for name in models if name in absent}
        judged[ENSEMBLE] = joined(
            [
                judge_together({name: voices[name][index] for name in speaking}, silent, frame, policy)
                for index, frame in enumerate(frames)
            ]
        )
    elif ENSEMBLE in wanted:
        absent[ENSEMBLE] = "no detector to combine"
    window_start, truth, announced = _timeline(groups)
    test = window_start >= test_from
    rows = {
        name: Row(
            figures(judged[name].window_start, judged[name].score, judged[name].alarms, truth[test]),
            abstained_minutes=judged[name].abstained,
            train_seconds=seconds.get(name, 0.0),
        )
        if name in judged
        else Row(None, unavailable=absent[name])
        for name in ROWS
        if name in wanted
    }
    shown = {name: judged[name] for name in rows if name in judged}
    return Evaluation(rows, shown, window_start, truth, announced, test_from)


def trainer(settings: Settings) -> TrainOne:
    """Give a function that trains a model as its retrainer does.

    The retrainers are loaded by name: they import training libraries, which the services must not load.
    """
    training = importlib.import_module("retrainers.training")

    def train(model: str, frames: Sequence[WindowFrame], seed: int) -> tuple[Detector, Calibration]:
        trained = training.train(model, frames, seed=seed, history_minutes=settings.detectors.history_minutes)
        return trained.detector, trained.calibration

    return train


def _counter(training: Sequence[WindowFrame]) -> tuple[Detector, Calibration]:
    return AnnouncementsCounter(), announcements_counter.calibrate(training)


def _test_from(groups: Sequence[LabelledWindows], train_minutes: int) -> int:
    if train_minutes < LEAST_TRAIN_MINUTES:
        raise InputError(f"--train-minutes {train_minutes}: at least {LEAST_TRAIN_MINUTES} expected")
    begin = min(int(group.window_start[0]) for group in groups)
    end = max(int(group.window_start[-1]) for group in groups)
    test_from = begin + train_minutes * MINUTE_S
    if end < test_from:
        minutes = (end - begin) // MINUTE_S + 1
        raise InputError(
            f"{minutes} minutes, all of them for training; more than --train-minutes {train_minutes} expected"
        )
    return test_from


def _whole(group: LabelledWindows, test_from: int) -> WindowFrame:
    """All windows of a group, those before the test as history; nobody who scores sees a label."""
    first = int(np.searchsorted(group.window_start, test_from))
    return WindowFrame(group.collector, group.peer, group.window_start, group.features, group.quality, first)


def _training(group: LabelledWindows, test_from: int) -> WindowFrame:
    marks = {**group.quality, EXCLUDED: group.truth.astype(np.float64)}
    frame = WindowFrame(group.collector, group.peer, group.window_start, group.features, marks)
    return frame.rows(0, int(np.searchsorted(group.window_start, test_from)), 0)


def _timeline(groups: Sequence[LabelledWindows]) -> tuple[IntArray, BoolArray, FloatArray]:
    starts = np.unique(np.concatenate([group.window_start for group in groups]))
    truth, announced = np.zeros(len(starts), bool), np.zeros(len(starts))
    for group in groups:
        at = np.searchsorted(starts, group.window_start)
        truth[at] |= group.truth
        announced[at] += group.features["announced"]
    return starts, truth, announced


def as_fields(evaluation: Evaluation, file: str, train_minutes: int) -> dict[str, Any]:
    """Give an evaluation as JSON; a figure that is not defined is null."""
    return {
        "file": file,
        "train_minutes": train_minutes,
        "minutes": int((evaluation.window_start >= evaluation.test_from).sum()),
        "labelled_minutes": int(evaluation.truth[evaluation.window_start >= evaluation.test_from].sum()),
        "detectors": dict(_rows(evaluation)),
    }


def _rows(evaluation: Evaluation) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, row in evaluation.rows.items():
        if row.figures is None:
            nothing: dict[str, Any] = dict.fromkeys(Figures.__dataclass_fields__)
            yield name, {**nothing, "unavailable": row.unavailable}
            continue
        found = {
            key: round(value, 6) if isinstance(value, float) else value
            for key, value in row.figures.as_fields().items()
        }
        yield name, {**found, "abstained_minutes": row.abstained_minutes, "train_seconds": round(row.train_seconds, 2)}
