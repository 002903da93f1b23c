"""The classic thresholds, each on its threshold, and what they leave out."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bgpdrift.drift import policies
from bgpdrift.drift.report import SEVERITIES, Comparison, DriftReport, Measure
from bgpdrift.settings_sections import DriftSettings

USUAL = DriftSettings()


def compared(p_value=0.5, verdict="none", n=(1_440, 10_080), reference="rolling", reason="", **figures):
    usual = figures.pop("usual_rate", 0.01)
    measures = tuple(
        Measure(name, value, by_chance=usual if name == "anomaly_rate" else None) for name, value in figures.items()
    )
    return Comparison("24h/7d", reference, 0, 1, 0, 1, *n, verdict, p_value=p_value, measures=measures, reason=reason)


@pytest.mark.parametrize(
    ("psi", "verdict", "severity"),
    [(0.19, "none", "none"), (0.2, "drift", "medium"), (0.3, "drift", "high"), (0.4, "drift", "critical")],
)
def test_psi_is_drift_from_its_threshold_on_and_ranks_by_multiples(psi, verdict, severity):
    assert policies.apply("psi", compared(psi=psi), USUAL)[:2] == (verdict, severity)


@given(st.floats(0, 1), st.integers(5, 5_000), st.integers(5, 5_000))
def test_the_textbook_p_is_scipys(distance, n, m):
    theirs = stats.kstwobign.sf(distance * (n * m / (n + m)) ** 0.5)
    assert policies.kolmogorov_p(distance, n, m) == pytest.approx(theirs, abs=1e-9)


def test_ks_calls_a_small_difference_of_many_minutes_drift_and_of_few_none():
    assert policies.apply("ks", compared(ks=0.06), USUAL)[:2] == ("drift", "high")
    assert policies.apply("ks", compared(ks=0.06, n=(144, 1_008)), USUAL)[:2] == ("none", "none")


@pytest.mark.parametrize(
    ("figures", "accuracy", "verdict", "severity"),
    [
        ({"kl": 0.05, "psi": 0.1}, None, "none", "none"),
        ({"kl": 0.1, "psi": 0.1}, None, "drift", "medium"),
        ({"kl": 0.05, "psi": 0.3}, 0.9, "drift", "high"),
        ({"kl": 0.01, "psi": 0.01}, 0.74, "drift", "medium"),
        ({"kl": 0.01, "psi": 0.01}, 0.58, "drift", "critical"),
        ({"kl": 0.01, "psi": 0.01}, 0.75, "none", "none"),
    ],
)
def test_kl_psi_and_accuracy_each_suffice(figures, accuracy, verdict, severity):
    measured = None if accuracy is None else Measure("accuracy", accuracy)
    assert policies.apply("kl_psi_accuracy", compared(**figures), USUAL, measured)[:2] == (verdict, severity)


def test_too_few_labels_take_no_part_and_are_said():
    few = Measure("accuracy", None, note="too few labels: 3 in the current window, 20 needed")
    verdict, _, reason = policies.apply("kl_psi_accuracy", compared(kl=0.01, psi=0.01), USUAL, few)
    assert verdict == "none"
    assert "no accuracy (too few labels: 3 in the current window" in reason


def test_the_combined_score_is_one_on_the_thresholds_and_caps_each_part():
    assert policies.combined_score({"kl": 1, "psi": 1, "accuracy": 1}) == pytest.approx(1)
    assert policies.combined_score({"kl": 50, "psi": 0, "accuracy": 0}) == pytest.approx(0.6)
    assert policies.combined_score({}) == 0


def test_the_rules_may_change_their_alarms_more_than_the_others():
    quarter_more = compared(median_shift=0.0, anomaly_rate=0.0125)
    assert policies.apply("score_shift", quarter_more, USUAL, anomaly_rate_shift=0.20)[:2] == ("drift", "medium")
    assert policies.apply("score_shift", quarter_more, USUAL, anomaly_rate_shift=0.30)[0] == "none"


def test_a_median_that_fell_counts_like_one_that_rose():
    fell = policies.apply("score_shift", compared(median_shift=-0.3), USUAL)
    assert fell == ("drift", "critical", "Median moved by -0.30 IQR reaches what is allowed.")


def test_without_spread_or_anomalies_before_score_shift_has_nothing_to_say():
    found = compared(median_shift=None, anomaly_rate=0.1, usual_rate=0.0)
    assert policies.apply("score_shift", found, USUAL)[0] == "not_enough_data"


@pytest.mark.parametrize(("p", "severity"), [(0.05, "none"), (0.04, "low"), (0.009, "medium"), (0.0009, "high")])
def test_pvalue_ranks_by_its_table(p, severity):
    verdict, rank, _ = policies.apply("pvalue", compared(p_value=p), USUAL)
    assert (verdict, rank) == ("none" if severity == "none" else "drift", severity)


@pytest.mark.parametrize("name", policies.POLICIES)
def test_too_little_data_stays_too_little_under_every_policy(name):
    found = compared(None, "not_enough_data", reason="3 days needed.")
    assert policies.apply(name, found, USUAL) == ("not_enough_data", "none", "3 days needed.")


@given(
    st.floats(0, 10),
    st.floats(0, 5),
    st.floats(0, 1),
    st.floats(-3, 3),
    st.floats(0, 1),
    st.sampled_from(policies.POLICIES),
)
def test_a_verdict_of_drift_has_a_rank_and_any_other_has_none(psi, kl, ks, shift, p, name):
    found = compared(p, psi=psi, kl=kl, ks=ks, median_shift=shift, anomaly_rate=p)
    verdict, severity, reason = policies.apply(name, found, USUAL, Measure("accuracy", 1 - p))
    assert (verdict == "drift") == (severity != "none")
    assert severity in SEVERITIES
    assert reason.endswith(".")
    assert len(reason) > 10


def test_every_policy_of_the_settings_is_known_with_its_false_alarms():
    assert set(policies.KNOWN) == set(policies.POLICIES)
    for name in policies.POLICIES:
        assert msgspec.convert({"policy": name}, DriftSettings).policy == name
    with pytest.raises(ValueError, match="'mean' is no policy"):
        policies.apply("mean", compared(), USUAL)


def test_a_report_by_a_policy_puts_the_rolling_comparison_first_and_keeps_the_others():
    pinned, rolling = compared(psi=0.5, reference="pinned"), compared(psi=0.25)
    report = DriftReport("lstm", "4", 1, "none", "none", "No drift.", comparisons=(pinned, rolling))
    found = policies.conclude(report, "psi", USUAL)
    assert (found.policy, found.verdict, found.severity) == ("psi", "drift", "medium")
    assert found.comparisons == (rolling, pinned)
    assert policies.conclude(report, "rule", USUAL) is report
