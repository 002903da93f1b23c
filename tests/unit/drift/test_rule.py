"""One comparison and several: what is held against what, how alpha is shared, and what a report says of it."""

import numpy as np
import pytest

from bgpdrift.drift.hours import Hours
from bgpdrift.drift.report import Comparison, LeftOut
from bgpdrift.drift.rule import compare, decide
from bgpdrift.settings_sections import DriftSettings

DAY_S = 86_400
USUAL = DriftSettings()


def compared(current, reference=None, **more):
    """Hold the eighth day against the seven before it."""
    begin = min(int(hours.starts[0]) for hours in (reference or current).values())
    return compare(
        current,
        reference or current,
        window="24h/7d",
        reference_kind="rolling",
        current_span=(begin + 7 * DAY_S, begin + 8 * DAY_S),
        reference_span=(begin, begin + 7 * DAY_S),
        settings=USUAL,
        alpha=0.01,
        **more,
    )


def found(p_value, verdict="drift", window="24h/7d"):
    return Comparison(
        window, "rolling", 0, 1, 0, 1, 1_440, 10_080, verdict, p_value=p_value, reason=f"{window}: {verdict}."
    )


def decided(*comparisons, detectors=1):
    return decide(comparisons, model="lstm", model_version="v3", at=7, settings=USUAL, detectors=detectors)


def test_the_same_data_give_the_same_comparison(scores):
    hours = {"rrc00": Hours.from_rows(*scores())}
    assert compared(hours) == compared(hours)


def test_a_silent_collector_carries_no_weight(scores):
    times, values = scores()
    talking, silent = Hours.from_rows(times, values), Hours.from_rows(*scores(days=7, seed=9))
    alone, both = compared({"a": talking}), compared({"a": talking, "b": silent})
    assert (both.verdict, both.p_value, both.n_current) == (alone.verdict, alone.p_value, alone.n_current)


def test_a_collector_the_reference_does_not_know_is_left_out_and_said(scores):
    times, values = scores()
    old, new = Hours.from_rows(times, values), Hours.from_rows(times[7 * 1_440 :], 50 * values[7 * 1_440 :])
    comparison = compared({"a": old, "new": new}, {"a": old})
    assert comparison.verdict == "none"
    assert [(gone.hours, "new" in gone.reason) for gone in comparison.left_out] == [(24, True)]


def test_collectors_at_different_levels_are_not_mixed_up(scores):
    """A collector that sends a third of its usual rows changes the mixture, and nothing else."""
    times, low = scores(seed=1)
    high = 10 * scores(seed=2)[1]
    kept = (times < times[0] + 7 * DAY_S) | (times % 180 == 0)
    comparison = compared({"low": Hours.from_rows(times, low), "high": Hours.from_rows(times[kept], high[kept])})
    assert comparison.verdict == "none"


def test_hours_of_one_collector_missing_in_the_reference_do_no_harm(scores):
    times, values = scores()
    hours = Hours.from_rows(times, values)
    gaps = hours.without(hours.starts[10:60].tolist())
    assert compared({"a": hours, "b": Hours.from_rows(*scores(seed=5))}, {"a": gaps, "b": gaps}).verdict == "none"


def test_a_small_lasting_change_of_many_values_is_written_down_and_not_acted_on(scores):
    times, _ = scores()
    times = np.repeat(times, 100)
    values = np.random.default_rng(1).gamma(2.0, size=len(times))
    late = times >= times[0] + 7 * DAY_S
    comparison = compared({"a": Hours.from_rows(times, np.where(late, 1.03 * values, values))})
    assert comparison.p_value < 0.001
    assert comparison.verdict == "immaterial"


def test_hours_left_out_by_the_caller_are_reported(scores):
    hours = {"a": Hours.from_rows(*scores())}
    told = LeftOut(int(hours["a"].starts[0]), 3, "reference", "incident 4")
    assert compared(hours, left_out=[told]).left_out == (told,)


def test_a_level_that_changed_before_the_window_began_is_dated_there(scores):
    """A pinned week, two days in between of which the second is the new level already."""
    times, values = scores(days=10)
    begin = int(times[0])
    hours = Hours.from_rows(times, np.where(times >= begin + 8 * DAY_S, 1.6 * values, values))
    comparison = compare(
        {"a": hours},
        {"a": hours},
        window="24h/pinned",
        reference_kind="pinned",
        current_span=(begin + 9 * DAY_S, begin + 10 * DAY_S),
        reference_span=(begin, begin + 7 * DAY_S),
        settings=USUAL,
        alpha=0.01,
        recent={"a": hours.between(begin + 7 * DAY_S, begin + 9 * DAY_S)},
    )
    assert comparison.verdict == "drift"
    assert abs(comparison.change_point - (begin + 8 * DAY_S)) <= 2 * 3_600


@pytest.mark.parametrize(("detectors", "verdict"), [(1, "drift"), (3, "none")])
def test_detectors_checked_together_share_alpha(detectors, verdict):
    assert decided(found(0.004), detectors=detectors).verdict == verdict


def test_windows_share_alpha_by_holm():
    report = decided(found(0.004), found(0.5, "none", "72h/pinned"), found(0.6, "none", "168h/pinned"))
    assert report.p_value == pytest.approx(0.012)
    assert report.verdict == "none"
    assert "usual among 3 comparisons" in report.reason


def test_the_deciding_comparison_stands_first():
    report = decided(found(0.5, "none"), found(1e-5, "incident", "24h/pinned"), found(1e-4, "drift", "72h/pinned"))
    assert [c.window for c in report.comparisons] == ["72h/pinned", "24h/pinned", "24h/7d"]
    assert (report.verdict, report.reason) == ("drift", "72h/pinned: drift.")


def test_a_window_without_enough_data_takes_no_alpha():
    missing = found(None, "not_enough_data", "168h/pinned")
    assert decided(found(0.006), missing).verdict == "drift"
    assert decided(missing).verdict == "not_enough_data"


def test_drift_is_at_least_medium():
    assert decided(found(0.009)).severity == "medium"
    assert decided(found(0.0001)).severity == "high"
    assert decided(found(0.0001, "incident")).severity == "none"


def test_a_level_that_comes_in_waves_is_an_incident_and_a_lasting_one_is_drift(scores):
    """A detector that remembers half an hour is hardly ever calm between two waves of a leak; one minute in six it is."""
    times, values = scores()
    today = times >= times[0] + 7 * DAY_S
    waves = np.where(today & ((times + 5_400) % 10_800 < 9_000), 400, 1) * values
    verdicts = [compared({"a": Hours.from_rows(times, seen)}) for seen in (np.where(today, 400, 1) * values, waves)]
    assert [one.verdict for one in verdicts] == ["drift", "incident"]
    assert verdicts[1].change_point is None
    assert "in waves" in verdicts[1].reason
