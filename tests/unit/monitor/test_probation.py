"""Active versions on probation over stored windows: good ones are accepted, bad ones are rolled back."""

import gc
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
from bgpdrift.models.loading import builder
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.publication import active_version, stage
from bgpdrift.models.self_test import add_self_test
from bgpdrift.monitor.active_versions import ActiveVersions
from bgpdrift.monitor.probation import Probation
from bgpdrift.monitor.shadow_scoring import Version
from bgpdrift.settings import Settings, load
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.store.cursor_states import CooldownState, ProbationState, cooldown_cursor, probation_cursor
from bgpdrift.store.model_records import EventKind
from bgpdrift.store.outcomes import Outcome
from bgpdrift.verdicts.calibration import Calibration
from helpers.store_rows import read_histograms
from retrainers.training import to_artifact, train

M, HOUR_S = "heuristic", 3_600
HISTORY_MIN, WATCHED_H = 480, 26


def trained(frames: list[Any]) -> Artifact:
    return to_artifact(train(M, frames, history_minutes=360), frames, version="1", created_at=0, alarms_per_day=2.0)


@pytest.fixture(scope="module")
def good(windows) -> Artifact:
    return trained([windows.calm(3_000)])


@pytest.fixture(scope="module")
def low_recall(good) -> Artifact:
    """No score is rare enough for an alarm."""
    return replace(good, calibration=Calibration.fit(np.linspace(0.0, 1e9, 5_000)).as_fields())


@pytest.fixture(scope="module")
def for_low_traffic(windows) -> Artifact:
    """Trained on a tenth of the traffic, so that ordinary traffic alarms."""
    return trained([windows.calm(3_000, level=20.0)])


@pytest.fixture(scope="module")
def for_high_traffic(windows) -> Artifact:
    return trained([windows.calm(3_000, level=600.0)])


def trusting(path: Path, model: str, _: int) -> None:
    read(path, model)


class World:
    """A store with more than a day of windows, an artifact folder and a probation."""

    def __init__(self, settings: Settings, store: Store, clock: FakeClock) -> None:
        self.settings, self.store, self.clock, self.folder = settings, store, clock, settings.artifacts_path
        self.registry = ModelRegistry(self.folder, store, clock, verify=trusting)
        self.start = 0
        self.restart()

    def restart(self) -> None:
        self.probation = Probation(self.settings, self.store, self.clock, ActiveVersions(self.folder), self.registry)

    def put(self, artifact: Artifact, version: str, kind: EventKind = "retrain") -> None:
        """Make a version active, as a retrainer or a person does."""
        self.clock.advance(hours=1)
        parent = active_version(self.folder, M)
        raw = to_bytes(replace(artifact, version=version, parent_version=parent))
        file = stage(self.folder, M, version, raw, verify=trusting)
        self.registry.publish(M, file, expected_active=parent, event=self.registry.begin_event(M, kind))

    def store_windows(self, frame: Any, rows_of: Callable[[Any], list[dict[str, object]]]) -> None:
        self.store.write_windows(rows_of(frame), None)
        self.start = int(frame.window_start[HISTORY_MIN])

    def watch(self, hours: int = WATCHED_H, restarts: bool = False) -> None:
        at = self.cursor().position if self.cursor() else self.start
        for hour in range(hours + 7):  # no detector scores here, so each hour is examined six hours after its end
            for _ in range(3):
                if restarts:
                    self.restart()
                self.probation.step(at + hour * HOUR_S)

    def cursor(self) -> Any:
        return self.store.read_state(probation_cursor(M), ProbationState)

    def states(self) -> dict[str, str]:
        return {version.version: version.state for version in self.store.model_versions(M)}

    def alerts(self) -> list[str]:
        return [alert.key for alert in self.store.alerts()]


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


def test_an_active_version_that_its_publisher_did_not_record_is_recorded(world, good):
    """The publisher was killed after the rename, or the store was away."""
    world.put(good, "1")
    without_store = ModelRegistry(world.folder, None, world.clock, verify=trusting)
    file = stage(world.folder, M, "2", to_bytes(replace(good, version="2", parent_version="1")), verify=trusting)
    without_store.publish(M, file, expected_active="1")

    world.probation.step(world.start)
    assert world.states() == {"1": "active"}
    world.clock.advance(minutes=2)
    world.probation.step(world.start)

    assert world.states() == {"1": "retired", "2": "active"}


def test_a_rollback_that_was_not_recorded_is_recorded_as_one(world, good, low_recall, calm_day, windows):
    """The monitor was killed between the rename and the record."""
    world.store_windows(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(low_recall, "2")
    without_store = ModelRegistry(world.folder, None, world.clock, verify=trusting)
    world.probation = Probation(world.settings, world.store, world.clock, ActiveVersions(world.folder), without_store)
    world.watch(6)
    assert (active_version(world.folder, M), world.states()["2"]) == ("1", "active")

    world.restart()
    at = world.cursor().position
    world.probation.step(at)
    world.clock.advance(minutes=2)
    for _ in range(3):
        world.probation.step(at)

    assert world.states() == {"1": "active", "2": "rolled_back"}
    assert world.alerts() == [f"rolled_back:{M}:2"]


def test_a_good_version_is_accepted_after_its_probation_and_its_shadow_is_recorded(world, good, calm_day, windows):
    world.store_windows(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(good, "2")

    world.watch(restarts=True)

    assert world.states() == {"1": "retired", "2": "accepted"}
    state = world.cursor().state
    assert (state.version, state.parent_version, state.verdict, state.checks) == ("2", "1", "accepted", 24)
    assert state.tally.injected == 24 * 7
    assert state.detection == state.shadow_detection > 0.5
    assert not [held for held in gc.get_objects() if type(held) is Version], "a probation that is over holds models"
    rows = read_histograms(world.store, f"shadow:{M}")
    assert {(row["model_version"], row["n"]) for row in rows} == {("1", 60)}
    assert len(rows) == 24
    assert world.alerts() == []


def test_labels_of_one_class_do_not_count_in_a_probation(world, good, calm_day, windows):
    world.store_windows(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(good, "2")

    def add_labels(label: str, count: int) -> None:
        for number in range(count):
            at = world.start + 300 * number
            world.store.record_outcome(Outcome(starts_at=at, ends_at=at + 60, label=label), at)

    add_labels("false_positive", 20)
    world.watch(hours=3)
    assert world.cursor().state.tally.labels == 0

    add_labels("missed", 5)
    world.watch(hours=1)

    tally = world.cursor().state.tally
    assert (tally.labels, tally.correct, tally.shadow_correct) == (25, 20, 20)


def test_a_version_with_low_recall_is_rolled_back_within_hours_with_an_alert(
    world, good, low_recall, calm_day, windows
):
    world.store_windows(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(low_recall, "2")

    world.watch(hours=6)

    assert world.states() == {"1": "accepted", "2": "rolled_back"}
    assert active_version(world.folder, M) == "1"
    assert world.alerts() == [f"rolled_back:{M}:2"]
    assert world.store.read_state(cooldown_cursor(M), CooldownState).state.reason == "version 2 was rolled back"
    event = next(event for event in world.store.retrain_events(M) if event.kind == "rollback")
    assert "it finds 0 % of the injected anomalies" in event.reason.summary
    assert world.cursor().state.version == "1"
    world.watch(hours=3, restarts=True)
    assert active_version(world.folder, M) == "1"


def set_detection(artifact: Artifact, detection: float) -> Artifact:
    return replace(artifact, metrics=msgspec.structs.replace(artifact.metrics, injected_mean=detection))


@pytest.mark.parametrize(("kind", "detection"), [("promote", 0.0), ("retrain", 0.6)])
def test_low_recall_after_low_recall_is_rolled_back_if_promoted_by_hand_or_if_training_found_more(
    world, low_recall, calm_day, windows, kind, detection
):
    world.store_windows(calm_day, windows.rows_of)
    world.put(set_detection(low_recall, 0.0), "1")
    world.put(set_detection(low_recall, detection), "2", kind)

    world.watch(hours=6)

    assert world.states() == {"1": "accepted", "2": "rolled_back"}
    assert world.alerts() == [f"rolled_back:{M}:2"]


def test_low_recall_after_low_recall_that_passed_the_gate_extends_the_probation_and_then_needs_review(
    world, low_recall, calm_day, windows
):
    retrain = msgspec.structs.replace(world.settings.retrain, probation_h=5.0)
    world.settings = msgspec.structs.replace(world.settings, retrain=retrain)
    world.restart()
    world.store_windows(calm_day, windows.rows_of)
    world.put(set_detection(low_recall, 0.2), "1")
    world.put(set_detection(low_recall, 0.2), "2")

    world.watch(hours=5)
    state = world.cursor().state
    assert (state.checks >= 5, state.verdict) == (True, "watching")
    assert state.reason.endswith("the probation lasts up to 15 hours instead of 5")
    assert state.ends_at == state.started_at + 15 * HOUR_S

    world.watch(hours=16)
    assert (world.cursor().state.verdict, world.states()["2"]) == ("needs_review", "active")
    assert world.alerts() == [f"probation:{M}:2"]


def test_a_version_that_was_rolled_back_never_becomes_active_again_even_if_the_next_one_is_bad(
    world, good, low_recall, calm_day, windows
):
    world.store_windows(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(low_recall, "2")
    world.watch(hours=6)
    world.put(low_recall, "3", "promote")
    world.watch(hours=6)

    assert world.states() == {"1": "accepted", "2": "rolled_back", "3": "rolled_back"}
    assert active_version(world.folder, M) == "1"
    with pytest.raises(InputError, match="no version to roll back to"):
        world.registry.roll_back(M, "the version before it is bad too")
    assert active_version(world.folder, M) == "1"
    assert world.registry.promote(M, max_drift=100.0)[0] is None


def test_a_version_that_alarms_all_the_time_is_rolled_back(world, good, for_low_traffic, calm_day, windows):
    world.store_windows(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(for_low_traffic, "2")
    world.watch()
    assert world.states()["2"] == "rolled_back"


@pytest.fixture(scope="module")
def constant(good, windows) -> Artifact:
    """No rule can reach its threshold, so that every window has the same score; its self-test agrees."""
    arrays = good.content.arrays
    unreachable = {
        name: np.full_like(values, 1e30) if "thresholds" in name else values for name, values in arrays.items()
    }
    content = replace(good.content, arrays=unreachable)
    detector = builder(M, 360)(content)
    assert np.ptp(detector.score(windows.calm(500)).score) < 1e-9
    return add_self_test(replace(good, content=content), detector, windows.calm(500))


def test_a_version_whose_score_is_a_constant_is_rolled_back(world, good, constant, calm_day, windows):
    world.store_windows(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(constant, "2")
    world.watch(hours=6)
    assert world.states()["2"] == "rolled_back"
    assert active_version(world.folder, M) == "1"
    assert world.alerts() == [f"rolled_back:{M}:2"]


def test_after_a_level_change_the_new_version_is_accepted_although_the_shadow_alarms_all_the_time(
    world, good, for_high_traffic, windows
):
    world.store_windows(windows.calm(HISTORY_MIN + 60 * WATCHED_H, level=600.0, seed=4), windows.rows_of)
    world.put(good, "1")
    world.put(for_high_traffic, "2")
    world.watch()
    state = world.cursor().state
    assert (world.states()["2"], state.shadow_alarms_per_day > 20) == ("accepted", True)


def test_a_version_that_detects_an_attack_is_not_rolled_back_for_its_alarms(world, good, low_recall, calm_day, windows):
    for name in ("announced", "messages", "withdrawn", "withdrawn_prefixes", "path_length_sum"):
        calm_day.features[name][HISTORY_MIN:] *= 20.0
    world.store_windows(calm_day, windows.rows_of)
    world.put(low_recall, "1")
    world.put(set_detection(good, 0.9), "2", "promote")
    at = calm_day.window_start[HISTORY_MIN:].tolist()
    other = {"collector": "rrc00", "model": "lstm", "model_version": "3", "score": 9.0, "p_value": 1e-6}
    world.store.write_scores([{**other, "window_start": start, "is_alarm": True} for start in at], None)

    world.watch()

    state = world.cursor().state
    assert (state.alarms_per_day, state.verdict, world.states()["2"]) == (0.0, "watching", "active")
    assert state.reason.endswith("are required: the probation lasts up to 72 hours instead of 24")
    assert state.tally.injected < 28


def test_a_first_version_is_accepted_by_its_own_alarms(world, good, calm_day, windows):
    world.store_windows(calm_day, windows.rows_of)
    world.put(good, "1")
    world.watch()
    assert world.states() == {"1": "accepted"}
    assert world.cursor().state.shadow_detection is None


def test_a_first_version_with_many_false_alarms_stays_active_and_needs_review(
    world, for_low_traffic, calm_day, windows
):
    world.store_windows(calm_day, windows.rows_of)
    world.put(for_low_traffic, "1")
    world.watch()
    assert active_version(world.folder, M) == "1"
    assert (world.cursor().state.verdict, world.states()) == ("needs_review", {"1": "active"})
    assert world.alerts() == [f"probation:{M}:1"]


def test_after_a_kill_between_decision_and_rollback_the_next_monitor_rolls_back(
    world, good, low_recall, calm_day, windows, monkeypatch
):
    world.store_windows(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(low_recall, "2")

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(world.registry, "roll_back", dies)
        with pytest.raises(KeyboardInterrupt):
            world.watch()
    assert (active_version(world.folder, M), world.cursor().state.verdict) == ("2", "rolled_back")

    world.restart()
    world.probation.step(world.start)
    assert active_version(world.folder, M) == "1"
    assert world.alerts() == [f"rolled_back:{M}:2"]


def test_after_a_kill_between_rollback_and_alert_the_alert_is_raised_once(
    world, good, low_recall, calm_day, windows, monkeypatch
):
    world.store_windows(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(low_recall, "2")

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "alerts", dies)
        with pytest.raises(KeyboardInterrupt):
            world.watch()
    assert (active_version(world.folder, M), world.alerts()) == ("1", [])

    world.restart()
    for _ in range(3):
        world.probation.step(world.start)
    assert world.alerts() == [f"rolled_back:{M}:2"]
    assert world.states() == {"1": "accepted", "2": "rolled_back"}


def test_a_version_published_during_the_rollback_stays_active(world, good, low_recall, calm_day, windows, monkeypatch):
    world.store_windows(calm_day, windows.rows_of)
    world.put(good, "1")
    world.put(low_recall, "2")
    roll_back = world.registry.roll_back

    def publish_another(*arguments: Any, **options: Any) -> Any:
        world.put(good, "3")
        return roll_back(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(world.registry, "roll_back", publish_another)
        world.watch(hours=1)
        for hour in range(8, 14):
            if active_version(world.folder, M) == "2":
                world.probation.step(world.start + hour * HOUR_S)
    assert active_version(world.folder, M) == "3"


def test_probation_can_be_switched_off(world, low_recall, good, calm_day, windows):
    retrain = msgspec.structs.replace(world.settings.retrain, probation_h=0.0)
    world.settings = msgspec.structs.replace(world.settings, retrain=retrain)
    world.restart()
    world.put(good, "1")
    world.put(low_recall, "2")
    world.probation.step(world.start)
    assert world.states()["2"] == "accepted"
