"""The acts of a demo after its models are trained: a change that is learned, a history that is poisoned, a model that is bad.

Nobody answers anything: what the loop does it does by itself. Only the villains act, with the commands anybody has: one
calls every storm a false alarm and asks for a training on that, one forces a model into force that never alarms. Decides the
order of acts and when time may pass; what must have come of it, `outcome`.
"""

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from bgpdrift.clock import SystemClock
from bgpdrift.detector_registry import MODELS
from bgpdrift.lab.demo import follow, history
from bgpdrift.lab.demo.bad_model import Fault, force_bad_model
from bgpdrift.lab.demo.chronicle import Chronicle
from bgpdrift.lab.demo.follow import Progress
from bgpdrift.lab.demo.history import Holdable
from bgpdrift.lab.demo.judge import last_minute
from bgpdrift.lab.demo.outcome import Forced, Step, outcome
from bgpdrift.lab.demo.plan import HOUR_S, Plan
from bgpdrift.lab.demo.training import TrainedModel, train_all
from bgpdrift.lab.simulation.truth import Truth
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.publication import active_version
from bgpdrift.settings import Settings
from bgpdrift.store import Store

if TYPE_CHECKING:
    from bgpdrift.lab.demo.story import Story

VILLAIN = "mallory"
BAD_MODEL = "lstm"
BAD_FAULT: Fault = "never_alarms"
POISONED = ("heuristic",)
"""Rules learn what is usual by name and number, and such a history teaches them that storms are. Forest and LSTM rank the same
minutes by how rare they are, and find as much of what the gate injects as before: the gate would let them pass, rightly."""
POISON_DAYS = "1"
"""What the poisoned training is to learn from: the day of the storms."""
LABEL_LIMIT_S = 60.0


class Loop:
    """What happens after the first training.

    Parameters
    ----------
    store, settings, environment
        Of the demo's services.
    feed : Holdable
        The simulated feed.
    truth : Truth
        Ground truth.
    plan : Plan
        When what happens.
    data : Path
        Data directory.
    deadline : float
        Monotonic time at which the demo gives up.
    story : Story
        Told everything.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        environment: Mapping[str, str],
        feed: Holdable,
        truth: Truth,
        plan: Plan,
        data: Path,
        deadline: float,
        story: "Story",
    ) -> None:
        self._store, self._settings, self._environment, self._feed = store, settings, environment, feed
        self._truth, self._plan, self._data, self._deadline, self._story = truth, plan, data, deadline, story
        self._start = int(truth.start)
        self._chronicle = Chronicle(store, self._start, lambda one: story.happened(one, self._start))

    def run(self) -> list[Step]:
        """Play all acts as far as they come, and judge them."""
        plan = self._plan
        poisoned: list[TrainedModel] = []
        forced: Forced | None = None
        self._story.tell(
            f"from {self._hour(plan.change_at)} on the world will be another: every path is three hops longer"
        )
        if self._until(plan.storms_from - HOUR_S):
            self._story.tell(f"half a day of storms follows, and {VILLAIN} calls each of them a false alarm")
            if self._until(plan.storms_to):
                poisoned = self._poison()
                forced = self._force()
                self._until(last_minute(self._truth))
                follow.await_checks(self._feed, self._look, last_minute(self._truth), self._deadline, told=self._told)
        return outcome(
            self._store,
            self._chronicle,
            self._truth.incidents,
            plan,
            poisoned,
            forced,
            {model: active_version(self._settings.artifacts_path, model) for model in MODELS},
        )

    def _until(self, moment: int) -> bool:
        return follow.follow(self._feed, self._look, moment, self._deadline, told=self._told)

    def _look(self) -> Progress:
        return follow.progress(self._store, self._data, self._settings.artifacts_path)

    def _told(self, now: Progress) -> None:
        self._story.reach((now.where.newest - self._start) / HOUR_S)
        for incident in self._store.incidents_between(self._start, now.where.newest):
            self._story.incident(incident)
        self._chronicle.look(now.where.newest)

    def _settle(self) -> None:
        def look() -> history.Where:
            return history.where(self._store, self._data)

        history.settle(look, self._deadline)

    def _poison(self) -> list[TrainedModel]:
        """Label what the storms were seen as, and train on it."""
        self._settle()
        plan = self._plan
        seen = [
            row
            for row in self._store.incidents_between(plan.storms_from, plan.storms_to)
            if row["merged_into"] is None and row["started_at"] >= plan.storms_from
        ]
        for row in seen:
            self._bgpdrift("label", str(row["id"]), "false_positive", "--by", VILLAIN)
        self._story.tell(f"{VILLAIN} labelled {len(seen)} incidents, and has the rules learn from the last day")
        return train_all(self._environment, self._deadline, self._told_training, ("--days", POISON_DAYS), POISONED)

    def _told_training(self, model: TrainedModel) -> None:
        verdict = "in force" if not model.exit_code else f"refused (exit {model.exit_code})"
        self._story.tell(f"  {model.model}: {verdict}: {model.outcome}")

    def _force(self) -> Forced:
        settings = self._settings
        before = active_version(settings.artifacts_path, BAD_MODEL)
        registry = ModelRegistry(
            settings.artifacts_path, self._store, SystemClock(), history_minutes=settings.detectors.history_minutes
        )
        at = (self._store.newest_window_start() or 0) + 60
        version = force_bad_model(settings, self._store, registry, BAD_MODEL, BAD_FAULT)
        fault = BAD_FAULT.replace("_", " ")
        self._story.tell(f"{VILLAIN} forces {BAD_MODEL} {version} into force, past the gate: a model that {fault}")
        return Forced(BAD_MODEL, version, before, fault, at)

    def _bgpdrift(self, *words: str) -> None:
        command = [sys.executable, "-m", "bgpdrift.cli", *words]
        limit_s = max(1.0, min(LABEL_LIMIT_S, self._deadline - time.monotonic()))
        subprocess.run(  # noqa: S603 - our own program
            command, env=dict(self._environment), capture_output=True, check=True, timeout=limit_s
        )

    def _hour(self, at: int) -> str:
        return f"hour {(at - self._start) / HOUR_S:.0f}"
