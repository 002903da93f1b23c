"""The decision table of the ensemble, its policy and the debounce."""

import pytest

from bgpdrift.settings import load
from bgpdrift.verdicts.ensemble import WAITING, EnsemblePolicy, Vote, decide, ensemble_policy, passes_debounce

POLICY = EnsemblePolicy({"lstm": 0.4, "isolation_forest": 0.3, "heuristic": 0.3})
CALM = Vote(p_value=0.5)
SURE = Vote(p_value=1e-8, is_alarm=True)
ABSTENTION = Vote(abstained=WAITING)
STORM = {"rule": "update_storm", "sufficient": True}
WEAK = {"rule": "path_length", "sufficient": False}
EXPLAINED = {**STORM, "explained_by": "peer_reset"}


def _decide(lstm: Vote, forest: Vote, heuristic: Vote, reset: bool = False):
    return decide({"lstm": lstm, "isolation_forest": forest, "heuristic": heuristic}, POLICY, reset)


@pytest.mark.parametrize(
    ("votes", "exceeds"),
    [
        ((ABSTENTION, ABSTENTION, ABSTENTION), False),
        ((ABSTENTION, ABSTENTION, Vote(1e-3, True, rules_fired=[STORM])), True),
        ((CALM, CALM, Vote(1e-3, True, rules_fired=[STORM])), True),
        ((ABSTENTION, ABSTENTION, Vote(1e-3, False, rules_fired=[STORM])), False),
        ((ABSTENTION, ABSTENTION, Vote(1e-3, True, rules_fired=[WEAK])), False),
        ((ABSTENTION, ABSTENTION, Vote(1e-5, True, rules_fired=[WEAK])), True),
        ((ABSTENTION, ABSTENTION, Vote(1e-4, True, rules_fired=[WEAK])), False),
        ((CALM, CALM, Vote(1e-12, True, rules_fired=[WEAK])), False),
        ((SURE, SURE, CALM), True),
        ((SURE, CALM, CALM), False),
        ((Vote(1e-3, True), Vote(1e-3, True), CALM), False),
        ((Vote(1e-12, False), Vote(1e-12, False), CALM), False),
    ],
)
def test_each_line_of_the_table(votes, exceeds: bool) -> None:
    assert _decide(*votes).exceeds is exceeds


def test_an_abstention_is_listed_with_its_reason_and_does_not_lower_the_result() -> None:
    """Only the weights of the voting detectors count; an absent detector is not a zero."""
    verdict = _decide(ABSTENTION, ABSTENTION, Vote(1e-6, True, rules_fired=[WEAK]))
    assert verdict.combined == pytest.approx(6.0)
    assert verdict.abstaining == {"lstm": WAITING, "isolation_forest": WAITING}
    assert set(verdict.votes) == set(verdict.p_values) == {"heuristic"}


def test_a_third_of_the_combined_surprisal_follows_the_weights() -> None:
    """A third is the weighted mean; the rest is the level that two detectors reach, here 0."""
    verdict = _decide(Vote(1e-10), Vote(1.0), Vote(1.0))
    assert verdict.combined == pytest.approx(4.0 / 3)
    assert _decide(Vote(1.0), Vote(1e-10), Vote(1.0)).combined == pytest.approx(1.0)
    assert verdict.maximum == pytest.approx(10.0)
    assert not verdict.majority


def test_a_moderate_level_of_two_detectors_counts_more_than_a_high_level_of_one() -> None:
    one = _decide(Vote(1e-9), Vote(0.5), Vote(0.5)).combined
    two = _decide(Vote(0.5), Vote(1e-4), Vote(1e-4)).combined
    assert two > one


def test_a_table_transfer_explains_an_update_storm() -> None:
    verdict = _decide(SURE, SURE, Vote(0.5, rules_fired=[EXPLAINED]), reset=True)
    assert not verdict.exceeds
    assert verdict.explained_by == "peer_reset"


def test_a_hijack_during_a_table_transfer_is_an_alarm() -> None:
    hijack = {"rule": "moas_new", "sufficient": True}
    verdict = _decide(ABSTENTION, ABSTENTION, Vote(1e-6, True, rules_fired=[EXPLAINED, hijack]), reset=True)
    assert verdict.exceeds
    assert verdict.explained_by == ""


@pytest.mark.parametrize(
    ("exceeding", "anomaly"),
    [([120], False), ([60, 120], True), ([0, 120], True), ([0, 60], False), ([-60, 120], False), ([120, 180], False)],
)
def test_two_of_the_last_three_minutes_of_event_time_make_an_anomaly(exceeding: list[int], anomaly: bool) -> None:
    """Later minutes and missing minutes do not count, and the present minute itself must exceed."""
    assert passes_debounce([(start, True) for start in exceeding], 120, POLICY) is anomaly


def test_the_limit_follows_the_alarm_p_values_of_the_detectors() -> None:
    """A detector whose alarm minutes cluster alarms at a larger p-value; two of them must then be enough."""
    clustered = Vote(8e-3, True, alarm_p=0.01)
    assert _decide(clustered, clustered, Vote(8e-3, alarm_p=0.01)).exceeds
    independent = Vote(8e-3, True)
    assert not _decide(independent, independent, Vote(8e-3)).exceeds


def test_a_smaller_budget_of_the_ensemble_raises_the_limit() -> None:
    clustered = Vote(8e-3, True, alarm_p=0.01)
    strict = EnsemblePolicy(POLICY.weights, false_alarms_per_day=0.2)
    votes = dict.fromkeys(POLICY.weights, clustered)
    assert decide(votes, POLICY).exceeds
    assert not decide(votes, strict).exceeds


def test_a_weight_of_zero_removes_a_detector_from_the_decision_but_not_from_the_record() -> None:
    unweighted = EnsemblePolicy({**POLICY.weights, "lstm": 0.0})
    votes = {"lstm": SURE, "isolation_forest": SURE, "heuristic": CALM}
    assert decide(votes, POLICY).exceeds
    verdict = decide(votes, unweighted)
    assert not verdict.exceeds
    assert verdict.votes["lstm"]


def test_the_policy_takes_every_parameter_from_its_setting() -> None:
    """Every setting differs from its default and from the others, so that no two can be exchanged."""
    settings = load(
        env={
            "BGPDRIFT_DETECTORS__LSTM__WEIGHT": "0.5",
            "BGPDRIFT_DETECTORS__ISOLATION_FOREST__WEIGHT": "0.2",
            "BGPDRIFT_DETECTORS__HEURISTIC__WEIGHT": "0.1",
            "BGPDRIFT_ENSEMBLE__FALSE_ALARMS_PER_DAY": "1.5",
            "BGPDRIFT_DETECTORS__FALSE_ALARMS_PER_DAY": "3.5",
            "BGPDRIFT_ENSEMBLE__DEBOUNCE_K": "4",
            "BGPDRIFT_ENSEMBLE__DEBOUNCE_N": "7",
        }
    )

    assert ensemble_policy(settings) == EnsemblePolicy(
        weights={"lstm": 0.5, "isolation_forest": 0.2, "heuristic": 0.1},
        false_alarms_per_day=1.5,
        detector_false_alarms_per_day=3.5,
        debounce_k=4,
        debounce_n=7,
    )
