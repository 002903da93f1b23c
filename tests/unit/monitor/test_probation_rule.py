"""Which counts roll a version on probation back, and which do not."""

from dataclasses import replace

import pytest

from bgpdrift.monitor.probation_rule import MIN_INJECTED, ProbationPolicy, Provenance, decide, set_tally
from bgpdrift.settings import Settings
from bgpdrift.store.cursor_states import ProbationState
from bgpdrift.store.cursor_states import ProbationTally as Tally

POLICY = ProbationPolicy()
DAY = {"minutes": 1_440, "injected": 56}
GOOD_RECALL = {"detected": 30, "shadow_detected": 30}


@pytest.mark.parametrize(
    ("tally", "verdict"),
    [
        (Tally(**DAY, alarms=2, shadow_alarms=2, detected=40, shadow_detected=41), "accepted"),
        (Tally(**DAY, **GOOD_RECALL, alarms=11, shadow_alarms=2), "rolled_back"),
        (Tally(**DAY, **GOOD_RECALL, alarms=10, shadow_alarms=0), "accepted"),
        (Tally(minutes=60, alarms=11), "rolled_back"),  # also within the first hours
        (Tally(**DAY, **GOOD_RECALL, alarms=24, shadow_alarms=24), "accepted"),  # both alarm: an attack or a new level
        (Tally(**DAY, detected=26, shadow_detected=41), "rolled_back"),
        (Tally(**DAY, detected=27, shadow_detected=41), "accepted"),
        (Tally(**DAY, detected=56, shadow_detected=0), "accepted"),  # the shadow alarms all the time
        (Tally(minutes=60, injected=27, detected=0, shadow_detected=27), "watching"),  # too few anomalies
        (Tally(**DAY, **GOOD_RECALL, labels=40, correct=36, shadow_correct=39), "rolled_back"),
        (Tally(**DAY, **GOOD_RECALL, labels=40, correct=37, shadow_correct=39), "accepted"),
        (Tally(**DAY, **GOOD_RECALL, labels=19, correct=0, shadow_correct=19), "accepted"),
        (Tally(**DAY, **GOOD_RECALL, labels=20, correct=18, shadow_correct=20), "accepted"),  # two labels are chance
    ],
)
def test_each_rule_applies_from_its_limit_on(tally, verdict):
    decision = decide(tally, passed_h=24, has_shadow=True, policy=POLICY)
    assert decision.verdict == verdict
    assert decision.reason


def test_a_good_version_is_watched_until_the_probation_ends():
    decision = decide(Tally(**DAY, **GOOD_RECALL), passed_h=23.9, has_shadow=True, policy=POLICY)
    assert (decision.verdict, decision.extends) == ("watching", False)


def test_without_a_shadow_a_bad_version_stays_active_and_needs_review():
    many_alarms = decide(Tally(**DAY, **GOOD_RECALL, alarms=11), passed_h=3, has_shadow=False, policy=POLICY)
    assert (many_alarms.verdict, many_alarms.reason.rpartition("; ")[2]) == (
        "needs_review",
        "there is no version to roll back to",
    )
    low_recall, forced = Tally(**DAY), Provenance(bypassed_gate=True)
    assert decide(low_recall, passed_h=24, has_shadow=False, policy=POLICY, provenance=forced).extends
    at_end = decide(low_recall, passed_h=72, has_shadow=False, policy=POLICY)
    assert (at_end.verdict, at_end.reason) == (
        "needs_review",
        "it finds 0 % of the injected anomalies, at least 10 % are required; there is no version to roll back to",
    )


LOW_RECALL = Tally(minutes=240, injected=MIN_INJECTED, detected=2, shadow_detected=0)


@pytest.mark.parametrize(
    ("provenance", "verdict"),
    [
        (Provenance(bypassed_gate=True), "rolled_back"),
        (Provenance(bypassed_gate=True, trained_detection=0.0), "rolled_back"),
        (Provenance(trained_detection=0.33), "rolled_back"),
        (Provenance(trained_detection=0.32), "watching"),  # within the tolerance of the gate
        (Provenance(trained_detection=None, shadow_trained_detection=0.33), "rolled_back"),
        (Provenance(), "watching"),
    ],
)
def test_low_recall_after_a_version_with_low_recall_is_rolled_back_if_the_gate_was_bypassed_or_training_found_more(
    provenance, verdict
):
    decision = decide(LOW_RECALL, passed_h=4, has_shadow=True, policy=POLICY, provenance=provenance)
    assert decision.verdict == verdict


def test_a_version_with_enough_recall_is_accepted_whatever_its_provenance():
    provenance = Provenance(bypassed_gate=True, trained_detection=0.9, shadow_trained_detection=0.9)
    enough = Tally(minutes=1_440, injected=56, detected=6, shadow_detected=0, shadow_alarms=24)
    assert decide(enough, passed_h=24, has_shadow=True, policy=POLICY, provenance=provenance).verdict == "accepted"


def test_recall_is_not_judged_before_enough_anomalies_were_injected():
    few = Tally(minutes=180, injected=MIN_INJECTED - 1)
    provenance = Provenance(bypassed_gate=True, trained_detection=0.9)
    assert decide(few, passed_h=4, has_shadow=True, policy=POLICY, provenance=provenance).verdict == "watching"


def test_low_recall_of_both_versions_extends_the_probation_and_is_never_accepted():
    longer = decide(Tally(**DAY), passed_h=24, has_shadow=True, policy=POLICY)
    assert (longer.verdict, longer.extends) == ("watching", True)
    assert longer.reason == (
        "it finds 0 % of the injected anomalies, at least 10 % are required; the version before it finds 0 %: "
        "the probation lasts up to 72 hours instead of 24"
    )
    assert decide(Tally(**DAY), passed_h=71.9, has_shadow=True, policy=POLICY).extends
    at_end = decide(Tally(**DAY), passed_h=72, has_shadow=True, policy=POLICY)
    assert (at_end.verdict, at_end.reason.rpartition("; ")[2]) == (
        "needs_review",
        "the version before it finds 0 %",
    )


def test_too_few_injected_anomalies_extend_the_probation_up_to_its_maximum():
    few = Tally(minutes=1_440, injected=5)
    assert decide(few, passed_h=24, has_shadow=True, policy=POLICY).extends
    assert decide(few, passed_h=72, has_shadow=True, policy=POLICY).verdict == "accepted"


def test_a_short_probation_is_extended_until_recall_can_be_judged():
    short = replace(POLICY, hours=1.0)
    assert short.max_hours == 8.0
    assert decide(Tally(minutes=60, injected=7), passed_h=1, has_shadow=True, policy=short).extends


def test_figures_are_rates_and_shares_and_none_where_nothing_was_counted():
    tally = Tally(minutes=2_880, alarms=4, shadow_alarms=6, injected=56, detected=28, shadow_detected=42)
    assert set_tally(ProbationState(), tally, has_shadow=True) == ProbationState(
        tally=tally, alarms_per_day=2.0, shadow_alarms_per_day=3.0, detection=0.5, shadow_detection=0.75
    )
    assert set_tally(ProbationState(), Tally(), has_shadow=False).shadow_alarms_per_day is None


def test_the_default_settings_give_the_default_policy():
    assert ProbationPolicy.from_settings(Settings()) == POLICY
