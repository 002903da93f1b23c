"""A demo's plan follows from its ground truth, and a scenario that tells another story has none."""

from bgpdrift.lab.demo.plan import plan_of, without_storms
from bgpdrift.lab.demo.settings import SHORTENED, told
from bgpdrift.lab.demo.training import HISTORY_H
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario_text import PRESETS, build_scenario
from bgpdrift.settings import load

HOUR = 3_600


def test_the_built_in_demo_has_the_same_incidents_in_both_spans_and_none_in_its_history():
    truth = Simulation(PRESETS["demo"]).truth()
    plan = plan_of(truth)
    assert plan is not None

    def inside(span):
        return [item.kind for item in truth.incidents if span[0] <= item.start and item.end <= span[1]]

    assert inside(plan.before) == inside(plan.after)
    assert len(inside(plan.before)) == 3
    assert plan.before[1] - plan.before[0] == plan.after[1] - plan.after[0]
    assert plan.before[0] - truth.start >= HISTORY_H * HOUR
    assert plan.before[1] <= plan.change_at < plan.after[0] < plan.after[1] <= plan.storms_from
    assert plan.end - plan.storms_to >= 10 * HOUR  # the probation that takes the bad model back


def test_storms_are_one_long_night_and_not_a_dozen_incidents_to_be_found():
    truth = Simulation(PRESETS["demo"]).truth()

    assert len(truth.incidents) == 18
    assert [item.wave for item in without_storms(truth)] == [1, 2, 1, 2, 1, 2]


def test_a_scenario_without_a_change_or_without_storms_has_no_plan():
    change = ["level=2@+2h"]
    one = build_scenario("calm", {}, ["worm@+1h/30m"], change)
    none = build_scenario("calm", {}, ["worm@+1h/10h:every=2h,wave=30m"])

    assert plan_of(Simulation(one).truth()) is None
    assert plan_of(Simulation(none).truth()) is None


def test_the_settings_of_the_demo_exist_and_only_times_are_shortened():
    settings = load(env={f"BGPDRIFT_{one.name}": one.value for one in SHORTENED})
    usual = load(env={})

    assert settings.drift.persistence_checks < usual.drift.persistence_checks
    assert settings.retrain.probation_h < usual.retrain.probation_h
    assert (settings.drift.alpha, settings.retrain.min_severity) == (usual.drift.alpha, usual.retrain.min_severity)
    assert all(one.words in told() for one in SHORTENED)
