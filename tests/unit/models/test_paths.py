"""The names of model files, and versions that only increase."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.errors import InputError
from bgpdrift.models.paths import backup_paths, backup_stamp, candidate_paths, check_names, next_version

YEAR_S = 365 * 86_400


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_the_newest_backup_comes_first_whatever_its_number(tmp_path: Path) -> None:
    stem = "lstm_backup_20260101T000000Z"
    touch(
        tmp_path,
        *(f"{stem}{n}.safetensors" for n in ("", "-2", "-10", "-9")),
        "lstm_backup_20251231T235959Z.safetensors",
    )
    touch(tmp_path, "lstm_backup_of_mine.safetensors", "heuristic_backup_20270101T000000Z.safetensors")
    found = [path.stem.removeprefix("lstm_backup_") for path in backup_paths(tmp_path, "lstm")]
    assert found == [
        "20260101T000000Z-10",
        "20260101T000000Z-9",
        "20260101T000000Z-2",
        "20260101T000000Z",
        "20251231T235959Z",
    ]


@given(st.lists(st.integers(0, 3 * YEAR_S), min_size=1, max_size=12))
def test_a_new_backup_is_always_the_newest_also_if_the_clock_was_set_back(moments: list[int]) -> None:
    """The clock jumps a year forward and back; the order of backups stays that of their making."""
    made: list[Path] = []
    for now in moments:
        newest = made[-1] if made else None
        made.append(Path(f"m_backup_{backup_stamp(1_700_000_000 + now, newest)}.safetensors"))
    assert len(set(made)) == len(made)

    class Folder:
        def glob(self, _: str) -> list[Path]:
            return made

    assert backup_paths(Folder(), "m") == made[::-1]  # type: ignore[arg-type]


def test_the_next_version_follows_the_largest_in_files_and_store(tmp_path: Path, bytes_of) -> None:
    assert next_version(tmp_path, "heuristic") == "1"
    touch(tmp_path, "candidates/heuristic_4.safetensors", "rejected/heuristic_6.safetensors")
    touch(tmp_path, "rejected/heuristic_7~2.safetensors", "rejected/heuristic_20260101T000000Z.safetensors")
    assert next_version(tmp_path, "heuristic") == "8"
    (tmp_path / "heuristic_backup_20260101T000000Z.safetensors").write_bytes(bytes_of("11"))
    (tmp_path / "heuristic.safetensors").write_bytes(b"damaged")
    assert next_version(tmp_path, "heuristic", ["9", "default-1"]) == "12"
    assert next_version(tmp_path, "heuristic", ["30"]) == "31"


def test_the_version_of_the_default_is_ignored(tmp_path: Path, bytes_of) -> None:
    (tmp_path / "heuristic.safetensors").write_bytes(bytes_of("default-1"))
    assert next_version(tmp_path, "heuristic") == "1"


def test_candidates_are_listed_newest_first_without_stages(tmp_path: Path) -> None:
    touch(tmp_path / "candidates", "lstm_9.safetensors", "lstm_10.safetensors", ".lstm_11.safetensors.7-0.stage")
    assert [path.name for path in candidate_paths(tmp_path, "lstm")] == ["lstm_10.safetensors", "lstm_9.safetensors"]


@pytest.mark.parametrize(("model", "version"), [("../x", "1"), ("", "1"), ("lstm", "../1"), ("lstm", ""), ("a/b", "1")])
def test_names_that_would_leave_the_folder_are_refused(model: str, version: str) -> None:
    with pytest.raises(InputError):
        check_names(model, version)
