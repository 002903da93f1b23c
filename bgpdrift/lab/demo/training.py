"""How the demo trains the three models: on the simulated history, with the commands a person has.

Decides what a demo must show of it: each retrainer publishes, and every detector then has a say.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bgpdrift.detector_registry import MODELS
from bgpdrift.store import Store

HISTORY_H = 64.0
"""Hours of simulated history: two days to learn from, which are also the baseline, and the fifth that judges. Up to three more
are on their way when that is reached, and the first incident begins after 68. All that happens in it is one session reset."""
SHORT_HISTORY_H = 26.5
"""The same of a scenario without a change, which needs no baseline: a day to learn from, and the fifth that judges."""
TIMED_OUT = 124


@dataclass(frozen=True)
class TrainedModel:
    """What one retrainer did, and what became of the model."""

    model: str
    exit_code: int
    version: str
    outcome: str
    windows: int  # that it learned from
    seconds: float
    votes: int = 0  # verdicts after it was published in which it had a say
    alarms: int = 0  # minutes it alarmed in
    verdicts: int = 0  # verdicts since all three were published

    @property
    def passed(self) -> bool:
        """Whether it was published and then heard."""
        return self.exit_code == 0 and self.votes > 0


def train_all(
    environment: Mapping[str, str],
    deadline: float,
    told: Callable[[TrainedModel], None] = lambda _: None,
    words: Sequence[str] = (),
    models: Sequence[str] = MODELS,
) -> list[TrainedModel]:
    """Run retrainers one after the other, as ``retrain_<model>`` with these words would be run by hand."""
    trained = []
    for model in models:
        begun = time.monotonic()
        command = [sys.executable, "-m", "retrainers", model, "--json", *words]
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                command, env=dict(environment), capture_output=True, text=True, check=False, timeout=deadline - begun
            )
            code, said, errors = done.returncode, done.stdout, done.stderr
        except subprocess.TimeoutExpired:
            code, said, errors = TIMED_OUT, "", "not finished when the demo's time was over"
        trained.append(read_outcome(model, code, said, errors, time.monotonic() - begun))
        told(trained[-1])
    return trained


def read_outcome(model: str, exit_code: int, said: str, errors: str, seconds: float) -> TrainedModel:
    """Read what a retrainer printed: its last line, and from an earlier one how many windows it learned from.

    Examples
    --------
    >>> lines = '{"event": "retrain.calibrate", "train_rows": 2400}' + chr(10) + '{"version": "1", "outcome": "promoted"}'
    >>> found = read_outcome("heuristic", 0, lines, "", 1.5)
    >>> found.version, found.windows, found.outcome
    ('1', 2400, 'promoted')
    """
    lines: list[Mapping[str, Any]] = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    last = lines[-1] if lines else {}
    return TrainedModel(
        model=model,
        exit_code=exit_code,
        version=str(last.get("version") or "-"),
        outcome=str(last.get("reason") or last.get("outcome") or errors.strip()[-200:] or "said nothing"),
        windows=next((int(line["train_rows"]) for line in reversed(lines) if "train_rows" in line), 0),
        seconds=seconds,
    )


def heard(store: Store, trained: Sequence[TrainedModel], since: int, until: int) -> list[TrainedModel]:
    """Count in how many verdicts each model had a say after it was published."""
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
