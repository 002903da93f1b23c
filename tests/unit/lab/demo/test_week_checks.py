"""What the week must have shown: each step fails by itself, and gives what was found instead."""

from dataclasses import replace

import pytest

from bgpdrift.lab.demo.stage import ForcedModel
from bgpdrift.lab.demo.timeline import StateChange, Timeline
from bgpdrift.lab.demo.training import TrainedModel
from bgpdrift.lab.demo.week_checks import check_week
from bgpdrift.lab.demo.week_plan import Plan
from bgpdrift.lab.simulation.truth import IncidentTruth
from bgpdrift.store import migrate, open_store

HOUR = 3_600
START = 1_788_220_800
PLAN = Plan(
    START + 10 * HOUR, (START, START + 5 * HOUR), (START + 30 * HOUR, START + 35 * HOUR), START + 40 * HOUR,
    START + 45 * HOUR, START + 60 * HOUR,
)  # fmt: skip
TRUTH = [IncidentTruth("worm", START + at * HOUR, START + (at + 1) * HOUR, ("rrc00",), ()) for at in (2, 32)]
REJECTED = TrainedModel("lstm", 3, "4", "finds too little", 0, 1.0)
FORCED = ForcedModel("lstm", "5", "3", "never alarms", START + 46 * HOUR)
GOOD = (
    StateChange(START + 15 * HOUR, "check", "lstm", "drift high", "the level rose"),
    StateChange(START + 20 * HOUR, "version", "lstm 3", "active"),
    StateChange(START + 28 * HOUR, "version", "lstm 3", "accepted"),
    StateChange(START + 46 * HOUR, "version", "lstm 5", "active"),
    StateChange(START + 50 * HOUR, "version", "lstm 5", "rolled_back"),
)


@pytest.fixture
def store(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    migrate(url)
    with open_store(url) as opened:
        for hour in (*range(5), *range(30, 35)):
            combined = 9.0 if hour in (2, 32) else 0.5
            opened.write_verdicts([verdict(START + hour * HOUR + 60 * m, combined) for m in range(60)], None)
        yield opened


def verdict(at: int, combined: float) -> dict:
    return {
        "window_start": at, "collector": "rrc00", "peer": "", "combined": combined, "p_values": {"lstm": 0.1},
        "votes": {}, "abstaining": {}, "majority": False, "maximum": 0.0, "exceeds": False, "is_anomaly": False,
        "explained_by": "", "evidence": {}, "decided_at": 0.0,
    }  # fmt: skip


def check(store, changes=GOOD, poisoned=(REJECTED,), forced=FORCED, active_versions="3", truth=TRUTH):
    timeline = Timeline(store, START)
    timeline.changes += changes
    return {
        step.name: step
        for step in check_week(store, timeline, truth, PLAN, poisoned, forced, {"lstm": active_versions})
    }


def test_each_step_gives_when_it_happened(store):
    steps = check(store)

    assert [step.passed for step in steps.values()] == [True] * 6
    assert steps["drift found after the change"].finding == "lstm after 5 h"
    assert steps["probation passed"].finding == "lstm 3 after 18 h"
    assert steps["quality restored (AUC)"].finding == "1.000 before, 1.000 after"
    assert steps["bad model rolled back"].finding == "lstm 5 after 4 h, 3 is active again"


@pytest.mark.parametrize(
    ("missing", "failed"),
    [
        (0, "drift found after the change"),
        (1, "new model trained and active"),
        (2, "probation passed"),
        (4, "bad model rolled back"),
    ],
)
def test_a_step_that_did_not_happen_fails(store, missing, failed):
    steps = check(store, [one for number, one in enumerate(GOOD) if number != missing])

    assert not steps[failed].passed


def test_a_new_model_that_was_rolled_back_fails_the_probation_step(store):
    back = StateChange(START + 29 * HOUR, "version", "lstm 3", "rolled_back")

    assert not check(store, [*GOOD, back])["probation passed"].passed


def test_a_bad_model_that_is_active_at_the_end_or_came_back_fails(store):
    again = StateChange(START + 55 * HOUR, "version", "lstm 5", "active")

    assert not check(store, [*GOOD, again])["bad model rolled back"].passed
    assert not check(store, active_versions="5")["bad model rolled back"].passed
    assert not check(store, forced=None)["bad model rolled back"].passed


@pytest.mark.parametrize(
    "poisoned", [(), (replace(REJECTED, exit_code=0),), (REJECTED, replace(REJECTED, exit_code=4))]
)
def test_the_gate_itself_must_reject_the_poisoned_candidates(store, poisoned):
    assert not check(store, poisoned=poisoned)["poisoned candidates rejected"].passed


def test_a_lower_quality_than_before_the_change_fails(store):
    hidden = [TRUTH[0], replace(TRUTH[1], start=TRUTH[1].start + 2 * HOUR, end=TRUTH[1].end + 2 * HOUR)]

    step = check(store, truth=hidden)["quality restored (AUC)"]

    assert not step.passed
    assert step.finding.startswith("1.000 before, 0.")
