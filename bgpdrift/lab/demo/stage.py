"""Operations that all acts of a demo use: let event time pass, report progress, and run commands as a person does.

`short` and `week` decide the order of the acts, `pacing` and `history` when the feed pauses.
"""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bgpdrift.clock import SystemClock
from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import BgpdriftError
from bgpdrift.lab.demo import history, pacing
from bgpdrift.lab.demo.bad_model import Fault, force_bad_model
from bgpdrift.lab.demo.timeline import Timeline
from bgpdrift.lab.demo.training import TrainedModel, train_all
from bgpdrift.lab.simulation.truth import Truth
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.publication import active_version
from bgpdrift.process.child import run_command
from bgpdrift.settings import Settings
from bgpdrift.store import Store

if TYPE_CHECKING:
    from bgpdrift.lab.demo.story import Story

HOUR_S = 3600
COMMAND_LIMIT_S = 60.0
BAD_FAULT: Fault = "never_alarms"


@dataclass(frozen=True, slots=True)
class Step:
    """A step that must happen in the demo.

    Attributes
    ----------
    name : str
        What must happen.
    finding : str
        What happened: the figure, or why it did not happen.
    passed : bool
        Whether it happened.
    """

    name: str
    finding: str
    passed: bool


@dataclass(frozen=True, slots=True)
class ForcedModel:
    """A bad model that was published past the gate at event time `at`, in place of the version `replaced`."""

    model: str
    version: str
    replaced: str
    fault: str
    at: int


class Stage:
    """A running demo.

    Parameters
    ----------
    store, settings, environment
        Store, settings and environment variables of the services of the demo.
    feed : Pausable
        The simulated feed.
    truth : Truth
        The ground truth.
    data : Path
        Data directory.
    deadline : float
        Monotonic time at which the demo gives up.
    story : Story
        Prints what happens.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        environment: Mapping[str, str],
        feed: history.Pausable,
        truth: Truth,
        data: Path,
        deadline: float,
        story: "Story",
    ) -> None:
        self.store, self.truth, self.story = store, truth, story
        self._settings, self._environment, self._feed = settings, environment, feed
        self._data, self._deadline = data, deadline
        self._start = int(truth.start)
        self.timeline = Timeline(store, self._start, lambda change: story.tell_change(change, self._start))

    def hour(self, moment: int) -> str:
        """Format an event time as its hour in the scenario."""
        return f"hour {(moment - self._start) / HOUR_S:.0f}"

    def advance(self, moment: int, is_reached: Callable[[], bool] = lambda: False) -> bool:
        """Let event time pass until a moment or a condition, and pause there. Return False if the demo ends first."""
        return pacing.advance(
            self._feed, self._read, moment, self._deadline, is_reached=is_reached, report=self._report
        )

    def wait_for_checks(self, moment: int) -> bool:
        """Wait for the drift checks due by a moment and their trainings. Return False if the demo ends first."""
        return pacing.wait_for_checks(self._feed, self._read, moment, self._deadline, report=self._report)

    def wait_until_idle(self) -> bool:
        """Wait until the services have processed all data of the paused feed. Return False if the demo ends first."""
        is_idle = history.wait_until_idle(lambda: history.read_position(self.store, self._data), self._deadline)
        self._report(self._read())
        return is_idle

    def train(self, models: Sequence[str], *arguments: str) -> list[TrainedModel]:
        """Train models as a person does."""
        return train_all(self._environment, self._deadline, self._report_training, arguments, models)

    def run_command(self, *arguments: str) -> None:
        """Run a `bgpdrift` command as a person does."""
        command = [sys.executable, "-m", "bgpdrift.cli", *arguments]
        limit_s = max(1.0, min(COMMAND_LIMIT_S, self._deadline - time.monotonic()))
        done = run_command(command, limit_s, self._environment)
        if done.exit_code != 0:
            raise BgpdriftError(f"{' '.join(arguments)}: exit {done.exit_code}: {done.stderr.strip()[-500:]}")

    def active_versions(self) -> dict[str, str]:
        """Return the active version of each model."""
        return {model: active_version(self._settings.artifacts_path, model) for model in MODELS}

    def force_bad_model(self, model: str, person: str) -> ForcedModel:
        """Publish a bad copy of the active model past the gate."""
        settings = self._settings
        replaced = active_version(settings.artifacts_path, model)
        registry = ModelRegistry(
            settings.artifacts_path,
            self.store,
            SystemClock(),
            history_minutes=settings.detectors.history_minutes,
        )
        at = (self.store.newest_window_start() or 0) + 60
        version = force_bad_model(settings, self.store, registry, model, BAD_FAULT)
        fault = BAD_FAULT.replace("_", " ")
        self.story.tell(f"{person} publishes a bad model past the gate: {model} {version} {fault}")
        return ForcedModel(model, version, replaced, fault, at)

    def _read(self) -> pacing.Progress:
        return pacing.read_progress(self.store, self._data, self._settings.artifacts_path)

    def _report(self, now: pacing.Progress) -> None:
        window = now.position.window
        self.story.show_progress((window - self._start) / HOUR_S)
        for incident in self.store.incidents_between(self._start, window):
            self.story.tell_incident(incident)
        self.timeline.update(window)

    def _report_training(self, model: TrainedModel) -> None:
        result = "published" if not model.exit_code else f"not published (exit {model.exit_code})"
        self.story.tell(f"  {model.model}: {result}: {model.outcome}")


def check_rollback(timeline: Timeline, forced: ForcedModel | None, active: Mapping[str, str]) -> Step:
    """Check that a bad model was rolled back, that its predecessor is active, and that it was not published again."""
    name = "bad model rolled back"
    if forced is None:
        return Step(name, "it was never published", False)
    subject = f"{forced.model} {forced.version}"
    gone = timeline.first("version", subject, "rolled_back")
    if gone is None or active.get(forced.model) != forced.replaced:
        return Step(name, f"{subject} ({forced.fault}) is still active", False)
    again = any(change.at > gone.at for change in timeline.select("version", subject, "active"))
    hours = (gone.at - forced.at) / HOUR_S
    text = f"{subject} after {hours:.0f} h, {forced.replaced} is active again"
    return Step(name, text + (", but it came back" if again else ""), not again)
