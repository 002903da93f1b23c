"""The decision table of the ensemble, line by line."""

import pytest

from bgpdrift.verdicts.ensemble import WAITING, EnsemblePolicy, Vote, decide, passes_debounce

POLICY = EnsemblePolicy({"lstm": 0.4, "isolation_forest": 0.3, "heuristic": 0.3})
CALM = Vote(p_value=0.5)
SURE = Vote(p_value=1e-8, is_alarm=True)
SILENT = Vote(abstained=WAITING)
STORM = {"rule": "update_storm", "sufficient": True}
WEAK = {"rule": "path_length", "sufficient": False}
EXPLAINED = {**STORM, "explained_by": "peer_reset"}


def _decide(lstm: Vote, forest: Vote, heuristic: Vote, reset: bool = False):
    return decide({"lstm": lstm, "isolation_forest": forest, "heuristic": heuristic}, POLICY, reset)


@pytest.mark.parametrize(
    ("votes", "exceeds"),
    [
        ((SILENT, SILENT, SILENT), False),
        ((SILENT, SILENT, Vote(1e-3, True, rules_fired=[STORM])), True),
        ((CALM, CALM, Vote(1e-3, True, rules_fired=[STORM])), True),
        ((SILENT, SILENT, Vote(1e-3, False, rules_fired=[STORM])), False),
        ((SILENT, SILENT, Vote(1e-3, True, rules_fired=[WEAK])), False),
        ((SILENT, SILENT, Vote(1e-5, True, rules_fired=[WEAK])), True),
        ((SILENT, SILENT, Vote(1e-4, True, rules_fired=[WEAK])), False),
        ((CALM, CALM, Vote(1e-12, True, rules_fired=[WEAK])), False),
        ((SURE, SURE, CALM), True),
        ((SURE, CALM, CALM), False),
        ((Vote(1e-3, True), Vote(1e-3, True), CALM), False),
        ((Vote(1e-12, False), Vote(1e-12, False), CALM), False),
    ],
)
def test_each_line_of_the_table(opinions, exceeds: bool) -> None:
    assert _decide(*opinions).exceeds is exceeds


def test_a_silent_detector_is_named_and_pulls_nothing_down() -> None:
    """The weights are shared out among those who vote: an absent detector is no zero."""
    verdict = _decide(SILENT, SILENT, Vote(1e-6, True, rules_fired=[WEAK]))
    assert verdict.combined == pytest.approx(6.0)
    assert verdict.abstaining == {"lstm": WAITING, "isolation_forest": WAITING}
    assert set(verdict.votes) == set(verdict.p_values) == {"heuristic"}


def test_weights_decide_how_much_each_says() -> None:
    """A third of the combined surprisal is the weighted mean; the rest is what two of them reach, here nothing."""
    verdict = _decide(Vote(1e-10), Vote(1.0), Vote(1.0))
    assert verdict.combined == pytest.approx(4.0 / 3)
    assert _decide(Vote(1.0), Vote(1e-10), Vote(1.0)).combined == pytest.approx(1.0)
    assert verdict.maximum == pytest.approx(10.0)
    assert not verdict.majority


def test_what_two_agree_on_counts_for_more_than_what_one_shouts() -> None:
    one = _decide(Vote(1e-9), Vote(0.5), Vote(0.5)).combined
    two = _decide(Vote(0.5), Vote(1e-4), Vote(1e-4)).combined
    assert two > one


def test_a_table_transfer_explains_what_looks_like_a_storm() -> None:
    verdict = _decide(SURE, SURE, Vote(0.5, rules_fired=[EXPLAINED]), reset=True)
    assert not verdict.exceeds
    assert verdict.explained_by == "peer_reset"


def test_a_hijack_during_a_table_transfer_is_an_alarm() -> None:
    hijack = {"rule": "moas_new", "sufficient": True}
    verdict = _decide(SILENT, SILENT, Vote(1e-6, True, rules_fired=[EXPLAINED, hijack]), reset=True)
    assert verdict.exceeds
    assert verdict.explained_by == ""


@pytest.mark.parametrize(
    ("exceeding", "anomaly"),
    [([120], False), ([60, 120], True), ([0, 120], True), ([0, 60], False), ([-60, 120], False), ([120, 180], False)],
)
def test_two_of_three_minutes_of_event_time(exceeding: list[int], anomaly: bool) -> None:
    """Verdicts of the future and gaps count for nothing; only a minute that exceeds itself is an anomaly."""
    assert passes_debounce([(start, True) for start in exceeding], 120, POLICY) is anomaly


def test_the_limit_follows_what_the_detectors_themselves_call_an_alarm() -> None:
    """Detectors whose minutes cluster alarm at a larger p; two of them agreeing must then be enough."""
    clustered = Vote(8e-3, True, alarm_p=0.01)
    assert _decide(clustered, clustered, Vote(8e-3, alarm_p=0.01)).exceeds
    independent = Vote(8e-3, True)
    assert not _decide(independent, independent, Vote(8e-3)).exceeds


def test_a_smaller_budget_of_the_ensemble_asks_for_more() -> None:
    clustered = Vote(8e-3, True, alarm_p=0.01)
    strict = EnsemblePolicy(POLICY.weights, false_alarms_per_day=0.2)
    opinions = dict.fromkeys(POLICY.weights, clustered)
    assert decide(opinions, POLICY).exceeds
    assert not decide(opinions, strict).exceeds


def test_a_weight_of_nought_takes_a_detector_out_of_the_vote_and_keeps_it_on_record() -> None:
    mute = EnsemblePolicy({**POLICY.weights, "lstm": 0.0})
    opinions = {"lstm": SURE, "isolation_forest": SURE, "heuristic": CALM}
    assert decide(opinions, POLICY).exceeds
    verdict = decide(opinions, mute)
    assert not verdict.exceeds
    assert verdict.votes["lstm"]
