"""The null: uniform p-values where its covariance is true, and exact ones far out."""

import numpy as np
import pytest

from bgpdrift.drift.chance import MEASURES, NullDistribution, ShareBasis, two_sided
from bgpdrift.drift.season import quantile_groups

SHARES = np.full(20, 0.05)
COVARIANCE = (np.diag(SHARES) - np.outer(SHARES, SHARES)) / 500


@pytest.fixture
def yardstick():
    return ShareBasis.of(SHARES, 10_000)


def test_p_values_of_independent_values_are_uniform(yardstick):
    """Counts of 500 values in 20 groups, and of no smaller p than there should be."""
    chance = NullDistribution.of(yardstick, COVARIANCE, 1e6)
    differences = np.random.default_rng(3).multinomial(500, SHARES, 1_000) / 500 - SHARES
    alone = np.array([chance.p_values(size) for size in yardstick.sizes(differences)])
    family = np.array([chance.family(p.min()) for p in alone])
    for k in range(len(MEASURES)):
        assert (alone[:, k] < 0.05).mean() == pytest.approx(0.05, abs=0.025)
    assert (family < 0.05).mean() == pytest.approx(0.05, abs=0.02)
    assert (family < 0.5).mean() == pytest.approx(0.5, abs=0.05)


def test_far_out_one_linear_measure_is_a_students_t(yardstick):
    scipy_stats = pytest.importorskip("scipy.stats")
    chance = NullDistribution.of(yardstick, COVARIANCE, 9.0)
    direction = yardstick.linear[0]
    deviation = float(np.sqrt(direction @ COVARIANCE @ direction))
    k = MEASURES.index("location")
    for size in (2.0, 4.0, 8.0):
        sizes = np.zeros(len(MEASURES))
        sizes[k] = size * deviation
        assert chance.p_values(sizes)[k] == pytest.approx(2 * scipy_stats.t.sf(size, 9.0), rel=0.25)
        assert two_sided(size, 1.0, 9.0) == pytest.approx(2 * scipy_stats.t.sf(size, 9.0), rel=0.05)


def test_a_family_p_lies_between_the_smallest_and_five_times_it(yardstick):
    chance = NullDistribution.of(yardstick, COVARIANCE, 20.0)
    for p_value in (1e-9, 1e-4, 0.01, 0.1):
        assert p_value <= chance.family(p_value) <= 5 * p_value


def test_critical_sizes_have_the_p_values_they_were_asked_for(yardstick):
    chance = NullDistribution.of(yardstick, COVARIANCE, 12.0)
    assert chance.p_values(chance.critical(0.003)) == pytest.approx(np.full(len(MEASURES), 0.003), rel=0.05)


def test_what_is_nothing_has_no_small_p(yardstick):
    chance = NullDistribution.of(yardstick, np.zeros_like(COVARIANCE), 5.0)
    assert chance.p_values(np.zeros(len(MEASURES))).tolist() == [1.0] * len(MEASURES)


def test_groups_are_quantiles_and_a_heavy_value_stands_alone():
    counts = np.ones(1_000)
    groups = quantile_groups(counts)
    assert groups[-1] + 1 == 23
    assert np.bincount(groups)[:18].tolist() == [50] * 18

    counts[400] = 500.0
    groups = quantile_groups(counts)
    assert (groups == groups[400]).sum() == 1
