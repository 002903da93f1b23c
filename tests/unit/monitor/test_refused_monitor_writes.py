"""No refused write changes what the drift monitor stores: every write of a drift's whole course is refused once, in three ways.

One model drifts. The checks find it, a request is postponed, a person approves it, a first run dies, a second one publishes a
version. In a second course an open incident holds the drift, and a person calls it the new normal.
"""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from bgpdrift.clock import FakeClock
from bgpdrift.drift.histogram import Histogram
from bgpdrift.errors import StoreError, TransientError
from bgpdrift.models import flags
from bgpdrift.models.loading import publish_default
from bgpdrift.monitor.drift_checks import DriftChecks
from bgpdrift.monitor.model_loop import ModelLoop
from bgpdrift.monitor.monitor_worker import DriftMonitor
from bgpdrift.monitor.retrainer_process import EndedRun
from bgpdrift.process.identity import ProcessIdentity, identify
from bgpdrift.settings import Settings, load
from bgpdrift.store import IncidentChanges, StateCursor, Store, migrate, open_store
from bgpdrift.store.cursor_states import DriftState, PersistenceState, drift_cursor
from bgpdrift.store.drift import DriftUpdate
from bgpdrift.store.model_records import EventReason, ModelVersion, RetrainEvent
from helpers.refused_writes import KINDS, Kind, Refusal, RefusingStore, read_tables

MODEL, VERSION = "heuristic", "default-1"
HOUR_S, DAY_S = 3_600, 86_400
T = 19_000 * DAY_S
CALM_H = 9 * 24
"""Hours without drift, which are checked before the course begins."""

Tables = dict[str, list[dict[str, Any]]]


class Machine:
    """The retrainers of a run: a process that is there while a run works, whoever monitors it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.exit_code = 0

    def begin(self) -> ProcessIdentity:
        if self.process is None:
            self.process = subprocess.Popen(["sleep", "600"])
        identity = identify(self.process.pid)
        assert identity is not None
        return identity

    def end(self, exit_code: int) -> None:
        assert self.process is not None, "no run has begun"
        self.exit_code = exit_code
        self.process.kill()
        self.process.communicate()
        self.process = None

    def close(self) -> None:
        if self.process is not None:
            self.end(0)


class MachineRunner:
    """The runner of one monitor: only the monitor that began a run gets its exit code."""

    def __init__(self, machine: Machine) -> None:
        self._machine, self._model = machine, ""

    def start(self, model: str) -> ProcessIdentity:
        self._model = model
        return self._machine.begin()

    def collect(self) -> EndedRun | None:
        if not self._model or self._machine.process is not None:
            return None
        model, self._model = self._model, ""
        return EndedRun(model, self._machine.exit_code)

    def kill_if_overdue(self, owner: ProcessIdentity) -> bool:
        return False


class Course:
    """A store, an artifact folder and a drift monitor, whose store refuses one write."""

    def __init__(self, folder: Path, refusal: Refusal, template: Path, *, has_checks: bool = True) -> None:
        shutil.copytree(template, folder)
        self.settings, self.clock, self.refusal = make_settings(folder), FakeClock(), refusal
        self.has_checks = has_checks
        self.machine, self.folder = Machine(), self.settings.artifacts_path
        self.store = open_store(self.settings.store_url, clock=self.clock)
        self.opened: list[Store] = [self.store]
        self.monitor = self.build()

    def build(self) -> DriftMonitor:
        """Build a monitor, again after each refused write."""
        while True:
            store = RefusingStore(self.settings.store_url, self.clock, self.refusal)
            self.opened.append(store)
            try:
                checks = DriftChecks(self.settings, store, self.clock) if self.has_checks else None
                loop = ModelLoop(self.settings, store, self.clock, MachineRunner(self.machine))
                return DriftMonitor(store, enabled=True, checks=checks, loop=loop)
            except (TransientError, StoreError):
                continue

    def drain(self) -> None:
        while True:
            try:
                if not self.monitor.step():
                    return
            except TransientError:
                continue
            except StoreError:
                self.monitor.close()
                self.monitor = self.build()  # the supervisor starts another process

    def run(self, steps: Sequence[Callable[["Course"], None]]) -> Tables:
        for step in steps:
            step(self)
            self.clock.advance(minutes=20)
            self.drain()
        return read_tables(self.store)

    def close(self) -> None:
        self.machine.close()
        for store in self.opened:
            store.close()


def make_settings(folder: Path) -> Settings:
    loaded = load(env={"BGPDRIFT_DATA_DIR": str(folder)})
    drift = replace(loaded.drift, persistence_checks=2, pinned_windows_h=[24], check_every_h=12)
    retrain = replace(loaded.retrain, min_windows=10, probation_h=0)
    return replace(loaded, drift=drift, retrain=retrain)


def add_hours(store: Store, first: int, end: int, factor: float) -> None:
    """Add hours of scores since the beginning, the same in each run, and the windows that define the event time."""
    rows = []
    for hour in range(first, end):
        values = np.random.default_rng(hour).gamma(2.0, size=60) * factor
        counted = Histogram.of(values.tolist())
        rows.append(
            {
                "hour_start": T + hour * HOUR_S,
                "series": f"score:{MODEL}",
                "model_version": VERSION,
                "collector": "rrc00",
                "n": counted.n,
                "value_sum": counted.total,
                "value_sum_squares": counted.squares,
                "bins": counted.to_bytes(),
            }
        )
    store.upsert_histograms(rows, None)
    times = range(T + end * HOUR_S - 40 * 60, T + end * HOUR_S + 60, 60)
    store.write_windows([{"window_start": at, "collector": "rrc00", "peer": ""} for at in times], None)


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory after days without drift."""
    folder = tmp_path_factory.mktemp("calm") / "data"
    settings = make_settings(folder)
    settings.artifacts_path.mkdir(parents=True)
    publish_default(settings.artifacts_path, MODEL)
    migrate(settings.store_url)
    with open_store(settings.store_url, clock=FakeClock()) as store:
        add_hours(store, 0, CALM_H, 1.0)
        version = ModelVersion(
            model=MODEL, version=VERSION, state="active", digest="d", artifact_path="p", created_at=0
        )
        store.record_model_version(version)
        at = T + CALM_H * HOUR_S
        state = DriftState(model_version=VERSION, verdict="none", at=at, persistence=PersistenceState(version=VERSION))
        store.update_drift(DriftUpdate(None, StateCursor(drift_cursor(MODEL), at, state)))
    return folder


def drift(first: int, end: int, factor: float) -> Callable[[Course], None]:
    """Hours after the calm ones."""
    return lambda course: add_hours(course.store, CALM_H + first, CALM_H + end, factor)


def answer(course: Course) -> None:
    """A person approves what is asked."""
    (approval,) = course.store.approval_requests(state="pending")
    course.store.answer_approval(approval.id, "approved", "ann", T)


def claim(course: Course) -> None:
    """The retrainer claims its flag, and begins its event."""
    (request,) = course.store.retrain_requests(states=("flagged",))
    assert course.machine.process is not None
    assert flags.claim(course.folder, MODEL, course.machine.begin()) is not None
    event = RetrainEvent(model=MODEL, started_at=1, reason=EventReason(request_id=request.id))
    course.store.record_retrain_event(event)


def end_run(exit_code: int | None) -> Callable[[Course], None]:
    """The retrainer publishes a version; it dies if the exit code is None."""

    def end(course: Course) -> None:
        claimed = flags.read_claim(course.folder, MODEL)
        assert claimed is not None
        if exit_code is not None:
            (event,) = course.store.retrain_events(MODEL, 1)
            ended = replace(event, finished_at=2, exit_code=exit_code, promoted=True, version="8", notes="published")
            course.store.record_retrain_event(ended)
            flags.release(course.folder, claimed)
        course.machine.end(-9 if exit_code is None else exit_code)

    return end


def kill_after_publication(course: Course) -> None:
    """The retrainer dies after its version became active, before it completed its event."""
    (event,) = course.store.retrain_events(MODEL, 1)
    course.store.record_retrain_event(replace(event, version=VERSION))
    course.machine.end(-9)


def open_incident(course: Course) -> None:
    row = {"id": 7, "state": "open", "severity": "high", "peak": 5.0, "collectors": ["rrc00"]}
    at = T + CALM_H * HOUR_S
    course.store.apply_incidents(IncidentChanges(inserts=[row | {"started_at": at, "last_seen_at": at}]), None)


def add_windows(end: int) -> Callable[[Course], None]:
    """Event time passes, without further scores."""
    at = T + (CALM_H + end) * HOUR_S
    return lambda course: course.store.write_windows([{"window_start": at, "collector": "rrc00", "peer": ""}], None)


def wait(_: Course) -> None:
    """The pause after a run that died passes."""


Steps = list[Callable[[Course], None]]
LED = "a drift leads to a new version"
KILLED = "a run dies after it published a version"
COURSES: dict[str, tuple[Steps, Steps]] = {
    "a drift is found": ([drift(0, 13, 4.0)], [drift(13, 25, 4.0)]),
    LED: (
        [drift(0, 25, 4.0)],
        [answer, add_windows(42), claim, end_run(None), wait, claim, end_run(0), add_windows(43)],
    ),
    KILLED: ([drift(0, 25, 4.0)], [answer, add_windows(42), claim, kill_after_publication, add_windows(43)]),
    "an incident holds a drift": ([open_incident], [drift(0, 13, 2.0), answer]),
}
"""What happened before a course, without a refusal, and what happens in it."""


@pytest.fixture(scope="module")
def begun(calm: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A data directory at the beginning of each course."""
    folders = {}
    for number, (name, (before, _)) in enumerate(COURSES.items()):
        folders[name] = tmp_path_factory.mktemp(f"begun{number}") / "data"
        course = Course(folders[name], Refusal(), calm)
        course.run(before)
        course.close()
    return folders


@pytest.fixture
def run_course(tmp_path: Path, begun: dict[str, Path]) -> Iterator[Callable[[str, Refusal], Tables]]:
    courses: list[Course] = []

    def run(name: str, refusal: Refusal) -> Tables:
        folder = tmp_path / f"run{len(courses)}" / "data"
        # A check takes longer than all the rest, so that a course without new scores has none.
        courses.append(Course(folder, refusal, begun[name], has_checks=name not in (LED, KILLED)))
        return comparable(courses[-1].run(COURSES[name][1]), folder)

    yield run
    for course in courses:
        course.close()


def test_the_courses_reach_what_they_describe(run_course: Callable[[str, Refusal], Tables]) -> None:
    found, led, killed, held = (run_course(name, Refusal()) for name in COURSES)
    assert [row["state"] for row in found["retrain_requests"]] == ["waiting_approval"]
    assert [row["state"] for row in led["retrain_requests"]] == ["done"]
    assert [row["version"] for row in led["model_retrain_events"]] == ["", "8"]
    assert [row["state"] for row in led["model_versions"]] == ["accepted"]
    assert [row["state"] for row in killed["retrain_requests"]] == ["done"]
    assert [row["notes"] for row in killed["model_retrain_events"]] == [
        f"killed after version {VERSION} had become active"
    ]
    assert [row["label"] for row in held["outcomes"]] == ["new_normal"]


def without_first_training(tables: Tables) -> Tables:
    """Leave out what detectors without a model wait for: it is computed at intervals of wall time and after a restart."""
    kept = [row for row in tables["cursors"] if not str(row["name"]).startswith("first_training:")]
    return {**tables, "cursors": kept}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", COURSES)
def test_no_refused_write_changes_what_the_monitor_stores(
    name: str, kind: Kind, run_course: Callable[[str, Refusal], Tables]
) -> None:
    counted = Refusal()
    expected = without_first_training(run_course(name, counted))
    for number in range(1, counted.writes + 1):
        found = without_first_training(run_course(name, Refusal(number, kind)))
        for table, stored in expected.items():
            assert found[table] == stored, f"write {number} of {counted.writes}, {kind}: {table} differs"


def comparable(tables: Tables, folder: Path) -> Tables:
    """Replace the folder of the run, which reports name."""
    replaced: Tables = json.loads(json.dumps(tables, default=repr).replace(str(folder), "FOLDER"))
    return replaced
