"""The mapping from scores to p-values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.errors import ArtifactError
from bgpdrift.verdicts.calibration import MAX_ALARM_P, P_FLOOR, Calibration, extremal_index

CALIBRATION = Calibration.fit(np.random.default_rng(1).gamma(2.0, 1.0, 20_000))


@given(st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=50))
def test_the_p_value_never_rises_with_the_score_and_is_never_0(scores: list[float]) -> None:
    p = CALIBRATION.p_value(np.sort(np.array(scores)))
    assert (np.diff(p) <= 0).all()
    assert (p >= P_FLOOR).all()
    assert (p <= 1).all()


def test_new_calm_scores_have_uniform_p_values() -> None:
    """One per cent of new calm scores have p ≤ 0.01, one per mille p ≤ 0.001."""
    fresh = CALIBRATION.p_value(np.random.default_rng(2).gamma(2.0, 1.0, 200_000))
    assert np.mean(fresh <= 0.01) == pytest.approx(0.01, rel=0.2)
    assert np.mean(fresh <= 0.001) == pytest.approx(0.001, rel=0.35)


@pytest.mark.parametrize(("unit", "offset"), [(1e-13, 0.0), (1e12, 0.0), (0.5, 993.6), (1e-13, 1e-9)])
def test_p_values_do_not_depend_on_the_unit_or_the_offset_of_the_scores(unit: float, offset: float) -> None:
    """Tiny scores would otherwise have no tail, and no score of a detector would ever be rare."""
    clean = np.random.default_rng(1).gamma(2.0, 1.0, 20_000)
    scores = np.array([0.0, 1.0, 5.0, 10.0, 15.0, 20.0])

    found = Calibration.fit(unit * clean + offset).p_value(unit * scores + offset)

    np.testing.assert_allclose(found, CALIBRATION.p_value(scores), rtol=1e-2)


@pytest.mark.parametrize("constant", [0.0, 5e-13, 0.5, 1e9])
def test_any_score_above_a_constant_is_rare(constant: float) -> None:
    calibration = Calibration.fit(np.full(2_000, constant))
    higher = constant + 0.01 * (constant or 1.0)
    common, rare = calibration.p_value(np.array([constant, higher]))
    assert common >= 0.05
    assert rare < 1e-6


def test_a_calibration_read_from_its_json_gives_the_same_p_values() -> None:
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
        {"cluster": 0.0},
        {"cluster": "x"},
    ],
)
def test_damaged_json_is_refused(damage) -> None:
    with pytest.raises(ArtifactError, match="calibration"):
        Calibration.from_fields({**CALIBRATION.as_fields(), **damage})


def test_too_few_clean_scores_are_refused() -> None:
    with pytest.raises(ArtifactError, match="at least 200"):
        Calibration.fit(np.ones(10))


def test_the_budget_counts_episodes_so_that_clustered_minutes_alarm_at_a_larger_p_value() -> None:
    """A budget of two per day means two alarm episodes, not two minutes."""
    rng = np.random.default_rng(5)
    smooth = np.convolve(rng.normal(size=60_000), np.ones(20) / 20, "valid")
    calibration = Calibration.fit(smooth, extremal_index([smooth]))
    limit = calibration.alarm_p(2.0)
    assert 2.0 / 1440 < limit <= MAX_ALARM_P

    fresh = np.convolve(rng.normal(size=200_000), np.ones(20) / 20, "valid")
    alarmed = np.flatnonzero(calibration.p_value(fresh) <= limit)
    episodes = 1 + int((np.diff(alarmed) > 15).sum())
    assert episodes / (len(fresh) / 1440) <= 3.0


def test_a_burst_of_any_length_is_one_episode_and_a_single_minute_is_none() -> None:
    rng = np.random.default_rng(6)
    assert extremal_index([rng.normal(size=50_000)]) < 0.1  # 2 of 3 minutes must exceed
    calm = rng.normal(size=1_000)
    long_burst, short_bursts = calm.copy(), calm.copy()
    long_burst[500:530] += 50.0
    for begin in range(100, 700, 100):
        short_bursts[begin : begin + 5] += 50.0
    assert extremal_index([long_burst]) < extremal_index([short_bursts])
