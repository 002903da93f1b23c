"""The forest in flat arrays: equal to scikit-learn's scores, and safe against damaged trees."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest as Trainer

from bgpdrift.detectors.interface import ModelContent
from bgpdrift.detectors.isolation_forest import IsolationForest, rank
from bgpdrift.errors import ArtifactError, InputError, NotEnoughDataError
from retrainers.fit_isolation_forest import SAMPLES, TREES, clean_rows, fit


@pytest.fixture(scope="module")
def content(windows: ModuleType) -> ModelContent:
    return fit([windows.calm(2_880)], seed=1)


@pytest.fixture
def detector(content: ModelContent) -> IsolationForest:
    return IsolationForest.from_content(content)


def test_scores_equal_those_of_scikit_learn(detector: IsolationForest, windows: ModuleType) -> None:
    rows = clean_rows(detector.preparation, [windows.calm(2_880)])
    signals = len(detector.preparation.signals)
    trainer = Trainer(n_estimators=TREES, max_samples=SAMPLES, random_state=1, n_jobs=1).fit(rank(rows, signals))
    wild = np.random.default_rng(4).normal(0.0, 5.0, rows.shape)
    for z in (rows, wild):
        np.testing.assert_allclose(detector.score_prepared(z), -trainer.score_samples(rank(z, signals)), atol=1e-6)


def test_equal_seeds_give_equal_forests(content: ModelContent, windows: ModuleType) -> None:
    again = fit([windows.calm(2_880)], seed=1)
    for name, array in content.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)


def test_a_storm_has_a_high_score_and_names_the_signals_that_contribute(detector, windows) -> None:
    frame = windows.calm(900, first=600)
    frame.features["announced"][700:800] *= 8
    frame.features["messages"][700:800] *= 8
    scores = detector.score(frame)
    assert scores.score[120:195].min() > np.quantile(scores.score[:95], 0.99)
    top = scores.top_features[150]
    assert top[0]["feature"] in ("announced", "messages")
    assert top[0]["present"] > 3 * top[0]["baseline"]
    assert top[0]["weight"] >= top[-1]["weight"] > 0


@pytest.mark.parametrize("name", ["withdrawn", "origin_change", "duplicate"])
def test_an_anomaly_of_one_signal_among_thirty_has_a_high_score(detector, windows, name) -> None:
    """A forest over all signals would rarely cut along this one."""
    frame = windows.calm(900, first=600)
    calm = detector.score(windows.calm(900, seed=2, first=300)).score
    frame.features[name][700:800] *= 10
    assert detector.score(frame).score[130:195].min() > np.quantile(calm, 0.99)


def test_a_silence_has_a_high_score(detector, windows) -> None:
    frame = windows.calm(900, first=600)
    for values in frame.features.values():
        values[700:800] = 0.0
    assert detector.score(frame).score[110:195].min() > np.quantile(
        detector.score(windows.calm(900, seed=2)).score, 0.99
    )


def test_a_quiet_night_has_an_ordinary_score(detector, windows) -> None:
    """A seventh less traffic for an hour and a half occurs every night, and lies in the dead zone."""
    frame = windows.calm(900, first=600)
    before = detector.score(frame).score
    for values in frame.features.values():
        values[700:800] *= 0.85
    assert np.quantile(detector.score(frame).score[100:200], 0.9) < np.quantile(before, 0.999)


def test_a_collector_that_was_not_trained_on_is_named_as_such(detector, windows) -> None:
    scores = detector.score(replace(windows.calm(400, first=300), collector="rrc99"))
    assert set(scores.abstained) == {"unknown_collector"}


def test_a_model_of_some_columns_runs_on_those_and_refuses_fewer(windows) -> None:
    frame = windows.calm(2_880)
    few = replace(frame, features={name: frame.features[name] for name in ("announced", "withdrawn", "messages")})
    detector = IsolationForest.from_content(fit([few], seed=1))
    assert set(detector.score(replace(few, first=2_000)).abstained) == {""}
    assert set(detector.score(replace(frame, first=2_000)).abstained) == {""}
    del few.features["withdrawn"]  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="without withdrawn"):
        detector.score(few)


def test_too_few_clean_windows_are_named(windows) -> None:
    with pytest.raises(NotEnoughDataError, match="clean windows"):
        fit([windows.calm(100)])


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("left", lambda array: array + 10_000_000, "left outside"),
        ("right", lambda array: np.zeros_like(array), "own child"),
        ("feature", lambda array: np.full_like(array, 9_999), "feature outside"),
        ("roots", lambda array: array - 1, "roots outside"),
        ("threshold", lambda array: array[:-1], "shapes"),
        ("path", lambda array: array * np.nan, "NaN"),
        ("left", lambda array: array.astype(np.float64), "integers"),
        ("prepare.centre", lambda array: array[:, :2], "prepare.centre"),
        ("prepare.spread", lambda array: array * 0.0, "above 0"),
    ],
)
def test_damaged_trees_are_refused(content: ModelContent, name: str, damage, reason: str) -> None:
    arrays = {**content.arrays, name: damage(content.arrays[name])}
    with pytest.raises(ArtifactError, match=reason):
        IsolationForest.from_content(replace(content, arrays=arrays))


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("signals", ["no_such"], "unknown signals no_such"),
        ("scales_min", [1, 2], "time scales"),
        ("max_samples", 0, "max_samples"),
        ("depth", 1_000, "depth"),
        ("explain_above", None, "hyper-parameter"),
    ],
)
def test_parameters_of_another_program_are_refused(content: ModelContent, key: str, value, reason: str) -> None:
    with pytest.raises(ArtifactError, match=reason):
        IsolationForest.from_content(replace(content, hyper_parameters={**content.hyper_parameters, key: value}))
