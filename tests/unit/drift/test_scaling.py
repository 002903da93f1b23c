"""No verdict depends on the unit or the offset of the scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpdrift.drift import check_scores
from bgpdrift.drift.histogram import bins_of
from bgpdrift.drift.hours import Hours, merge_hours
from bgpdrift.drift.scaling import IDENTITY, Scaling, choose_scaling

TIMES = 60 * np.arange(8 * 1_440)
TODAY = TIMES >= 7 * 86_400
_rng = np.random.default_rng(3)
_season = 1.5 + np.sin(TIMES / 86_400 * 2 * np.pi)
_gamma, _normal, _counts = (
    _rng.gamma(2.0, size=len(TIMES)) * _season,
    _rng.normal(size=len(TIMES)),
    _rng.poisson(4, size=len(TIMES)).astype(float),
)
STREAMS = {
    "gamma": _gamma,
    "gamma, higher": np.where(TODAY, 1.4 * _gamma, _gamma),
    "gamma, three hours": np.where(TODAY & (TIMES % 86_400 // 10_800 == 3), 10 * _gamma, _gamma),
    "normal": _normal,
    "normal, lower": _normal - 0.4 * TODAY,
    "counts": _counts,
    "counts, one more": _counts + TODAY,
    "constant": np.full(len(TIMES), 0.5),
    "constant, another": np.where(TODAY, 0.7, 0.5),
    "mostly 0": np.where(_gamma > 6, _gamma, 0.0),
    "mostly 0, less": np.where(_gamma > np.where(TODAY, 4, 6), _gamma, 0.0),
}
OUTCOMES = {name: check_scores(TIMES, values) for name, values in STREAMS.items()}


def test_the_streams_have_all_kinds_of_verdicts():
    assert {name: report.verdict for name, report in OUTCOMES.items()} == {
        "gamma": "none",
        "gamma, higher": "drift",
        "gamma, three hours": "incident",
        "normal": "none",
        "normal, lower": "drift",
        "counts": "none",
        "counts, one more": "drift",
        "constant": "none",
        "constant, another": "drift",
        "mostly 0": "none",
        "mostly 0, less": "drift",
    }


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(sorted(STREAMS)),
    st.floats(-12, 12).map(lambda power: 10.0**power),
    st.sampled_from([0.0, 1e3, -1e3]),
)
def test_a_verdict_does_not_depend_on_unit_and_offset(name, unit, offset):
    """Without the draws and the place of the bins the p-value would be equal; they move it by less than a factor of 2.5."""
    values, expected = STREAMS[name], OUTCOMES[name]
    spread = np.quantile(values, 0.75) - np.quantile(values, 0.25) or np.ptp(values) or 0.5

    report = check_scores(TIMES, unit * (values + offset * spread))

    assert report.verdict == expected.verdict
    if expected.p_value > 1e-9:
        assert 0.4 < report.p_value / expected.p_value < 2.5
    else:
        assert report.p_value < 1e-9


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_a_level_that_is_subtracted_leaves_no_trace_in_the_report(name):
    """Two offsets and units give the same p-value and the same measures but those in the unit of the scores."""
    one = check_scores(TIMES, 5_000 + STREAMS[name])
    other = check_scores(TIMES, 1e-6 * (STREAMS[name] - 9_000))

    assert other.p_value == pytest.approx(one.p_value, rel=1e-6)
    assert other.measure("ks").value == pytest.approx(one.measure("ks").value, abs=1e-6)
    moved = other.measure("wasserstein").value
    assert 1e6 * moved == pytest.approx(one.measure("wasserstein").value, rel=0.01, abs=1e-9)  # within a bin


def test_ordinary_scores_are_counted_as_they_are():
    for values in (_gamma, _counts, _normal, 1e-3 * _gamma, 1e6 * _gamma, np.zeros(5), np.arange(90.0), 10 + _normal):
        assert choose_scaling(values, values).is_identity


@pytest.mark.parametrize("offset", [1e3, -1e3, 1e9])
@pytest.mark.parametrize("name", ["gamma", "normal", "counts"])
def test_bins_resolve_scores_far_from_zero(name, offset):
    values = offset + STREAMS[name]
    scaling = choose_scaling(values, values)
    bins, each = np.unique(bins_of(scaling.apply(values)), return_counts=True)
    if name == "counts":
        assert len(bins) == len(np.unique(values))
    else:
        assert each.max() < 0.05 * len(values)


def test_a_constant_and_one_other_value_are_told_apart():
    reference = np.full(100, 993.6)
    for other in (993.6000001, 993.5, 0.0, -5.0, 1e12):
        scaling = choose_scaling(reference, np.full(3, other))
        assert len(set(bins_of(scaling.apply(np.array([993.6, other]))).tolist())) == 2


def test_half_the_scores_far_from_zero_and_half_at_zero_are_resolved_where_they_vary():
    values = np.append(np.zeros(5_000), 1_000 + 0.5 * _normal[:5_000])
    scaling = choose_scaling(values, values)
    _, each = np.unique(bins_of(scaling.apply(values[5_000:])), return_counts=True)
    assert each.max() < 0.05 * 5_000


@pytest.mark.parametrize("values", [np.array([1e308, -1e308, 1.0]), np.array([5e-324, 1e-320, 0.0]), np.array([1e308])])
def test_the_ends_of_the_number_range_have_finite_places(values):
    mapped = choose_scaling(values, values).apply(values)
    assert np.isfinite(mapped).all()
    assert (np.diff(mapped[np.argsort(values, kind="stable")]) >= 0).all()


def test_hours_with_different_maps_are_not_added():
    first = Hours.from_rows([10], [1.0], scaling=Scaling(1.0, 2.0))
    assert merge_hours([first, Hours.empty()]).scaling == Scaling(1.0, 2.0)
    assert merge_hours([first, Hours.from_rows([20], [3.0], scaling=Scaling(1.0, 2.0))]).n.tolist() == [2]
    with pytest.raises(ValueError, match="expected one scaling"):
        merge_hours([first, Hours.from_rows([20], [3.0], scaling=IDENTITY)])
