"""Stored hours: read as they were written, in either form, and counted in bins of the right unit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.drift.exact_values import ExactValues, add_counts, decode_counts
from bgpdrift.drift.histogram import Histogram
from bgpdrift.drift.hours import Hours
from bgpdrift.drift.scaling import IDENTITY, Scaling
from bgpdrift.drift.stored_hours import choose_stored_scaling, decode_hours, decode_values, scale_series

VALUES = st.lists(st.floats(-1e150, 1e150), max_size=60)
HOUR_S = 3_600


def stored(*hours, collector="rrc00"):
    return [(collector, HOUR_S * i, 0, hour.total, hour.squares, hour.to_bytes()) for i, hour in enumerate(hours)]


@given(VALUES, VALUES)
def test_an_hour_is_the_same_however_it_arrives(one, other):
    """Order, parts and restarts do not show, not even in the last digit of a sum."""
    whole = ExactValues.of([*one, *other])
    added = add_counts(ExactValues.of(other), ExactValues.of(one))

    assert added == whole
    assert added.to_bytes() == whole.to_bytes()
    assert (added.total, added.squares) == (whole.total, whole.squares)
    assert decode_counts(whole.to_bytes(), whole.total, whole.squares) == whole


@pytest.mark.parametrize("raw", [b"", b"?", b"\x02123", b"\x02" + np.array([np.nan], "<f8").tobytes()])
def test_bytes_that_are_no_hour_are_refused(raw):
    with pytest.raises(ValueError, match=r"expected .*, found"):
        decode_counts(raw, 0.0, 0.0)
    assert decode_values([("rrc00", 0, 0, 0.0, 0.0, raw)])[1] == 1


def test_an_unreadable_hour_between_others_is_skipped_and_counted():
    good = ExactValues.of([1.0, 2.0])
    rows = stored(good, good, good)
    rows[1] = (*rows[1][:5], b"\x02" + np.array([1.0, np.inf], "<f8").tobytes())

    found, unreadable = decode_values(rows)

    assert unreadable == 1
    assert found["rrc00"].starts.tolist() == [0, 2 * HOUR_S]
    assert found["rrc00"].exact_values.tolist() == [1.0, 2.0, 1.0, 2.0]


@given(st.lists(VALUES.filter(len), min_size=1, max_size=4))
def test_stored_scores_are_counted_as_scores_in_memory_are(hours):
    times = [HOUR_S * i for i, values in enumerate(hours) for _ in values]
    scaling = Scaling(10.0, 0.1)
    in_memory = Hours.from_rows(times, np.concatenate([np.array(values) for values in hours]), scaling=scaling)

    found = decode_values(stored(*map(ExactValues.of, hours)))[0]["rrc00"].to_hours(scaling)

    assert found.scaling == scaling
    assert found.bins.tolist() == in_memory.bins.tolist()
    assert found.counts.tolist() == in_memory.counts.tolist()
    assert found.alarms.tolist() == in_memory.alarms.tolist()


def test_hours_of_earlier_releases_are_read_and_can_follow_each_other():
    """An hour in which a new release begins is rounded as a whole; the hours after it are not."""
    old, new = Histogram.of([1.0, 3.0]), ExactValues.of([2.0])
    mixed = add_counts(old, new)

    assert mixed == Histogram.of([1.0, 3.0, 2.0])
    hours, unreadable = decode_hours(stored(old, mixed, new))
    assert (hours["rrc00"].n.tolist(), unreadable) == ([2, 3, 1], 0)
    assert hours["rrc00"].pool() == old + mixed + new.to_histogram()


def test_rounded_hours_are_compared_in_the_bins_in_which_they_are_stored():
    """Finer bins would show the rounding as a drift."""
    values = 993.6 + 0.5 * np.random.default_rng(1).normal(size=60)
    old, new = Histogram.of(values), ExactValues.of(values)

    assert choose_stored_scaling([decode_values(stored(new, new))[0]], HOUR_S).offset > 990
    series = decode_values(stored(old, new))[0]
    assert choose_stored_scaling([series], HOUR_S) == IDENTITY
    before, after = scale_series(series, IDENTITY)["rrc00"].counts.tolist()
    assert before == after


def test_all_collectors_and_parts_of_a_version_share_one_scaling():
    one = decode_values([*stored(ExactValues.of([1e-12, 2e-12])), *stored(ExactValues.of([3e-12]), collector="rrc01")])
    scaling = choose_stored_scaling([one[0], {}], HOUR_S)

    assert not scaling.is_identity
    assert {hours.scaling for hours in scale_series(one[0], scaling).values()} == {scaling}


def test_many_values_decide_a_scaling_as_few_do():
    rng = np.random.default_rng(2)
    hours = [ExactValues.of(1e-12 * rng.gamma(2.0, size=60)) for _ in range(1_500)]
    few, many = (
        choose_stored_scaling([decode_values(stored(*part))[0]], HOUR_S * (len(part) - 24))
        for part in (hours[-192:], hours)
    )
    assert many.scale == pytest.approx(few.scale, rel=0.1)
