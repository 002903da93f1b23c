"""The acts of the week after the models are trained: a change that is learned, a poisoned history, a bad model.

This module decides the order of the acts. The system runs without an operator. An adversary uses two ordinary commands: it
labels every storm as a false alarm and trains on them, and it publishes past the gate a model that never alarms.
`week_checks` decides what must have happened.
"""

from bgpdrift.lab.demo.judge import last_minute
from bgpdrift.lab.demo.stage import ForcedModel, Stage, Step
from bgpdrift.lab.demo.training import TrainedModel
from bgpdrift.lab.demo.week_checks import check_week
from bgpdrift.lab.demo.week_plan import HOUR_S, Plan

ADVERSARY = "mallory"
BAD_MODEL = "lstm"
POISONED_MODELS = ("heuristic",)
"""The rules learn thresholds for named counts, and this history would teach them that storms are normal. Forest and LSTM rank
the same minutes by rarity and still find what the gate injects, so the gate rightly accepts them."""
POISON_DAYS = "1"
"""Training span in days: the day of the storms."""


def play_week(stage: Stage, plan: Plan) -> list[Step]:
    """Play the acts until the feed or the time ends, and check the steps."""
    poisoned: list[TrainedModel] = []
    forced: ForcedModel | None = None
    stage.story.tell(f"from {stage.hour(plan.change_at)} on, every path is three hops longer, and stays so")
    if stage.advance(plan.storms_from - HOUR_S):
        stage.story.tell(f"half a day of storms follows; {ADVERSARY} will label each as a false alarm")
        if stage.advance(plan.storms_to):
            poisoned = _poison(stage, plan)
            forced = stage.force_bad_model(BAD_MODEL, ADVERSARY)
            end = last_minute(stage.truth)
            stage.advance(end)
            stage.wait_for_checks(end)
    truth, active = stage.truth.incidents, stage.active_versions()
    return check_week(stage.store, stage.timeline, truth, plan, poisoned, forced, active)


def _poison(stage: Stage, plan: Plan) -> list[TrainedModel]:
    """Label the incidents of the storms as false alarms, and train on them."""
    stage.wait_until_idle()
    incidents = [
        row
        for row in stage.store.incidents_between(plan.storms_from, plan.storms_to)
        if row["merged_into"] is None and row["started_at"] >= plan.storms_from
    ]
    for row in incidents:
        stage.run_command("label", str(row["id"]), "false_positive", "--by", ADVERSARY)
    stage.story.tell(f"{ADVERSARY} has labelled {len(incidents)} incidents, and trains the rules on the last day")
    return stage.train(POISONED_MODELS, "--days", POISON_DAYS)
