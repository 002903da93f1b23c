"""The services of bgpdrift in one process, driven by event time: each step takes an hour of windows.

Workers, store, artifacts and retrainers are the real ones. Only the loop that waits between two steps is replaced, and the clock
follows the data. Event time is paused while a retrainer runs. This module decides the order of the steps.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from bgpdrift import logs
from bgpdrift.clock import FakeClock
from bgpdrift.detector_registry import MODELS
from bgpdrift.models import flags
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.scoring.detector_worker import DetectorWorker
from bgpdrift.services import correlation_engine, drift_monitor, ensemble_coordinator
from bgpdrift.settings import load
from bgpdrift.store import StateCursor, migrate, open_store
from bgpdrift.store.cursor_states import AggregatorState
from bgpdrift.store.request_records import RequestState

POLL_S = 0.05
RETRAIN_LIMIT_S = 900.0
AT_WORK: tuple[RequestState, ...] = ("flagged", "claimed")
Tell = Callable[[str], None]


class Worker(Protocol):
    """What is stepped."""

    def step(self) -> bool:
        """Do something; True if more is waiting."""
        ...

    def close(self) -> None:
        """Finish."""
        ...


class Life:
    """The system at some event time.

    Parameters
    ----------
    folder : Path
        Data directory; fresh.
    start : float
        Event time to begin at.
    """

    def __init__(self, folder: Path, start: float) -> None:
        self.clock = FakeClock(start)
        self.settings = load()
        assert self.settings.data_path == folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        migrate(self.settings.store_url)
        self.store = open_store(self.settings.store_url)
        self.now, self._rows = int(start), 0
        detectors = [
            DetectorWorker(self.settings, open_store(self.settings.store_url), self.clock, model, f"{model}_detector")
            for model in MODELS
        ]
        self._workers: list[tuple[str, Worker]] = [
            *((f"{model}_detector", worker) for model, worker in zip(MODELS, detectors, strict=True)),
            ("ensemble_coordinator", ensemble_coordinator.build(self.settings, self.clock)),
            ("correlation_engine", correlation_engine.build(self.settings, self.clock)),
            ("drift_monitor", drift_monitor.build(self.settings, self.clock)),
        ]
        self.seconds: dict[str, float] = dict.fromkeys((name for name, _ in self._workers), 0.0)
        """Wall time spent by worker, retrainers apart."""
        self.training_s = 0.0

    @property
    def registry(self) -> ModelRegistry:
        """For what a person does to models."""
        return ModelRegistry(
            self.settings.artifacts_path,
            self.store,
            self.clock,
            history_minutes=self.settings.detectors.history_minutes,
        )

    def live(self, until: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Let windows arrive, until an event time, and everything happen that follows from them."""
        self.clock.advance(seconds=max(0.0, until - self.clock.now()))
        self._rows += len(rows)
        written = [{**row, "written_at": self.clock.now()} for row in rows]
        state = AggregatorState(event_time=float(until), closed_before_s=until, messages=self._rows)
        self.store.write_windows(written, StateCursor("feature_aggregator", self._rows, state))
        self.now = until
        self.settle()
        self._await_retrainers()

    def settle(self) -> None:
        """Step every worker until it has no more to do."""
        for name, worker in self._workers:
            begun = time.perf_counter()
            while worker.step():
                pass
            self.seconds[name] += time.perf_counter() - begun

    def train(self, models: Sequence[str] = MODELS, *words: str) -> dict[str, dict[str, Any]]:
        """Run retrainers as a person does; return the last line of each, with its exit code."""
        results = {}
        for model in models:
            begun = time.perf_counter()
            command = [sys.executable, "-m", "retrainers", model, "--json", *words]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RETRAIN_LIMIT_S)
            lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
            if not lines:
                raise RuntimeError(f"{model}: exit {done.returncode}: {done.stderr[-2_000:]}")
            results[model] = json.loads(lines[-1])
            self.training_s += time.perf_counter() - begun
        self.clock.advance(seconds=10.0)
        self.settle()
        return results

    def close(self) -> None:
        """Close everything."""
        for _, worker in self._workers:
            worker.close()
        self.store.close()

    def _await_retrainers(self) -> None:
        begun = time.perf_counter()
        waited = False
        while self._retraining():
            if time.perf_counter() - begun > RETRAIN_LIMIT_S:
                raise RuntimeError(f"retrainers are not done after {RETRAIN_LIMIT_S:g} s")
            time.sleep(POLL_S)
            self.clock.advance(seconds=POLL_S)
            for name, worker in self._workers:
                if name == "drift_monitor":
                    worker.step()
            waited = True
        if waited:
            self.training_s += time.perf_counter() - begun
            self.clock.advance(seconds=10.0)
            self.settle()

    def _retraining(self) -> bool:
        folder = self.settings.artifacts_path
        return bool(
            self.store.retrain_requests(states=AT_WORK)
            or flags.list_requested(folder)
            or list(folder.glob("retrain_*.flag.claimed"))
        )


@contextmanager
def living(folder: Path, start: float, changes: Mapping[str, str], log: Path) -> Iterator[Life]:
    """A life in a fresh folder, with settings changed, logging to a file; the environment is what it was afterwards.

    Parameters
    ----------
    folder : Path
        Data directory.
    start : float
        Event time.
    changes : mapping of str to str
        Settings by the name of their environment variable without ``BGPDRIFT_``, as ``DRIFT__ALPHA``.
    log : Path
        Where the services log.
    """
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("BGPDRIFT_")]:
        del os.environ[name]
    os.environ["BGPDRIFT_DATA_DIR"] = str(folder.absolute())
    os.environ["BGPDRIFT_RETRAIN__FIRST"] = "off"  # a life trains its models at a set time
    os.environ.update({f"BGPDRIFT_{name}": value for name, value in changes.items()})
    with log.open("a") as stream:
        logs.configure("info", "json", service="life", stream=stream)
        life = Life(folder, start)
        try:
            yield life
        finally:
            life.close()
            os.environ.clear()
            os.environ.update(before)
            logs.configure("warning", "console", service="life")
