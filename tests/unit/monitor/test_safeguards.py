"""Each safeguard says no in a sentence; together they let pass what may pass."""

from dataclasses import replace

import pytest

from bgpdrift.monitor.safeguards import (
    HOUR_S,
    PERSONS_NO_H,
    Decision,
    SafeguardPolicy,
    Situation,
    decide,
    enough_after,
    may_ask_again,
    silence,
)
from bgpdrift.settings import Settings

NOW = 1_767_225_600
CALM = Situation("lstm", NOW, "high", ("rrc00",), wanted_for="3", active_version="3", windows=10_000)
POLICY = SafeguardPolicy()


def test_drift_that_nothing_speaks_against_is_flagged_without_a_word():
    assert decide(CALM, POLICY) == Decision("flag")


@pytest.mark.parametrize(
    ("situation", "policy", "outcome", "sentence"),
    [
        ({}, {"auto": False}, "refuse", "automatic retraining is switched off (retrain.auto)"),
        ({}, {"auto_model": False}, "refuse", "automatic retraining of lstm is switched off (retrain.auto_lstm)"),
        (
            {},
            {"pilot_collectors": ("rrc21",)},
            "refuse",
            "it drifts at rrc00; only rrc21 may retrain (retrain.pilot_collectors)",
        ),
        ({"severity": "medium"}, {}, "refuse", "the drift is medium; retrain.min_severity asks for high"),
        ({"active_version": "4"}, {}, "refuse", "version 3 drifted, and 4 is in force since"),
        ({"drift_lasts": False}, {}, "refuse", "the drift is gone"),
        ({"under_way": 7}, {}, "refuse", "wish 7 of this model is under way"),
        (
            {"quiet_since": NOW - HOUR_S},
            {},
            "postpone",
            "cooldown until 2026-01-01 23:00Z: an automatic run was at 2025-12-31 23:00Z",
        ),
        ({"not_before": NOW + 1, "not_before_because": "3 of 9 windows"}, {}, "postpone", "3 of 9 windows"),
        (
            {"change_point": NOW - 29 * HOUR_S},
            {},
            "postpone",
            "since the change at 2025-12-30 19:00Z no whole day can be learned from before 2026-01-01 01:00Z",
        ),
        ({"windows": 1_799}, {}, "postpone", "1,799 windows are stored to learn from, 1,800 needed"),
        (
            {"severity": "critical"},
            {},
            "ask",
            "the drift is critical: a person is asked first (retrain.approve_critical)",
        ),
    ],
)
def test_a_safeguard_says_no_in_a_sentence(situation, policy, outcome, sentence):
    decision = decide(replace(CALM, **situation), replace(POLICY, **policy))
    assert (decision.outcome, decision.sentence) == (outcome, sentence)
    assert decision.until > NOW if outcome == "postpone" else decision.until == 0


@pytest.mark.parametrize(
    ("situation", "policy"),
    [
        ({}, {"pilot_collectors": ("rrc00", "rrc21")}),
        ({"severity": "medium"}, {"min_severity": "low"}),
        ({"severity": "critical"}, {"approve_critical": False}),
        ({"severity": "critical", "consented": True}, {}),
        ({"quiet_since": NOW - 24 * HOUR_S}, {}),
        ({"quiet_since": NOW}, {"cooldown_h": 0.0}),
        ({"change_point": NOW - 30 * HOUR_S}, {}),
        ({"wanted_for": ""}, {}),
        ({"windows": 1_800}, {}),
    ],
)
def test_what_a_safeguard_has_nothing_against_is_flagged(situation, policy):
    assert decide(replace(CALM, **situation), replace(POLICY, **policy)).outcome == "flag"


def test_a_postponed_wish_knows_when_to_look_again():
    assert decide(replace(CALM, quiet_since=NOW), POLICY).until == NOW + 24 * HOUR_S
    assert decide(replace(CALM, change_point=NOW), POLICY).until == enough_after(NOW, 0.2) == NOW + 30 * HOUR_S


def test_consent_lifts_the_question_and_no_other_safeguard():
    asked = replace(CALM, severity="critical", consented=True, quiet_since=NOW)
    assert decide(asked, POLICY).outcome == "postpone"


@pytest.mark.parametrize(
    ("hours", "unanswered", "means"),
    [(11.9, "drift", "wait"), (12.0, "drift", "consent"), (1_000.0, "hold", "wait")],
)
def test_silence_consents_after_a_time_unless_told_to_hold(hours, unanswered, means):
    assert silence(NOW, NOW + round(hours * HOUR_S), replace(POLICY, unanswered=unanswered)) == means


def test_a_persons_no_holds_for_a_week():
    assert not may_ask_again(NOW, NOW + 167 * HOUR_S)
    assert may_ask_again(NOW, NOW + round(PERSONS_NO_H) * HOUR_S)


def test_the_settings_are_the_policy_of_each_model():
    settings = Settings()
    assert SafeguardPolicy.of(settings, "lstm") == POLICY
    assert not SafeguardPolicy.of(settings, "unknown").auto_model
