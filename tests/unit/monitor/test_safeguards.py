"""Each safeguard objects with its reason; a request without an objection becomes a flag."""

from dataclasses import replace

import pytest

from bgpdrift.monitor.safeguards import (
    HOUR_S,
    REJECTION_HOLD_H,
    Decision,
    SafeguardPolicy,
    Situation,
    decide,
    earliest_training_time,
    is_consent_by_timeout,
    may_request_again,
)
from bgpdrift.settings import Settings

NOW = 1_767_225_600
CLEAR = Situation("lstm", NOW, "high", ("rrc00",), drifted_version="3", active_version="3", windows=10_000)
POLICY = SafeguardPolicy()


def test_a_drift_without_objection_is_flagged_without_a_reason():
    assert decide(CLEAR, POLICY) == Decision("flag")


@pytest.mark.parametrize(
    ("situation", "policy", "outcome", "reason"),
    [
        ({}, {"auto": False}, "refuse", "automatic retraining is off (retrain.auto)"),
        ({}, {"auto_model": False}, "refuse", "automatic retraining of lstm is off (detectors.lstm.auto_retrain)"),
        (
            {},
            {"pilot_collectors": ("rrc21",)},
            "refuse",
            "the drifting collectors (rrc00) include none of retrain.pilot_collectors (rrc21)",
        ),
        ({"severity": "medium"}, {}, "refuse", "the severity is medium, below retrain.min_severity (high)"),
        ({"active_version": "4"}, {}, "refuse", "version 3 drifted, but version 4 is active now"),
        ({"drift_persists": False}, {}, "refuse", "the drift has ended"),
        ({"open_request_id": 7}, {}, "refuse", "retraining request 7 of this model is open"),
        (
            {"cooldown_since": NOW - HOUR_S},
            {},
            "postpone",
            "the cooldown lasts until 2026-01-01 23:00 UTC: an automatic run ended at 2025-12-31 23:00 UTC",
        ),
        ({"not_before": NOW + 1, "not_before_reason": "3 of 9 windows"}, {}, "postpone", "3 of 9 windows"),
        (
            {"change_point": NOW - 29 * HOUR_S},
            {},
            "postpone",
            "a whole day of training data after the change at 2025-12-30 19:00 UTC is available at 2026-01-01 01:00 UTC",
        ),
        (
            {"windows": 1_799},
            {},
            "postpone",
            "no collector has more than 1,799 windows for training, 1,800 are required",
        ),
        (
            {"severity": "critical"},
            {},
            "request_approval",
            "the drift is critical and needs the approval of a person (retrain.approve_critical)",
        ),
    ],
)
def test_a_safeguard_objects_with_its_reason(situation, policy, outcome, reason):
    decision = decide(replace(CLEAR, **situation), replace(POLICY, **policy))
    assert (decision.outcome, decision.reason) == (outcome, reason)
    assert decision.until > NOW if outcome == "postpone" else decision.until == 0


@pytest.mark.parametrize(
    ("situation", "policy"),
    [
        ({}, {"pilot_collectors": ("rrc00", "rrc21")}),
        ({"severity": "medium"}, {"min_severity": "low"}),
        ({"severity": "critical"}, {"approve_critical": False}),
        ({"severity": "critical", "consented": True}, {}),
        ({"cooldown_since": NOW - 24 * HOUR_S}, {}),
        ({"cooldown_since": NOW}, {"cooldown_h": 0.0}),
        ({"change_point": NOW - 30 * HOUR_S}, {}),
        ({"drifted_version": ""}, {}),
        ({"windows": 1_800}, {}),
    ],
)
def test_a_request_within_the_limits_is_flagged(situation, policy):
    assert decide(replace(CLEAR, **situation), replace(POLICY, **policy)).outcome == "flag"


def test_a_postponed_request_has_the_time_of_the_next_decision():
    assert decide(replace(CLEAR, cooldown_since=NOW), POLICY).until == NOW + 24 * HOUR_S
    until = decide(replace(CLEAR, change_point=NOW), POLICY).until
    assert until == earliest_training_time(NOW, 0.2) == NOW + 30 * HOUR_S


def test_consent_lifts_the_approval_and_no_other_safeguard():
    consented = replace(CLEAR, severity="critical", consented=True, cooldown_since=NOW)
    assert decide(consented, POLICY).outcome == "postpone"


@pytest.mark.parametrize(
    ("hours", "unanswered", "consents"),
    [(11.9, "drift", False), (12.0, "drift", True), (1_000.0, "hold", False)],
)
def test_an_approval_request_without_an_answer_consents_after_a_time_unless_set_to_hold(hours, unanswered, consents):
    policy = replace(POLICY, unanswered=unanswered)
    assert is_consent_by_timeout(NOW, NOW + round(hours * HOUR_S), policy) is consents


def test_a_rejection_by_a_person_holds_for_a_week():
    assert not may_request_again(NOW, NOW + 167 * HOUR_S)
    assert may_request_again(NOW, NOW + round(REJECTION_HOLD_H) * HOUR_S)


def test_the_default_settings_give_the_default_policy_of_each_model():
    settings = Settings()
    assert SafeguardPolicy.from_settings(settings, "lstm") == POLICY
    assert not SafeguardPolicy.from_settings(settings, "unknown").auto_model
