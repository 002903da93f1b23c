"""What speaks against a version on probation, and what does not."""

from dataclasses import replace

import pytest

from bgpdrift.models.probation import ProbationPolicy, Tally, decide
from bgpdrift.settings import Settings

POLICY = ProbationPolicy()
DAY = {"minutes": 1_440, "injected": 56}


@pytest.mark.parametrize(
    ("tally", "verdict"),
    [
        (Tally(**DAY, alarms=2, shadow_alarms=2, found=40, shadow_found=41), "settled"),
        (Tally(**DAY, alarms=11, shadow_alarms=2), "rolled_back"),
        (Tally(**DAY, alarms=10, shadow_alarms=0), "settled"),
        (Tally(minutes=60, alarms=11), "rolled_back"),  # also within its first hours
        (Tally(**DAY, alarms=24, shadow_alarms=24), "settled"),  # both: an attack, or a new level
        (Tally(**DAY, found=26, shadow_found=41), "rolled_back"),
        (Tally(**DAY, found=27, shadow_found=41), "settled"),
        (Tally(**DAY, found=56, shadow_found=0), "settled"),  # the one before it alarms all the time
        (Tally(minutes=60, injected=27, found=0, shadow_found=27), "settled"),  # too few to tell
        (Tally(**DAY, labels=40, right=36, shadow_right=39), "rolled_back"),
        (Tally(**DAY, labels=40, right=37, shadow_right=39), "settled"),
        (Tally(**DAY, labels=19, right=0, shadow_right=19), "settled"),
        (Tally(**DAY, labels=20, right=18, shadow_right=20), "settled"),  # two labels are chance
    ],
)
def test_each_rule_speaks_from_its_limit_on(tally, verdict):
    decision = decide(tally, passed_h=24, has_shadow=True, policy=POLICY)
    assert decision.verdict == verdict
    assert decision.reason


def test_before_its_time_has_passed_a_good_version_is_watched():
    assert decide(Tally(**DAY), passed_h=23.9, has_shadow=True, policy=POLICY).verdict == "watching"


def test_without_a_version_before_it_only_the_budget_judges_and_nothing_is_taken_back():
    loud = decide(Tally(**DAY, alarms=11), passed_h=3, has_shadow=False, policy=POLICY)
    assert (loud.verdict, loud.reason.rpartition("; ")[2]) == ("alone", "there is no version to go back to")
    deaf = Tally(**DAY, found=0, shadow_found=0)
    assert decide(deaf, passed_h=24, has_shadow=False, policy=POLICY).verdict == "settled"


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
