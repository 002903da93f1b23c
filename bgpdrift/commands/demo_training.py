"""How the demo trains the three models: on the simulated history, with the commands a person has.

The feed is held while they train: two simulated days pass in two minutes, and a minute of training would be an afternoon.
Decides what a demo must show of it: each retrainer publishes, and every detector then has a say.
"""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bgpdrift.store import Store
from bgpdrift.store.schema import feature_windows, verdicts

MODELS = ("heuristic", "isolation_forest", "lstm")
HISTORY_H = 30
"""Hours of simulated history: a day to learn from and the fifth that judges. Nothing happens in it but one session reset."""
TRAINING_LIMIT_S = 300.0


@dataclass(frozen=True)
class TrainedModel:
    """What one retrainer did, and what became of the model."""

    model: str
    exit_code: int
    version: str
    outcome: str
    windows: int
    seconds: float
    votes: int = 0  # verdicts after it was published in which it had a say
    alarms: int = 0  # minutes it alarmed in
    verdicts: int = 0  # verdicts since all three were published

    @property
    def passed(self) -> bool:
        """Whether it was published and then heard."""
        return self.exit_code == 0 and self.votes > 0


@contextlib.contextmanager
def held(feed: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Hold the feed: its connection stays, its clock of events stands."""
    feed.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        feed.send_signal(signal.SIGCONT)


def wait_for_history(store: Store, start: int, deadline: float) -> bool:
    """Wait until the history to train on is there; False if time runs out."""
    while time.monotonic() < deadline:
        if (store.newest(feature_windows) or 0) >= start + HISTORY_H * 3600:
            return True
        time.sleep(0.2)
    return False


def wait_for_verdicts(store: Store, deadline: float) -> bool:
    """Wait until everything that came in is judged, so that nobody's work disturbs the training or its figures."""
    while time.monotonic() < deadline:
        newest = store.newest(feature_windows)
        if newest is not None and store.newest(verdicts) == newest:
            return True
        time.sleep(0.2)
    return False


def train_all(environment: Mapping[str, str]) -> list[TrainedModel]:
    """Run the three retrainers one after the other, as ``retrain_<model>`` would be run by hand."""
    trained = []
    for model in MODELS:
        begun = time.monotonic()
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", f"retrainers.{model}", "--json"],
            env=dict(environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=TRAINING_LIMIT_S,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        last: Mapping[str, Any] = lines[-1] if lines else {}
        outcome = str(last.get("reason") or last.get("outcome") or done.stderr.strip()[-200:] or "said nothing")
        windows = int(last.get("train_windows") or 0)
        version = str(last.get("version") or "-")
        trained.append(TrainedModel(model, done.returncode, version, outcome, windows, time.monotonic() - begun))
    return trained


def heard(store: Store, trained: Sequence[TrainedModel], since: int, until: int) -> list[TrainedModel]:
    """Count in how many verdicts each model had a say after it was published."""
    rows = store.verdicts_between(since, until)
    return [
        TrainedModel(
            **{
                **model.__dict__,
                "votes": sum(model.model in row["p_values"] for row in rows),
                "alarms": sum(bool(row["votes"].get(model.model)) for row in rows),
                "verdicts": len(rows),
            }
        )
        for model in trained
    ]
