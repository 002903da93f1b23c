"""What the newest check of a model says, in sentences a person at night understands. Pure."""

from collections.abc import Iterator

from bgpdrift.status.snapshot import Holding, Model, Wish
from bgpdrift.status.spark import moment, span

_ENDS = {"accepted": "passed", "rolled_back": "failed, taken back", "needs_review": "it disappoints"}
WORDS = {
    "none": "no drift",
    "drift": "DRIFT",
    "not_enough_data": "not enough data",
    "not_checked": "not checked",
}


def verdict_words(model: Model) -> str:
    """Write a verdict, and how often it was said running while that is not often enough."""
    words = WORDS.get(model.verdict, model.verdict)
    if model.verdict == "drift" and model.needed > 1:
        return f"{words} {min(model.lasting, model.needed)} of {model.needed}"
    return words


def of_model(model: Model, now: float, data_until: int | None) -> Iterator[str]:
    """Say what is known of a model, in sentences, the most important first.

    Parameters
    ----------
    model : Model
        Which one.
    now : float
        Wall clock, epoch seconds: how moments are written.
    data_until : int or None
        Event time of the newest data, against which spans of event time are measured.
    """
    if not model.version and not model.file_problem:
        yield f"There is no model yet: train one with retrain_{model.model}."
    yield from _verdict(model)
    if model.holding is not None:
        yield _held(model.holding)
    if model.waiting_for and model.waiting_for != model.reason:
        yield _sentence(f"It waits: {model.waiting_for}")
    if model.wish is not None:
        yield from _wish(model.wish, now)
    yield from _probation(model, data_until)


def _verdict(model: Model) -> Iterator[str]:
    if model.verdict == "unknown":
        yield "Unknown: the store cannot be read."
    elif model.verdict == "not_checked":
        yield "Not checked yet."
    else:
        yield _sentence(model.reason or f"{WORDS.get(model.verdict, model.verdict)}")
        if model.smallest_shift is not None and model.verdict == "none":
            yield f"A shift of {model.smallest_shift:.0%} would have been seen."
        if model.verdict == "drift" and model.lasting < model.needed:
            yield f"{model.needed - model.lasting} more such checks before anything is done."


def _held(holding: Holding) -> str:
    said = f"incident {holding.incident_id}"
    if holding.state == "new_normal":
        who = "As nobody answered" if holding.answer == "silence" else "As a person said"
        return f"{who}, {said} is the new normal: it is learned."
    if holding.state == "attack":
        return f"A person called {said} an attack: it is not learned."
    return f"Held by {said}: an attack is not learned{'; the question waits' if holding.state == 'asked' else ''}."


def _wish(wish: Wish, now: float) -> Iterator[str]:
    because = f": {wish.because}" if wish.because else ""
    if wish.state == "waiting_approval":
        yield "Retraining waits for your answer."
    elif wish.state in ("requested", "flagged", "claimed"):
        yield f"Retraining is under way ({wish.state})."
    elif wish.state == "postponed":
        yield _sentence(f"Retraining is postponed{because}")
    elif wish.state in ("refused", "failed"):
        yield _sentence(f"The wish to retrain of {moment(wish.requested_at, now)} {_past(wish.state)}{because}")


def _past(state: str) -> str:
    return "was refused" if state == "refused" else "failed"


def _probation(model: Model, data_until: int | None) -> Iterator[str]:
    trial = model.probation
    if trial is None:
        return
    if not trial.goes_on or trial.verdict == "needs_review":
        yield _sentence(
            f"Probation: {_ENDS.get(trial.verdict, trial.verdict)}{f' ({trial.reason})' if trial.reason else ''}"
        )
        return
    left = (
        f" for {span(trial.ends_at - data_until)} more"
        if trial.ends_at and data_until and trial.ends_at > data_until
        else ""
    )
    beside = f" beside version {trial.parent}" if trial.parent else ""
    longer = f"; it {trial.reason}" if trial.reason.startswith("finds") else f"; {trial.reason}" if trial.reason else ""
    yield f"On probation{left}{beside}{_rates(trial.alarms_per_day, trial.shadow_alarms_per_day)}{longer}."


def _rates(new: float | None, old: float | None) -> str:
    if new is None:
        return ""
    return f": {new:.1f} alarms a day" + (f", the old one {old:.1f}" if old is not None else "")


def _sentence(text: str) -> str:
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
