"""The figures of candidate and active model on the held-out windows, with detectors whose scores are known."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from bgpdrift.detectors.interface import EXCLUDED, Scores, WindowFrame
from bgpdrift.models.excluded_intervals import Interval
from bgpdrift.models.injection import KINDS
from bgpdrift.settings import Settings
from bgpdrift.verdicts.calibration import Calibration
from retrainers.comparison import Model, evaluate_model, longest_history, prepare_held_out
from retrainers.span import Span

SETTINGS = Settings()


@dataclass(frozen=True)
class ColumnDetector:
    """Returns a column as the score, or an abstention for every window."""

    column: str = "withdrawn"
    abstains: bool = False
    broken: bool = False
    name: str = "lstm"
    history_minutes: int = 60

    def score(self, frame: WindowFrame) -> Scores:
        score = frame.features[self.column][frame.first :].astype(float)
        if self.broken:
            score[:] = np.nan
        nothing = tuple([] for _ in score)
        return Scores(frame.to_score, score, tuple("warming" if self.abstains else "" for _ in score), nothing, nothing)


def model(detector: ColumnDetector, calm: np.ndarray) -> Model:
    return Model("7", detector, Calibration.fit(calm))


@pytest.fixture(scope="module")
def span(windows) -> Span:
    frame = windows.calm(3_000)
    return Span(
        (frame,), (), int(frame.window_start[0]), int(frame.window_start[-1]) + 60, int(frame.window_start[2_000])
    )


def calm_scores(span: Span) -> np.ndarray:
    return span.frames[0].features["withdrawn"]


def test_a_model_of_withdrawals_finds_withdrawal_storms_and_no_hijack(span):
    candidate = model(ColumnDetector(), calm_scores(span))
    shown = evaluate_model(candidate, prepare_held_out(span, 60, seed=1), SETTINGS)

    assert set(shown.figures.injected) == set(KINDS)
    assert shown.figures.injected["withdrawal_storm"] > 0.7
    assert shown.figures.injected["hijack"] < 0.3
    assert shown.figures.injected_auc["withdrawal_storm"] > 0.95
    assert len(shown.scores) == 1_000
    assert shown.figures.judged_by == "injected"
    assert shown.figures.f1 is not None
    assert shown.figures.alarms_per_day <= 6
    assert shown.figures.injected_mean == pytest.approx(np.mean(list(shown.figures.injected.values())), abs=1e-5)


def test_a_model_that_abstains_finds_nothing_and_raises_no_alarm(span):
    shown = evaluate_model(
        model(ColumnDetector(abstains=True), calm_scores(span)), prepare_held_out(span, 60, seed=1), SETTINGS
    )

    assert set(shown.figures.injected.values()) == {0.0}
    assert shown.figures.alarms_per_day == 0
    assert shown.figures.abstained_windows == 1_000
    assert len(shown.scores) == 0


def test_a_model_that_always_alarms_finds_nothing_and_its_alarm_counts_every_hour(span):
    tiny_scores = np.linspace(0.0, 0.001, 1_000)
    shown = evaluate_model(model(ColumnDetector("messages"), tiny_scores), prepare_held_out(span, 60, seed=1), SETTINGS)

    assert set(shown.figures.injected.values()) == {0.0}
    assert shown.figures.alarms_per_day == 17  # of 1,000 minutes, taken for a day


def test_scores_that_are_nan_are_counted(span):
    shown = evaluate_model(
        model(ColumnDetector(broken=True), calm_scores(span)), prepare_held_out(span, 60, seed=1), SETTINGS
    )
    assert shown.unusable == 1_000


def test_excluded_windows_do_not_judge(span):
    excluded = np.zeros(3_000)
    excluded[2_100:2_400] = 1.0
    marked = replace(span.frames[0], quality=dict(span.frames[0].quality) | {EXCLUDED: excluded})
    bench = prepare_held_out(replace(span, frames=(marked,)), 60, seed=1)
    assert len(evaluate_model(model(ColumnDetector(), calm_scores(span)), bench, SETTINGS).scores) == 700


def label_storms(span, storms, label_minutes):
    """Lay storms over a span and label minutes: (first, end, label), or with the collector."""
    at = [int(start) for start in span.frames[0].window_start]
    stormy = dict(span.frames[0].features)
    stormy["withdrawn"] = stormy["withdrawn"].copy()
    for first, end in storms:
        stormy["withdrawn"][first:end] = 5_000.0
    labels = tuple(Interval(at[first], at[end], frozenset(where), label) for first, end, label, *where in label_minutes)
    return replace(span, frames=(replace(span.frames[0], features=stormy),), labels=labels)


def test_accuracy_comes_from_labels_if_there_are_enough(span):
    parts = [(start, start + 4) for start in range(1_000, 1_400, 40)]
    false_alarms = [(start, start + 4) for start in range(1_500, 1_900, 40)]
    missed = [(start, start + 2) for start in range(1_905, 2_105, 20)]
    labels = [(*part, "true_positive") for part in parts] + [(*part, "false_positive") for part in false_alarms]
    labels += [(*part, "missed", "rrc00") for part in missed] + [(*part, "missed", "elsewhere") for part in missed]
    bench = prepare_held_out(label_storms(span, parts + false_alarms, labels), 60, seed=1)

    shown = evaluate_model(model(ColumnDetector(), calm_scores(span)), bench, SETTINGS)

    assert bench.labelled_windows == 100
    assert shown.figures.judged_by == "labels"
    assert shown.figures.classes == {"true_positive": 1.0, "false_positive": 0.0, "missed": 0.0}
    assert shown.figures.accuracy == pytest.approx(0.4)
    assert shown.figures.f1 == pytest.approx(80 / (80 + 20 + 40))


@pytest.mark.parametrize(
    "labels",
    [
        [(1_000, 1_060, "true_positive"), (1_500, 1_560, "false_positive")],
        [(start, start + 4, "true_positive") for start in range(1_000, 2_000, 40)],
        [(1_000, 1_060, "true_positive")] * 40 + [(1_500, 1_560, "false_positive")] * 4,
    ],
    ids=["two long labels", "labels of one class", "four labels of one class"],
)
def test_too_few_labels_do_not_judge_a_model(span, labels):
    """An accuracy from two labels is no accuracy: a candidate was refused because it disagreed with one of them."""
    bench = prepare_held_out(label_storms(span, [(1_000, 1_060)], labels), 60, seed=1)

    shown = evaluate_model(model(ColumnDetector(), calm_scores(span)), bench, SETTINGS)

    assert bench.labelled_windows >= SETTINGS.retrain.min_labelled_windows
    assert (shown.figures.judged_by, shown.figures.classes) == ("injected", {})


def test_equal_seeds_give_equal_anomalies(span):
    bench = prepare_held_out(span, 60, seed=3)
    again = prepare_held_out(span, 60, seed=3)
    for one, two in zip(bench.injected, again.injected, strict=True):
        assert (one.frame.features["announced"] == two.frame.features["announced"]).all()


def test_the_history_is_the_longest_that_any_model_needs(span):
    patient = Model("1", ColumnDetector(history_minutes=400), Calibration.fit(calm_scores(span)))
    assert longest_history([patient, None, model(ColumnDetector(), calm_scores(span))]) == 400
