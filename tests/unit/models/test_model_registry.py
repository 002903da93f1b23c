"""Every change leaves an event, a log line and sidecars; where store and files differ, the files are right."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from bgpdrift.clock import FakeClock
from bgpdrift.errors import InputError, PublishRefusedError, StoreBusyError
from bgpdrift.models.artifact import read, to_bytes
from bgpdrift.models.metadata import EvaluationMetrics
from bgpdrift.models.model_files import list_model_files
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.paths import backup_paths, current_path
from bgpdrift.models.publication import active_version, stage
from bgpdrift.models.retention import RetentionPolicy
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.store.model_records import EventReason, RetrainEvent

M = "heuristic"
METRICS = EvaluationMetrics(drift_psi=0.1, f1=0.9)


def trusting(path: Path, model: str, _: int) -> None:
    read(path, model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "model_artifacts"


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    migrate(url)
    with open_store(url, clock=clock) as opened:
        yield opened


@pytest.fixture
def registry(folder: Path, store: Store, clock: FakeClock) -> ModelRegistry:
    return ModelRegistry(folder, store, clock, RetentionPolicy(backups=2), verify=trusting)


@pytest.fixture
def put(folder: Path, registry: ModelRegistry, artifact, clock: FakeClock) -> Callable[..., Any]:
    def put(version: str, by: ModelRegistry = registry, parent: str = "", **options: Any) -> Any:
        clock.advance(hours=1)
        raw = to_bytes(
            replace(artifact, version=version, parent_version=parent, metrics=EvaluationMetrics(drift_psi=0.1, f1=0.9))
        )
        candidate = stage(folder, M, version, raw, verify=trusting)
        return by.publish(M, candidate, expected_active=active_version(folder, M), **options)

    return put


def states(store: Store) -> dict[str, str]:
    return {version.version: version.state for version in store.model_versions(M)}


def test_a_publication_writes_a_row_a_log_line_and_two_sidecars(put, folder: Path, store: Store) -> None:
    put("1")
    with capture_logs() as lines:
        put("2", event=RetrainEvent(model=M, started_at=1_000, train_records=5_000, f1_new=0.9))

    event = store.retrain_events(M)[0]
    assert (event.kind, event.version, event.promoted, event.exit_code) == ("retrain", "2", True, 0)
    assert (event.train_records, event.f1_new) == (5_000, 0.9)
    assert event.notes.startswith("version 2 replaces 1")
    assert states(store) == {"1": "retired", "2": "active"}
    assert [line["event"] for line in lines] == ["model.published"]
    metadata = json.loads((folder / "heuristic.model.json").read_text())
    assert (metadata["version"], metadata["digest"]) == ("2", read(current_path(folder, M), M).digest)
    assert json.loads((folder / "heuristic.evaluation.json").read_text())["drift_psi"] == 0.1


def test_an_event_that_was_begun_earlier_is_completed(put, store: Store, clock: FakeClock) -> None:
    begun = store.record_retrain_event(RetrainEvent(model=M, started_at=1_000))
    put("1", event=RetrainEvent(id=begun, model=M, started_at=1_000, train_records=7))
    (event,) = store.retrain_events(M)
    assert (event.id, event.started_at, event.version, event.train_records) == (begun, 1_000, "1", 7)
    assert event.finished_at == int(clock.now())


def test_a_refused_publication_is_recorded(put, folder: Path, store: Store, registry: ModelRegistry) -> None:
    put("1")
    with capture_logs() as lines, pytest.raises(PublishRefusedError):
        registry.publish(M, folder / "candidates" / "x", expected_active="7")
    event = store.retrain_events(M)[0]
    assert (event.promoted, event.exit_code) == (False, 1)
    assert "expected 7 as the active version, found 1" in event.notes
    assert [line["event"] for line in lines] == ["model.publish_failed"]
    assert states(store) == {"1": "active"}


def test_a_model_is_published_without_the_store_and_recorded_later(
    put, folder: Path, store: Store, clock: FakeClock
) -> None:
    class Away:
        def __getattr__(self, _: str) -> Any:
            raise StoreBusyError("away")

    put("1")
    with capture_logs() as lines:
        put("2", by=ModelRegistry(folder, Away(), clock, verify=trusting))  # type: ignore[arg-type]
    assert active_version(folder, M) == "2"
    assert "model.unrecorded" in {line["event"] for line in lines}
    assert states(store) == {"1": "active"}

    later = ModelRegistry(folder, store, clock, verify=trusting)
    assert later.reconcile(M)
    assert states(store) == {"1": "retired", "2": "active"}
    assert store.retrain_events(M)[0].kind == "recover"
    assert not later.reconcile(M), "once is enough"


@pytest.mark.parametrize("step", ["unlock"])
def test_a_publication_killed_before_its_record_is_recorded_at_the_next_start(
    put, registry, store: Store, step: str
) -> None:
    class Killed(BaseException):
        pass

    def kill(reached: str) -> None:
        if reached == step:
            raise Killed

    put("1")
    with pytest.raises(Killed):
        put("2", at_step=kill)
    assert states(store) == {"1": "active"}
    assert registry.recover() == []
    assert registry.reconcile(M)
    assert states(store) == {"1": "retired", "2": "active"}


def test_without_a_model_there_is_nothing_to_reconcile(registry: ModelRegistry) -> None:
    assert not registry.reconcile(M)


def test_a_rollback_restores_the_previous_version_and_rejects_the_other(put, registry, folder, store) -> None:
    for version in "123":
        put(version)
    with capture_logs() as lines:
        done = registry.roll_back(M, "too many false alarms")
    assert (done.version, done.parent_version) == ("2", "3")
    assert states(store) == {"1": "retired", "2": "active", "3": "rolled_back"}
    event = store.retrain_events(M)[0]
    assert (event.kind, event.version) == ("rollback", "2")
    assert event.reason == EventReason(summary="too many false alarms", replaced_version="3")
    assert "model.published" in {line["event"] for line in lines}
    assert "3" not in {read(path, M).version for path in backup_paths(folder, M)}
    assert [file.version for file in list_model_files(folder, M).rejected] == ["3"]
    assert list_model_files(folder, M).candidates == ()


def test_two_rollbacks_restore_the_version_before_the_previous_one(put, registry, store) -> None:
    for version in "123":
        put(version)
    assert [registry.roll_back(M, "x").version, registry.roll_back(M, "y").version] == ["2", "1"]
    assert states(store) == {"1": "active", "2": "rolled_back", "3": "rolled_back"}
    with pytest.raises(InputError, match="rolled back before: 3, 2"):
        registry.roll_back(M, "z")


def test_a_person_may_restore_a_version_that_was_rolled_back(put, registry, store) -> None:
    put("1")
    put("2")
    registry.roll_back(M, "x")
    assert registry.roll_back(M, "on second thoughts", to="2").version == "2"
    assert states(store) == {"1": "rolled_back", "2": "active"}


def test_a_rollback_skips_a_damaged_backup_and_works_without_a_store(put, folder, clock) -> None:
    for version in "12345":
        put(version)
    backup_paths(folder, M)[0].write_bytes(b"half")
    assert ModelRegistry(folder, None, clock, verify=trusting).roll_back(M, "x").version == "3"


def test_a_failed_rollback_changes_nothing(put, registry, folder, store) -> None:
    put("1")
    put("2")

    def lost() -> None:
        raise PublishRefusedError("not now")

    before = sorted(path.name for path in folder.rglob("*.safetensors"))
    with pytest.raises(PublishRefusedError):
        registry.roll_back(M, "x", guard=lost)
    assert sorted(path.name for path in folder.rglob("*.safetensors")) == before
    assert states(store) == {"1": "retired", "2": "active"}
    assert store.retrain_events(M)[0].notes == "failed: not now"


def test_a_promotion_publishes_the_best_candidate_and_records_why_others_are_skipped(
    registry, folder, store, artifact
) -> None:
    for version, drift in (("1", 0.3), ("2", 0.1), ("3", 0.9)):
        raw = to_bytes(replace(artifact, version=version, metrics=EvaluationMetrics(drift_psi=drift)))
        stage(folder, M, version, raw, verify=trusting)
    (folder / "candidates" / "heuristic_4.safetensors").write_bytes(b"half")
    with capture_logs() as lines:
        done, chosen = registry.promote(M, max_drift=0.5)
    assert done is not None
    assert done.version == "2"
    assert {skipped.version for skipped in chosen.skipped} == {"1", "3", "4"}
    assert set(store.retrain_events(M)[0].reason.skipped) == {"1", "3", "4"}
    assert [line["event"] for line in lines].count("model.skipped") == 3
    assert registry.promote(M, max_drift=0.0)[0] is None
    assert active_version(folder, M) == "2"


def test_an_accepted_version_retires_the_one_accepted_before(put, registry, store) -> None:
    for version in "123":
        put(version)
        if version != "2":
            registry.accept(M, version)
    assert states(store) == {"1": "retired", "2": "retired", "3": "accepted"}
    put("4")
    assert states(store)["3"] == "accepted", "it is the one to return to"
    registry.roll_back(M, "x")
    assert states(store) == {"1": "retired", "2": "retired", "3": "active", "4": "rolled_back"}


def test_a_rolled_back_version_cannot_be_accepted(put, registry) -> None:
    put("1")
    put("2")
    registry.roll_back(M, "x")
    with pytest.raises(PublishRefusedError, match="rolled_back"):
        registry.accept(M, "2")


def test_a_rejected_candidate_is_quarantined_and_the_event_of_its_run_stays_the_only_one(
    registry, folder, store, bytes_of
) -> None:
    path = stage(folder, M, "1", bytes_of("1"), verify=trusting)
    place = registry.reject(M, path, "finds less")
    assert place.parent.name == "rejected"
    assert states(store) == {"1": "rejected"}
    assert store.retrain_events(M) == []


def test_old_backups_are_removed_except_the_accepted_version_and_the_parent(put, registry, folder) -> None:
    put("1")
    registry.accept(M, "1")
    for version in "23456":
        put(version, parent="2" if version == "6" else "")
        assert read(backup_paths(folder, M)[0], M).version == str(int(version) - 1)
    assert {read(path, M).version for path in backup_paths(folder, M)} == {"1", "4", "5"}
    put("7", parent="4")
    assert {read(path, M).version for path in backup_paths(folder, M)} == {"1", "4", "5", "6"}


def test_a_publication_stands_if_its_sidecars_cannot_be_written(put, folder: Path, store: Store) -> None:
    put("1")
    (folder / "heuristic.model.json").unlink()
    (folder / "heuristic.model.json").mkdir()
    with capture_logs() as lines:
        put("2")
    assert "model.sidecars_failed" in {line["event"] for line in lines}
    assert states(store)["2"] == "active"


def other_model(artifact, version: str) -> bytes:
    """Return a model of another installation that has the number of one of ours."""
    return to_bytes(replace(artifact, version=version, created_at=artifact.created_at + 1))


def digests(store: Store) -> dict[str, str]:
    return {version.version: version.digest for version in store.model_versions(M)}


def test_a_candidate_of_another_installation_with_a_recorded_number_is_not_published(
    put, folder: Path, store: Store, registry: ModelRegistry, artifact
) -> None:
    put("1")
    put("2")
    before = digests(store)
    candidate = stage(folder, M, "1", other_model(artifact, "1"), verify=trusting)
    with pytest.raises(
        PublishRefusedError, match=r"version 1 is recorded with digest .* another model with the same number"
    ):
        registry.publish(M, candidate, expected_active="2")
    assert active_version(folder, M) == "2"
    assert digests(store) == before


def test_an_active_file_of_another_installation_does_not_become_our_version(
    put, folder: Path, store: Store, registry: ModelRegistry, artifact
) -> None:
    put("1")
    put("2")
    before = digests(store)
    current_path(folder, M).write_bytes(other_model(artifact, "1"))
    assert not registry.reconcile(M)
    assert digests(store) == before
