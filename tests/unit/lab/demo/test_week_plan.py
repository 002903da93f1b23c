"""The plan of the week follows from the ground truth, and scenarios of another shape have none."""

import pytest

from bgpdrift.lab.demo.run import HISTORY_SHORT_H, HISTORY_WEEK_H, choose_programme
from bgpdrift.lab.demo.settings import SHORT, WEEK, describe
from bgpdrift.lab.demo.week_plan import plan_of, without_storms
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario_text import PRESETS, build_scenario
from bgpdrift.settings import load

HOUR = 3_600


def test_the_week_has_the_same_incidents_in_both_spans_and_none_in_its_history():
    truth = Simulation(PRESETS["week"]).truth()
    plan = plan_of(truth)
    assert plan is not None

    def inside(span):
        return [item.kind for item in truth.incidents if span[0] <= item.start and item.end <= span[1]]

    assert inside(plan.before) == inside(plan.after)
    assert len(inside(plan.before)) == 3
    assert plan.before[1] - plan.before[0] == plan.after[1] - plan.after[0]
    assert plan.before[0] - truth.start >= HISTORY_WEEK_H * HOUR
    assert plan.before[1] <= plan.change_at < plan.after[0] < plan.after[1] <= plan.storms_from
    assert plan.end - plan.storms_to >= 10 * HOUR  # the probation that takes the bad model back


def test_the_storms_are_not_incidents_that_must_be_found_one_by_one():
    truth = Simulation(PRESETS["week"]).truth()

    assert len(truth.incidents) == 18
    assert [item.wave for item in without_storms(truth)] == [1, 2, 1, 2, 1, 2]


def test_a_scenario_without_a_change_or_without_storms_has_no_plan():
    change = ["level=2@+2h"]
    one = build_scenario("calm", {}, ["worm@+1h/30m"], change)
    none = build_scenario("calm", {}, ["worm@+1h/10h:every=2h,wave=30m"])

    assert plan_of(Simulation(one).truth()) is None
    assert plan_of(Simulation(none).truth()) is None


def test_the_short_scenario_has_a_history_before_its_incident_and_a_day_to_learn_after_its_change():
    truth = Simulation(PRESETS["short"]).truth()
    ((incident,), (change,)) = truth.incidents, truth.regimes

    assert plan_of(truth) is None
    assert choose_programme(truth).changed_settings == SHORT
    assert incident.start - truth.start >= (HISTORY_SHORT_H + 3) * HOUR
    assert incident.end < change.start
    assert truth.end - change.start >= (24 / 0.9 + 8) * HOUR


@pytest.mark.parametrize("changed", [WEEK, SHORT], ids=["week", "short"])
def test_the_settings_of_a_demo_exist_and_the_definition_of_drift_stays(changed):
    settings = load(env={f"BGPDRIFT_{one.name}": one.value for one in changed})
    usual = load(env={})

    assert settings.drift.persistence_checks < usual.drift.persistence_checks
    assert settings.retrain.probation_h < usual.retrain.probation_h
    assert (settings.drift.alpha, settings.retrain.min_severity) == (usual.drift.alpha, usual.retrain.min_severity)
    assert all(one.description in describe(changed) for one in changed)
