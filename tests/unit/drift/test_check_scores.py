"""`check_scores` for all kinds of scores: the same report for the same scores, and clear errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgpdrift.drift import check_scores
from bgpdrift.errors import InputError
from bgpdrift.settings_sections import DriftSettings

DAY_S = 86_400


def last_day(times):
    return times >= times[0] + 7 * DAY_S


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_unchanged_scores_are_no_drift(scores, seed):
    assert check_scores(*scores(seed=seed)).verdict == "none"


@pytest.mark.parametrize("factor", [1.5, 0.6])
def test_a_shifted_level_is_drift_from_the_hour_of_the_shift(scores, factor):
    times, values = scores()
    report = check_scores(times, np.where(last_day(times), factor * values, values))

    assert report.verdict == "drift"
    assert report.severity in ("high", "critical")
    assert abs(report.change_point - (times[0] + 7 * DAY_S)) <= 2 * 3_600
    direction = "higher" if factor > 1 else "lower"
    assert report.reason.startswith(f"Drift: the scores of the last 24 h are {direction} than those of")


def test_three_hours_of_an_incident_are_no_drift(scores):
    times, values = scores()
    begin = times[0] + 7 * DAY_S + 9 * 3_600
    hit = (times >= begin) & (times < begin + 3 * 3_600)
    report = check_scores(times, np.where(hit, 10 * values, values))

    assert report.verdict == "incident"
    assert report.severity == "none"


def test_an_incident_that_decays_for_half_a_day_is_no_drift(scores):
    times, values = scores()
    since = (times - (times[0] + 7 * DAY_S + 8 * 3_600)) / 3_600
    burst = np.where(since >= 0, 12 * np.exp(-np.maximum(since, 0) / 5), 0.0)
    assert check_scores(times, values * (1 + burst)).verdict == "incident"


def test_one_score_of_a_thousand_changes_no_verdict(scores):
    times, values = scores()
    for factor in (1.0, 1.5):
        shifted = np.where(last_day(times), factor * values, values)
        odd = shifted.copy()
        odd[-500] = 1_000.0
        assert check_scores(times, odd).verdict == check_scores(times, shifted).verdict


def test_the_same_scores_in_any_order_have_the_same_report(scores):
    times, values = scores()
    order = np.random.default_rng(1).permutation(len(times))
    assert check_scores(times[order], values[order]) == check_scores(times, values)


@settings(max_examples=8, deadline=None)
@given(st.integers(-600, 600))
def test_the_unit_of_scores_does_not_matter(steps):
    """The factors are whole bins, so that not even rounding differs."""
    random = np.random.default_rng(4)
    times = 60 * np.arange(8 * 1_440)
    bins = np.round(60 * random.standard_normal(len(times))) + 0.5
    one = check_scores(times, 1.01**bins)
    other = check_scores(times, 1.01 ** (bins + steps))
    assert other.p_value == pytest.approx(one.p_value, rel=0.3)
    assert other.verdict == one.verdict


def test_ten_rows_a_minute_give_the_same_verdict_as_one(scores):
    times, values = scores()
    for factor, verdict in ((1.0, "none"), (1.5, "drift")):
        shifted = np.where(last_day(times), factor * values, values)
        assert check_scores(np.repeat(times, 10), np.repeat(shifted, 10)).verdict == verdict


def test_a_constant_score_is_no_drift_until_it_changes(scores):
    times, _ = scores()
    constant = np.full(len(times), 0.5)
    assert check_scores(times, constant).verdict == "none"
    assert check_scores(times, np.where(last_day(times), 0.7, constant)).verdict == "drift"


def test_a_score_that_is_mostly_zero_is_compared_by_its_other_values(scores):
    times, values = scores()
    sparse = np.where(values > np.quantile(values, 0.9), values, 0.0)
    more = np.where(values > np.quantile(values, 0.8), values, 0.0)
    assert check_scores(times, sparse).verdict == "none"
    assert check_scores(times, np.where(last_day(times), more, sparse)).verdict == "drift"


def test_a_handful_of_odd_values_over_a_constant_is_no_drift(scores):
    times, _ = scores()
    values = np.zeros(len(times))
    values[-600:-595] = 3.0
    assert check_scores(times, values).verdict in ("none", "incident", "immaterial")


def test_negative_scores_are_compared_too(scores):
    times, values = scores()
    assert check_scores(times, -values).verdict == "none"
    assert check_scores(times, np.where(last_day(times), -1.5 * values, -values)).verdict == "drift"


def test_no_rows_are_not_enough_data():
    report = check_scores([], [])
    assert report.verdict == "not_enough_data"
    assert report.p_value is None


def test_the_report_of_a_short_log_says_what_is_missing_and_when_it_exists(scores):
    times, values = scores(days=2)
    report = check_scores(times, values)
    assert report.verdict == "not_enough_data"
    assert "holds 24 of 72 clean hours; the others exist at 2026-01-09 00:00 UTC at the earliest" in report.reason


def test_a_current_window_of_a_few_hours_is_not_enough(scores):
    times, values = scores()
    few = (times < times[0] + 7 * DAY_S) | (times >= times[-1] - 5 * 3_600)
    report = check_scores(times[few], values[few])
    assert report.verdict == "not_enough_data"
    assert "current window holds 6 of 12 clean hours" in report.reason


def test_hours_without_a_reference_are_left_out_and_reported(scores):
    times, values = scores()
    night = (times % DAY_S < 4 * 3_600) & ~last_day(times)
    report = check_scores(times[~night], values[~night])
    (left_out,) = report.comparisons[0].left_out
    assert (left_out.hours, left_out.window) == (4, "current")
    assert "no reference for this hour of day" in left_out.reason


def test_weekends_are_compared_with_weekends_from_two_weeks_of_reference(scores):
    times, values = scores(days=60)
    weekend = np.isin((times // DAY_S + 4) % 7, (0, 6))
    report = check_scores(times, np.where(weekend, 0.5 * values, values), settings=DriftSettings(preset="7d/30d"))
    assert report.verdict == "none"


def test_alarms_give_a_rate_and_its_value_in_the_reference(scores):
    times, values = scores()
    report = check_scores(times, values, values > np.where(last_day(times), 3.0, 6.0))
    rate = report.measure("anomaly_rate")
    assert rate.p_value < 0.001
    assert rate.value > 1.3 * rate.by_chance


def test_the_smallest_detectable_shift_is_smaller_for_independent_minutes(scores):
    calm, sticky = check_scores(*scores(phi=0.1)), check_scores(*scores(phi=0.97))
    assert 0.05 < calm.smallest_shift < sticky.smallest_shift
    assert calm.comparisons[0].effective_n > 2 * sticky.comparisons[0].effective_n


def test_every_tested_measure_has_its_value_by_chance(scores):
    report = check_scores(*scores())
    for name in ("ks", "psi", "location", "tail_95", "tail_99"):
        found = report.measure(name)
        assert None not in (found.value, found.by_chance, found.p_value, found.effect)
    assert report.measure("tail_95").by_chance == pytest.approx(0.05, abs=0.005)
    assert report.p_value >= min(m.p_value for m in report.measures if m.name in ("ks", "psi", "location"))


def test_the_policy_of_the_settings_decides(scores):
    report = check_scores(*scores(), settings=DriftSettings(policy="psi"))
    assert (report.policy, report.verdict) == ("psi", "none")


def test_lengths_that_differ_are_refused():
    with pytest.raises(InputError, match="expected 2 rows"):
        check_scores([1, 2, 3], [1.0, 2.0])


def test_a_row_far_behind_all_others_is_named_and_does_not_decide_where_the_window_ends(scores):
    times, values = scores()
    times = times.copy()
    times[4_000] = 4_070_908_800
    with pytest.raises(InputError, match="row 4000: expected a time near the others, found 2099-01-01 00:00 UTC"):
        check_scores(times, values)


def test_a_row_in_milliseconds_is_named(scores):
    times, values = scores()
    times = times.copy()
    times[4_000] *= 1_000
    with pytest.raises(InputError, match="in row 4000; 1 of 11,520 rows are none; divide milliseconds by 1000"):
        check_scores(times, values)


def test_a_shift_that_anyone_can_see_and_that_is_no_drift_is_explained():
    """Every day has another level, and the last one the highest: that is as likely as any other order."""
    minutes, rng = 60 * np.arange(8 * 1_440) + 1_767_225_600, np.random.default_rng(3)
    levels = np.exp(rng.normal(0.0, 0.9, 8))
    levels[-1] = 1.1 * levels.max()

    report = check_scores(minutes, rng.gamma(2.0, 1.0, len(minutes)) * np.repeat(levels, 1_440))

    assert report.verdict == "none"
    assert report.reason.endswith(
        "The median is 4.7 interquartile ranges higher, but the days of the reference differ from each other as well: the "
        "current window is equivalent to 2 independent values, and only a shift of 512 % or more would be detected."
    )


def test_an_ordinary_day_needs_no_explanation(scores):
    assert "interquartile" not in check_scores(*scores()).reason
