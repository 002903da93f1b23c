"""What a demo must have shown of the loop: each step fails by itself, with what was found instead."""

from dataclasses import replace

import pytest

from bgpdrift.lab.demo.chronicle import Chronicle, Happening
from bgpdrift.lab.demo.outcome import Forced, outcome
from bgpdrift.lab.demo.plan import Plan
from bgpdrift.lab.demo.training import TrainedModel
from bgpdrift.lab.simulation.truth import IncidentTruth
from bgpdrift.store import migrate, open_store

HOUR = 3_600
START = 1_788_220_800
PLAN = Plan(
    START + 10 * HOUR, (START, START + 5 * HOUR), (START + 30 * HOUR, START + 35 * HOUR), START + 40 * HOUR,
    START + 45 * HOUR, START + 60 * HOUR,
)  # fmt: skip
TRUTH = [IncidentTruth("worm", START + at * HOUR, START + (at + 1) * HOUR, ("rrc00",), ()) for at in (2, 32)]
REFUSED = TrainedModel("lstm", 3, "4", "finds too little", 0, 1.0)
FORCED = Forced("lstm", "5", "3", "never alarms", START + 46 * HOUR)
GOOD = (
    Happening(START + 15 * HOUR, "check", "lstm", "drift high", "the level rose"),
    Happening(START + 20 * HOUR, "version", "lstm 3", "active"),
    Happening(START + 28 * HOUR, "version", "lstm 3", "accepted"),
    Happening(START + 46 * HOUR, "version", "lstm 5", "active"),
    Happening(START + 50 * HOUR, "version", "lstm 5", "rolled_back"),
)


@pytest.fixture
def store(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    migrate(url)
    with open_store(url) as opened:
        for hour in (*range(5), *range(30, 35)):
            loud = 9.0 if hour in (2, 32) else 0.5
            opened.write_verdicts([verdict(START + hour * HOUR + 60 * m, loud) for m in range(60)], None)
        yield opened


def verdict(at: int, combined: float) -> dict:
    return {
        "window_start": at, "collector": "rrc00", "peer": "", "combined": combined, "p_values": {"lstm": 0.1},
        "votes": {}, "abstaining": {}, "majority": False, "maximum": 0.0, "exceeds": False, "is_anomaly": False,
        "explained_by": "", "evidence": {}, "decided_at": 0.0,
    }  # fmt: skip


def judged(store, happened=GOOD, poisoned=(REFUSED,), forced=FORCED, active_versions="3", truth=TRUTH):
    chronicle = Chronicle(store, START)
    chronicle.happenings += happened
    return {
        step.what: step for step in outcome(store, chronicle, truth, PLAN, poisoned, forced, {"lstm": active_versions})
    }


def test_when_all_of_it_happened_each_step_says_when(store):
    steps = judged(store)

    assert [step.passed for step in steps.values()] == [True] * 6
    assert steps["drift found after the change"].found == "lstm after 5 h"
    assert steps["probation accepted"].found == "lstm 3 after 18 h"
    assert steps["quality restored (AUC)"].found == "1.000 before, 1.000 after"
    assert steps["bad model taken back"].found == "lstm 5 after 4 h, 3 is back"


@pytest.mark.parametrize(
    ("missing", "failed"),
    [
        (0, "drift found after the change"),
        (1, "trained again and in force"),
        (2, "probation accepted"),
        (4, "bad model taken back"),
    ],
)
def test_what_did_not_happen_fails(store, missing, failed):
    steps = judged(store, [one for number, one in enumerate(GOOD) if number != missing])

    assert not steps[failed].passed


def test_a_new_model_that_was_taken_back_is_no_settled_one(store):
    back = Happening(START + 29 * HOUR, "version", "lstm 3", "rolled_back")

    assert not judged(store, [*GOOD, back])["probation accepted"].passed


def test_a_bad_model_that_comes_again_was_not_taken_back_for_good(store):
    again = Happening(START + 55 * HOUR, "version", "lstm 5", "active")

    assert not judged(store, [*GOOD, again])["bad model taken back"].passed
    assert not judged(store, active_versions="5")["bad model taken back"].passed
    assert not judged(store, forced=None)["bad model taken back"].passed


@pytest.mark.parametrize("poisoned", [(), (replace(REFUSED, exit_code=0),), (REFUSED, replace(REFUSED, exit_code=4))])
def test_poison_must_be_refused_by_the_gate_and_not_fail_otherwise(store, poisoned):
    assert not judged(store, poisoned=poisoned)["poisoned candidates refused"].passed


def test_a_world_that_is_seen_worse_than_before_is_not_restored(store):
    hidden = [TRUTH[0], replace(TRUTH[1], start=TRUTH[1].start + 2 * HOUR, end=TRUTH[1].end + 2 * HOUR)]

    found = judged(store, truth=hidden)["quality restored (AUC)"]

    assert not found.passed
    assert found.found.startswith("1.000 before, 0.")
