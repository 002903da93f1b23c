"""No refused write changes what a service stores: every write of every service is refused once, in three ways.

Each service runs on prepared input, which arrives in parts. The undisturbed run counts the writes. Each further run refuses one
of them, and must leave the same rows in all tables.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import zstandard

from bgpdrift.bgp.spool import record_line, segment_name
from bgpdrift.clock import FakeClock
from bgpdrift.errors import StoreError, TransientError
from bgpdrift.features.spool_aggregation import SpoolAggregation
from bgpdrift.monitor.monitor_worker import DriftMonitor
from bgpdrift.monitor.performance_days import PerformanceDays
from bgpdrift.scoring.detector_worker import HEARTBEAT_S, DetectorWorker
from bgpdrift.services import record_events
from bgpdrift.services.runtime import Worker
from bgpdrift.settings import Settings, load
from bgpdrift.store import IncidentChanges, StateCursor, Store, migrate, open_store
from bgpdrift.store.cursor_states import DetectorState
from bgpdrift.store.outcomes import Outcome
from bgpdrift.store.retention import Sweeper
from bgpdrift.verdicts.coordination import EnsembleCoordinator
from bgpdrift.verdicts.correlation_engine import CorrelationEngine
from helpers import windows
from helpers.refused_writes import KINDS, Kind, Refusal, RefusingStore, read_tables

DAY_S = 86_400
T0 = 1_700_000_040
STORM = range(640, 660)
FIRST = 630
"""First of the minutes that reach the services after the detectors; the history before only serves the scores."""

Tables = dict[str, list[dict[str, Any]]]
Arrival = Callable[[Settings, Store], None]
"""A part of the input of a service."""


class Run:
    """One service on its input, with a store that refuses one of its writes."""

    def __init__(self, folder: Path, refusal: Refusal, template: Path) -> None:
        self.refusal, self.clock = refusal, FakeClock()
        self.settings = load(env={"BGPDRIFT_DATA_DIR": str(folder)})
        shutil.copytree(template, folder)
        self.opened: list[Store] = []

    def store(self) -> Store:
        self.opened.append(RefusingStore(self.settings.store_url, self.clock, self.refusal))
        return self.opened[-1]

    def drive(self, build: Callable[["Run"], Worker], arrivals: Sequence[Arrival]) -> Tables:
        """Run the service until it has done all its work, as the runtime and the supervisor do."""
        with open_store(self.settings.store_url, clock=self.clock) as input_store:
            worker: Worker | None = None
            for arrive in arrivals:
                arrive(self.settings, input_store)
                self.clock.advance(seconds=HEARTBEAT_S + self.settings.windows.checkpoint_s)
                worker = self.drain(build, worker)
            if worker is not None:
                worker.close()
            return read_tables(input_store)

    def drain(self, build: Callable[["Run"], Worker], worker: Worker | None) -> Worker:
        while True:
            try:
                worker = worker or build(self)
                if not worker.step():
                    return worker
            except TransientError:
                continue
            except StoreError:
                if worker is not None:
                    worker.close()
                worker = None  # the supervisor starts another process

    def close(self) -> None:
        for store in self.opened:
            store.close()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with an empty store."""
    folder = tmp_path_factory.mktemp("empty") / "data"
    settings = load(env={"BGPDRIFT_DATA_DIR": str(folder)})
    folder.mkdir()
    migrate(settings.store_url)
    return folder


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    """Windows with an update storm."""
    frame = windows.calm(700)
    for name in ("announced", "path_length_sum", "messages"):
        frame.features[name][STORM.start : STORM.stop] *= 30
    return windows.rows_of(frame)


@pytest.fixture(scope="module")
def scored(empty: Path, rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The tables after detectors, ensemble and correlation have done all their work."""
    run = Run(tmp_path_factory.mktemp("scored") / "data", Refusal(), empty)

    def arrive(_: Settings, store: Store) -> None:
        store.write_windows(rows, None)

    run.drive(build_detector("heuristic"), [arrive])
    for model in ("isolation_forest", "lstm"):
        run.drive(build_detector(model), [nothing])
    run.drive(build_ensemble, [nothing])
    tables = run.drive(build_engine, [nothing])
    run.close()
    return tables


def nothing(_settings: Settings, _store: Store) -> None:
    """No further input."""


def build_aggregator(run: Run) -> Worker:
    return SpoolAggregation(run.settings, run.store(), run.clock)


def build_detector(model: str) -> Callable[[Run], Worker]:
    return lambda run: DetectorWorker(run.settings, run.store(), run.clock, model, f"{model}_detector")


def build_ensemble(run: Run) -> Worker:
    return EnsembleCoordinator(run.settings, run.store(), run.clock)


def build_engine(run: Run) -> Worker:
    return CorrelationEngine(run.settings, run.store(), run.clock)


def build_monitor(run: Run) -> Worker:
    store = run.store()
    return DriftMonitor(
        store,
        enabled=True,
        sweeper=Sweeper(store, {"service_events": 1}, run.clock, batch=2),
        performance=PerformanceDays(store, run.clock, min_labels=1),
    )


def segment(number: int, *frames: tuple[float, str]) -> Arrival:
    """A segment of the spool with an announcement of each prefix at its time."""

    def arrive(settings: Settings, _: Store) -> None:
        lines = [announcement(*frame) for frame in frames]
        end = record_line("bgpdrift_segment_end", {"closed_at": frames[-1][0], "frames": len(lines)})
        settings.spool_path.mkdir(exist_ok=True)
        path = settings.spool_path / segment_name(number)
        path.write_bytes(zstandard.compress(b"".join(line + b"\n" for line in (*lines, end))))

    return arrive


def announcement(at: float, prefix: str) -> bytes:
    data = {
        "timestamp": at,
        "peer": "192.0.2.1",
        "host": "rrc00.ripe.net",
        "id": f"192.0.2.1-{int(at * 1000):012x}0001",
        "type": "UPDATE",
        "path": [3333, int(at) % 7 + 1, 12654],
        "origin": "IGP",
        "announcements": [{"next_hop": "192.0.2.1", "prefixes": [prefix]}],
    }
    return json.dumps({"type": "ris_message", "data": data}).encode()


def spool_arrivals() -> list[Arrival]:
    """Eight segments of 50 s; a prefix is announced again and again, so that each window depends on the state before."""
    return [
        segment(number, *((T0 + number * 50.0 + n, f"193.0.{8 * (n % 3)}.0/21") for n in range(0, 50, 7)))
        for number in range(1, 9)
    ]


def window_arrivals(rows: Sequence[dict[str, Any]]) -> list[Arrival]:
    """The history, which an earlier process has scored, then twenty minutes at a time."""

    def begin(_: Settings, store: Store) -> None:
        store.write_windows(rows[:FIRST], None)
        store.put_cursor(StateCursor("heuristic_detector", FIRST, DetectorState(model_version="default-1")))

    parts = [rows[at : at + 20] for at in range(FIRST, len(rows), 20)]
    return [begin, *(lambda _, store, part=part: store.write_windows(part, None) for part in parts)]


def score_arrivals(rows: Sequence[dict[str, Any]], scored: Tables) -> list[Arrival]:
    """Windows, and their scores ten minutes at a time."""
    scores, waiting = scored["scores"], DetectorState(phase="waiting for a model")

    def arrive(_: Settings, store: Store, at: int, end: int) -> None:
        store.write_windows(rows[at:end], None)
        cursor = StateCursor("heuristic_detector", end - FIRST, DetectorState(model_version="default-1"))
        store.write_scores([without_id(row) for row in scores[at:end]], cursor)
        for model in ("isolation_forest", "lstm"):
            store.put_cursor(StateCursor(f"{model}_detector", end - FIRST, waiting))

    return [lambda settings, store, at=at: arrive(settings, store, at, at + 10) for at in range(FIRST, len(rows), 10)]


def verdict_arrivals(scored: Tables) -> list[Arrival]:
    """Verdicts, ten minutes at a time."""
    verdicts = [without_id(row) for row in scored["verdicts"][FIRST:]]
    parts = [verdicts[at : at + 10] for at in range(0, len(verdicts), 10)]
    return [lambda _, store, part=part: store.write_verdicts(part, None) for part in parts]


def monitor_arrivals(rows: Sequence[dict[str, Any]], scored: Tables) -> list[Arrival]:
    """Old events, a day with windows, scores, verdicts and a labelled incident, then the next day."""

    def begin(_: Settings, store: Store) -> None:
        for number in range(3):
            store.record_service_event(1_000.0 + number, "lstm_detector", "started", {})
        incidents = [dict(row) for row in scored["incidents"]]
        store.apply_incidents(IncidentChanges(inserts=incidents), None)
        (incident,) = incidents
        span = {"starts_at": incident["started_at"], "ends_at": incident["last_seen_at"] + 60}
        store.record_outcome(Outcome(incident_id=incident["id"], label="true_positive", **span), span["ends_at"])

    def go_on(_: Settings, store: Store, at: int) -> None:
        part = slice(at, at + 35)
        store.write_windows(rows[part], None)
        store.write_scores([without_id(row) for row in scored["scores"][part]], None)
        store.write_verdicts([without_id(row) for row in scored["verdicts"][part]], None)

    def end(_: Settings, store: Store) -> None:
        store.write_windows([rows[-1] | {"window_start": rows[-1]["window_start"] + 2 * DAY_S}], None)

    parts = [lambda settings, store, at=at: go_on(settings, store, at) for at in range(FIRST, len(rows), 35)]
    return [begin, *parts, end, nothing]


def without_id(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "id"}


Service = tuple[Callable[[Run], Worker], list[Arrival]]
SERVICES = (
    "feature_aggregator",
    "heuristic_detector",
    "lstm_detector",
    "ensemble_coordinator",
    "correlation_engine",
    "drift_monitor",
)


@pytest.fixture(scope="module")
def services(rows: list[dict[str, Any]], scored: Tables) -> dict[str, Service]:
    """How each service is built, and its input."""
    return {
        "feature_aggregator": (build_aggregator, spool_arrivals()),
        "heuristic_detector": (build_detector("heuristic"), window_arrivals(rows)),
        "lstm_detector": (build_detector("lstm"), window_arrivals(rows[:FIRST])),
        "ensemble_coordinator": (build_ensemble, score_arrivals(rows, scored)),
        "correlation_engine": (build_engine, verdict_arrivals(scored)),
        "drift_monitor": (build_monitor, monitor_arrivals(rows, scored)),
    }


@pytest.fixture
def run_service(tmp_path: Path, empty: Path) -> Iterator[Callable[[Service, Refusal], Tables]]:
    """Run a service to the end of its input, and read all tables."""
    runs: list[Run] = []

    def run(service: Service, refusal: Refusal) -> Tables:
        runs.append(Run(tmp_path / f"run{len(runs)}" / "data", refusal, empty))
        return runs[-1].drive(*service)

    yield run
    for made in runs:
        made.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SERVICES)
def test_no_refused_write_changes_what_a_service_stores(
    name: str, kind: Kind, services: dict[str, Service], run_service: Callable[[Service, Refusal], Tables]
) -> None:
    """Each write is refused once; the tables are those of the run without a refusal."""
    counted = Refusal()
    expected = comparable(run_service(services[name], counted))
    assert counted.writes >= 1
    for number in range(1, counted.writes + 1):
        found = comparable(run_service(services[name], Refusal(number, kind)))
        for table, stored in expected.items():
            assert found[table] == stored, f"write {number} of {counted.writes}, {kind}: {table} differs"


def comparable(tables: Tables) -> Tables:
    """Leave out paths, wall-clock stamps, how often a process wrote an event of its own, and gaps between ids.

    A row that is written again keeps its id, but SQLite passes over an id.
    """
    for name in ("feature_windows", "scores", "verdicts", "hourly_histograms", "incident_events"):
        tables[name] = [row | {"id": number, "written_at": 0.0} for number, row in enumerate(tables[name])]
    for name in ("model_retrain_events", "model_versions"):
        tables[name] = [row | {"artifact_path": ""} for row in tables[name]]
    events = {json.dumps([row["service"], row["event"], row["details"]]): row for row in tables["service_events"]}
    kept = [{"event": text} for text in sorted(events) if "load_ms" not in text]
    return tables | {"service_events": kept}


@pytest.mark.parametrize("kind", ["refused", "fatal"])
def test_no_refused_write_loses_or_repeats_an_event_of_the_supervisor(kind: Kind, tmp_path: Path, empty: Path) -> None:
    """The program runs again after each failure, as the supervisor starts it for the next event."""

    def record(folder: Path, refusal: Refusal) -> Tables:
        run = Run(folder, refusal, empty)
        run.settings.logs_path.mkdir()
        file = run.settings.logs_path / record_events.EVENTS_FILE
        encoded = (json.dumps({"at": 10.0 + n, "service": "lstm_detector", "event": "crashloop"}) for n in range(3))
        for line in encoded:
            with file.open("a") as opened:
                opened.write(line + "\n")
            for _ in range(2):
                try:
                    record_events.record(run.settings.logs_path, run.store())
                except (TransientError, StoreError):
                    continue
        with open_store(run.settings.store_url) as store:
            tables = read_tables(store)
        run.close()
        return tables

    counted = Refusal()
    expected = record(tmp_path / "expected", counted)
    assert len(expected["service_events"]) == 3
    for number in range(1, counted.writes + 1):
        assert record(tmp_path / f"run{number}", Refusal(number, kind)) == expected
