"""The null distribution: uniform p-values if its covariance is true, and accurate ones far out."""

import numpy as np
import pytest

from bgpdrift.drift.measure_registry import list_statistics
from bgpdrift.drift.null_distribution import NullDistribution, two_sided_p
from bgpdrift.drift.season import assign_groups
from bgpdrift.drift.tested_statistics import ShareBasis

SHARES = np.full(20, 0.05)
COVARIANCE = (np.diag(SHARES) - np.outer(SHARES, SHARES)) / 500


@pytest.fixture
def basis():
    return ShareBasis.of(SHARES, 10_000, list_statistics())


def test_p_values_of_independent_values_are_uniform(basis):
    """Counts of 500 values in 20 groups."""
    null = NullDistribution.of(basis, COVARIANCE, 1e6)
    differences = np.random.default_rng(3).multinomial(500, SHARES, 1_000) / 500 - SHARES
    alone = np.array([null.p_values(size) for size in basis.sizes(differences)])
    family = np.array([null.family_p(p.min()) for p in alone])
    for k in range(len(basis.statistics)):
        assert (alone[:, k] < 0.05).mean() == pytest.approx(0.05, abs=0.025)
    assert (family < 0.05).mean() == pytest.approx(0.05, abs=0.02)
    assert (family < 0.5).mean() == pytest.approx(0.5, abs=0.05)


def test_a_linear_statistic_far_out_follows_students_t(basis):
    scipy_stats = pytest.importorskip("scipy.stats")
    null = NullDistribution.of(basis, COVARIANCE, 9.0)
    direction = basis.weights("location")
    deviation = float(np.sqrt(direction @ COVARIANCE @ direction))
    k = basis.index("location")
    for size in (2.0, 4.0, 8.0):
        sizes = np.zeros(len(basis.statistics))
        sizes[k] = size * deviation
        assert null.p_values(sizes)[k] == pytest.approx(2 * scipy_stats.t.sf(size, 9.0), rel=0.25)
        assert two_sided_p(size, 1.0, 9.0) == pytest.approx(2 * scipy_stats.t.sf(size, 9.0), rel=0.05)


def test_a_family_p_lies_between_the_smallest_and_five_times_it(basis):
    null = NullDistribution.of(basis, COVARIANCE, 20.0)
    for p_value in (1e-9, 1e-4, 0.01, 0.1):
        assert p_value <= null.family_p(p_value) <= 5 * p_value


def test_critical_sizes_have_the_requested_p_values(basis):
    null = NullDistribution.of(basis, COVARIANCE, 12.0)
    assert null.p_values(null.critical_sizes(0.003)) == pytest.approx(np.full(len(basis.statistics), 0.003), rel=0.05)


def test_no_difference_has_p_value_1(basis):
    null = NullDistribution.of(basis, np.zeros_like(COVARIANCE), 5.0)
    assert null.p_values(np.zeros(len(basis.statistics))).tolist() == [1.0] * len(basis.statistics)


def test_groups_are_quantiles_and_a_heavy_value_has_its_own():
    counts = np.ones(1_000)
    groups = assign_groups(counts)
    assert groups[-1] + 1 == 23
    assert np.bincount(groups)[:18].tolist() == [50] * 18

    counts[400] = 500.0
    groups = assign_groups(counts)
    assert (groups == groups[400]).sum() == 1
