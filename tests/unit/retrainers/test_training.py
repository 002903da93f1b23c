"""Fitting and calibrating, on generated days."""

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import ArtifactError, InputError, NotEnoughDataError
from bgpdrift.models.artifact import from_bytes, to_bytes
from bgpdrift.models.loading import builder
from bgpdrift.models.reference import reference_hours
from bgpdrift.models.self_test import run_self_test
from retrainers.training import select_fold, to_artifact, train

FAST = ("heuristic", "isolation_forest")


@pytest.mark.parametrize("model", FAST)
def test_a_calm_day_raises_about_as_many_alarms_as_the_budget_allows(model: str, windows: ModuleType) -> None:
    """The scores that calibrate are of minutes the fit had not seen, so that a day to come fits them."""
    trained = train(model, [windows.calm(2 * 1_440)], history_minutes=360)
    day_to_come = windows.calm(3 * 1_440, seed=8, first=2 * 1_440)
    p_values = trained.calibration.p_value(trained.detector.score(day_to_come).score)
    assert 0.2 < np.median(p_values) < 0.8
    assert np.mean(p_values <= trained.calibration.alarm_p(2.0)) <= 0.04


@pytest.mark.parametrize("model", FAST)
def test_a_decoded_artifact_passes_its_self_test(model: str, windows: ModuleType) -> None:
    frames = [windows.calm(1_500), replace(windows.calm(1_500, seed=3, level=900.0), collector="rrc99")]
    trained = train(model, frames, seed=5, history_minutes=360)
    raw = to_bytes(
        to_artifact(trained, frames, version="7", created_at=1_800_000_000, parent_version="6", alarms_per_day=2.0)
    )
    artifact = from_bytes(raw, "test", model)
    build = builder(model, 360)
    assert build is not None
    run_self_test(artifact, build)
    assert artifact.version == "7"
    assert trained.calibration_rows == artifact.training.calibration_rows
    assert len(raw) < 1_000_000


def test_equal_seeds_give_equal_bytes(windows: ModuleType) -> None:
    frames = [windows.calm(1_500)]
    one, two = (
        to_bytes(
            to_artifact(
                train("isolation_forest", frames, seed=4, history_minutes=360),
                frames,
                version="1",
                created_at=0,
                alarms_per_day=2.0,
            )
        )
        for _ in range(2)
    )
    assert one == two


@pytest.mark.parametrize("minutes", [700, 1_440, 2_880, 10_080])
@pytest.mark.parametrize("folds", [2, 3, 4])
def test_every_minute_is_held_out_exactly_once(minutes: int, folds: int, windows: ModuleType) -> None:
    frame = windows.calm(minutes)
    held = np.stack([select_fold(frame, fold, folds) for fold in range(folds)])
    np.testing.assert_array_equal(held.sum(axis=0), 1)
    assert held.sum(axis=1).min() > minutes // folds // 2


def test_excluded_windows_neither_train_nor_calibrate(windows: ModuleType) -> None:
    frame = windows.calm(2_000)
    excluded = np.zeros(2_000)
    excluded[600:900] = 1
    trained = train("heuristic", [replace(frame, quality={**frame.quality, "excluded": excluded})], history_minutes=360)
    assert trained.train_rows == 1_700
    assert trained.calibration_rows <= 1_700


def test_too_few_windows_are_not_enough_data(windows: ModuleType) -> None:
    for model in MODELS:
        with pytest.raises(NotEnoughDataError):
            train(model, [windows.calm(120)], history_minutes=360)
    with pytest.raises(NotEnoughDataError, match="no clean window"):
        train("heuristic", [], history_minutes=360)


def test_an_unknown_model_is_an_error_that_names_it() -> None:
    with pytest.raises(InputError, match="no detector is named 'oracle'"):
        train("oracle", [], history_minutes=360)


def test_an_artifact_has_the_hours_of_its_out_of_sample_scores(windows: ModuleType) -> None:
    """They are what drift is measured against: every score that calibrated, at its hour and collector, and small."""
    frames = [windows.calm(3_000), replace(windows.calm(3_000, seed=3), collector="rrc99")]
    frames.append(replace(windows.calm(3_000, seed=4), peer="192.0.2.1"))
    trained = train("heuristic", frames, history_minutes=360)
    artifact = from_bytes(
        to_bytes(to_artifact(trained, frames, version="2", created_at=0, alarms_per_day=2.0)), "test", "heuristic"
    )

    hours = reference_hours(artifact)

    assert set(hours) == {frames[0].collector, "rrc99"}
    kept = sum(len(part.exact_values) for part in hours.values())
    assert kept == sum(len(part.score) for part in trained.held_out if not part.peer)
    assert 48 <= len(hours["rrc99"]) <= 51
    assert hours["rrc99"].starts.min() >= frames[0].window_start[0] // 3_600 * 3_600
    assert sum(array.nbytes for array in artifact.reference.values()) < 60_000
    assert artifact.metadata_only.reference == {}


def test_a_model_without_reference_hours_has_none(windows: ModuleType) -> None:
    """Older artifacts and the packaged one load as before."""
    frames = [windows.calm(1_500)]
    artifact = replace(
        to_artifact(
            train("heuristic", frames, history_minutes=360), frames, version="1", created_at=0, alarms_per_day=2.0
        ),
        reference={},
    )
    assert reference_hours(from_bytes(to_bytes(artifact), "test", "heuristic")) == {}


@pytest.mark.parametrize("damage", ["bins", "sums", "collectors"])
def test_reference_hours_that_do_not_fit_together_are_refused(damage: str, windows: ModuleType) -> None:
    frames = [windows.calm(1_500)]
    artifact = to_artifact(
        train("heuristic", frames, history_minutes=360), frames, version="1", created_at=0, alarms_per_day=2.0
    )
    broken = {**artifact.reference, damage: artifact.reference[damage][:-1]}
    with pytest.raises(ArtifactError, match="the reference hours cannot be decoded"):
        reference_hours(replace(artifact, reference=broken))
