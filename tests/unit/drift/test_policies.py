"""The policies: each textbook policy at its limit, and which settings each policy reads."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bgpdrift.drift.hours import Hours
from bgpdrift.drift.policies import (
    POLICIES,
    THRESHOLDS,
    PolicyInput,
    apply_policy,
    compute_combined_score,
    describe_unused_settings,
    kolmogorov_p,
)
from bgpdrift.drift.report import SEVERITIES, Comparison, DriftReport, Measure
from bgpdrift.drift.rule import compare, decide
from bgpdrift.drift.windows import WindowPair
from bgpdrift.settings_sections import DriftSettings

SETTINGS = DriftSettings()
TEXTBOOK = [name for name, policy in POLICIES.items() if policy.conclude is not None]


def comparison_of(p_value=0.5, verdict="none", n=(1_440, 10_080), reference="rolling", reason="", **figures):
    rate = figures.pop("reference_rate", 0.01)
    measures = tuple(
        Measure(name, value, by_chance=rate if name == "anomaly_rate" else None) for name, value in figures.items()
    )
    return Comparison("24h/7d", reference, 0, 1, 0, 1, *n, verdict, p_value=p_value, measures=measures, reason=reason)


def conclude(name, comparison, accuracy=None, **more):
    """Apply a policy to a report of one comparison; return verdict, severity and reason."""
    settings = msgspec.structs.replace(SETTINGS, policy=name)
    signals = () if accuracy is None else (accuracy,)
    report = DriftReport("lstm", "4", 1, "none", "none", "", comparisons=(comparison,), signals=signals)
    found = apply_policy(report, settings, **more)
    return found.verdict, found.severity, found.reason


@pytest.mark.parametrize(
    ("psi", "verdict", "severity"),
    [(0.19, "none", "none"), (0.2, "drift", "medium"), (0.3, "drift", "high"), (0.4, "drift", "critical")],
)
def test_psi_is_drift_from_its_threshold_and_ranks_by_multiples(psi, verdict, severity):
    assert conclude("psi", comparison_of(psi=psi))[:2] == (verdict, severity)


@given(st.floats(0, 1), st.integers(5, 5_000), st.integers(5, 5_000))
def test_the_textbook_p_value_agrees_with_scipy(distance, n, m):
    theirs = stats.kstwobign.sf(distance * (n * m / (n + m)) ** 0.5)
    assert kolmogorov_p(distance, n, m) == pytest.approx(theirs, abs=1e-9)


def test_ks_calls_a_small_difference_drift_if_there_are_many_minutes():
    assert conclude("ks", comparison_of(ks=0.06))[:2] == ("drift", "high")
    assert conclude("ks", comparison_of(ks=0.06, n=(144, 1_008)))[:2] == ("none", "none")


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
def test_kl_psi_and_accuracy_are_each_sufficient(figures, accuracy, verdict, severity):
    measured = None if accuracy is None else Measure("accuracy", accuracy)
    assert conclude("kl_psi_accuracy", comparison_of(**figures), measured)[:2] == (verdict, severity)


def test_an_accuracy_with_too_few_labels_is_ignored_and_reported():
    few = Measure("accuracy", None, note="too few labels: 3 in the current window, 20 needed")
    verdict, _, reason = conclude("kl_psi_accuracy", comparison_of(kl=0.01, psi=0.01), few)
    assert verdict == "none"
    assert "no accuracy (too few labels: 3 in the current window" in reason


def test_the_combined_score_is_one_on_the_thresholds_and_limits_each_part():
    assert compute_combined_score({"kl": 1, "psi": 1, "accuracy": 1}) == pytest.approx(1)
    assert compute_combined_score({"kl": 50, "psi": 0, "accuracy": 0}) == pytest.approx(0.6)
    assert compute_combined_score({}) == 0


def test_the_anomaly_rate_counts_from_the_shift_of_its_detector():
    quarter_more = comparison_of(median_shift=0.0, anomaly_rate=0.0125)
    assert conclude("score_shift", quarter_more, anomaly_rate_shift=0.20)[:2] == ("drift", "medium")
    assert conclude("score_shift", quarter_more, anomaly_rate_shift=0.30)[0] == "none"


def test_a_median_that_falls_counts_like_one_that_rises():
    fall = conclude("score_shift", comparison_of(median_shift=-0.3))
    assert fall == ("drift", "critical", "Drift: the median moved by -0.30 IQR and reaches its threshold.")


def test_score_shift_needs_a_spread_or_anomalies_in_the_reference():
    neither = comparison_of(median_shift=None, anomaly_rate=0.1, reference_rate=0.0)
    assert conclude("score_shift", neither)[0] == "not_enough_data"


@pytest.mark.parametrize(("p", "severity"), [(0.05, "none"), (0.04, "low"), (0.009, "medium"), (0.0009, "high")])
def test_pvalue_ranks_by_its_table(p, severity):
    assert conclude("pvalue", comparison_of(p_value=p))[:2] == ("none" if severity == "none" else "drift", severity)


@pytest.mark.parametrize("name", TEXTBOOK)
def test_not_enough_data_stays_so_under_every_policy(name):
    short = comparison_of(None, "not_enough_data", reason="3 days needed.")
    assert conclude(name, short) == ("not_enough_data", "none", "3 days needed.")


@given(st.floats(0, 10), st.floats(0, 5), st.floats(0, 1), st.floats(-3, 3), st.floats(0, 1), st.sampled_from(TEXTBOOK))
def test_only_the_verdict_drift_has_a_severity(psi, kl, ks, shift, p, name):
    comparison = comparison_of(p, psi=psi, kl=kl, ks=ks, median_shift=shift, anomaly_rate=p)
    verdict, severity, reason = conclude(name, comparison, Measure("accuracy", 1 - p))
    assert (verdict == "drift") == (severity != "none")
    assert severity in SEVERITIES
    assert reason.endswith(".")
    assert len(reason) > 10


def test_every_policy_of_the_settings_has_a_record_with_its_errors():
    for name, policy in POLICIES.items():
        assert msgspec.convert({"policy": name}, DriftSettings).policy == name
        assert "false alarms" in policy.known_errors


def test_a_textbook_policy_puts_the_rolling_comparison_first_and_keeps_the_others():
    pinned, rolling = comparison_of(psi=0.5, reference="pinned"), comparison_of(psi=0.25)
    report = DriftReport("lstm", "4", 1, "none", "none", "No drift.", comparisons=(pinned, rolling))
    by_psi = apply_policy(report, DriftSettings(policy="psi"))
    assert (by_psi.policy, by_psi.verdict, by_psi.severity) == ("psi", "drift", "medium")
    assert by_psi.comparisons == (rolling, pinned)
    assert apply_policy(by_psi, DriftSettings(policy="psi")) == by_psi
    assert apply_policy(report, SETTINGS) is report


class RecordingSettings:
    """Settings that record which fields are read."""

    def __init__(self):
        self.read = set()

    def __getattr__(self, name):
        self.read.add(name)
        return getattr(SETTINGS, name)


@pytest.mark.parametrize("name", TEXTBOOK)
def test_a_textbook_policy_reads_exactly_the_settings_of_its_record(name):
    policy, read = POLICIES[name], set()
    for size in (0.0, 0.01, 10.0):
        recording = RecordingSettings()
        p = 1.0 if size < 1 else 1e-9
        figures = {"psi": size, "kl": size, "ks": min(size, 1.0), "median_shift": size, "anomaly_rate": size}
        comparison = comparison_of(p, **figures)
        policy.conclude(PolicyInput(comparison=comparison, settings=recording, accuracy=Measure("accuracy", 0.5)))
        read |= recording.read
    assert read == {*policy.verdict_settings, *policy.severity_settings}


def shifted_day(factor):
    times = 60 * np.arange(8 * 1_440)
    values = np.random.default_rng(7).gamma(2.0, size=len(times))
    series = {"a": Hours.from_rows(times, np.where(times < 7 * 86_400, values, factor * values))}
    spans = {"current_span": (7 * 86_400, 8 * 86_400), "reference_span": (0, 7 * 86_400)}
    return WindowPair(window="24h/7d", reference_kind="rolling", current=series, reference=series, **spans)


def decide_day(factor, settings):
    comparison = compare(shifted_day(factor), settings)
    return decide([comparison], model="", model_version="", at=1, settings=settings)


@pytest.mark.parametrize("setting", [name for name in THRESHOLDS if name not in POLICIES["rule"].verdict_settings])
def test_the_verdict_of_the_rule_does_not_depend_on_the_thresholds_of_other_policies(setting):
    """A psi_threshold of 0.001 does not make the rule find drift; the report mentions that."""
    for factor in (1.0, 1.3):
        tight = msgspec.structs.replace(SETTINGS, **{setting: extreme_value(setting)})
        assert decide_day(factor, tight).verdict == decide_day(factor, SETTINGS).verdict
        notes = describe_unused_settings(tight)
        assert (
            setting in POLICIES["rule"].severity_settings or notes == [note for note in notes if setting in note] != []
        )


def extreme_value(setting):
    value = getattr(SETTINGS, setting)
    return [one / 1000 for one in value] if isinstance(value, list) else value / 1000


def test_the_severity_of_the_rule_depends_on_the_psi_threshold():
    low, high = (decide_day(1.3, DriftSettings(psi_threshold=threshold)) for threshold in (0.01, 1.0))
    assert (low.verdict, high.verdict) == ("drift", "drift")
    assert SEVERITIES.index(low.severity) > SEVERITIES.index(high.severity)


def test_a_psi_threshold_that_the_policy_does_not_use_is_described():
    (line,) = describe_unused_settings(DriftSettings(psi_threshold=0.1))
    assert "the policy rule uses it for the severity only" in line
    assert describe_unused_settings(DriftSettings(psi_threshold=0.1, policy="psi")) == []


def test_the_documentation_lists_the_settings_of_every_policy():
    text = (Path(__file__).parents[3] / "docs" / "drift-report.md").read_text(encoding="utf-8")
    for name, policy in POLICIES.items():
        decides = [f"`{setting}`" for setting in policy.verdict_settings]
        if name == "score_shift":
            decides.append("`detectors.<name>.anomaly_rate_shift`")
        ranks = [f"`{setting}`" for setting in policy.severity_settings] or ["–"]
        assert f"| `{name}` | {', '.join(decides)} | {', '.join(ranks)} |" in text
