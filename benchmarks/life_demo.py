"""The week of `bgpdrift demo` in one process: the same world, settings and actions, without feed and supervisor."""

from benchmarks.life_scenarios import Bar, LifeScenario, Lived, run_cli
from bgpdrift.lab.demo.bad_model import force_bad_model
from bgpdrift.lab.demo.run import HISTORY_WEEK_H
from bgpdrift.lab.demo.settings import WEEK
from bgpdrift.lab.demo.stage import BAD_FAULT, ForcedModel
from bgpdrift.lab.demo.training import TrainedModel
from bgpdrift.lab.demo.week import ADVERSARY, BAD_MODEL, POISON_DAYS, POISONED_MODELS
from bgpdrift.lab.demo.week_checks import check_week
from bgpdrift.lab.demo.week_plan import Plan, plan_of
from bgpdrift.lab.simulation.scenario_text import PRESETS


def demo() -> LifeScenario:
    """Return the week of the demo as a life."""

    def act(lived: Lived, now: int) -> None:
        plan = _plan(lived)
        if now != -(-plan.storms_to // 3600) * 3600:
            return
        life = lived.life
        for row in life.store.incidents_between(plan.storms_from, plan.storms_to):
            if row["merged_into"] is None and row["started_at"] >= plan.storms_from:
                run_cli("label", str(row["id"]), "false_positive", "--by", ADVERSARY)
        results = life.train(POISONED_MODELS, "--days", POISON_DAYS)
        lived.notes["poisoned"] = [
            TrainedModel(model, int(out["exit_code"]), str(out.get("version")), str(out["reason"]), 0, 0.0)
            for model, out in results.items()
        ]
        before = lived.active_versions().get(BAD_MODEL, "")
        if not before:
            return  # the model was never trained
        version = force_bad_model(life.settings, life.store, life.registry, BAD_MODEL, BAD_FAULT)
        lived.notes["forced"] = ForcedModel(BAD_MODEL, version, before, BAD_FAULT, now)

    def judge(lived: Lived) -> list[Bar]:
        poisoned, forced = lived.notes["poisoned"], lived.notes.get("forced")
        assert isinstance(poisoned, list)
        assert forced is None or isinstance(forced, ForcedModel)
        truth = lived.world.truth.incidents
        steps = check_week(
            lived.life.store, lived.timeline, truth, _plan(lived), poisoned, forced, lived.active_versions()
        )
        why = [Bar(f"{model.model} on the poisoned history", model.outcome, True) for model in poisoned]
        return [*(Bar(step.name, step.finding, step.passed) for step in steps), *why]

    changes = {one.name: one.value for one in WEEK}
    return LifeScenario("the week of the demo", PRESETS["week"], judge, act, changes, train_d=(HISTORY_WEEK_H + 2) / 24)


def _plan(lived: Lived) -> Plan:
    plan = plan_of(lived.world.truth)
    assert plan is not None
    return plan
