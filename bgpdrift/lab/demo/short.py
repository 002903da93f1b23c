"""The acts of the short demo after the training: an incident, a bad model, and a persistent change that is learned.

This module decides the order of the acts and the steps that must have happened. Each step is checked separately and gives
the reason if it did not happen. Two acts are manual: a person publishes a bad model past the gate, and an operator labels
the incident that the change causes as the new normal. `stage` runs the commands, `report` prints the result.
"""

from collections.abc import Sequence

from bgpdrift.lab.demo.judge import EARLY_S, last_minute
from bgpdrift.lab.demo.stage import HOUR_S, ForcedModel, Stage, Step, check_rollback
from bgpdrift.lab.demo.timeline import StateChange

BAD_MODEL = "isolation_forest"
PERSON, OPERATOR = "a person", "an operator"
LABEL_AFTER_S = 4 * HOUR_S
"""Event time after the change at which the operator labels the incidents that it caused."""


def play_short(stage: Stage, change_at: int) -> list[Step]:
    """Play the acts until the feed or the time ends, and check the steps."""
    end, forced = last_minute(stage.truth), None
    if stage.advance(int(stage.truth.incidents[0].end) + HOUR_S):
        forced = stage.force_bad_model(BAD_MODEL, PERSON)
        stage.advance(change_at)
    stage.story.tell(f"from {stage.hour(change_at)} on, every path is three hops longer, and stays so")
    if stage.advance(change_at + LABEL_AFTER_S):
        _label_new_normal(stage, change_at)
    stage.advance(end, lambda: any(_is_scoring(stage, one) for one in _new_versions(stage, change_at, forced)))
    stage.wait_until_idle()
    return check_short(stage, change_at, forced)


def check_short(stage: Stage, change_at: int, forced: ForcedModel | None) -> list[Step]:
    """Check the steps that must have happened."""
    return [
        _check_explanation(stage),
        check_rollback(stage.timeline, forced, stage.active_versions()),
        *_check_retraining(stage, change_at, forced),
    ]


def _label_new_normal(stage: Stage, change_at: int) -> None:
    """Label the incidents that the change caused as the new normal, because an open incident prevents a retraining."""
    stage.wait_until_idle()
    for row in stage.store.incidents_between(change_at, change_at + LABEL_AFTER_S):
        if row["merged_into"] is None and row["started_at"] >= change_at - EARLY_S:
            stage.run_command("label", str(row["id"]), "new_normal", "--by", OPERATOR)
            stage.story.tell(
                f"{OPERATOR} labels incident {row['id']} as the new normal: bgpdrift label {row['id']} new_normal"
            )


def _new_versions(stage: Stage, change_at: int, forced: ForcedModel | None) -> list[StateChange]:
    """Return the versions that became active for the first time after the change, without the bad model.

    On a busy machine the bad model becomes active after the change; it is not what the change led to.
    """
    bad = f"{forced.model} {forced.version}" if forced is not None else ""
    active = stage.timeline.select("version", state="active")
    first = {one.subject: one for one in reversed(active)}
    return [one for one in first.values() if one.at >= change_at and one.subject != bad]


def _check_explanation(stage: Stage) -> Step:
    """Check that the first incident of the ground truth was found and has a summary."""
    (truth, *_) = stage.truth.incidents
    rows = stage.store.incidents_between(int(truth.start), int(truth.end) + HOUR_S)
    summaries = [str(row["summary"]) for row in rows if row["merged_into"] is None and row["summary"]]
    return Step("incident found and explained", summaries[0] if summaries else "never", bool(summaries))


def _check_retraining(stage: Stage, change_at: int, forced: ForcedModel | None) -> list[Step]:
    timeline = stage.timeline
    drifts = [c for c in timeline.select("check", since=change_at) if c.state.startswith("drift")]
    drifts = list({one.subject: one for one in reversed(drifts)}.values())
    trainings = timeline.select("request", state="claimed", since=change_at)
    active = _new_versions(stage, change_at, forced)
    scoring = [one for one in active if _is_scoring(stage, one)]
    return [
        Step("drift found after the change", _format(drifts, change_at), bool(drifts)),
        Step("retraining requested and run", f"{len(trainings)} by the drift monitor", bool(trainings)),
        Step("new model active and scoring", _format(scoring, change_at), bool(scoring)),
    ]


def _is_scoring(stage: Stage, version: StateChange) -> bool:
    model, number = version.subject.split()
    rows = stage.store.scores_between(version.at - HOUR_S, int(stage.truth.end), model)
    return any(str(row["model_version"]) == number for row in rows)


def _format(changes: Sequence[StateChange], since: int) -> str:
    return ", ".join(f"{one.subject} after {(one.at - since) / HOUR_S:.0f} h" for one in changes) or "never"
