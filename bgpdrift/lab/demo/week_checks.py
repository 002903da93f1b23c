"""Checks the week: drift found, better models active, quality restored, poisoned model rejected, bad model rolled back.

This module decides what must have happened. It reads the timeline, the store and the actions of the demo, and returns one
step with its figure, in event time, for each requirement. `week` decides the order of the acts.
"""

from collections.abc import Mapping, Sequence

from bgpdrift.detector_registry import MODELS
from bgpdrift.lab.demo.stage import ForcedModel, Step, check_rollback
from bgpdrift.lab.demo.timeline import StateChange, Timeline
from bgpdrift.lab.demo.training import TrainedModel
from bgpdrift.lab.demo.week_plan import HOUR_S, Plan
from bgpdrift.lab.evaluation.stored_quality import ENSEMBLE, stored_quality
from bgpdrift.lab.simulation.truth import IncidentTruth
from bgpdrift.store import Store

MAX_AUC_LOSS = 0.02
"""The quality is restored if the area under the ROC curve is at most this much below the value before the change."""
REJECTED_EXIT = 3


def check_week(
    store: Store,
    timeline: Timeline,
    truth: Sequence[IncidentTruth],
    plan: Plan,
    poisoned: Sequence[TrainedModel],
    forced: ForcedModel | None,
    active: Mapping[str, str],
) -> list[Step]:
    """Check the week.

    Parameters
    ----------
    store, timeline
        Store and timeline of the demo.
    truth : sequence of IncidentTruth
        All incidents of the scenario.
    plan : Plan
        When what happens.
    poisoned : sequence of TrainedModel
        The trainings on the poisoned history.
    forced : ForcedModel or None
        The bad model, if it was published.
    active : mapping of str to str
        Active version by model at the end.
    """
    return [
        *_check_drift(timeline, plan),
        _check_quality(store, truth, plan),
        _check_poison(poisoned),
        check_rollback(timeline, forced, active),
    ]


def _check_drift(timeline: Timeline, plan: Plan) -> list[Step]:
    changed = plan.change_at
    drifts = [first for model in MODELS if (first := _first_drift(timeline, model, plan))]
    trained = [v for v in timeline.select("version", state="active", since=changed) if v.at < plan.after[1]]
    new = {v.subject for v in trained}
    accepted = timeline.select("version", state="accepted", since=changed)
    accepted = [v for v in accepted if v.at < plan.storms_to and v.subject in new]
    back = [v for v in timeline.select("version", state="rolled_back", since=changed) if v.subject in new]
    return [
        Step("drift found after the change", format_hours(drifts, changed), bool(drifts)),
        Step("new model trained and active", format_hours(trained, changed), bool(trained)),
        Step("probation passed", format_hours(accepted, changed), bool(accepted) and not back),
    ]


def _first_drift(timeline: Timeline, model: str, plan: Plan) -> StateChange | None:
    checks = timeline.select("check", model, since=plan.change_at)
    return next((one for one in checks if one.state.startswith("drift") and one.at < plan.after[1]), None)


def format_hours(changes: Sequence[StateChange], since: int) -> str:
    """Format when something happened, in hours since a moment; "never" if nothing did."""
    return ", ".join(f"{one.subject} after {(one.at - since) / HOUR_S:.0f} h" for one in changes) or "never"


def _check_quality(store: Store, truth: Sequence[IncidentTruth], plan: Plan) -> Step:
    before = stored_quality(store, truth, *plan.before).get(ENSEMBLE)
    after = stored_quality(store, truth, *plan.after).get(ENSEMBLE)
    auc_before, auc_after = (figures.auc if figures else None for figures in (before, after))
    if auc_before is None or auc_after is None:
        return Step("quality restored", "not measurable", False)
    text = f"{auc_before:.3f} before, {auc_after:.3f} after"
    return Step("quality restored (AUC)", text, auc_after >= auc_before - MAX_AUC_LOSS)


def _check_poison(poisoned: Sequence[TrainedModel]) -> Step:
    rejected = [model.model for model in poisoned if model.exit_code == REJECTED_EXIT]
    others = [f"{model.model} exit {model.exit_code}" for model in poisoned if model.exit_code != REJECTED_EXIT]
    text = "; ".join([f"rejected: {', '.join(rejected)}" if rejected else "never", *others])
    return Step("poisoned candidates rejected", text, bool(rejected) and not others)
