"""Old files are removed, except the last copy of a version that a rollback may need."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.models.model_files import ModelFile, ModelFiles
from bgpdrift.models.retention import RetentionPolicy, choose_expired, list_protected, remove_expired


def file(version: str, problem: str = "", folder: Path = Path("x"), parent: str = "") -> ModelFile:
    return ModelFile(folder / f"m_{version}.safetensors", version, problem, parent_version=parent)


def test_the_newest_files_are_kept() -> None:
    assert [f.version for f in choose_expired([file(v) for v in "987654"], 4, ())] == ["5", "4"]


def test_the_active_version_its_parent_and_accepted_versions_are_protected() -> None:
    files = ModelFiles("m", file("9", parent="7"), (), (), ())
    assert list_protected(files, {"3"}) == {"9", "7", "3"}
    assert list_protected(ModelFiles("m", None, (), (), ()), ()) == set()


def test_one_copy_of_a_protected_version_is_kept() -> None:
    files = [file(v) for v in ("9", "8", "3", "3", "2")]
    assert [f.version for f in choose_expired(files, 2, {"3"})] == ["3", "2"]


def test_damaged_files_do_not_count_as_kept() -> None:
    files = [file("", "half"), file("5"), file("", "half"), file("4"), file("", "half"), file("3")]
    assert [f.version for f in choose_expired(files, 2, ())] == ["", "3"]


@given(st.lists(st.sampled_from("123456")), st.integers(0, 4), st.sets(st.sampled_from("123456")))
def test_every_protected_version_is_kept_whatever_the_files_are(versions, keep, protected) -> None:
    files = [ModelFile(Path(f"{i}"), v) for i, v in enumerate(versions)]
    gone = choose_expired(files, keep, protected)
    left = [f for f in files if f not in gone]
    assert {f.version for f in files} & protected <= {f.version for f in left}
    assert left[:keep] == files[:keep]
    assert len([f for f in left if f.version not in protected]) <= keep


def test_notes_are_removed_with_their_files_and_missing_files_are_skipped(tmp_path: Path) -> None:
    rejected = [file(v, folder=tmp_path) for v in "321"]
    for one in rejected[:2]:
        one.path.write_bytes(b"x")
        one.path.with_name(one.path.name.replace(".safetensors", ".reason.json")).write_bytes(b"{}")
    files = ModelFiles("m", None, (), (), tuple(rejected))

    assert remove_expired(files, RetentionPolicy(rejected=1), ()) == [rejected[1].path]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m_3.reason.json", "m_3.safetensors"]


@pytest.mark.parametrize("kind", ["backups", "candidates", "rejected"])
def test_each_kind_of_file_has_its_own_limit(kind: str) -> None:
    assert getattr(RetentionPolicy(**{kind: 1}), kind) == 1
