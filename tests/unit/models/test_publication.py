"""A new model becomes active completely or not at all, and the earlier model is never lost."""

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from bgpdrift.errors import (
    ArtifactError,
    DigestMismatchError,
    InputError,
    LockHeldError,
    PublishRefusedError,
    TransientError,
)
from bgpdrift.models import publication
from bgpdrift.models.artifact import read, to_bytes
from bgpdrift.models.paths import backup_paths, candidate_path, candidate_paths, current_path, publish_lock_path
from bgpdrift.models.publication import PUBLISH_STEPS, STAGE_STEPS, active_version, publish, stage
from bgpdrift.models.quarantine import quarantine_file
from bgpdrift.models.verification import verify_file
from bgpdrift.process.durable import remove_stale_stages, stage_file
from bgpdrift.process.locks import hold_lock

M = "heuristic"


def trusting(path: Path, model: str, _: int) -> None:
    """Stands in for the child process: the same reader, without the self-test."""
    read(path, model)


@pytest.fixture
def put(tmp_path: Path, bytes_of, clock):
    """Stage and publish a version; the publication."""

    def put(version: str, **options):
        candidate = stage(tmp_path, M, version, bytes_of(version), verify=trusting)
        options = {"expected_active": active_version(tmp_path, M), "clock": clock, **options}
        return publish(tmp_path, M, candidate, **options)

    return put


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_candidate_is_complete_and_readable_by_the_group_only(tmp_path: Path, bytes_of) -> None:
    path = stage(tmp_path, M, "1", bytes_of("1"), verify=trusting)
    assert path == candidate_path(tmp_path, M, "1")
    assert path.read_bytes() == bytes_of("1")
    assert stat.S_IMODE(path.stat().st_mode) & ~0o640 == 0
    assert names(tmp_path) == ["candidates/heuristic_1.safetensors"]


def test_the_first_publication_replaces_nothing_and_makes_no_backup(tmp_path: Path, put) -> None:
    done = put("1")
    assert (done.version, done.parent_version, done.backup) == ("1", "", None)
    assert names(tmp_path) == ["heuristic.safetensors", "publish_heuristic.lock"]


def test_a_publication_keeps_the_previous_version_as_a_backup(tmp_path: Path, put, clock) -> None:
    put("1")
    clock.advance(hours=1)
    done = put("2")
    assert (done.version, done.parent_version) == ("2", "1")
    assert done.backup == backup_paths(tmp_path, M)[0]
    assert read(done.backup, M).version == "1"
    assert read(done.path, M).digest == done.artifact.digest
    assert candidate_paths(tmp_path, M) == []


def test_the_steps_come_in_order_and_the_model_changes_at_one_of_them(tmp_path: Path, bytes_of, clock) -> None:
    seen: list[tuple[str, str]] = []

    def look(step: str) -> None:
        seen.append((step, active_version(tmp_path, M)))

    candidate = stage(tmp_path, M, "1", bytes_of("1"), at_step=look, verify=trusting)
    publish(tmp_path, M, candidate, expected_active="", clock=clock, at_step=look)
    assert tuple(step for step, _ in seen) == STAGE_STEPS + PUBLISH_STEPS == publication.STEPS
    assert [step for step, version in seen if version == "1"] == ["sync", "unlock"]


@pytest.mark.parametrize("version", ["2", "default-1"])
def test_bytes_of_another_version_are_refused(tmp_path: Path, bytes_of, version: str) -> None:
    with pytest.raises(ArtifactError, match="expected version '1' in the metadata"):
        stage(tmp_path, M, "1", bytes_of(version), verify=trusting)
    assert names(tmp_path) == []


def test_bytes_that_are_no_model_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        stage(tmp_path, M, "1", b"half", verify=trusting)
    with pytest.raises(InputError):
        stage(tmp_path, "../" + M, "1", b"half", verify=trusting)
    assert names(tmp_path) == []


def test_a_file_that_the_child_process_refuses_is_never_visible_as_a_candidate(tmp_path: Path, artifact) -> None:
    """The whole way once, with the real child: digest good, self-test not."""
    bent = replace(artifact, version="1", self_test={**artifact.self_test, "scores": artifact.self_test["scores"] + 1})
    with pytest.raises(ArtifactError, match="self-test failed"):
        stage(tmp_path, M, "1", to_bytes(bent))
    assert names(tmp_path) == []


def test_the_child_process_tells_good_damaged_and_missing_files_apart(tmp_path: Path, bytes_of) -> None:
    good = tmp_path / "good.safetensors"
    good.write_bytes(bytes_of("1"))
    verify_file(good, M)
    good.write_bytes(bytes_of("1")[:-1] + b"!")
    with pytest.raises(DigestMismatchError, match="damaged"):
        verify_file(good, M)
    with pytest.raises(TransientError, match="cannot be read"):
        verify_file(tmp_path / "none", M)


def test_a_version_is_staged_once_unless_the_bytes_are_the_same(tmp_path: Path, bytes_of, artifact) -> None:
    path = stage(tmp_path, M, "1", bytes_of("1"), verify=trusting)
    assert stage(tmp_path, M, "1", bytes_of("1"), verify=trusting) == path
    with pytest.raises(PublishRefusedError, match="another candidate of this version"):
        stage(tmp_path, M, "1", to_bytes(replace(artifact, version="1", created_at=5)), verify=trusting)
    assert path.read_bytes() == bytes_of("1")


def test_a_write_that_fails_once_is_repeated_with_a_new_file(tmp_path: Path, bytes_of) -> None:
    """A repeated fsync of the same file may say "done" of what was lost."""
    files: list[int] = []

    def flaky(path: Path, model: str, _: int) -> None:
        files.append(path.stat().st_ino)
        if len(files) == 1:
            raise OSError(errno.EIO, "Input/output error")

    with stage_file(tmp_path / "in_the_way_of_the_inode", b"x"):
        stage(tmp_path, M, "1", bytes_of("1"), verify=flaky)
    assert len(files) == 2
    assert candidate_path(tmp_path, M, "1").stat().st_ino == files[1]


def test_a_disk_that_returns_other_bytes_is_a_transient_error(tmp_path: Path, bytes_of) -> None:
    def rotten(path: Path, model: str, _: int) -> None:
        raise DigestMismatchError(path.name, "a", "b")

    with pytest.raises(TransientError, match="the disk returns other bytes"):
        stage(tmp_path, M, "1", bytes_of("1"), verify=rotten)
    assert names(tmp_path) == []


def test_three_times_the_size_of_the_model_must_be_free(tmp_path: Path, bytes_of, monkeypatch) -> None:
    size = len(bytes_of("1"))
    real = os.statvfs(tmp_path)
    free = os.statvfs_result((1, 1, 10, 5, 3 * size - 1, *tuple(real)[5:]))
    monkeypatch.setattr(os, "statvfs", lambda _: free)
    with pytest.raises(TransientError, match="3 times the model"):
        stage(tmp_path, M, "1", bytes_of("1"), verify=trusting)


def test_nothing_is_published_if_the_active_version_changed(tmp_path: Path, put) -> None:
    put("1")
    with pytest.raises(PublishRefusedError, match="expected none as the active version, found 1"):
        put("2", expected_active="")
    with pytest.raises(PublishRefusedError, match="expected 7 as the active version, found 1"):
        put("3", expected_active="7")
    assert active_version(tmp_path, M) == "1"
    assert len(candidate_paths(tmp_path, M)) == 2


def test_the_active_version_is_not_published_again(tmp_path: Path, put) -> None:
    put("1")
    with pytest.raises(PublishRefusedError, match="active already"):
        put("1")
    assert backup_paths(tmp_path, M) == []


@pytest.mark.parametrize("asked", [1, 2])
def test_nothing_is_published_after_the_claim_is_lost(tmp_path: Path, put, asked: int) -> None:
    """Also when it is lost between the first question and the commit."""
    put("1")
    calls = 0

    def guard() -> None:
        nonlocal calls
        calls += 1
        if calls == asked:
            raise PublishRefusedError("the claim was lost")

    with pytest.raises(PublishRefusedError, match="claim was lost"):
        put("2", guard=guard)
    assert active_version(tmp_path, M) == "1"
    assert put("3").parent_version == "1"
    assert [read(path, M).version for path in backup_paths(tmp_path, M)] == ["1"], "one backup, not two of the same"


def test_the_second_of_two_publishers_is_refused(tmp_path: Path, put) -> None:
    put("1")
    with (
        hold_lock(publish_lock_path(tmp_path, M), "busy"),
        pytest.raises(LockHeldError, match="another process is publishing"),
    ):
        put("2")
    assert active_version(tmp_path, M) == "1"
    assert publish(tmp_path, M, candidate_path(tmp_path, M, "2"), expected_active="1", clock=_Clock()).version == "2"


class _Clock:
    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0


def test_a_candidate_that_was_damaged_after_staging_is_refused(tmp_path: Path, bytes_of, clock) -> None:
    path = stage(tmp_path, M, "1", bytes_of("1"), verify=trusting)
    path.write_bytes(bytes_of("1")[:-1] + b"!")
    with pytest.raises(DigestMismatchError):
        publish(tmp_path, M, path, expected_active="", clock=clock)
    with pytest.raises(ArtifactError, match="cannot be read"):
        publish(tmp_path, M, tmp_path / "none", expected_active="", clock=clock)


def test_a_damaged_current_file_counts_as_none_and_becomes_no_backup(tmp_path: Path, put) -> None:
    current_path(tmp_path, M).write_bytes(b"half")
    done = put("1")
    assert (done.parent_version, done.backup) == ("", None)
    assert active_version(tmp_path, M) == "1"


def test_a_symbolic_link_is_replaced_and_its_target_is_unchanged(tmp_path: Path, put, bytes_of) -> None:
    elsewhere = tmp_path / "elsewhere" / "pinned.safetensors"
    elsewhere.parent.mkdir()
    elsewhere.write_bytes(bytes_of("1"))
    current_path(tmp_path, M).symlink_to(elsewhere)
    done = put("2")
    assert done.parent_version == "1"
    assert not done.path.is_symlink()
    assert elsewhere.read_bytes() == bytes_of("1")
    assert done.backup is not None
    assert not done.backup.is_symlink()
    assert done.backup.read_bytes() == bytes_of("1")


def test_a_dangling_link_or_a_pipe_in_place_of_the_file_is_replaced(tmp_path: Path, put) -> None:
    current_path(tmp_path, M).symlink_to(tmp_path / "nowhere")
    assert put("1").parent_version == ""
    current_path(tmp_path, M).unlink()
    os.mkfifo(current_path(tmp_path, M))
    assert put("2").parent_version == ""
    assert active_version(tmp_path, M) == "2"


def test_a_directory_in_place_of_the_file_is_an_error(tmp_path: Path, put) -> None:
    current_path(tmp_path, M).mkdir()
    with pytest.raises(TransientError, match="directory"):
        put("1")


def test_the_artifact_folder_may_be_a_symbolic_link(tmp_path: Path, bytes_of, clock) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    candidate = stage(link, M, "1", bytes_of("1"), verify=trusting)
    publish(link, M, candidate, expected_active="", clock=clock)
    assert active_version(real, M) == "1"


def test_a_rolled_back_version_is_kept_in_rejected_and_not_as_a_backup(tmp_path: Path, put, bytes_of, clock) -> None:
    put("1")
    put("2")
    candidate = stage(tmp_path, M, "1", bytes_of("1"), verify=trusting)
    done = publish(tmp_path, M, candidate, expected_active="2", clock=clock, rollback_reason="too many false alarms")
    assert done.backup == tmp_path / "rejected" / "heuristic_2.safetensors"
    assert b"too many false alarms" in (tmp_path / "rejected" / "heuristic_2.reason.json").read_bytes()
    assert [read(path, M).version for path in backup_paths(tmp_path, M)] == ["1"]


def test_the_old_model_stays_active_if_the_commit_cannot_be_synced(tmp_path: Path, put, monkeypatch) -> None:
    put("1")
    reached: list[str] = []

    def fail(folder: Path) -> None:
        if "sync" in reached:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(publication, "sync_directory", fail)
    with pytest.raises(TransientError, match="Input/output error"):
        put("2", at_step=reached.append)
    assert active_version(tmp_path, M) == "1"
    assert [path.name for path in candidate_paths(tmp_path, M)] == ["heuristic_2.safetensors"]
    assert remove_stale_stages(tmp_path) == []


def test_there_is_no_model_if_the_first_commit_cannot_be_synced(tmp_path, put, monkeypatch) -> None:
    def fail(folder: Path) -> None:
        if current_path(tmp_path, M).exists():
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(publication, "sync_directory", fail)
    with pytest.raises(TransientError):
        put("1")
    assert active_version(tmp_path, M) == ""
    assert [path.name for path in candidate_paths(tmp_path, M)] == ["heuristic_1.safetensors"]


def test_a_rejected_file_gets_a_note_and_a_number_if_the_name_exists(tmp_path: Path, bytes_of) -> None:
    for number in (1, 2):
        path = stage(tmp_path, M, "3", bytes_of("3"), verify=trusting)
        place = quarantine_file(tmp_path, path, M, f"reason {number}", 1_700_000_000)
        assert not path.exists()
        assert place.read_bytes() == bytes_of("3")
    (tmp_path / "odd").write_bytes(b"no model")
    assert (
        quarantine_file(tmp_path, tmp_path / "odd", M, "no model", 1_700_000_000).name
        == "heuristic_20231114T221320Z.safetensors"
    )
    assert sorted(path.name for path in (tmp_path / "rejected").iterdir()) == [
        "heuristic_20231114T221320Z.reason.json",
        "heuristic_20231114T221320Z.safetensors",
        "heuristic_3.reason.json",
        "heuristic_3.safetensors",
        "heuristic_3~2.reason.json",
        "heuristic_3~2.safetensors",
    ]


def test_only_stages_of_ended_processes_are_removed(tmp_path: Path) -> None:
    dead = tmp_path / ".heuristic.safetensors.1-0.stage"
    dead.write_bytes(b"half")
    with stage_file(tmp_path / "x", b"alive") as alive:
        assert remove_stale_stages(tmp_path) == [dead]
        assert alive.exists()
    assert names(tmp_path) == []
