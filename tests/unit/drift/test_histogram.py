"""Hourly histograms: exact, additive, compact."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.drift.constants import MIN_MAGNITUDE
from bgpdrift.drift.histogram import Histogram, bin_of, bins_of, middle_of

VALUES = st.floats(-1e12, 1e12)


@given(VALUES)
def test_the_middle_of_a_bin_is_within_one_per_cent_of_its_values(value: float) -> None:
    if abs(value) >= MIN_MAGNITUDE:
        assert middle_of(bin_of(value)) == pytest.approx(value, rel=0.0101)
    else:
        assert bin_of(value) == 0


@given(st.lists(VALUES), st.lists(VALUES))
def test_adding_histograms_equals_counting_all_values(one: list[float], other: list[float]) -> None:
    merged, whole = Histogram.of(one) + Histogram.of(other), Histogram.of(one + other)
    assert merged.counts == whole.counts
    assert math.isclose(merged.total, whole.total, rel_tol=1e-9, abs_tol=1e-3)


@given(st.lists(VALUES))
def test_bytes_keep_the_whole_histogram(values: list[float]) -> None:
    histogram = Histogram.of(values)
    assert Histogram.from_bytes(histogram.to_bytes(), histogram.total, histogram.squares) == histogram
    assert len(histogram.to_bytes()) <= 1 + 5 * max(1, len(values))


@given(st.tuples(VALUES, VALUES))
def test_bins_keep_the_order_of_values(pair: tuple[float, float]) -> None:
    low, high = sorted(pair)
    assert bin_of(low) <= bin_of(high)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="expected a finite value"):
        Histogram.of([value])


@pytest.mark.parametrize("raw", [b"", b"\x07", b"\x01\x80", b"\x01\x02"])
def test_damaged_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="histogram"):
        Histogram.from_bytes(raw, 0.0, 0.0)


@pytest.mark.parametrize("value", [1e200, 1e299, 1e300, 1.7e308, -1e300, 5e-324])
def test_values_near_the_ends_of_the_number_range_have_a_bin_with_a_finite_middle(value):
    number = bin_of(value)
    assert bins_of(np.array([value])).tolist() == [number]
    assert np.isfinite(middle_of(number))
    assert middle_of(number) == pytest.approx(np.sign(value) * min(abs(value), 1e299), rel=0.006, abs=1e-9)
