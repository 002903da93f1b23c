"""Versions in force, watched over stored windows: the good settle, the deaf and the loud are taken back."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.errors import InputError
from bgpdrift.models.artifact import Artifact, read, to_bytes
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.publication import active_version, stage
from bgpdrift.monitor.probation import Probation, probation_cursor
from bgpdrift.monitor.retraining_requests import ActiveVersions
from bgpdrift.settings import Settings, load
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.verdicts.calibration import Calibration
from retrainers.training import to_artifact, train

M, HOUR_S = "heuristic", 3_600
HISTORY_MIN, WATCHED_H = 480, 26


def trained(frames: list[Any]) -> Artifact:
    return to_artifact(train(M, frames, history_minutes=360), frames, version="1", created_at=0, alarms_per_day=2.0)


@pytest.fixture(scope="module")
def good(windows) -> Artifact:
    return trained([windows.calm(3_000)])


@pytest.fixture(scope="module")
def deaf(good) -> Artifact:
    """Nothing is ever rare enough for an alarm."""
    return replace(good, calibration=Calibration.fit(np.linspace(0.0, 1e9, 5_000)).as_fields())


@pytest.fixture(scope="module")
def for_low_traffic(windows) -> Artifact:
    """Learned where there is a tenth of the traffic: everything is a storm to it."""
    return trained([windows.calm(3_000, level=20.0)])


@pytest.fixture(scope="module")
def for_high_traffic(windows) -> Artifact:
    return trained([windows.calm(3_000, level=600.0)])


def trusting(path: Path, model: str, _: int) -> None:
    read(path, model)


class World:
    """A store with a day and more of windows, an artifact folder, and the watch."""

    def __init__(self, settings: Settings, store: Store, clock: FakeClock) -> None:
        self.settings, self.store, self.clock, self.folder = settings, store, clock, settings.artifacts_path
        self.registry = ModelRegistry(self.folder, store, clock, verify=trusting)
        self.start = 0
        self.restart()

    def restart(self) -> None:
        self.probation = Probation(self.settings, self.store, self.clock, ActiveVersions(self.folder), self.registry)

    def put(self, artifact: Artifact, version: str, kind: str = "retrain") -> None:
        """Bring a version into force, as a retrainer or a person does."""
        self.clock.advance(hours=1)
        parent = active_version(self.folder, M)
        raw = to_bytes(replace(artifact, version=version, parent_version=parent))
        file = stage(self.folder, M, version, raw, verify=trusting)
        self.registry.publish(M, file, expected_active=parent, kind=kind)

    def live_on(self, frame: Any, rows_of: Callable[[Any], list[dict[str, object]]]) -> None:
        self.store.write_windows(rows_of(frame), None)
        self.start = int(frame.window_start[HISTORY_MIN])

    def watch(self, hours: int = WATCHED_H, restarts: bool = False) -> None:
        at = self.cursor().position if self.cursor() else self.start
        for hour in range(hours + 7):  # the detectors never score here: each hour is waited for six more
            for _ in range(3):
                if restarts:
                    self.restart()
                self.probation.step(at + hour * HOUR_S)

    def cursor(self) -> Any:
        return self.store.read_cursor(probation_cursor(M))

    def states(self) -> dict[str, str]:
        return {row["version"]: row["state"] for row in self.store.model_versions(M)}

    def notices(self) -> list[str]:
        return [row["key"] for row in self.store.notifications()]


@pytest.fixture
def world(tmp_path: Path, clock: FakeClock) -> Iterator[World]:
    settings = load(env={"BGPDRIFT_DATA_DIR": str(tmp_path / "data")})
    settings.artifacts_path.mkdir(parents=True)
    migrate(settings.store_url)
    with open_store(settings.store_url, clock=clock) as store:
        yield World(settings, store, clock)


@pytest.fixture
def calm_day(windows):
    return windows.calm(HISTORY_MIN + 60 * WATCHED_H, seed=4)


def test_a_good_version_settles_after_its_time_and_its_shadow_is_on_record(world, good, calm_day, windows):
    world.live_on(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(good, "2")

    world.watch(restarts=True)

    assert world.states() == {"1": "retired", "2": "accepted"}
    details = world.cursor().details
    assert (details["version"], details["parent"], details["verdict"], details["checks"]) == ("2", "1", "accepted", 24)
    assert details["tally"]["injected"] == 24 * 7
    assert details["detection"] == details["shadow_detection"] > 0.5
    rows = world.store.histograms_between(f"shadow:{M}", 0, 2**40)
    assert {(row["model_version"], row["n"]) for row in rows} == {("1", 60)}
    assert len(rows) == 24
    assert world.notices() == []


def test_a_deaf_version_is_taken_back_within_hours_and_that_is_said(world, good, deaf, calm_day, windows):
    world.live_on(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(deaf, "2")

    world.watch(hours=6)

    assert world.states() == {"1": "accepted", "2": "rolled_back"}
    assert active_version(world.folder, M) == "1"
    assert world.notices() == [f"rolled_back:{M}:2"]
    assert world.store.read_cursor(f"loop:{M}").details == {"because": "version 2 was taken back"}
    event = next(row for row in world.store.retrain_events(M) if row["kind"] == "rollback")
    assert "finds 0 % of the injected anomalies" in event["reason_json"]["reason"]
    assert world.cursor().details["version"] == "1"
    world.watch(hours=3, restarts=True)
    assert active_version(world.folder, M) == "1"


def metadata(artifact: Artifact, promised: float) -> Artifact:
    return replace(artifact, metrics={**artifact.metrics, "injected_mean": promised})


@pytest.mark.parametrize(("kind", "promised"), [("promote", 0.0), ("retrain", 0.6)])
def test_a_deaf_version_after_a_deaf_one_is_taken_back_if_forced_in_or_if_its_papers_promise_more(
    world, deaf, calm_day, windows, kind, promised
):
    world.live_on(calm_day, windows.rows_of)
    world.put(metadata(deaf, 0.0), "1")
    world.put(metadata(deaf, promised), "2", kind)

    world.watch(hours=6)

    assert world.states() == {"1": "accepted", "2": "rolled_back"}
    assert world.notices() == [f"rolled_back:{M}:2"]


def test_a_deaf_version_after_a_deaf_one_that_passed_the_gate_is_watched_longer_and_then_told_of(
    world, deaf, calm_day, windows
):
    retrain = msgspec.structs.replace(world.settings.retrain, probation_h=5.0)
    world.settings = msgspec.structs.replace(world.settings, retrain=retrain)
    world.restart()
    world.live_on(calm_day, windows.rows_of)
    world.put(metadata(deaf, 0.2), "1")
    world.put(metadata(deaf, 0.2), "2")

    world.watch(hours=5)
    details = world.cursor().details
    assert (details["checks"] >= 5, details["verdict"]) == (True, "watching")
    assert details["reason"].endswith("the probation lasts up to 15 hours instead of 5")
    assert details["ends_at"] == details["started_at"] + 15 * HOUR_S

    world.watch(hours=16)
    assert (world.cursor().details["verdict"], world.states()["2"]) == ("needs_review", "active")
    assert world.notices() == [f"probation:{M}:2"]


def test_a_version_that_was_taken_back_never_comes_back_by_itself_also_when_the_next_disappoints(
    world, good, deaf, calm_day, windows
):
    world.live_on(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(deaf, "2")
    world.watch(hours=6)
    world.put(deaf, "3", "promote")
    world.watch(hours=6)

    assert world.states() == {"1": "accepted", "2": "rolled_back", "3": "rolled_back"}
    assert active_version(world.folder, M) == "1"
    with pytest.raises(InputError, match="nothing to go back to"):
        world.registry.roll_back(M, "the one before it disappoints, too")
    assert active_version(world.folder, M) == "1"
    assert world.registry.promote(M, max_drift=100.0)[0] is None


def test_a_version_that_alarms_all_the_time_is_taken_back(world, good, for_low_traffic, calm_day, windows):
    world.live_on(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(for_low_traffic, "2")
    world.watch()
    assert world.states()["2"] == "rolled_back"


def test_after_a_change_of_level_the_new_version_settles_although_the_old_one_alarms_all_the_time(
    world, good, for_high_traffic, windows
):
    world.live_on(windows.calm(HISTORY_MIN + 60 * WATCHED_H, level=600.0, seed=4), windows.rows_of)
    world.put(good, "1")
    world.put(for_high_traffic, "2")
    world.watch()
    details = world.cursor().details
    assert (world.states()["2"], details["shadow_alarms_per_day"] > 20) == ("accepted", True)


def test_an_attack_costs_no_version_its_place_that_sees_it_whatever_it_promised(world, good, deaf, calm_day, windows):
    for name in ("announced", "messages", "withdrawn", "withdrawn_prefixes", "path_length_sum"):
        calm_day.features[name][HISTORY_MIN:] *= 20.0
    world.live_on(calm_day, windows.rows_of)
    world.put(deaf, "1")
    world.put(metadata(good, 0.9), "2", "promote")
    at = calm_day.window_start[HISTORY_MIN:].tolist()
    other = {"collector": "rrc00", "model": "lstm", "model_version": "3", "score": 9.0, "p_value": 1e-6}
    world.store.write_scores([{**other, "window_start": start, "is_alarm": True} for start in at], None)

    world.watch()

    details = world.cursor().details
    assert (details["alarms_per_day"], details["verdict"], world.states()["2"]) == (0.0, "watching", "active")
    assert details["reason"].endswith("are required: the probation lasts up to 72 hours instead of 24")
    assert details["tally"]["injected"] < 28


def test_a_first_version_settles_by_its_own_alarms_alone(world, good, calm_day, windows):
    world.live_on(calm_day, windows.rows_of)
    world.put(good, "1")
    world.watch()
    assert world.states() == {"1": "accepted"}
    assert world.cursor().details["shadow_detection"] is None


def test_a_loud_first_version_is_kept_and_that_is_said(world, for_low_traffic, calm_day, windows):
    world.live_on(calm_day, windows.rows_of)
    world.put(for_low_traffic, "1")
    world.watch()
    assert active_version(world.folder, M) == "1"
    assert (world.cursor().details["verdict"], world.states()) == ("needs_review", {"1": "active"})
    assert world.notices() == [f"probation:{M}:1"]


def test_killed_between_the_decision_and_the_rollback_the_next_monitor_takes_it_back(
    world, good, deaf, calm_day, windows, monkeypatch
):
    world.live_on(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(deaf, "2")

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(world.registry, "roll_back", dies)
        with pytest.raises(KeyboardInterrupt):
            world.watch()
    assert (active_version(world.folder, M), world.cursor().details["verdict"]) == ("2", "rolled_back")

    world.restart()
    world.probation.step(world.start)
    assert active_version(world.folder, M) == "1"
    assert world.notices() == [f"rolled_back:{M}:2"]


def test_killed_between_the_rollback_and_its_word_it_is_said_once(world, good, deaf, calm_day, windows, monkeypatch):
    world.live_on(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(deaf, "2")

    def dies(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(world.probation, "_say_taken_back", dies)
        with pytest.raises(KeyboardInterrupt):
            world.watch()
    assert (active_version(world.folder, M), world.notices()) == ("1", [])

    world.restart()
    for _ in range(3):
        world.probation.step(world.start)
    assert world.notices() == [f"rolled_back:{M}:2"]
    assert world.states() == {"1": "accepted", "2": "rolled_back"}


def test_a_version_that_came_meanwhile_is_not_the_one_that_goes(world, good, deaf, calm_day, windows, monkeypatch):
    world.live_on(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(deaf, "2")
    roll_back = world.registry.roll_back

    def somebody_is_quicker(*arguments: Any, **options: Any) -> Any:
        world.put(good, "3")
        return roll_back(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(world.registry, "roll_back", somebody_is_quicker)
        world.watch(hours=1)
        for hour in range(8, 14):
            if active_version(world.folder, M) == "2":
                world.probation.step(world.start + hour * HOUR_S)
    assert active_version(world.folder, M) == "3"


def test_probation_can_be_switched_off(world, deaf, good, calm_day, windows):
    retrain = msgspec.structs.replace(world.settings.retrain, probation_h=0.0)
    world.settings = msgspec.structs.replace(world.settings, retrain=retrain)
    world.restart()
    world.put(good, "1")
    world.put(deaf, "2")
    world.probation.step(world.start)
    assert world.states()["2"] == "accepted"
