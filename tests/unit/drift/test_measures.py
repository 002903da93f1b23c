"""Measures from counts by bin agree with numpy and SciPy on the raw values."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bgpdrift.drift import measures
from bgpdrift.drift.histogram import Histogram

COUNTS = st.lists(st.integers(0, 500), min_size=2, max_size=30).filter(any)
DRAWS = {
    "gamma": lambda rng, n: rng.gamma(2.0, 1.0, n),
    "signed": lambda rng, n: rng.normal(0.0, 1.0, n),
    "heavy tail": lambda rng, n: rng.lognormal(0.0, 1.0, n),
    "large unit": lambda rng, n: rng.gamma(2.0, 1e6, n),
    "mostly zero": lambda rng, n: np.where(rng.random(n) < 0.7, 0.0, rng.exponential(1.0, n)),
}


def drawn(name, n_current, n_reference, factor):
    rng = np.random.default_rng(11)
    return DRAWS[name](rng, n_current) * factor, DRAWS[name](rng, n_reference)


def binned(current, reference):
    return measures.align_histograms(Histogram.of(current.tolist()), Histogram.of(reference.tolist()))


def raw_groups(current, reference):
    """Decile groups of the raw reference; a value that several deciles share has a group of its own."""
    edges, repeats = np.unique(np.quantile(reference, np.arange(1, 10) / 10), return_counts=True)
    edges = np.union1d(edges, np.nextafter(edges[repeats > 1], np.inf))
    edges = np.concatenate([[-np.inf], edges[edges > reference.min()], [np.inf]])
    return np.histogram(current, edges)[0], np.histogram(reference, edges)[0]


@pytest.mark.parametrize("factor", [1.0, 1.3, 2.0])
@pytest.mark.parametrize("name", DRAWS)
def test_figures_of_a_hundred_thousand_values_agree_within_a_thousandth(name, factor):
    current, reference = drawn(name, 100_000, 100_000, factor)
    now, before, middles = binned(current, reference)
    p, q = (counts / counts.sum() for counts in raw_groups(current, reference))
    assert measures.psi(*measures.group_bins(now, before)) == pytest.approx(np.sum((p - q) * np.log(p / q)), abs=1e-3)
    assert measures.kl(*measures.group_bins(now, before)) == pytest.approx(stats.entropy(p, q), abs=1e-3)
    jensen_shannon = stats.entropy(p, (p + q) / 2, 2) / 2 + stats.entropy(q, (p + q) / 2, 2) / 2
    assert measures.js(*measures.group_bins(now, before)) == pytest.approx(jensen_shannon, abs=1e-3)
    assert measures.ks(now, before) == pytest.approx(stats.ks_2samp(current, reference).statistic, abs=1e-3)
    moved = stats.wasserstein_distance(current, reference) / reference.std()
    assert measures.wasserstein(now, before, middles) / reference.std() == pytest.approx(moved, abs=1e-3)
    iqr = np.subtract(*np.quantile(reference, (0.75, 0.25)))
    shift = (np.median(current) - np.median(reference)) / iqr
    assert measures.median_shift(now, before, middles) == pytest.approx(shift, abs=1e-3)


@pytest.mark.parametrize("factor", [1.0, 1.3, 2.0])
@pytest.mark.parametrize("name", DRAWS)
def test_figures_of_a_day_of_minutes_agree_within_five_thousandths(name, factor):
    current, reference = drawn(name, 1_440, 10_080, factor)
    now, before, middles = binned(current, reference)
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in raw_groups(current, reference))
    assert measures.psi(*measures.group_bins(now, before)) == pytest.approx(np.sum((p - q) * np.log(p / q)), abs=5e-3)
    assert measures.ks(now, before) == pytest.approx(stats.ks_2samp(current, reference).statistic, abs=5e-3)
    assert measures.ks(now, before) <= stats.ks_2samp(current, reference).statistic + 1e-12
    moved = stats.wasserstein_distance(current, reference) / reference.std()
    assert measures.wasserstein(now, before, middles) / reference.std() == pytest.approx(moved, abs=1e-3)


@given(COUNTS, st.integers(2, 20))
def test_quantile_groups_keep_every_count_and_are_the_same_for_the_same_counts(counts, groups):
    now, before = measures.group_bins(counts, counts, groups)
    assert now.sum() == pytest.approx(sum(counts))
    assert now == pytest.approx(before)
    assert len(now) <= 2 * groups


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=2, max_size=30))
def test_every_distance_is_zero_for_equal_shares_and_never_negative(pairs):
    current, reference = (np.array(side, float) + 1 for side in zip(*pairs, strict=True))
    middles = np.arange(1.0, len(pairs) + 1)
    for measure in (measures.psi, measures.kl, measures.js, measures.ks):
        assert measure(current, reference) >= 0
        assert measure(reference, reference) == pytest.approx(0, abs=1e-12)
    assert measures.js(current, reference) <= 1
    assert measures.ks(current, reference) <= 1
    assert 0 <= measures.wasserstein(current, reference, middles) <= middles[-1] - middles[0]


@given(COUNTS, st.floats(0.1, 1000))
def test_the_size_of_the_reference_does_not_change_ks(counts, factor):
    now, before = np.array(counts[::-1], float), np.array(counts, float)
    assert measures.ks(now, before * factor) == pytest.approx(measures.ks(now, before))


def test_psi_without_drift_averages_its_expected_value():
    rng = np.random.default_rng(3)
    found = [measures.psi(rng.multinomial(500, [0.1] * 10), rng.multinomial(500, [0.1] * 10)) for _ in range(2_000)]
    assert np.mean(found) == pytest.approx(9 * (1 / 500 + 1 / 500), rel=0.05)


def test_a_constant_reference_has_a_median_shift_only_while_the_value_stays():
    zero, some = Histogram.of([0.0] * 50), Histogram.of([1.0] * 50)
    assert measures.median_shift(*measures.align_histograms(zero, zero)) == 0
    assert measures.median_shift(*measures.align_histograms(some, zero)) is None
    assert measures.ks(*measures.align_histograms(some, zero)[:2]) == 1


def test_one_score_of_a_thousand_among_ordinary_ones_moves_only_the_wasserstein_distance():
    rng = np.random.default_rng(4)
    ordinary = rng.gamma(2.0, 1.0, 10_000)
    now, before, middles = binned(np.append(ordinary[:1_440], 1000.0), ordinary)
    assert measures.psi(*measures.group_bins(now, before)) < 0.01
    assert abs(measures.median_shift(now, before, middles)) < 0.05
    assert measures.wasserstein(now, before, middles) > 0.6


@pytest.mark.parametrize(
    ("current", "reference"),
    [([0, 0], [1, 1]), ([1, 1], [0, 0]), ([1, -1], [1, 1]), ([np.nan, 1], [1, 1]), ([1, 2, 3], [1, 2]), ([], [])],
)
def test_invalid_counts_are_refused(current, reference):
    for measure in (measures.psi, measures.kl, measures.js, measures.ks, measures.group_bins):
        with pytest.raises(ValueError, match="measures"):
            measure(current, reference)
