"""Intervals of shares, beside scipy and the worked examples of the papers."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bgpdrift.intervals import (
    Z95,
    difference,
    f1_of,
    p_value_of,
    share_of,
    smallest_fall,
    trials_needed,
    wilson_interval,
)

COUNTS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(COUNTS)
def test_the_interval_is_scipys(counts):
    successes, trials = counts
    theirs = stats.binomtest(successes, trials).proportion_ci(method="wilson")

    assert wilson_interval(successes, trials) == pytest.approx((theirs.low, theirs.high), abs=1e-6)


@pytest.mark.parametrize(
    ("earlier", "later", "low", "high"),
    [((56, 70), (48, 80), 0.0524, 0.3339), ((9, 10), (3, 10), 0.1705, 0.8090), ((10, 10), (0, 20), 0.6791, 1.0)],
)
def test_differences_are_those_newcombe_printed_for_his_tenth_method(earlier, later, low, high):
    _, least, most = difference(share_of(*later), share_of(*earlier))

    assert (least, most) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


@given(COUNTS, COUNTS)
def test_the_p_value_is_below_a_twentieth_exactly_where_the_interval_leaves_nought(later, earlier):
    now, before = share_of(*later), share_of(*earlier)
    _, least, most = difference(now, before)

    if min(abs(least), abs(most)) > 1e-6:
        assert (p_value_of(now, before) < 0.05) == (not least < 0 < most)


@given(COUNTS, COUNTS)
def test_which_of_two_is_called_earlier_changes_only_the_sign(one, other):
    drop, least, most = difference(share_of(*one), share_of(*other))

    assert difference(share_of(*other), share_of(*one)) == pytest.approx((-drop, -most, -least))


@given(st.integers(0, 200), st.integers(0, 200))
def test_the_interval_of_f1_holds_it_and_stays_within_nought_and_one(hits, wrong):
    share, low, high = f1_of(hits, wrong)(Z95)

    assert 0 <= low <= high <= 1
    if hits + wrong:
        assert share == pytest.approx(2 * hits / (2 * hits + wrong))
        assert low - 1e-12 <= share <= high + 1e-12
    else:
        assert math.isnan(share)


def test_so_many_trials_see_the_fall_four_times_in_five():
    seen, trials = 0, trials_needed(0.90, 0.85)
    before = share_of(90_000, 100_000)
    for right in range(trials + 1):
        if difference(share_of(right, trials), before)[1] > 0:
            seen += stats.binom.pmf(right, trials, 0.85)

    assert seen == pytest.approx(0.8, abs=0.04)


def test_beside_twelve_hundred_labels_the_fall_from_90_to_85_takes_about_400():
    assert trials_needed(0.90, 0.85, 1_200) == pytest.approx(400, abs=20)
    with pytest.raises(ValueError, match="too few"):
        trials_needed(0.90, 0.85, 100)


@given(st.floats(0.05, 1), st.integers(1, 10_000), st.integers(1, 10_000))
def test_more_trials_show_a_smaller_fall(before, trials, trials_before):
    fall = smallest_fall(before, trials, trials_before)

    assert 0 <= fall <= before
    assert smallest_fall(before, 2 * trials, trials_before) <= fall + 1e-9
