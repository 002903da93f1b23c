"""Describes the state of a model in plain sentences. Pure."""

from collections.abc import Iterator

from bgpdrift.formatting import format_duration, format_time_near
from bgpdrift.models.waiting import explain_first_training
from bgpdrift.status.snapshot import IncidentHold, Model, RetrainRequest

PROBATION_RESULTS = {"accepted": "passed", "rolled_back": "failed, rolled back", "needs_review": "fails"}
VERDICT_WORDS = {
    "none": "no drift",
    "drift": "DRIFT",
    "not_enough_data": "not enough data",
    "not_checked": "not checked",
}


def format_verdict(model: Model) -> str:
    """Format a verdict; a drift with its number of consecutive checks."""
    words = VERDICT_WORDS.get(model.verdict, model.verdict)
    if model.verdict == "drift" and model.persistence_checks > 1:
        return f"{words} {min(model.persistence, model.persistence_checks)} of {model.persistence_checks}"
    return words


def describe_model(model: Model, now: float, data_until: int | None, warming: str = "") -> Iterator[str]:
    """Describe a model in sentences, the most important first.

    Parameters
    ----------
    model : Model
        The model.
    now : float
        Wall-clock time, epoch seconds, which decides how times are written.
    data_until : int or None
        Event time of the newest data.
    warming : str
        Which collectors are warming, and until when; empty if none is.
    """
    if warming:
        yield _as_sentence(warming)
    if not model.version and not model.file_problem:
        yield from _describe_missing_model(model, now if data_until is None else data_until)
    yield from _describe_verdict(model)
    if model.incident_hold is not None:
        yield _describe_hold(model.incident_hold)
    if model.waiting_for and model.waiting_for != model.reason:
        yield _as_sentence(f"It waits for data: {model.waiting_for}")
    if model.retrain_request is not None:
        yield from _describe_request(
            model.retrain_request, now, "first training" if model.first_training else "retraining"
        )
    yield from _describe_probation(model, data_until)


def _describe_missing_model(model: Model, at: float) -> Iterator[str]:
    first = model.first_training
    if first is None:
        yield f"There is no model yet: train one with retrain_{model.model}."
        return
    yield "There is no model yet."
    if first.phase == "training" and model.retrain_request is not None:
        return  # the request is described
    yield explain_first_training(first.phase, first.expected_at or 0, first.reason, at)
    if first.phase == "off":
        yield f"Train one with retrain_{model.model}."


def _describe_verdict(model: Model) -> Iterator[str]:
    if model.verdict == "unknown":
        yield "Unknown: the store cannot be read."
    elif model.verdict == "not_checked":
        if model.version:
            yield "Not checked yet."
    else:
        yield _as_sentence(model.reason or VERDICT_WORDS.get(model.verdict, model.verdict))
        if model.smallest_shift is not None and model.verdict == "none":
            yield f"The check would detect a shift of {model.smallest_shift:.0%}."
        if model.verdict == "drift" and model.persistence < model.persistence_checks:
            missing = model.persistence_checks - model.persistence
            yield f"A retraining follows after {missing} more check{'s' if missing > 1 else ''} with drift."


def _describe_hold(hold: IncidentHold) -> str:
    incident = f"incident {hold.incident_id}"
    if hold.state == "new_normal":
        why = "Without an answer" if hold.answer == "silence" else "By the answer of a person"
        return f"{why}, {incident} is the new normal: it is learned."
    if hold.state == "attack":
        return f"By the answer of a person, {incident} is an attack: it is not learned."
    waits = "; an approval request waits" if hold.state == "asked" else ""
    return f"Held because {incident} is open: an attack is not learned{waits}."


def _describe_request(request: RetrainRequest, now: float, training: str) -> Iterator[str]:
    reason = f": {request.reason}" if request.reason else ""
    if request.state == "waiting_approval":
        yield f"The {training} waits for your answer."
    elif request.state in ("requested", "flagged", "claimed"):
        yield f"The {training} is in progress ({request.state})."
    elif request.state == "postponed":
        yield _as_sentence(f"The {training} is postponed{reason}")
    elif request.state in ("refused", "failed"):
        verb = "was refused" if request.state == "refused" else "failed"
        yield _as_sentence(f"The {training} requested at {format_time_near(request.requested_at, now)} {verb}{reason}")


def _describe_probation(model: Model, data_until: int | None) -> Iterator[str]:
    trial = model.probation
    if trial is None:
        return
    reason = trial.reason
    if trial.verdict != "watching":
        result = PROBATION_RESULTS.get(trial.verdict, trial.verdict)
        yield _as_sentence(f"Probation: {result}{f' ({reason})' if reason else ''}")
        return
    left_s = (trial.ends_at or 0) - (data_until or 0)
    left = f" for {format_duration(left_s)} more" if trial.ends_at and data_until and left_s > 0 else ""
    shadow = f"; version {trial.parent_version} scores as shadow" if trial.parent_version else ""
    yield f"On probation{left}{shadow}{_format_rates(trial.alarms_per_day, trial.shadow_alarms_per_day)}."
    if reason:
        yield _as_sentence(reason)


def _format_rates(new: float | None, old: float | None) -> str:
    if new is None:
        return ""
    return f": {new:.1f} alarms per day" + (f", {old:.1f} of the earlier version" if old is not None else "")


def _as_sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
