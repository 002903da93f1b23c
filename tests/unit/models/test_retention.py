"""Old files go, but never the last copy of a version somebody may need."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.models.model_files import ModelFile, ModelFiles
from bgpdrift.models.retention import RetentionPolicy, choose_expired, list_protected, remove_expired


def file(version: str, problem: str = "", folder: Path = Path("x"), parent: str = "") -> ModelFile:
    return ModelFile(folder / f"m_{version}.safetensors", version, problem, parent_version=parent)


def test_the_newest_stay_and_the_others_go() -> None:
    assert [f.version for f in choose_expired([file(v) for v in "987654"], 4, ())] == ["5", "4"]


def test_the_version_in_force_its_parent_and_settled_ones_are_protected() -> None:
    files = ModelFiles("m", file("9", parent="7"), (), (), ())
    assert list_protected(files, {"3"}) == {"9", "7", "3"}
    assert list_protected(ModelFiles("m", None, (), (), ()), ()) == set()


def test_of_a_protected_version_one_copy_stays() -> None:
    files = [file(v) for v in ("9", "8", "3", "3", "2")]
    assert [f.version for f in choose_expired(files, 2, {"3"})] == ["3", "2"]


def test_damaged_files_take_no_place_and_go_when_older_than_all_that_stay() -> None:
    files = [file("", "half"), file("5"), file("", "half"), file("4"), file("", "half"), file("3")]
    assert [f.version for f in choose_expired(files, 2, ())] == ["", "3"]


@given(st.lists(st.sampled_from("123456")), st.integers(0, 4), st.sets(st.sampled_from("123456")))
def test_whatever_the_history_every_protected_version_that_was_there_still_is(versions, keep, protected) -> None:
    files = [ModelFile(Path(f"{i}"), v) for i, v in enumerate(versions)]
    gone = choose_expired(files, keep, protected)
    left = [f for f in files if f not in gone]
    assert {f.version for f in files} & protected <= {f.version for f in left}
    assert left[:keep] == files[:keep]
    assert len([f for f in left if f.version not in protected]) <= keep


def test_files_go_with_their_notes_and_what_cannot_be_removed_is_left_for_later(tmp_path: Path) -> None:
    rejected = [file(v, folder=tmp_path) for v in "321"]
    for one in rejected[:2]:
        one.path.write_bytes(b"x")
        one.path.with_name(one.path.name.replace(".safetensors", ".reason.json")).write_bytes(b"{}")
    files = ModelFiles("m", None, (), (), tuple(rejected))

    assert remove_expired(files, RetentionPolicy(rejected=1), ()) == [rejected[1].path]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m_3.reason.json", "m_3.safetensors"]


@pytest.mark.parametrize("kind", ["backups", "candidates", "rejected"])
def test_each_kind_of_file_has_its_own_number(kind: str) -> None:
    assert getattr(RetentionPolicy(**{kind: 1}), kind) == 1
