"""One comparison and several: what is compared with what, how alpha is divided, and the text of the report."""

import numpy as np
import pytest

from bgpdrift.drift.hours import Hours
from bgpdrift.drift.report import Comparison, LeftOut
from bgpdrift.drift.rule import compare, decide
from bgpdrift.drift.windows import WindowPair
from bgpdrift.settings_sections import DriftSettings

DAY_S = 86_400
SETTINGS = DriftSettings()


def compare_days(current, reference=None, **more):
    """Compare the eighth day with the seven before it."""
    begin = min(int(hours.starts[0]) for hours in (reference or current).values())
    pair = WindowPair(
        window="24h/7d",
        reference_kind="rolling",
        current=current,
        reference=reference or current,
        current_span=(begin + 7 * DAY_S, begin + 8 * DAY_S),
        reference_span=(begin, begin + 7 * DAY_S),
        **more,
    )
    return compare(pair, SETTINGS)


def comparison_of(p_value, verdict="drift", window="24h/7d"):
    return Comparison(
        window, "rolling", 0, 1, 0, 1, 1_440, 10_080, verdict, p_value=p_value, reason=f"{window}: {verdict}."
    )


def decide_check(*comparisons, detectors=1):
    return decide(comparisons, model="lstm", model_version="v3", at=7, settings=SETTINGS, detectors=detectors)


def test_the_same_data_give_the_same_comparison(scores):
    hours = {"rrc00": Hours.from_rows(*scores())}
    assert compare_days(hours) == compare_days(hours)


def test_a_collector_without_current_hours_has_no_weight(scores):
    times, values = scores()
    active, ended = Hours.from_rows(times, values), Hours.from_rows(*scores(days=7, seed=9))
    alone, both = compare_days({"a": active}), compare_days({"a": active, "b": ended})
    assert (both.verdict, both.p_value, both.n_current) == (alone.verdict, alone.p_value, alone.n_current)


def test_a_collector_without_a_reference_is_left_out_and_reported(scores):
    times, values = scores()
    old, new = Hours.from_rows(times, values), Hours.from_rows(times[7 * 1_440 :], 50 * values[7 * 1_440 :])
    comparison = compare_days({"a": old, "new": new}, {"a": old})
    assert comparison.verdict == "none"
    assert [(hours.hours, "new" in hours.reason) for hours in comparison.left_out] == [(24, True)]


def test_collectors_at_different_levels_are_not_mixed_up(scores):
    """A collector that sends a third of its rows changes the mix of collectors and nothing else."""
    times, low = scores(seed=1)
    high = 10 * scores(seed=2)[1]
    kept = (times < times[0] + 7 * DAY_S) | (times % 180 == 0)
    comparison = compare_days({"low": Hours.from_rows(times, low), "high": Hours.from_rows(times[kept], high[kept])})
    assert comparison.verdict == "none"


def test_hours_of_one_collector_missing_in_the_reference_do_no_harm(scores):
    times, values = scores()
    hours = Hours.from_rows(times, values)
    gaps = hours.exclude(hours.starts[10:60].tolist())
    assert compare_days({"a": hours, "b": Hours.from_rows(*scores(seed=5))}, {"a": gaps, "b": gaps}).verdict == "none"


def test_a_small_stable_change_of_many_values_is_immaterial(scores):
    times, _ = scores()
    times = np.repeat(times, 100)
    values = np.random.default_rng(1).gamma(2.0, size=len(times))
    late = times >= times[0] + 7 * DAY_S
    comparison = compare_days({"a": Hours.from_rows(times, np.where(late, 1.03 * values, values))})
    assert comparison.p_value < 0.001
    assert comparison.verdict == "immaterial"


def test_hours_left_out_by_the_caller_are_reported(scores):
    hours = {"a": Hours.from_rows(*scores())}
    left_out = LeftOut(int(hours["a"].starts[0]), 3, "reference", "incident 4")
    assert compare_days(hours, left_out=(left_out,)).left_out == (left_out,)


def test_the_change_point_may_lie_before_the_current_window(scores):
    """The second of the two days between reference and current window is at the new level already."""
    times, values = scores(days=10)
    begin = int(times[0])
    hours = Hours.from_rows(times, np.where(times >= begin + 8 * DAY_S, 1.6 * values, values))
    pair = WindowPair(
        window="24h/pinned",
        reference_kind="pinned",
        current={"a": hours},
        reference={"a": hours},
        current_span=(begin + 9 * DAY_S, begin + 10 * DAY_S),
        reference_span=(begin, begin + 7 * DAY_S),
        recent={"a": hours.between(begin + 7 * DAY_S, begin + 9 * DAY_S)},
    )
    comparison = compare(pair, SETTINGS)
    assert comparison.verdict == "drift"
    assert abs(comparison.change_point - (begin + 8 * DAY_S)) <= 2 * 3_600


@pytest.mark.parametrize(("detectors", "verdict"), [(1, "drift"), (3, "none")])
def test_detectors_checked_together_share_alpha(detectors, verdict):
    assert decide_check(comparison_of(0.004), detectors=detectors).verdict == verdict


def test_windows_share_alpha_by_holm():
    report = decide_check(
        comparison_of(0.004), comparison_of(0.5, "none", "72h/pinned"), comparison_of(0.6, "none", "168h/pinned")
    )
    assert report.p_value == pytest.approx(0.012)
    assert report.verdict == "none"
    assert "among 3 comparisons of one check" in report.reason


def test_the_deciding_comparison_is_first():
    report = decide_check(
        comparison_of(0.5, "none"),
        comparison_of(1e-5, "incident", "24h/pinned"),
        comparison_of(1e-4, "drift", "72h/pinned"),
    )
    assert [c.window for c in report.comparisons] == ["72h/pinned", "24h/pinned", "24h/7d"]
    assert (report.verdict, report.reason) == ("drift", "72h/pinned: drift.")


def test_a_window_without_enough_data_uses_no_alpha():
    missing = comparison_of(None, "not_enough_data", "168h/pinned")
    assert decide_check(comparison_of(0.006), missing).verdict == "drift"
    assert decide_check(missing).verdict == "not_enough_data"


def test_drift_is_at_least_medium():
    assert decide_check(comparison_of(0.009)).severity == "medium"
    assert decide_check(comparison_of(0.0001)).severity == "high"
    assert decide_check(comparison_of(0.0001, "incident")).severity == "none"


def test_a_level_that_comes_in_waves_is_an_incident_and_a_stable_one_is_drift(scores):
    """Between two waves of a leak, one minute in six is back at the old level."""
    times, values = scores()
    today = times >= times[0] + 7 * DAY_S
    waves = np.where(today & ((times + 5_400) % 10_800 < 9_000), 400, 1) * values
    verdicts = [compare_days({"a": Hours.from_rows(times, seen)}) for seen in (np.where(today, 400, 1) * values, waves)]
    assert [one.verdict for one in verdicts] == ["drift", "incident"]
    assert verdicts[1].change_point is None
    assert "in waves" in verdicts[1].reason
