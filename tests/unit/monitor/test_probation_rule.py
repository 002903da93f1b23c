"""What speaks against a version on probation, and what does not."""

from dataclasses import replace

import pytest

from bgpdrift.monitor.probation_rule import LEAST_INJECTED, Metadata, ProbationPolicy, Tally, decide
from bgpdrift.settings import Settings

POLICY = ProbationPolicy()
DAY = {"minutes": 1_440, "injected": 56}
SEES = {"found": 30, "shadow_found": 30}


@pytest.mark.parametrize(
    ("tally", "verdict"),
    [
        (Tally(**DAY, alarms=2, shadow_alarms=2, found=40, shadow_found=41), "accepted"),
        (Tally(**DAY, **SEES, alarms=11, shadow_alarms=2), "rolled_back"),
        (Tally(**DAY, **SEES, alarms=10, shadow_alarms=0), "accepted"),
        (Tally(minutes=60, alarms=11), "rolled_back"),  # also within its first hours
        (Tally(**DAY, **SEES, alarms=24, shadow_alarms=24), "accepted"),  # both: an attack, or a new level
        (Tally(**DAY, found=26, shadow_found=41), "rolled_back"),
        (Tally(**DAY, found=27, shadow_found=41), "accepted"),
        (Tally(**DAY, found=56, shadow_found=0), "accepted"),  # the one before it alarms all the time
        (Tally(minutes=60, injected=27, found=0, shadow_found=27), "watching"),  # too few to tell
        (Tally(**DAY, **SEES, labels=40, right=36, shadow_right=39), "rolled_back"),
        (Tally(**DAY, **SEES, labels=40, right=37, shadow_right=39), "accepted"),
        (Tally(**DAY, **SEES, labels=19, right=0, shadow_right=19), "accepted"),
        (Tally(**DAY, **SEES, labels=20, right=18, shadow_right=20), "accepted"),  # two labels are chance
    ],
)
def test_each_rule_speaks_from_its_limit_on(tally, verdict):
    decision = decide(tally, passed_h=24, has_shadow=True, policy=POLICY)
    assert decision.verdict == verdict
    assert decision.reason


def test_before_its_time_has_passed_a_good_version_is_watched():
    decision = decide(Tally(**DAY, **SEES), passed_h=23.9, has_shadow=True, policy=POLICY)
    assert (decision.verdict, decision.extends) == ("watching", False)


def test_without_a_version_before_it_nothing_is_taken_back_and_the_loud_and_the_deaf_are_told_of():
    loud = decide(Tally(**DAY, **SEES, alarms=11), passed_h=3, has_shadow=False, policy=POLICY)
    assert (loud.verdict, loud.reason.rpartition("; ")[2]) == ("alone", "there is no version to go back to")
    deaf = Tally(**DAY)
    assert decide(deaf, passed_h=24, has_shadow=False, policy=POLICY, metadata=Metadata(past_gate=True)).extends
    told = decide(deaf, passed_h=72, has_shadow=False, policy=POLICY)
    assert (told.verdict, told.reason) == (
        "alone",
        "finds 0 % of the injected anomalies, at least 10 % expected; there is no version to go back to",
    )


DEAF = Tally(minutes=240, injected=LEAST_INJECTED, found=2, shadow_found=0)


@pytest.mark.parametrize(
    ("metadata", "verdict"),
    [
        (Metadata(past_gate=True), "rolled_back"),
        (Metadata(past_gate=True, promised=0.0), "rolled_back"),
        (Metadata(promised=0.33), "rolled_back"),
        (Metadata(promised=0.32), "watching"),  # within the tolerance that the gate has for a model's record
        (Metadata(promised=None, shadow_promised=0.33), "rolled_back"),
        (Metadata(), "watching"),
    ],
)
def test_a_deaf_version_after_a_deaf_one_is_taken_back_in_four_hours_if_it_had_no_pass_or_promised_more(
    metadata, verdict
):
    assert decide(DEAF, passed_h=4, has_shadow=True, policy=POLICY, metadata=metadata).verdict == verdict


def test_a_version_that_hears_enough_stays_whatever_was_promised_and_however_it_came():
    metadata = Metadata(past_gate=True, promised=0.9, shadow_promised=0.9)
    hears = Tally(minutes=1_440, injected=56, found=6, shadow_found=0, shadow_alarms=24)
    assert decide(hears, passed_h=24, has_shadow=True, policy=POLICY, metadata=metadata).verdict == "accepted"


def test_a_promise_is_not_broken_before_enough_anomalies_were_laid():
    few = Tally(minutes=180, injected=LEAST_INJECTED - 1)
    metadata = Metadata(past_gate=True, promised=0.9)
    assert decide(few, passed_h=4, has_shadow=True, policy=POLICY, metadata=metadata).verdict == "watching"


def test_a_version_that_passed_and_hears_nothing_where_nobody_does_is_watched_longer_and_never_settles_deaf():
    longer = decide(Tally(**DAY), passed_h=24, has_shadow=True, policy=POLICY)
    assert (longer.verdict, longer.extends) == ("watching", True)
    assert longer.reason == (
        "finds 0 % of the injected anomalies, at least 10 % expected; the version before it 0 %: "
        "watched for up to 72 hours instead of 24"
    )
    assert decide(Tally(**DAY), passed_h=71.9, has_shadow=True, policy=POLICY).extends
    told = decide(Tally(**DAY), passed_h=72, has_shadow=True, policy=POLICY)
    assert (told.verdict, told.reason.rpartition("; ")[2]) == ("alone", "the version before it 0 %")


def test_where_too_few_anomalies_can_be_laid_it_is_waited_for_them_but_not_for_ever():
    few = Tally(minutes=1_440, injected=5)
    assert decide(few, passed_h=24, has_shadow=True, policy=POLICY).extends
    assert decide(few, passed_h=72, has_shadow=True, policy=POLICY).verdict == "accepted"


def test_however_short_a_probation_is_set_a_deaf_version_can_be_told():
    short = replace(POLICY, hours=1.0)
    assert short.longest_h == 8.0
    assert decide(Tally(minutes=60, injected=7), passed_h=1, has_shadow=True, policy=short).extends


def test_figures_are_rates_and_shares_and_none_where_nothing_was_counted():
    figures = Tally(2_880, 4, 6, 56, 28, 42).figures(has_shadow=True)
    assert figures == {
        "alarms_per_day": 2.0,
        "shadow_alarms_per_day": 3.0,
        "detection": 0.5,
        "shadow_detection": 0.75,
        "accuracy": None,
        "shadow_accuracy": None,
    }
    assert Tally().figures(has_shadow=False)["shadow_alarms_per_day"] is None


def test_the_settings_are_the_policy():
    assert ProbationPolicy.of(Settings()) == POLICY
    assert replace(POLICY, hours=1.0) != POLICY
