"""What a demo of the whole loop must have shown: drift found, a better model in place, poison refused, a bad model taken back.

Reads the chronicle, the store and what the demo did; gives one line for each thing that had to happen, with its figure.
Event time throughout. Decides what counts as having happened; how it reads, `report`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bgpdrift.detector_registry import MODELS
from bgpdrift.lab.demo.chronicle import Chronicle, Happening
from bgpdrift.lab.demo.plan import HOUR_S, Plan
from bgpdrift.lab.demo.training import TrainedModel
from bgpdrift.lab.evaluation.stored_quality import ENSEMBLE, stored_quality
from bgpdrift.lab.simulation.truth import IncidentTruth
from bgpdrift.store import Store

AUC_LOSS = 0.02
"""The level before the change is restored when the area under the ROC curve is at most this much less."""
REJECTED_EXIT = 3


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that had to happen.

    Attributes
    ----------
    what : str
        In words.
    found : str
        What was found: the figure, or why it did not happen.
    passed : bool
        Whether it happened.
    """

    what: str
    found: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Forced:
    """A bad model that was forced in: which, how bad, event time."""

    model: str
    version: str
    in_place_of: str
    fault: str
    at: int


def outcome(
    store: Store,
    chronicle: Chronicle,
    truth: Sequence[IncidentTruth],
    plan: Plan,
    poisoned: Sequence[TrainedModel],
    forced: Forced | None,
    active_versions: Mapping[str, str],
) -> list[Step]:
    """Judge the loop.

    Parameters
    ----------
    store, chronicle
        Of the demo.
    truth : sequence of IncidentTruth
        What really happened.
    plan : Plan
        When.
    poisoned : sequence of TrainedModel
        What came of training on the poisoned history.
    forced : Forced or None
        The bad model, if it came to that.
    active_versions : mapping of str to str
        Version by model at the end.
    """
    return [
        *_drift(chronicle, plan),
        *_quality(store, truth, plan),
        *_poison(poisoned),
        *_bad(chronicle, forced, active_versions),
    ]


def _drift(chronicle: Chronicle, plan: Plan) -> list[Step]:
    changed = plan.change_at
    found = [first for model in MODELS if (first := _first_drift(chronicle, model, plan))]
    trained = [v for v in chronicle.all("version", state="active", since=changed) if v.at < plan.after[1]]
    accepted = [v for v in chronicle.all("version", state="accepted", since=changed) if v.at < plan.storms_to]
    mine = {v.subject for v in trained}
    passed = [v for v in accepted if v.subject in mine]
    back = [v for v in chronicle.all("version", state="rolled_back", since=changed) if v.subject in mine]
    return [
        Step("drift found after the change", _when(found, changed), bool(found)),
        Step("trained again and in force", _when(trained, changed), bool(trained)),
        Step("probation accepted", _when(passed, changed), bool(passed) and not back),
    ]


def _first_drift(chronicle: Chronicle, model: str, plan: Plan) -> Happening | None:
    checks = chronicle.all("check", model, since=plan.change_at)
    return next((one for one in checks if one.state.startswith("drift") and one.at < plan.after[1]), None)


def _when(found: Sequence[Happening], since: int) -> str:
    return ", ".join(f"{one.subject} after {(one.at - since) / HOUR_S:.0f} h" for one in found) or "never"


def _quality(store: Store, truth: Sequence[IncidentTruth], plan: Plan) -> list[Step]:
    before = stored_quality(store, truth, *plan.before).get(ENSEMBLE)
    after = stored_quality(store, truth, *plan.after).get(ENSEMBLE)
    was, now = (figures.auc if figures else None for figures in (before, after))
    if was is None or now is None:
        return [Step("quality restored", "cannot be told", False)]
    return [Step("quality restored (AUC)", f"{was:.3f} before, {now:.3f} after", now >= was - AUC_LOSS)]


def _poison(poisoned: Sequence[TrainedModel]) -> list[Step]:
    refused = [model.model for model in poisoned if model.exit_code == REJECTED_EXIT]
    found = f"refused: {', '.join(refused)}" if refused else "never"
    others = [f"{model.model} exit {model.exit_code}" for model in poisoned if model.exit_code != REJECTED_EXIT]
    return [
        Step(
            "poisoned candidates refused", "; ".join([found, *others]), bool(refused) and len(refused) == len(poisoned)
        )
    ]


def _bad(chronicle: Chronicle, forced: Forced | None, active_versions: Mapping[str, str]) -> list[Step]:
    if forced is None:
        return [Step("bad model taken back", "it was never forced in", False)]
    name = f"{forced.model} {forced.version}"
    gone = chronicle.first("version", name, "rolled_back")
    restored = active_versions.get(forced.model) == forced.in_place_of
    if gone is None or not restored:
        return [Step("bad model taken back", f"{name} ({forced.fault}) is still in force", False)]
    again = [v for v in chronicle.all("version", name, "active") if v.at > gone.at]
    hours = (gone.at - forced.at) / HOUR_S
    text = f"{name} after {hours:.0f} h, {forced.in_place_of} is back"
    return [Step("bad model taken back", text + (", and came again" if again else ""), not again)]
