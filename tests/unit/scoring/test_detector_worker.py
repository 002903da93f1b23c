"""A detector worker between two models: each window is scored once, and its row names the version."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.detectors.interface import ModelContent, Scores, WindowFrame
from bgpdrift.errors import StoreBusyError
from bgpdrift.models.artifact import Artifact
from bgpdrift.models.loading import LoadAttempt, LoadedModel, Refusal
from bgpdrift.scoring.detector_worker import DetectorWorker
from bgpdrift.scoring.worker_models import RECORD_VERSION_AFTER_S
from bgpdrift.settings import Settings, load
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.store.cursor_states import DetectorState
from bgpdrift.store.model_records import ModelVersion
from bgpdrift.verdicts.calibration import Calibration
from helpers.store_rows import read_scores

T = 1_788_220_800


@dataclass
class FakeDetector:
    """Gives each window the same score, or fails."""

    history_minutes: int = 5
    breaks: Exception | None = None
    value: float = 0.0
    name: str = "lstm"

    def score(self, windows: WindowFrame) -> Scores:
        if self.breaks:
            raise self.breaks
        n = len(windows.to_score)
        nothing: tuple[list[dict[str, Any]], ...] = tuple([] for _ in range(n))
        embedding = np.full((n, 2), 1 / 3)
        return Scores(windows.to_score, np.full(n, self.value), ("",) * n, nothing, nothing, embedding)


class FakeModels:
    """Returns the attempts of the test."""

    def __init__(self) -> None:
        self.attempts: list[LoadAttempt] = []
        self.failures: list[tuple[str, bool]] = []
        self.problem = ""
        self.wake_fd = None
        self.closed = False

    def take(self) -> LoadAttempt | None:
        return self.attempts.pop(0) if self.attempts else None

    def yield_to_load(self) -> None: ...

    def report_failure(self, loaded: LoadedModel, reason: str, *, has_other: bool) -> None:
        self.failures.append((loaded.version, has_other))

    def close(self) -> None:
        self.closed = True


CALIBRATION = Calibration.fit(np.random.default_rng(1).exponential(1.0, 1_000))


def model(version: str, detector: FakeDetector | None = None, changed_at: float | None = None) -> LoadAttempt:
    content = ModelContent("lstm", ("messages",), {}, {})
    metadata = Artifact(content, version, 5, training={"rows": 3}, digest="d" + version)
    source = "lstm.safetensors"
    loaded = LoadedModel(metadata, detector or FakeDetector(), CALIBRATION, source, (1, 2, 3, 4), changed_at, 0.004)
    return LoadAttempt(loaded)


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


@pytest.fixture
def models() -> FakeModels:
    return FakeModels()


@pytest.fixture
def start(settings: Settings, clock: FakeClock, models: FakeModels) -> Iterator[Callable[[], DetectorWorker]]:
    made: list[DetectorWorker] = []

    def service(opened: Store | None = None) -> DetectorWorker:
        opened = opened or open_store(settings.store_url)
        made.append(DetectorWorker(settings, opened, clock, "lstm", "lstm_detector", models))
        return made[-1]

    yield service
    for one in made:
        one.close()


def feed(store: Store, *minutes: int, collector: str = "rrc00") -> None:
    store.write_windows([{"window_start": T + 60 * m, "collector": collector, "messages": m} for m in minutes], None)


def run(service: DetectorWorker) -> None:
    while service.step():
        pass


def scored(store: Store) -> list[tuple[int, str]]:
    rows = sorted(read_scores(store), key=lambda row: row["window_start"])
    return [((row["window_start"] - T) // 60, row["model_version"]) for row in rows]


def events(store: Store, kind: str) -> list[dict[str, Any]]:
    return [event.details for event in store.service_events(100)[::-1] if event.event == kind]


def test_a_new_model_takes_over_between_two_batches_and_every_row_names_its_version(
    start, store: Store, models: FakeModels
) -> None:
    models.attempts.append(model("1"))
    service = start()
    for minute in range(30):
        feed(store, minute)
        if minute == 11:
            models.attempts.append(model("2"))
        service.step()
    assert scored(store) == [(minute, "1" if minute < 11 else "2") for minute in range(30)]
    assert service.status().startswith("model 2, 30 windows scored")
    cursor = store.read_state("lstm_detector", DetectorState)
    assert cursor is not None
    assert cursor.state == DetectorState(phase="scoring", model_version="2")


def test_a_takeover_is_recorded_with_its_latency(start, store: Store, models: FakeModels, clock: FakeClock) -> None:
    models.attempts.append(model("1", changed_at=clock.now() - 1e6))
    service = start()
    feed(store, 1)
    service.step()
    changed_at = clock.now()
    clock.advance(seconds=0.025)
    models.attempts.append(model("2", changed_at=changed_at))
    feed(store, 2)
    service.step()
    first, second = events(store, "model_loaded")
    assert "change_to_taken_ms" not in first  # the file is older than the process, so there is no latency
    assert second["change_to_taken_ms"] == pytest.approx(25.0, abs=0.01)
    assert second["change_to_first_score_ms"] == pytest.approx(25.0, abs=0.01)
    assert (second["version"], second["replaces"], second["load_ms"]) == ("2", "1", 4.0)


def test_a_takeover_without_new_windows_is_recorded_at_once(start, store: Store, models: FakeModels) -> None:
    models.attempts.append(model("1"))
    service = start()
    models.attempts.append(model("2"))
    service.step()
    assert [event["version"] for event in events(store, "model_loaded")] == ["1", "2"]
    cursor = store.read_state("lstm_detector", DetectorState)
    assert cursor is not None
    assert cursor.state.model_version == "2"


def test_only_a_version_that_the_publisher_did_not_record_is_recorded(
    start, store: Store, models: FakeModels, clock: FakeClock
) -> None:
    models.attempts.append(model("1"))
    service = start()
    assert [version.version for version in store.model_versions("lstm")] == ["1"]
    for version in ("2", "3"):
        models.attempts.append(model(version))
        service.step()
        if version == "2":
            accepted = ModelVersion(model="lstm", version="2", state="accepted", digest="d2", created_at=5)
            store.record_model_version(accepted)
        clock.advance(seconds=RECORD_VERSION_AFTER_S)
        service.step()
    states = {version.version: version.state for version in store.model_versions("lstm")}
    assert states == {"1": "active", "2": "accepted", "3": "active"}


def test_a_refused_file_is_recorded_and_the_old_model_continues(start, store: Store, models: FakeModels) -> None:
    models.attempts.append(model("1"))
    service = start()
    models.attempts.append(
        LoadAttempt(refused=(Refusal("lstm.safetensors", "lstm.safetensors: damaged", "/r/lstm_2"),))
    )
    feed(store, 1)
    service.step()
    assert scored(store) == [(1, "1")]
    (event,) = events(store, "model_refused")
    assert event == {
        "model": "lstm",
        "file": "lstm.safetensors",
        "reason": "lstm.safetensors: damaged",
        "moved_to": "/r/lstm_2",
        "active_version": "1",
    }
    (alert,) = store.alerts()
    assert alert.title == "lstm: the model file lstm.safetensors was refused; version 1 continues"
    assert alert.body == "lstm.safetensors: damaged"
    assert "refused: lstm.safetensors: damaged" in service.status()
    models.attempts.append(model("3"))
    service.step()
    assert "refused" not in service.status()


def test_the_previous_model_scores_the_windows_on_which_a_new_one_fails(
    start, store: Store, models: FakeModels
) -> None:
    models.attempts.append(model("1"))
    service = start()
    feed(store, 1)
    run(service)
    models.attempts.append(model("2", FakeDetector(breaks=IndexError("out of bounds"))))
    feed(store, 2, 3)
    run(service)
    assert scored(store) == [(1, "1"), (2, "1"), (3, "1")]
    assert models.failures == [("2", True)]
    models.attempts.append(model("3"))
    feed(store, 4)
    run(service)
    assert scored(store)[-1] == (4, "3")


def test_a_score_that_is_not_a_number_rejects_the_model(start, store: Store, models: FakeModels) -> None:
    models.attempts += [model("1"), model("2", FakeDetector(value=float("nan")))]
    service = start()
    feed(store, 1)
    service.step()
    assert models.failures == [("2", True)]
    assert scored(store) == [(1, "1")]


def test_a_proven_model_whose_later_score_is_not_a_number_is_refused_and_a_backup_scores_that_window(
    start, store: Store, models: FakeModels
) -> None:
    detector = FakeDetector()
    models.attempts.append(model("1", detector))
    service = start()
    feed(store, 1)
    run(service)
    detector.value = float("inf")
    feed(store, 2)
    assert service.step()
    assert models.failures == [("1", False)]
    assert scored(store) == [(1, "1")]

    models.attempts.append(LoadAttempt(replace(model("backup").loaded, identity=None)))
    run(service)
    assert scored(store) == [(1, "1"), (2, "backup")]


def record(store: Store, version: str, digest: str) -> None:
    store.record_model_version(
        ModelVersion(model="lstm", version=version, state="active", digest=digest, created_at=1, activated_at=1)
    )


def test_a_model_of_another_installation_with_the_number_of_a_recorded_version_never_scores(
    start, store: Store, models: FakeModels
) -> None:
    """Rows name a version, so that two models of one number would give scores that cannot be attributed."""
    record(store, "1", "d1")
    record(store, "2", "the digest of our version 2")
    models.attempts.append(model("1"))
    service = start()
    feed(store, 1)
    run(service)
    models.attempts.append(model("2"))
    feed(store, 2)
    run(service)

    assert scored(store) == [(1, "1"), (2, "1")]
    assert models.failures == [("2", True)]
    digests = {version.version: version.digest for version in store.model_versions("lstm")}
    assert digests == {"1": "d1", "2": "the digest of our version 2"}


def test_a_model_whose_version_cannot_be_compared_waits_until_the_store_can_be_read(
    start, settings: Settings, store: Store, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.attempts.append(model("1"))
    own = open_store(settings.store_url)
    service = start(own)
    feed(store, 1)
    run(service)
    models.attempts.append(model("2"))

    def refuse(*_: Any) -> None:
        raise StoreBusyError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(own, "model_versions", refuse)
        with pytest.raises(StoreBusyError):
            service.step()
    feed(store, 2)
    run(service)
    assert scored(store) == [(1, "1"), (2, "2")]


def test_a_first_model_that_fails_leaves_the_windows_to_the_next(start, store: Store, models: FakeModels) -> None:
    models.attempts.append(model("1", FakeDetector(breaks=IndexError("out of bounds"))))
    service = start()
    feed(store, 1)
    assert service.step()
    assert models.failures == [("1", False)]
    assert not service.step()
    assert store.read_position("lstm_detector") == 0
    models.attempts.append(LoadAttempt(replace(model("backup").loaded, identity=None)))
    run(service)
    assert scored(store) == [(1, "backup")]


def test_windows_on_which_every_model_fails_end_the_process(start, store: Store, models: FakeModels) -> None:
    """Otherwise one bad batch would refuse good models one after the other."""
    detector = FakeDetector()
    models.attempts.append(model("1", detector))
    service = start()
    feed(store, 1)
    run(service)
    detector.breaks = ZeroDivisionError()
    models.attempts.append(model("2", FakeDetector(breaks=ZeroDivisionError())))
    feed(store, 2)
    with pytest.raises(ZeroDivisionError):
        service.step()
    assert models.failures == []


def test_an_error_of_a_proven_model_ends_the_process(start, store: Store, models: FakeModels) -> None:
    detector = FakeDetector()
    models.attempts.append(model("1", detector))
    service = start()
    feed(store, 1)
    run(service)
    detector.breaks = ZeroDivisionError()
    feed(store, 2)
    with pytest.raises(ZeroDivisionError):
        service.step()


def test_a_batch_that_the_store_refused_is_repeated_completely(
    start, settings: Settings, store: Store, models: FakeModels, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.attempts.append(model("1"))
    own = open_store(settings.store_url)
    service = start(own)
    feed(store, 1)
    run(service)
    feed(store, 2, 3)

    def refuse(*_: Any) -> None:
        raise StoreBusyError("locked")

    with monkeypatch.context() as patch:
        patch.setattr(own, "write_scores", refuse)
        with pytest.raises(StoreBusyError):
            service.step()
    models.attempts.append(model("2"))
    run(service)
    assert scored(store) == [(1, "1"), (2, "2"), (3, "2")]


def test_an_embedding_is_stored_with_five_digits(start, store: Store, models: FakeModels) -> None:
    models.attempts.append(model("1"))
    service = start()
    feed(store, 1)
    run(service)
    assert read_scores(store)[0]["embedding"] == [0.33333, 0.33333]


def test_late_windows_and_several_collectors_are_scored_once_each(start, store: Store, models: FakeModels) -> None:
    models.attempts.append(model("1"))
    service = start()
    feed(store, 1, 2, 5)
    feed(store, 1, 3, collector="rrc01")
    run(service)
    feed(store, 3, 6)
    run(service)
    found = [(row["collector"], (row["window_start"] - T) // 60) for row in read_scores(store)]
    assert sorted(found) == [*(("rrc00", minute) for minute in (1, 2, 3, 5, 6)), ("rrc01", 1), ("rrc01", 3)]
    assert len(found) == len(set(found))


def test_problems_are_part_of_the_status_and_close_closes_the_reloader(start, models: FakeModels) -> None:
    models.attempts.append(model("1"))
    service = start()
    models.problem = "new models are noticed by polling alone"
    assert service.status().endswith("; new models are noticed by polling alone")
    service.close()
    assert models.closed
