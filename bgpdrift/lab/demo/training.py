"""Trains the models of the demo on the simulated history, with the commands that a person uses.

This module decides when a training counts as successful: the retrainer publishes its model, and the detector then votes.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bgpdrift.detector_registry import MODELS
from bgpdrift.process.child import run_command
from bgpdrift.store import Store

TIMED_OUT = 124


@dataclass(frozen=True)
class TrainedModel:
    """What one retrainer did, and how the model voted afterwards.

    Attributes
    ----------
    model, version, outcome : str
        Name, published version ("-" without one), and the result or the reason of a failure.
    exit_code : int
        Exit code of the retrainer.
    windows : int
        Windows it was trained on.
    seconds : float
        Duration of the training.
    votes : int
        Verdicts after the publication in which the model has a vote.
    alarms : int
        Minutes in which it raised an alarm.
    verdicts : int
        Verdicts since all models were published.
    """

    model: str
    exit_code: int
    version: str
    outcome: str
    windows: int
    seconds: float
    votes: int = 0
    alarms: int = 0
    verdicts: int = 0

    @property
    def passed(self) -> bool:
        """Whether it was published and then voted."""
        return self.exit_code == 0 and self.votes > 0


def train_all(
    environment: Mapping[str, str],
    deadline: float,
    report: Callable[[TrainedModel], None] = lambda _: None,
    arguments: Sequence[str] = (),
    models: Sequence[str] = MODELS,
) -> list[TrainedModel]:
    """Run retrainers one after the other, as a person runs ``retrain_<model>`` with these arguments."""
    trained = []
    for model in models:
        begun = time.monotonic()
        command = [sys.executable, "-m", "retrainers", model, "--json", *arguments]
        try:
            done = run_command(command, deadline - begun, environment)
            code, output, errors = done.exit_code, done.stdout, done.stderr
        except TimeoutError:
            code, output, errors = TIMED_OUT, "", "not finished within the time limit of the demo"
        trained.append(read_outcome(model, code, output, errors, time.monotonic() - begun))
        report(trained[-1])
    return trained


def read_outcome(model: str, exit_code: int, output: str, errors: str, seconds: float) -> TrainedModel:
    """Read the output of a retrainer: the result from the last line, the number of windows from an earlier one.

    Examples
    --------
    >>> lines = '{"event": "retrain.calibrate", "train_rows": 2400}' + chr(10) + '{"version": "1", "outcome": "promoted"}'
    >>> trained = read_outcome("heuristic", 0, lines, "", 1.5)
    >>> trained.version, trained.windows, trained.outcome
    ('1', 2400, 'promoted')
    """
    lines: list[Mapping[str, Any]] = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    last = lines[-1] if lines else {}
    return TrainedModel(
        model=model,
        exit_code=exit_code,
        version=str(last.get("version") or "-"),
        outcome=str(last.get("reason") or last.get("outcome") or errors.strip()[-200:] or "no output"),
        windows=next((int(line["train_rows"]) for line in reversed(lines) if "train_rows" in line), 0),
        seconds=seconds,
    )


def count_votes(store: Store, trained: Sequence[TrainedModel], since: int, until: int) -> list[TrainedModel]:
    """Count the verdicts in ``[since, until)`` in which each model has a vote, and its alarms."""
    rows = store.verdicts_between(since, until)
    return [
        replace(
            model,
            votes=sum(model.model in row["p_values"] for row in rows),
            alarms=len({row["window_start"] for row in rows if row["votes"].get(model.model)}),
            verdicts=len(rows),
        )
        for model in trained
    ]
