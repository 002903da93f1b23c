"""The gate, line by line of its table: what passes, what is refused, and what force lifts."""

from dataclasses import replace

import pytest

from bgpdrift.models.gate import Evidence, GatePolicy, Judged, decide_gate

GOOD = Judged(
    accuracy=0.95,
    f1=0.90,
    classes={"true_positive": 0.9, "false_positive": 0.8},
    injected={"burst": 0.9, "silence": 0.8},
    alarms_per_day=1.0,
)
EVIDENCE = Evidence(GOOD, GOOD, train_rows=8_000, seconds=4.0, drift_psi=0.1)
POLICY = GatePolicy()


def worse(**changes) -> Evidence:
    return replace(EVIDENCE, candidate=replace(GOOD, **changes))


def test_an_equal_model_is_accepted_and_every_check_has_number_threshold_and_sentence():
    verdict = decide_gate(EVIDENCE, POLICY)

    assert verdict.accepted
    assert verdict.reason == "every check passed"
    for check in verdict.as_fields()["checks"]:
        assert check["sentence"]
        assert check["value"] is not None
        assert check["threshold"] is not None


def test_what_the_active_model_found_in_its_time_is_held_against_the_candidate_with_more_patience():
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
    assert verdict.reason == "; ".join(check.sentence for check in verdict.failed)


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
        replace(EVIDENCE, active=Judged()),
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
def test_what_is_at_the_limit_or_has_nothing_to_be_compared_with_passes(evidence):
    assert decide_gate(evidence, POLICY).accepted


def test_force_lifts_a_refusal_of_quality_and_says_so():
    verdict = decide_gate(worse(f1=0.1), replace(POLICY, force=True))

    assert verdict.accepted
    assert verdict.forced
    assert verdict.reason == "forced: has an F1 of 10.0 %, the active model 90.0 %"


@pytest.mark.parametrize("evidence", [replace(EVIDENCE, train_rows=10), replace(EVIDENCE, unusable_scores=3)])
def test_force_never_lifts_a_refusal_of_integrity(evidence):
    verdict = decide_gate(evidence, replace(POLICY, force=True))

    assert not verdict.accepted
    assert not verdict.forced


def test_force_without_a_refusal_is_no_forced_promotion():
    verdict = decide_gate(EVIDENCE, replace(POLICY, force=True))
    assert verdict.accepted
    assert not verdict.forced


def test_drift_within_a_span_of_a_day_is_put_on_record_and_refuses_nothing():
    verdict = decide_gate(replace(EVIDENCE, drift_psi=1.8, span_hours=26.5), POLICY)

    drift = next(check for check in verdict.checks if check.name == "drift")
    assert verdict.accepted
    assert drift.value == 1.8
    assert drift.threshold is None
    assert drift.sentence.endswith("a span of 26 h cannot tell drift from time of day")


def test_a_weekend_held_against_working_days_is_put_on_record_and_refuses_nothing():
    unlike = "the held-out hours are a weekend, and the training holds none"
    verdict = decide_gate(replace(EVIDENCE, drift_psi=1.8, span_hours=120.0, drift_unlike=unlike), POLICY)

    drift = next(check for check in verdict.checks if check.name == "drift")
    assert verdict.accepted
    assert drift.threshold is None
    assert drift.sentence.endswith(
        "the held-out hours are a weekend, and the training holds none, which cannot tell drift"
    )


def test_from_three_days_on_drift_refuses():
    verdict = decide_gate(replace(EVIDENCE, drift_psi=1.8, span_hours=72.0), POLICY)

    assert [check.name for check in verdict.failed] == ["drift"]
