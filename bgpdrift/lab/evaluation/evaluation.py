"""Trains every detector on the first minutes of labelled windows and evaluates it on all later minutes.

The first ``train_minutes`` are for training; minutes that are labelled anomalous in them carry the `EXCLUDED` mark. Every later
minute is scored and compared with its label. A detector that cannot be trained has a reason instead of figures, and the
ensemble decides without it, as in operation.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgpdrift.detector_registry import MODELS, find, load_object
from bgpdrift.detectors.interface import EXCLUDED, MINUTE_S, BoolArray, Detector, FloatArray, IntArray, WindowFrame
from bgpdrift.errors import BgpdriftError, InputError
from bgpdrift.lab.evaluation import announcements_counter
from bgpdrift.lab.evaluation.announcements_counter import AnnouncementsCounter
from bgpdrift.lab.evaluation.detections import ENSEMBLE, Detections, detect_alone, detect_together, merge_groups
from bgpdrift.lab.labelled_sets.windows import LabelledWindows
from bgpdrift.models.detector_output import DetectorOutput
from bgpdrift.settings import Settings
from bgpdrift.verdicts.calibration import Calibration
from bgpdrift.verdicts.ensemble import ensemble_policy
from bgpdrift.verdicts.quality import Figures, figures

COUNTER = announcements_counter.NAME
ROWS = (COUNTER, *MODELS, ENSEMBLE)
"""Rows of every quality table, in this order."""
DEFAULT_TRAIN_MINUTES = 2880
MIN_TRAIN_MINUTES = 360

Trainer = Callable[[str, Sequence[WindowFrame], int], tuple[Detector, Calibration]]
"""Trains a model on frames with a seed; gives the detector and its calibration."""
ShowStatus = Callable[[str], None]


def find_row(name: str) -> str:
    """Find a row of `ROWS` by its name, or a detector's by the name of its service.

    Raises
    ------
    InputError
        There is no such row; the message lists those that exist.

    Examples
    --------
    >>> find_row("lstm_detector"), find_row("ensemble")
    ('lstm', 'ensemble')
    """
    if name in ROWS:
        return name
    try:
        return find(name).name
    except InputError:
        raise InputError(f"no detector is named {name!r}; the rows are {', '.join(ROWS)}") from None


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of one detector, or the reason why there are none."""

    figures: Figures | None
    unavailable: str = ""
    abstained_minutes: int = 0
    train_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result for one file; the series of minutes begin after the training.

    Attributes
    ----------
    rows : mapping of detector to Row
        Requested rows in the order of `ROWS`.
    detections : mapping of detector to Detections
        Results of the detectors that have figures.
    window_start, truth, announced : ndarray
        Values of every minute of the file, including the training; ``announced`` is summed over collectors.
    test_from : int
        Epoch seconds of the first minute that is evaluated.
    missing_minutes : int
        Minutes of all groups left out because a value in them is not known.
    """

    rows: Mapping[str, Row]
    detections: Mapping[str, Detections]
    window_start: IntArray
    truth: BoolArray
    announced: FloatArray
    test_from: int
    missing_minutes: int = 0


def evaluate(
    groups: Sequence[LabelledWindows],
    train: Trainer,
    settings: Settings,
    *,
    train_minutes: int = DEFAULT_TRAIN_MINUTES,
    seed: int = 0,
    names: Sequence[str] = ROWS,
    show_status: ShowStatus = lambda _: None,
) -> Evaluation:
    """Train and evaluate.

    Parameters
    ----------
    groups : sequence of LabelledWindows
        Windows of one file. Windows of single peers are ignored if there are windows of whole collectors.
    train : Trainer
        Trains one model.
    settings : Settings
        Alarm budgets, weights and debounce.
    train_minutes : int
        Minutes to train on, from the first minute of the file.
    seed : int
        Seed of everything random in training.
    names : sequence of str
        Rows to report, of `ROWS`.
    show_status : callable
        Called with the current activity.

    Raises
    ------
    InputError
        No minute is left to evaluate, or a name is unknown.
    """
    names = [find_row(name) for name in names]
    missing = sum(group.missing for group in groups)
    groups = [group for group in groups if len(group)]
    if not groups:
        raise InputError(f"no minute is left: {missing:,} have a value that is not known")
    groups = [group for group in groups if not group.peer] or groups
    test_from = _test_from(groups, train_minutes)
    frames = [frame for group in groups if len((frame := _whole(group, test_from)).to_score)]
    training = [frame for group in groups if len(frame := _training(group, test_from))]
    models = MODELS if ENSEMBLE in names else tuple(name for name in MODELS if name in names)
    policy = ensemble_policy(settings)
    trained: dict[str, tuple[Detector, Calibration]] = {}
    reasons: dict[str, str] = {}
    seconds: dict[str, float] = {}
    for name in (COUNTER, *models) if COUNTER in names else models:
        show_status(f"training {name}")
        began = time.monotonic()
        try:
            trained[name] = _counter(training) if name == COUNTER else train(name, training, seed)
        except BgpdriftError as error:
            reasons[name] = str(error)
        seconds[name] = time.monotonic() - began
    outputs: dict[str, list[DetectorOutput]] = {}
    for name, (detector, calibration) in trained.items():
        show_status(f"scoring with {name}")
        outputs[name] = [DetectorOutput.of(detector, calibration, frame, settings) for frame in frames]
    detections = {
        name: merge_groups([detect_alone(output, policy) for output in of_groups])
        for name, of_groups in outputs.items()
    }
    voters = [name for name in models if name in outputs]
    if ENSEMBLE in names and voters:
        show_status("combining")
        absent = {name: reasons[name] for name in models if name in reasons}
        detections[ENSEMBLE] = merge_groups(
            [
                detect_together({name: outputs[name][index] for name in voters}, absent, frame, policy)
                for index, frame in enumerate(frames)
            ]
        )
    elif ENSEMBLE in names:
        reasons[ENSEMBLE] = "no detector to combine"
    window_start, truth, announced = _timeline(groups)
    test = window_start >= test_from
    rows = {
        name: Row(
            figures(detections[name].window_start, detections[name].score, detections[name].alarms, truth[test]),
            abstained_minutes=detections[name].abstained,
            train_seconds=seconds.get(name, 0.0),
        )
        if name in detections
        else Row(None, unavailable=reasons[name])
        for name in ROWS
        if name in names
    }
    reported = {name: detections[name] for name in rows if name in detections}
    return Evaluation(rows, reported, window_start, truth, announced, test_from, missing)


def trainer(settings: Settings) -> Trainer:
    """Return a function that trains a model as its retrainer does.

    The retrainers are loaded by name: they import training libraries, which the services must not load.
    """
    fit_and_calibrate = load_object("retrainers.training:train")

    def train(model: str, frames: Sequence[WindowFrame], seed: int) -> tuple[Detector, Calibration]:
        trained = fit_and_calibrate(model, frames, seed=seed, history_minutes=settings.detectors.history_minutes)
        return trained.detector, trained.calibration

    return train


def _counter(training: Sequence[WindowFrame]) -> tuple[Detector, Calibration]:
    return AnnouncementsCounter(), announcements_counter.calibrate(training)


def _test_from(groups: Sequence[LabelledWindows], train_minutes: int) -> int:
    if train_minutes < MIN_TRAIN_MINUTES:
        raise InputError(f"--train-minutes: expected at least {MIN_TRAIN_MINUTES}, found {train_minutes}")
    begin = min(int(group.window_start[0]) for group in groups)
    end = max(int(group.window_start[-1]) for group in groups)
    test_from = begin + train_minutes * MINUTE_S
    if end < test_from:
        minutes = (end - begin) // MINUTE_S + 1
        raise InputError(
            f"the file: expected more minutes than --train-minutes {train_minutes}, found {minutes}, all of them for training"
        )
    return test_from


def _whole(group: LabelledWindows, test_from: int) -> WindowFrame:
    """All windows of a group without labels; those before the test are history."""
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
    """Return an evaluation as JSON fields; a figure that is not defined is null."""
    return {
        "file": file,
        "train_minutes": train_minutes,
        "minutes": int((evaluation.window_start >= evaluation.test_from).sum()),
        "labelled_minutes": int(evaluation.truth[evaluation.window_start >= evaluation.test_from].sum()),
        "missing_minutes": evaluation.missing_minutes,
        "detectors": dict(_rows(evaluation)),
    }


def _rows(evaluation: Evaluation) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, row in evaluation.rows.items():
        if row.figures is None:
            undefined: dict[str, Any] = dict.fromkeys(Figures.__dataclass_fields__)
            yield name, {**undefined, "unavailable": row.unavailable}
            continue
        found = {
            key: round(value, 6) if isinstance(value, float) else value
            for key, value in row.figures.as_fields().items()
        }
        yield name, {**found, "abstained_minutes": row.abstained_minutes, "train_seconds": round(row.train_seconds, 2)}
