"""From windows in a real store through the services to incidents: when the ensemble waits, and what a crash changes."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from bgpdrift.clock import FakeClock
from bgpdrift.drift.histogram import Histogram
from bgpdrift.monitor.monitor_worker import DriftMonitor
from bgpdrift.scoring.detector_worker import HEARTBEAT_S, DetectorWorker
from bgpdrift.settings import Settings, load
from bgpdrift.store import StateCursor, Store, migrate, open_store
from bgpdrift.store.cursor_states import DetectorState
from bgpdrift.verdicts.coordination import EnsembleCoordinator
from bgpdrift.verdicts.correlation_engine import CorrelationEngine
from helpers import windows
from helpers.store_rows import read_histograms, read_scores

MODELS = ("heuristic", "isolation_forest", "lstm")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, object]]:
    """700 minutes with an update storm from 640 to 660."""
    frame = windows.calm(700)
    for name in ("announced", "path_length_sum", "messages"):
        frame.features[name][640:660] *= 30
    found: list[dict[str, object]] = windows.rows_of(frame)
    return found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    loaded = load(env={"BGPDRIFT_DATA_DIR": str(tmp_path / "data")})
    loaded.data_path.mkdir()
    migrate(loaded.store_url)
    return loaded


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with open_store(settings.store_url) as opened:
        yield opened


class Chain:
    """The services on one store; every call builds a new one, as after a crash."""

    def __init__(self, settings: Settings, clock: FakeClock) -> None:
        self.settings, self.clock = settings, clock
        self._open: list[Store] = []

    def store(self) -> Store:
        self._open.append(open_store(self.settings.store_url))
        return self._open[-1]

    def detector(self, model: str) -> DetectorWorker:
        return DetectorWorker(self.settings, self.store(), self.clock, model, f"{model}_detector")

    def ensemble(self) -> EnsembleCoordinator:
        return EnsembleCoordinator(self.settings, self.store(), self.clock)

    def engine(self) -> CorrelationEngine:
        return CorrelationEngine(self.settings, self.store(), self.clock)

    def monitor(self) -> DriftMonitor:
        return DriftMonitor(self.store(), enabled=True)

    def run(self) -> None:
        for worker in (*map(self.detector, MODELS), self.ensemble(), self.engine(), self.monitor()):
            while worker.step():
                pass

    def close(self) -> None:
        for opened in self._open:
            opened.close()


@pytest.fixture
def chain(settings: Settings, clock: FakeClock) -> Iterator[Chain]:
    made = Chain(settings, clock)
    yield made
    made.close()


def test_a_storm_becomes_one_incident_with_an_explanation(chain: Chain, store: Store, rows) -> None:
    store.write_windows(rows, None)
    chain.run()
    (incident,) = store.incidents_between(0, 2**60)
    start = int(rows[640]["window_start"])
    assert incident["started_at"] - start in range(0, 181)
    assert incident["state"] == "closed"
    fired = {rule.rule: rule for rule in incident["explanation"].rules_fired}
    assert fired["update_storm"].value > fired["update_storm"].baseline
    assert incident["explanation"].abstaining == {
        "lstm": "waiting for a model",
        "isolation_forest": "waiting for a model",
    }


def test_every_window_has_one_score_with_its_model_version_and_one_verdict(chain: Chain, store: Store, rows) -> None:
    store.write_windows(rows, None)
    chain.run()
    scores = read_scores(store)
    assert [score["window_start"] for score in scores] == [row["window_start"] for row in rows]
    assert {score["model"] for score in scores} == {"heuristic"}
    versions = {version.version for version in store.model_versions("heuristic")}
    assert {score["model_version"] for score in scores} == versions
    assert len(store.verdicts_after(0, 10_000)) == len(rows)


@pytest.mark.parametrize("cut", [100, 645, 660])
def test_a_restart_of_every_service_changes_no_score_and_no_incident(
    tmp_path: Path, chain: Chain, store: Store, rows, cut: int, clock: FakeClock
) -> None:
    """Windows arrive in two parts with new services between them; scores, incidents and histograms are the same."""
    store.write_windows(rows[:cut], None)
    chain.run()
    store.write_windows(rows[cut:], None)
    clock.advance(seconds=HEARTBEAT_S)
    chain.run()
    chain.run()
    other = load(env={"BGPDRIFT_DATA_DIR": str(tmp_path / "whole")})
    other.data_path.mkdir()
    migrate(other.store_url)
    whole = Chain(other, clock)
    with open_store(other.store_url) as at_once:
        at_once.write_windows(rows, None)
        whole.run()
        assert [s["score"] for s in read_scores(store)] == pytest.approx([s["score"] for s in read_scores(at_once)])
        columns = ("id", "state", "kind", "severity", "started_at", "last_seen_at", "closed_at")
        assert [[i[c] for c in columns] for i in store.incidents_between(0, 2**60)] == [
            [i[c] for c in columns] for i in at_once.incidents_between(0, 2**60)
        ]
        series = ("score:heuristic", "feature:announced")
        assert [[h["n"] for h in read_histograms(store, name)] for name in series] == [
            [h["n"] for h in read_histograms(at_once, name)] for name in series
        ]
    whole.close()


def test_a_detector_without_a_model_waits_and_follows_the_newest_window(chain: Chain, store: Store, rows) -> None:
    store.write_windows(rows[:50], None)
    waiting = chain.detector("lstm")
    assert waiting.step() is False
    assert waiting.status().startswith("waiting for a model")
    expected = StateCursor("lstm_detector", 50, DetectorState(phase="waiting for a model"))
    assert store.read_state("lstm_detector", DetectorState) == expected
    assert read_scores(store) == []


def test_the_ensemble_waits_for_a_detector_that_moves_but_not_for_one_that_hangs(
    chain: Chain, store: Store, rows, clock: FakeClock
) -> None:
    store.write_windows(rows[:50], None)
    for model in ("isolation_forest", "lstm"):
        chain.detector(model).step()
    heuristic = chain.detector("heuristic")
    while heuristic.step():
        pass
    store.write_windows(rows[50:60], None)
    ensemble = chain.ensemble()
    while ensemble.step():
        pass
    assert len(store.verdicts_after(0, 100)) == 50
    clock.advance(seconds=chain.settings.ensemble.stale_s)
    ensemble.step()
    late = store.verdicts_after(50, 100)
    assert len(late) == 10
    assert {verdict["abstaining"]["heuristic"] for verdict in late} == {"stale"}


def test_the_ensemble_waits_for_a_detector_that_had_no_work_for_a_long_time(
    chain: Chain, store: Store, rows, clock: FakeClock
) -> None:
    store.write_windows(rows[:50], None)
    detectors, ensemble = [chain.detector(model) for model in MODELS], chain.ensemble()
    for worker in (*detectors, ensemble):
        while worker.step():
            pass
    ensemble.step()  # there is no more work
    clock.advance(seconds=60.0)  # until the next window
    ensemble.step()
    store.write_windows(rows[50:51], None)
    ensemble.step()  # before the detectors score the window
    assert len(store.verdicts_after(0, 100)) == 50
    for worker in (*detectors, ensemble):
        worker.step()
    (verdict,) = store.verdicts_after(50, 100)
    assert verdict["abstaining"].get("heuristic") != "stale"


def test_the_ensemble_does_not_wait_again_with_every_window_for_a_detector_that_hangs(
    chain: Chain, store: Store, rows, clock: FakeClock
) -> None:
    store.write_windows(rows[:50], None)
    for model in MODELS:
        chain.detector(model).step()
    ensemble = chain.ensemble()
    store.write_windows(rows[50:51], None)
    ensemble.step()
    clock.advance(seconds=chain.settings.ensemble.stale_s)
    ensemble.step()
    ensemble.step()  # no more work, and the detector is still behind
    clock.advance(seconds=40.0)
    store.write_windows(rows[51:52], None)
    ensemble.step()
    assert [row["abstaining"].get("heuristic") for row in store.verdicts_after(50, 100)] == ["stale", "stale"]


def test_detectors_that_never_started_are_absent(chain: Chain, store: Store, rows, clock: FakeClock) -> None:
    store.write_windows(rows[:5], None)
    ensemble = chain.ensemble()
    ensemble.step()
    assert store.verdicts_after(0, 100) == []
    clock.advance(seconds=chain.settings.ensemble.stale_s)
    ensemble.step()
    assert set(store.verdicts_after(0, 1)[0]["abstaining"].values()) == {"absent"}
    assert "lstm abstains: absent" in ensemble.status()


def test_histograms_count_every_clean_minute_once(chain: Chain, store: Store, rows) -> None:
    store.write_windows(rows, None)
    chain.run()
    chain.run()
    found = read_histograms(store, "feature:announced")
    assert sum(row["n"] for row in found) == len(rows)
    merged = sum((Histogram.from_bytes(r["bins"], r["value_sum"], r["value_sum_squares"]) for r in found), Histogram())
    assert merged.counts == Histogram.of(float(row["announced"]) for row in rows).counts
    assert merged.total == pytest.approx(np.sum([row["announced"] for row in rows]))


def test_the_command_lists_and_explains_incidents(chain: Chain, store: Store, rows, monkeypatch) -> None:
    from bgpdrift.commands.incidents import command

    monkeypatch.setenv("BGPDRIFT_DATA_DIR", chain.settings.data_dir)
    assert "No incident is open" in CliRunner().invoke(command, []).output
    store.write_windows(rows, None)
    chain.run()
    assert "closed" in CliRunner().invoke(command, ["--all"]).output
    output = CliRunner().invoke(command, ["1"]).output
    for part in ("Incident 1", "update_storm", "lstm: abstains (waiting for a model)", "closed"):
        assert part in output
    as_json = msgspec.json.decode(CliRunner().invoke(command, ["1", "--json"]).output)
    assert as_json["events"][0]["kind"] == "opened"
    assert CliRunner().invoke(command, ["99"]).exit_code != 0
