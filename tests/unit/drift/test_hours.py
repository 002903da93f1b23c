"""Hours of scores: exact, additive, independent of the order of rows, with clear errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.drift.histogram import Histogram, bin_of, bins_of
from bgpdrift.drift.hours import Hours, merge_hours
from bgpdrift.errors import InputError

ROWS = st.lists(st.tuples(st.integers(0, 400_000), st.floats(-1e6, 1e6), st.booleans()), max_size=40)


def hours_of(rows: list[tuple[int, float, bool]]) -> Hours:
    times, values, rung = zip(*rows, strict=True) if rows else ((), (), ())
    return Hours.from_rows(times, np.array(values, float), np.array(rung, bool))


def same(one: Hours, other: Hours) -> bool:
    """Whether two series hold the same values; empty bins are ignored."""
    return (
        one.starts.tolist() == other.starts.tolist()
        and one.alarms.tolist() == other.alarms.tolist()
        and one.pool().counts == other.pool().counts
        and one.n.tolist() == other.n.tolist()
        and np.allclose(one.totals, other.totals, atol=1e-3)
    )


@given(ROWS, ROWS)
def test_merging_hours_equals_counting_all_rows(one, other):
    assert same(merge_hours([hours_of(one), hours_of(other)]), hours_of(one + other))


@given(ROWS, st.randoms())
def test_the_order_of_rows_does_not_matter(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert same(hours_of(shuffled), hours_of(rows))


@given(ROWS)
def test_rows_give_the_hours_that_the_monitor_stores(rows):
    stored: dict[int, tuple[Histogram, int]] = {}
    for at, value, rung in rows:
        histogram, alarms = stored.get(at // 3_600 * 3_600, (Histogram(), 0))
        histogram.add(value)
        stored[at // 3_600 * 3_600] = histogram, alarms + rung
    folded = Hours.from_histograms([(start, *kept) for start, kept in stored.items()])
    ours = hours_of(rows)
    assert ours.n.tolist() == folded.n.tolist()
    assert ours.alarms.tolist() == folded.alarms.tolist()
    assert np.allclose(ours.squares, folded.squares)


@given(st.floats(-1e12, 1e12))
def test_the_bins_of_a_column_are_those_of_its_values(value):
    """Up to rounding at the edge of a bin."""
    assert abs(int(bins_of(np.array([value]))[0]) - bin_of(value)) <= 1


def test_many_rows_are_counted_in_parts():
    times = np.arange(576_000) % 7_200
    hours = Hours.from_rows(times, np.ones(576_000))
    assert hours.n.tolist() == [288_000, 288_000]


def test_few_rows_over_years_need_little_memory():
    hours = Hours.from_rows([0.0, 1e9], [1e-8, 1e200])
    assert hours.n.tolist() == [1, 1]


def test_hours_are_selected_by_their_start():
    hours = Hours.from_rows([0, 3_600, 7_200], [1.0, 2.0, 3.0])
    assert hours.between(3_600, 7_200).starts.tolist() == [3_600]
    assert hours.exclude([0, 7_200]).starts.tolist() == [3_600]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_not_finite_is_named_with_its_row(bad):
    with pytest.raises(InputError, match=r"row 1: score is .*; 2 of 4 rows"):
        Hours.from_rows([0, 1, 2, 3], [1.0, bad, 2.0, np.nan])


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0.0, np.nan], "row 1: time is nan"),
        ([1.7e12, 1.7e12], "milliseconds"),
        ([-5, 0], "epoch seconds"),
        (["a", "b"], "epoch seconds"),
        ([1], "expected 2 rows"),
        (np.array(["2026-01-01", "NaT"], "datetime64[s]"), "row 1: no time"),
    ],
)
def test_invalid_times_are_refused(times, message):
    with pytest.raises(InputError, match=message):
        Hours.from_rows(times, [1.0, 2.0])


@pytest.mark.parametrize("scores", [["a", "b"], [[1.0, 2.0]]])
def test_scores_that_are_not_a_column_of_numbers_are_refused(scores):
    with pytest.raises(InputError, match="scores"):
        Hours.from_rows([1, 2], scores)
