"""The repairs that a start makes after a crash."""

from pathlib import Path

import msgspec
import pytest

from bgpdrift.models.artifact import read
from bgpdrift.models.paths import current_path, publish_lock_path
from bgpdrift.models.publication import active_version
from bgpdrift.models.recovery import recover
from bgpdrift.process.durable import stage_file
from bgpdrift.process.locks import hold_lock

M, NOW = "heuristic", 1_700_000_000


def trusting(path: Path, model: str, _: int) -> None:
    read(path, model)


def repair(folder: Path) -> list[str]:
    return recover(folder, NOW, verify=trusting)


@pytest.fixture
def folder(tmp_path: Path, bytes_of) -> Path:
    """Version 3 is active; versions 2 and 1 are backups."""
    (tmp_path / "heuristic.safetensors").write_bytes(bytes_of("3"))
    (tmp_path / "heuristic_backup_20260201T000000Z.safetensors").write_bytes(bytes_of("2"))
    (tmp_path / "heuristic_backup_20260101T000000Z.safetensors").write_bytes(bytes_of("1"))
    return tmp_path


def test_nothing_is_done_in_a_healthy_and_in_a_missing_directory(folder: Path, tmp_path: Path) -> None:
    before = sorted(path.name for path in folder.iterdir())
    assert repair(folder) == []
    assert sorted(path.name for path in folder.iterdir()) == sorted([*before, "publish_heuristic.lock"])
    assert repair(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_a_missing_current_file_is_replaced_by_the_newest_backup(folder: Path) -> None:
    current_path(folder, M).unlink()
    (message,) = repair(folder)
    assert (
        message
        == "heuristic.safetensors: missing; restored version 2 from heuristic_backup_20260201T000000Z.safetensors"
    )
    assert active_version(folder, M) == "2"
    assert (folder / "heuristic_backup_20260201T000000Z.safetensors").exists()


@pytest.mark.parametrize(
    "bad", [b"", b"half", b"\0" * 300, b"\x08\0\0\0\0\0\0\0{}      "], ids=["empty", "half", "zero", "x"]
)
def test_a_bad_current_file_is_quarantined_and_replaced(folder: Path, bad: bytes) -> None:
    current_path(folder, M).write_bytes(bad)
    (message,) = repair(folder)
    assert "version 2" in message
    assert active_version(folder, M) == "2"
    (aside,) = (folder / "rejected").glob("*.safetensors")
    assert aside.read_bytes() == bad


def test_an_unusable_backup_is_reported_and_the_next_one_is_restored(folder: Path) -> None:
    current_path(folder, M).unlink()
    (folder / "heuristic_backup_20260201T000000Z.safetensors").write_bytes(b"half")
    messages = repair(folder)
    assert messages[0].startswith("heuristic_backup_20260201T000000Z.safetensors: the backup cannot be used")
    assert active_version(folder, M) == "1"


def test_without_a_usable_backup_the_current_file_stays(folder: Path) -> None:
    for backup in folder.glob("*_backup_*"):
        backup.unlink()
    current_path(folder, M).write_bytes(b"half")
    (message,) = repair(folder)
    assert message.endswith("there is no usable backup")
    assert current_path(folder, M).read_bytes() == b"half"


def test_a_whole_file_of_another_program_stays(folder: Path, resigned, bytes_of) -> None:
    """An outdated host on a shared directory must not take a newer model from the others."""

    def newer(_: dict[str, object], metadata: dict[str, object]) -> None:
        metadata["schema_version"] = 99

    current_path(folder, M).write_bytes(resigned(bytes_of("3"), newer))
    assert repair(folder) == []
    assert not (folder / "rejected").exists()


def test_nothing_is_restored_while_another_process_publishes(folder: Path) -> None:
    current_path(folder, M).unlink()
    with hold_lock(publish_lock_path(folder, M), "busy"):
        assert repair(folder) == []
    assert len(repair(folder)) == 1


def test_unfinished_writes_of_ended_processes_are_removed_in_every_folder(folder: Path) -> None:
    for place in ("", "candidates", "rejected"):
        (folder / place).mkdir(exist_ok=True)
        (folder / place / ".lstm.safetensors.4-0.stage").write_bytes(b"x")
    with stage_file(folder / "candidates" / "alive", b"x") as alive:
        assert len(repair(folder)) == 3
        assert [path.name for path in folder.rglob("*.stage")] == [alive.name]


def test_a_dangling_link_counts_as_missing_and_a_directory_is_reported(folder: Path) -> None:
    current_path(folder, M).unlink()
    current_path(folder, M).symlink_to(folder / "nowhere")
    assert "missing" in repair(folder)[0]
    current_path(folder, M).unlink()
    current_path(folder, M).mkdir()
    assert repair(folder) == ["heuristic.safetensors: a directory in place of the model file; remove it"]


def test_the_note_states_the_problem(folder: Path) -> None:
    current_path(folder, M).write_bytes(b"half")
    repair(folder)
    (note,) = (folder / "rejected").glob("*.reason.json")
    found = msgspec.json.decode(note.read_bytes())
    assert found == {
        "model": M,
        "version": "",
        "reason": "heuristic.safetensors: not a model file: 4 bytes",
        "rejected_at": NOW,
        "file": "heuristic.safetensors",
    }
