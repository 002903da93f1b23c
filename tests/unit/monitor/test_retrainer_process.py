"""The time limit of a retrainer that does not keep its own: enforced by the monitor, without the pauses of the machine."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from bgpdrift.errors import TransientError
from bgpdrift.monitor.retrainer_process import RetrainerRunner
from bgpdrift.process.identity import ProcessIdentity, is_alive
from bgpdrift.settings import Settings, load

HOUR_S = 3_600.0
WAITS = (sys.executable, "-c", "import signal; signal.pause()")


@dataclass
class Run:
    """A real process whose age the test decides."""

    runner: RetrainerRunner
    owner: ProcessIdentity
    age_s: float = 0.0

    def is_killed_at(self, age_s: float) -> bool:
        self.age_s = age_s
        return self.runner.kill_if_overdue(self.owner)


@pytest.fixture
def settings(tmp_path) -> Settings:
    return load(env={"BGPDRIFT_DATA_DIR": str(tmp_path / "data"), "BGPDRIFT_RETRAIN__TIME_LIMIT_S": "3600"})


@pytest.fixture
def run(settings: Settings) -> Iterator[Run]:
    ages: list[Callable[[], float]] = []
    runner = RetrainerRunner(settings, lambda _: WAITS, margin_s=100.0, measure_age_s=lambda _: ages[0]())
    started = Run(runner, runner.start("lstm"))
    ages.append(lambda: started.age_s)
    yield started
    while is_alive(started.owner):
        started.is_killed_at(started.age_s + 30.0)


def find_kill_s(run: Run, begin_s: float, end_s: float) -> float | None:
    """Look at a run every half minute; return its age when it is killed."""
    ages = [begin_s + 30.0 * step for step in range(int((end_s - begin_s) / 30.0) + 1)]
    return next((age_s for age_s in ages if run.is_killed_at(age_s)), None)


def test_a_run_beyond_its_limit_is_killed(run: Run) -> None:
    assert find_kill_s(run, 0.0, 2 * HOUR_S) == 3_720.0


def test_a_pause_of_the_machine_does_not_count_against_the_limit(run: Run) -> None:
    assert find_kill_s(run, 0.0, 0.5 * HOUR_S) is None
    assert find_kill_s(run, 10.5 * HOUR_S, 13.0 * HOUR_S) == 10.0 * HOUR_S + 3_720.0


def test_a_process_that_cannot_be_created_is_a_temporary_failure(settings: Settings) -> None:
    runner = RetrainerRunner(settings, lambda _: ["/nowhere/retrain"])
    with pytest.raises(TransientError, match="retrain_lstm: cannot be started: No such file or directory"):
        runner.start("lstm")
