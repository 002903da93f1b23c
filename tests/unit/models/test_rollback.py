"""What comes back when a version disappoints."""

from pathlib import Path

import pytest

from bgpdrift.errors import InputError
from bgpdrift.models.model_files import ModelFile, ModelFiles
from bgpdrift.models.rollback import ROLLED_BACK_NOTE, choose_rollback


def files(active: str, backups: str, rejected=()) -> ModelFiles:
    return ModelFiles(
        "m",
        ModelFile(Path("m"), active),
        tuple(ModelFile(Path(v), v, "half" if v == "x" else "") for v in backups),
        (),
        tuple(ModelFile(Path(v), v, reason=reason) for v, reason in rejected),
    )


def versions(*arguments, **keywords) -> list[str]:
    return [file.version for file in choose_rollback(*arguments, **keywords)]


def test_the_newest_backup_comes_first_and_the_next_ones_after_it() -> None:
    assert versions(files("5", "432"), {}) == ["4", "3", "2"]


def test_the_version_in_force_is_nothing_to_go_back_to() -> None:
    assert versions(files("4", "4432"), {}) == ["3", "2"]


def test_what_was_rolled_back_or_refused_does_not_come_back_by_itself() -> None:
    assert versions(files("5", "432"), {"4": "rolled_back", "3": "rejected", "2": "retired"}) == ["2"]


def test_a_person_may_name_any_backup_also_one_that_was_rolled_back() -> None:
    assert versions(files("5", "432"), {"3": "rolled_back"}, to="3") == ["3"]
    assert versions(files("5", "4", [("3", ROLLED_BACK_NOTE + "too loud")]), {}, to="3") == ["3"]


def test_what_the_gate_refused_never_comes_into_force() -> None:
    there = files("5", "4", [("3", "alarm rate over budget")])
    with pytest.raises(InputError, match="no backup of version 3"):
        choose_rollback(there, {}, to="3")
    with pytest.raises(InputError, match="no backup of version 4"):
        choose_rollback(there, {"4": "rejected"}, to="4")


@pytest.mark.parametrize(
    ("to", "said"),
    [("9", "no backup of version 9.*: 4, 3; rolled back before: 2"), ("5", "version 5 is in force")],
)
def test_a_version_that_cannot_come_back_is_answered_with_those_that_can(to: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        choose_rollback(files("5", "x43", [("2", ROLLED_BACK_NOTE)]), {}, to=to)


def test_without_backups_there_is_nothing_to_go_back_to() -> None:
    with pytest.raises(InputError, match=r"nothing to go back to.*none"):
        choose_rollback(files("5", "x5"), {})
