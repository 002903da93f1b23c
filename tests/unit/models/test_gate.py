"""The gate, check by check: what passes, what is refused, and what force overrides."""

import math
from dataclasses import replace

import pytest

from bgpdrift.models.gate import Evidence, GatePolicy, ModelFigures, decide_gate

FIGURES = {
    "accuracy": 0.95,
    "f1": 0.90,
    "classes": {"true_positive": 0.9, "false_positive": 0.8},
    "injected": {"burst": 0.9, "silence": 0.8},
    "alarms_per_day": 1.0,
}
GOOD = ModelFigures(**FIGURES)
EVIDENCE = Evidence(GOOD, GOOD, train_rows=8_000, seconds=4.0, drift_psi=0.1)
POLICY = GatePolicy()


def worse(**changes) -> Evidence:
    return replace(EVIDENCE, candidate=ModelFigures(**FIGURES | changes))


def test_an_equal_model_is_accepted_and_every_check_has_number_threshold_and_message():
    verdict = decide_gate(EVIDENCE, POLICY)

    assert verdict.accepted
    assert verdict.reason == "every check passed"
    for check in verdict.checks:
        assert check.message
        assert check.value is not None
        assert check.threshold is not None


def test_the_comparison_with_the_record_has_a_wider_tolerance():
    evidence = replace(worse(injected={"burst": 0.6, "silence": 0.6}), active=None, record=GOOD.injected)
    assert decide_gate(evidence, POLICY).accepted


@pytest.mark.parametrize(
    ("evidence", "refused_by"),
    [
        (replace(EVIDENCE, train_rows=1_439), ["rows"]),
        (replace(EVIDENCE, unusable_scores=1), ["finite"]),
        (replace(EVIDENCE, seconds=1_801.0), ["run_time"]),
        (worse(accuracy=0.939), ["accuracy"]),
        (worse(f1=0.889), ["f1"]),
        (worse(classes={"true_positive": 0.88, "false_positive": 1.0}), ["class:true_positive"]),
        (worse(injected={"burst": 0.9, "silence": 0.59}), ["injected"]),
        (worse(injected={"burst": 1.0, "silence": 0.3}), ["injected", "injected:silence"]),
        (worse(injected={"burst": 0.4, "silence": 1.0}), ["injected", "injected:burst"]),
        (replace(worse(injected={"burst": 0.1, "silence": 0.0}), active=None), ["injected_least"]),
        (
            replace(worse(injected={"burst": 0.5, "silence": 0.6}), active=None, record=GOOD.injected),
            ["injected_record"],
        ),
        (
            replace(worse(injected={"burst": 0.2, "silence": 1.0}), active=None, record=GOOD.injected),
            ["injected_record:burst"],
        ),
        (worse(alarms_per_day=10.1), ["alarm_rate"]),
        (worse(alarms_per_day=float("nan")), ["alarm_rate"]),
        (replace(EVIDENCE, drift_psi=1.01), ["drift"]),
    ],
)
def test_each_refusal_names_its_check(evidence, refused_by):
    verdict = decide_gate(evidence, POLICY)

    assert not verdict.accepted
    assert [check.name for check in verdict.failed] == refused_by
    assert verdict.reason == "; ".join(check.message for check in verdict.failed)


@pytest.mark.parametrize(
    "evidence",
    [
        worse(accuracy=0.94),
        worse(f1=0.89),
        worse(accuracy=None, f1=None),
        worse(classes={}),
        worse(injected={"burst": 0.8, "silence": 0.7}),
        worse(alarms_per_day=10.0),
        replace(EVIDENCE, train_rows=1_440),
        replace(EVIDENCE, drift_psi=1.0),
        replace(EVIDENCE, active=None),
        replace(EVIDENCE, active=ModelFigures()),
    ],
    ids=[
        "a point of accuracy",
        "a point of f1",
        "nothing labelled",
        "no class",
        "within tolerance",
        "at the budget",
        "just enough rows",
        "at the drift limit",
        "no active model",
        "an active model without figures",
    ],
)
def test_a_figure_at_the_limit_and_a_figure_without_counterpart_pass(evidence):
    assert decide_gate(evidence, POLICY).accepted


def test_force_overrides_a_failed_quality_check_and_the_reason_says_so():
    verdict = decide_gate(worse(f1=0.1), replace(POLICY, force=True))

    assert verdict.accepted
    assert verdict.forced
    assert verdict.reason == "forced: F1 is 10.0 %, at least 89.0 % required (active model: 90.0 %)"


@pytest.mark.parametrize("evidence", [replace(EVIDENCE, train_rows=10), replace(EVIDENCE, unusable_scores=3)])
def test_force_never_overrides_a_failed_integrity_check(evidence):
    verdict = decide_gate(evidence, replace(POLICY, force=True))

    assert not verdict.accepted
    assert not verdict.forced


def test_force_without_a_failed_check_is_not_a_forced_promotion():
    verdict = decide_gate(EVIDENCE, replace(POLICY, force=True))
    assert verdict.accepted
    assert not verdict.forced


def test_drift_within_a_span_of_a_day_is_recorded_and_passes():
    verdict = decide_gate(replace(EVIDENCE, drift_psi=1.8, span_hours=26.5), POLICY)

    drift = next(check for check in verdict.checks if check.name == "drift")
    assert verdict.accepted
    assert drift.value == 1.8
    assert drift.threshold is None
    assert drift.message.endswith("not judged, because a span of 26 h does not separate drift from time of day")


def test_drift_of_a_weekend_against_working_days_is_recorded_and_passes():
    reason = "the held-out hours are a weekend, and the training has none"
    verdict = decide_gate(replace(EVIDENCE, drift_psi=1.8, span_hours=120.0, drift_incomparable=reason), POLICY)

    drift = next(check for check in verdict.checks if check.name == "drift")
    assert verdict.accepted
    assert drift.threshold is None
    assert drift.message.endswith(f"not judged, because {reason}")


def test_drift_is_judged_from_a_span_of_three_days_on():
    verdict = decide_gate(replace(EVIDENCE, drift_psi=1.8, span_hours=72.0), POLICY)

    assert [check.name for check in verdict.failed] == ["drift"]


def test_a_check_without_a_limit_says_so():
    """`retrain --candidate-only` sets no limit for the drift; the sentence said "at most inf allowed"."""
    limits = {"max_drift": math.inf, "max_seconds": math.inf, "max_alarms_per_day": math.inf}

    verdict = decide_gate(Evidence(ModelFigures(), None, 8_000, 3.0), GatePolicy(**limits))

    messages = {check.name: check.message for check in verdict.checks}
    assert verdict.accepted
    for name in ("drift", "run_time", "alarm_rate"):
        assert messages[name].endswith("without a limit")
    assert not any("inf" in message.split() for message in messages.values())
