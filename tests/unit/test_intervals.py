"""Intervals of shares, compared with scipy and published worked examples."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bgpdrift.intervals import (
    Z95,
    compute_p_value,
    estimate_difference,
    estimate_f1,
    estimate_share,
    find_smallest_fall,
    wilson_interval,
)

COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS)
def test_the_interval_equals_that_of_scipy(counts):
    successes, trials = counts
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")

    assert wilson_interval(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-6)


@pytest.mark.parametrize(
    ("earlier", "later", "low", "high"),
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((10, 10), (0, 20), 0.6791, 1.0)],
)
def test_differences_equal_those_that_newcombe_printed_for_method_10(earlier, later, low, high):
    _, least, most = estimate_difference(estimate_share(*later), estimate_share(*earlier))

    assert (least, most) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


@given(COUNTS, COUNTS)
def test_the_p_value_is_below_5_percent_exactly_where_the_interval_excludes_zero(later, earlier):
    now, before = estimate_share(*later), estimate_share(*earlier)
    _, least, most = estimate_difference(now, before)

    if min(abs(least), abs(most)) > 1e-6:
        assert (compute_p_value(now, before) < 0.05) == (not least < 0 < most)


@given(COUNTS, COUNTS)
def test_exchanging_the_two_shares_changes_only_the_sign(one, other):
    drop, least, most = estimate_difference(estimate_share(*one), estimate_share(*other))

    assert estimate_difference(estimate_share(*other), estimate_share(*one)) == pytest.approx((-drop, -most, -least))


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_interval_of_f1_contains_it_and_stays_between_zero_and_one(hits, wrong):
    share, low, high = estimate_f1(hits, wrong)(Z95)

    assert 0 <= low <= high <= 1
    if hits + wrong:
        assert share == pytest.approx(2 * hits / (2 * hits + wrong))
        assert low - 1e-12 <= share <= high + 1e-12
    else:
        assert math.isnan(share)


@pytest.mark.parametrize("trials", [100, 400])
def test_the_smallest_fall_is_detected_four_times_in_five(trials):
    detected, before = 0.0, estimate_share(90_000, 100_000)
    after = 0.90 - find_smallest_fall(0.90, trials, 100_000)
    for right in range(trials + 1):
        if estimate_difference(estimate_share(right, trials), before)[1] > 0:
            detected += stats.binom.pmf(right, trials, after)

    assert detected == pytest.approx(0.8, abs=0.05)


def test_400_labels_beside_1200_before_detect_a_fall_from_90_to_85_percent():
    assert find_smallest_fall(0.90, 400, 1_200) == pytest.approx(0.05, abs=0.001)


@given(st.floats(0.05, 1), st.integers(1, 10_000), st.integers(1, 10_000))
def test_more_trials_detect_a_smaller_fall(before, trials, trials_before):
    fall = find_smallest_fall(before, trials, trials_before)

    assert 0 <= fall <= before
    assert find_smallest_fall(before, 2 * trials, trials_before) <= fall + 1e-9
