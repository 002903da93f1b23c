"""The steps of the short demo: each is checked by itself, and one that did not happen fails with what was found."""

from types import SimpleNamespace

import pytest

from bgpdrift.lab.demo.short import check_short
from bgpdrift.lab.demo.stage import ForcedModel
from bgpdrift.lab.demo.timeline import StateChange, Timeline
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario import Incident, Regime, Scenario
from bgpdrift.store import migrate, open_store

HOUR = 3_600
SCENARIO = Scenario(
    duration_s=40 * HOUR,
    prefixes=100,
    incidents=(Incident("hijack", 2 * HOUR, HOUR),),
    regimes=(Regime("path", 3, 10 * HOUR),),
)
CHANGE = int(SCENARIO.start) + 10 * HOUR
GOOD = (
    StateChange(CHANGE - 9 * HOUR, "version", "isolation_forest 1", "active"),
    StateChange(CHANGE - 5 * HOUR, "version", "isolation_forest 2", "active"),
    StateChange(CHANGE + 1 * HOUR, "version", "isolation_forest 2", "rolled_back"),
    StateChange(CHANGE + 1 * HOUR, "version", "isolation_forest 1", "active"),
    StateChange(CHANGE + 20 * HOUR, "check", "lstm", "drift critical", "higher scores"),
    StateChange(CHANGE + 27 * HOUR, "request", "1", "claimed"),
    StateChange(CHANGE + 28 * HOUR, "version", "lstm 2", "active"),
)
FORCED = ForcedModel("isolation_forest", "2", "1", "never alarms", CHANGE - 5 * HOUR)


@pytest.fixture
def store(tmp_path):
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    migrate(url)
    with open_store(url) as opened:
        opened.write_scores([score(CHANGE + 28 * HOUR, "2")], None)
        yield opened


def score(at: int, version: str) -> dict:
    return {
        "window_start": at, "collector": "rrc00", "peer": "", "model": "lstm", "score": 1.0, "model_version": version,
        "p_value": 0.5, "is_alarm": False, "abstained": "", "rules_fired": [], "top_features": [], "alarm_p": 0.01,
        "scored_at": 0.0,
    }  # fmt: skip


def check(store, changes=GOOD, forced=FORCED):
    truth = Simulation(SCENARIO).truth()
    timeline = Timeline(store, int(truth.start))
    timeline.changes += changes
    stage = SimpleNamespace(
        store=store, truth=truth, timeline=timeline, active_versions=lambda: {"isolation_forest": "1", "lstm": "2"}
    )
    return {step.name: step for step in check_short(stage, CHANGE, forced)}


def test_each_step_gives_when_it_happened(store):
    steps = check(store)

    assert [step.name for step in steps.values() if not step.passed] == ["incident found and explained"]
    assert steps["drift found after the change"].finding == "lstm after 20 h"
    assert steps["new model active and scoring"].finding == "lstm 2 after 28 h"
    assert steps["bad model rolled back"].finding == "isolation_forest 2 after 6 h, 1 is active again"


@pytest.mark.parametrize(
    ("missing", "failed"),
    [
        (2, "bad model rolled back"),
        (4, "drift found after the change"),
        (5, "retraining requested and run"),
        (6, "new model active and scoring"),
    ],
)
def test_a_step_that_did_not_happen_fails(store, missing, failed):
    steps = check(store, [one for number, one in enumerate(GOOD) if number != missing])

    assert not steps[failed].passed


def test_a_version_that_is_active_again_after_a_rollback_is_not_a_new_model(store):
    assert check(store, GOOD[:4])["new model active and scoring"].finding == "never"


def test_a_bad_model_that_becomes_active_after_the_change_is_not_its_result(store):
    """On a busy machine event time passes the change before the bad model is active."""
    late = StateChange(CHANGE + 2 * HOUR, "version", "isolation_forest 2", "active")
    store.write_scores([score(CHANGE + 3 * HOUR, "2") | {"model": "isolation_forest"}], None)

    steps = check(store, [one for one in GOOD if not one.subject.startswith(("lstm", "isolation_forest 2"))] + [late])

    assert not steps["new model active and scoring"].passed
