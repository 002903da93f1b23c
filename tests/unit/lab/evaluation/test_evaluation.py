"""A detector is trained on the first minutes and judged on the rest; the result names what cannot be trained."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from bgpdrift.detectors.interface import EXCLUDED, Detector, Scores, WindowFrame
from bgpdrift.errors import InputError, NotEnoughDataError
from bgpdrift.lab.evaluation.announcements_counter import AnnouncementsCounter, calibrate
from bgpdrift.lab.evaluation.evaluation import COUNTER, ROWS, as_fields, evaluate
from bgpdrift.lab.labelled_sets.windows import LabelledWindows
from bgpdrift.settings import Settings, load
from bgpdrift.verdicts.calibration import Calibration

BEGIN = 1_700_000_040
TRAIN, ALL = 1440, 2400
ONSET, END = 1800, 1900


class Counting(AnnouncementsCounter):
    """The counter under a detector's name; remembers what it was shown."""

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]
        self.shown: list[WindowFrame] = []

    def score(self, windows: WindowFrame) -> Scores:
        self.shown.append(windows)
        scores = super().score(windows)
        return replace(scores, rules_fired=tuple([{"rule": "update_storm"}] for _ in scores.score))


class Trainers:
    """Trains counters; models in ``failing`` have too few windows."""

    def __init__(self, failing: Sequence[str] = ()) -> None:
        self.failing, self.frames, self.made = failing, [], []  # type: ignore[var-annotated]

    def __call__(self, model: str, frames: Sequence[WindowFrame], seed: int) -> tuple[Detector, Calibration]:
        self.frames.append(frames)
        if model in self.failing:
            raise NotEnoughDataError(f"{model}: expected 256 clean windows, found 3")
        self.made.append(Counting(model))
        return self.made[-1], calibrate(frames)


def windows(
    collector: str = "rrc00", peer: str = "", level: float = 100.0, storm: bool = True, training_anomaly: bool = False
) -> LabelledWindows:
    rng = np.random.default_rng(7)
    announced = rng.poisson(level, ALL).astype(float)
    truth = np.zeros(ALL, bool)
    if storm:
        announced[ONSET:END] *= 50
        truth[ONSET:END] = True
    if training_anomaly:
        announced[200:300] *= 50
        truth[200:300] = True
    return LabelledWindows(collector, peer, BEGIN + 60 * np.arange(ALL), {"announced": announced}, {}, truth)


@pytest.fixture
def settings() -> Settings:
    return load()


def test_a_storm_is_found_by_every_row_and_nothing_else_is(settings: Settings) -> None:
    found = evaluate([windows()], Trainers(), settings, train_minutes=TRAIN)

    assert tuple(found.rows) == ROWS
    for name, row in found.rows.items():
        assert row.figures is not None, name
        assert (row.figures.auc or 0) > 0.98, name
        assert row.figures.first_alarm_minutes is not None, name
        assert row.figures.minutes == ALL - TRAIN, name


def test_training_sees_no_minute_of_the_test_and_scoring_sees_no_label(settings: Settings) -> None:
    trainers = Trainers()

    evaluate([windows(training_anomaly=True)], trainers, settings, train_minutes=TRAIN)

    for (frame,) in trainers.frames:
        assert frame.window_start[-1] == BEGIN + 60 * (TRAIN - 1)
        assert np.flatnonzero(frame.mark(EXCLUDED)).tolist() == list(range(200, 300))
    for detector in trainers.made:
        (frame,) = detector.shown
        assert (frame.first, len(frame)) == (TRAIN, ALL)
        assert EXCLUDED not in frame.quality


def test_an_anomaly_in_the_training_minutes_teaches_nobody(settings: Settings) -> None:
    clean = evaluate([windows()], Trainers(), settings, train_minutes=TRAIN, names=[COUNTER]).rows[COUNTER].figures
    marked = evaluate([windows(training_anomaly=True)], Trainers(), settings, train_minutes=TRAIN, names=[COUNTER])
    figures = marked.rows[COUNTER].figures

    assert clean is not None
    assert figures is not None
    assert figures.first_alarm_minutes == clean.first_alarm_minutes


def test_a_detector_that_cannot_be_trained_is_said_and_the_ensemble_goes_on(settings: Settings) -> None:
    found = evaluate([windows()], Trainers(failing=["lstm"]), settings, train_minutes=TRAIN)

    assert found.rows["lstm"].figures is None
    assert found.rows["lstm"].unavailable == "lstm: expected 256 clean windows, found 3"
    assert found.rows["ensemble"].figures is not None
    fields = as_fields(found, "a.csv", TRAIN)["detectors"]
    assert fields["lstm"]["auc"] is None
    assert fields["lstm"]["unavailable"]


def test_without_any_detector_there_is_no_ensemble(settings: Settings) -> None:
    failing = ["lstm", "heuristic", "isolation_forest"]

    found = evaluate([windows()], Trainers(failing), settings, train_minutes=TRAIN)

    assert found.rows["ensemble"].unavailable == "no detector to combine"
    assert found.rows[COUNTER].figures is not None


def test_only_the_rows_asked_for_are_trained_and_reported(settings: Settings) -> None:
    trainers = Trainers()

    found = evaluate([windows()], trainers, settings, train_minutes=TRAIN, names=["lstm"])

    assert list(found.rows) == ["lstm"]
    assert [detector.name for detector in trainers.made] == ["lstm"]


def test_windows_of_peers_are_left_out_where_there_are_those_of_collectors(settings: Settings) -> None:
    trainers = Trainers()

    evaluate([windows(), windows(peer="192.0.2.1", storm=False)], trainers, settings, train_minutes=TRAIN)

    assert {frame.peer for frames in trainers.frames for frame in frames} == {""}


def test_a_storm_at_one_of_two_collectors_is_found(settings: Settings) -> None:
    groups = [windows(), windows("rrc01", storm=False)]

    figures = evaluate(groups, Trainers(), settings, train_minutes=TRAIN).rows["ensemble"].figures

    assert figures is not None
    assert (figures.spans, figures.spans_alarmed, figures.labelled_minutes) == (1, 1, END - ONSET)


def test_a_calm_file_has_false_alarms_a_day_and_no_auc(settings: Settings) -> None:
    found = evaluate([windows(storm=False)], Trainers(), settings, train_minutes=TRAIN)

    row = as_fields(found, "calm.csv", TRAIN)["detectors"]["ensemble"]
    assert (row["auc"], row["f1"], row["recall"], row["first_alarm_minutes"]) == (None, None, None, None)
    assert row["false_alarms_per_day"] is not None


def test_the_document_names_what_it_is_about(settings: Settings) -> None:
    fields = as_fields(evaluate([windows()], Trainers(), settings, train_minutes=TRAIN), "a/b.csv.gz", TRAIN)

    assert (fields["file"], fields["train_minutes"]) == ("a/b.csv.gz", TRAIN)
    wanted = {"auc", "f1", "precision", "recall", "first_alarm_minutes", "false_alarms_per_day"}
    assert all(wanted <= set(row) for row in fields["detectors"].values())


@pytest.mark.parametrize(
    ("train_minutes", "message"),
    [(ALL, "found 2400, all of them for training"), (60, "expected at least 360, found 60")],
)
def test_nothing_left_to_judge_or_to_learn_from_is_refused(
    settings: Settings, train_minutes: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        evaluate([windows()], Trainers(), settings, train_minutes=train_minutes)


def test_an_unknown_row_is_refused(settings: Settings) -> None:
    with pytest.raises(InputError, match="no detector is named 'crystal_ball'; the rows are announcements_counter"):
        evaluate([windows()], Trainers(), settings, names=["crystal_ball"])


def test_a_hole_is_left_out_of_the_counters_mean() -> None:
    count = 100
    marks = {"incomplete": np.isin(np.arange(count), [70, 71]).astype(float)}
    announced = np.where(np.isin(np.arange(count), [70, 71]), 0.0, 100.0)
    scores = AnnouncementsCounter().score(WindowFrame("a", "", 60 * np.arange(count), {"announced": announced}, marks))

    assert [row for row, reason in enumerate(scores.abstained) if reason] == [70, 71]
    assert scores.score[72] == pytest.approx(np.log1p(100))
