"""Score → p-value."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.errors import ArtifactError
from bgpdrift.verdicts.calibration import P_FLOOR, Calibration

CALIBRATION = Calibration.fit(np.random.default_rng(1).gamma(2.0, 1.0, 20_000))


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=50))
def test_a_larger_score_never_has_a_larger_p_value_and_none_is_0(scores: list[float]) -> None:
    p = CALIBRATION.p_value(np.sort(np.array(scores)))
    assert (np.diff(p) <= 0).all()
    assert (p >= P_FLOOR).all()
    assert (p <= 1).all()


def test_calm_scores_meet_the_budget_they_are_held_to() -> None:
    """One per cent of new calm scores lie at p ≤ 0.01, one per mille at 0.001."""
    fresh = CALIBRATION.p_value(np.random.default_rng(2).gamma(2.0, 1.0, 200_000))
    assert np.mean(fresh <= 0.01) == pytest.approx(0.01, rel=0.2)
    assert np.mean(fresh <= 0.001) == pytest.approx(0.001, rel=0.35)


def test_it_survives_its_own_json() -> None:
    again = Calibration.from_fields(CALIBRATION.as_fields())
    scores = np.linspace(-1, 40, 100)
    np.testing.assert_array_equal(again.p_value(scores), CALIBRATION.p_value(scores))


@pytest.mark.parametrize(
    "damage",
    [
        {"scores": [2.0, 1.0], "survival": [1.0, 0.5]},
        {"scores": []},
        {"n": "x"},
        {"tail": {}},
        {"scores": [float("nan")]},
    ],
)
def test_damaged_json_is_refused(damage) -> None:
    with pytest.raises(ArtifactError, match="calibration"):
        Calibration.from_fields({**CALIBRATION.as_fields(), **damage})


def test_too_few_clean_scores_are_refused() -> None:
    with pytest.raises(ArtifactError, match="at least 200"):
        Calibration.fit(np.ones(10))
