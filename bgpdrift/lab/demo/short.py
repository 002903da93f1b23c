"""The acts of the short demo after the models are trained: an incident, a bad model, a lasting change that is learned.

Nobody operates the system. Decides the order of the acts, and what must have happened: each step is checked by itself and
gives the reason if it did not happen.
"""

from collections.abc import Sequence

from bgpdrift.lab.demo.judge import last_minute
from bgpdrift.lab.demo.stage import HOUR_S, Stage, Step, check_rollback
from bgpdrift.lab.demo.timeline import StateChange

BAD_MODEL = "isolation_forest"
PERSON = "somebody"


def play_short(stage: Stage, change_at: int) -> list[Step]:
    """Play all acts as far as the feed and the time allow, and check them."""
    end, forced = last_minute(stage.truth), None
    if stage.advance(int(stage.truth.incidents[0].end) + HOUR_S):
        forced = stage.force_bad_model(BAD_MODEL, PERSON)
        stage.advance(change_at)
    stage.story.tell(f"from {stage.hour(change_at)} on, every path is three hops longer, and stays so")
    stage.advance(end, lambda: any(_is_scoring(stage, one) for one in _new_versions(stage, change_at)))
    stage.wait_until_idle()
    return [
        _check_explanation(stage),
        check_rollback(stage.timeline, forced, stage.active_versions()),
        *_check_retraining(stage, change_at),
    ]


def _new_versions(stage: Stage, change_at: int) -> list[StateChange]:
    """Versions that the drift monitor had trained after the change and that are active."""
    trained = {str(row["version"]) for row in stage.store.retrain_events(limit=100) if row["promoted"]}
    active = stage.timeline.select("version", state="active", since=change_at)
    return [one for one in active if one.subject.split()[1] in trained]


def _check_explanation(stage: Stage) -> Step:
    """An incident that the truth holds must have a summary that names what was seen."""
    (truth, *_) = stage.truth.incidents
    rows = stage.store.incidents_between(int(truth.start), int(truth.end) + HOUR_S)
    summaries = [str(row["summary"]) for row in rows if row["merged_into"] is None and row["summary"]]
    return Step("incident found and explained", summaries[0] if summaries else "never", bool(summaries))


def _check_retraining(stage: Stage, change_at: int) -> list[Step]:
    timeline = stage.timeline
    drifts = [c for c in timeline.select("check", since=change_at) if c.state.startswith("drift")]
    drifts = list({one.subject: one for one in reversed(drifts)}.values())
    trainings = timeline.select("request", state="claimed", since=change_at)
    active = _new_versions(stage, change_at)
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
