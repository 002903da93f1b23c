"""A bad current file is moved to quarantine, and a good file that replaced it never is."""

from pathlib import Path

import pytest

from bgpdrift.errors import TransientError
from bgpdrift.models.artifact import identity_of
from bgpdrift.models.paths import publish_lock_path
from bgpdrift.models.quarantine import quarantine_current
from bgpdrift.process.locks import hold_lock


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "lstm.safetensors"
    path.write_bytes(b"bad")
    return path


def test_a_quarantined_file_has_a_note_beside_it(bad: Path) -> None:
    moved = quarantine_current(bad, "lstm", identity_of(bad.stat()), "too short", 1_767_225_600.0)
    assert moved is not None
    assert moved.read_bytes() == b"bad"
    assert not bad.exists()
    assert sorted(path.name for path in moved.parent.iterdir()) == [
        "lstm_20260101T000000Z.reason.json",
        "lstm_20260101T000000Z.safetensors",
    ]


def test_a_file_published_in_the_meantime_is_not_moved(bad: Path) -> None:
    failed = identity_of(bad.stat())
    good = bad.with_name("stage")
    good.write_bytes(b"good")
    good.replace(bad)
    assert quarantine_current(bad, "lstm", failed, "too short", 0.0) is None
    assert bad.read_bytes() == b"good"
    assert not (bad.parent / "rejected").exists()


def test_nothing_is_moved_while_another_process_publishes(bad: Path) -> None:
    with (
        hold_lock(publish_lock_path(bad.parent, "lstm"), "busy"),
        pytest.raises(TransientError, match="another process is publishing"),
    ):
        quarantine_current(bad, "lstm", identity_of(bad.stat()), "too short", 0.0)
    assert bad.exists()


def test_a_file_that_replaced_the_bad_one_without_the_lock_is_put_back(bad: Path, monkeypatch) -> None:
    """A person runs `mv` between the last check and the rename."""
    failed, rename = identity_of(bad.stat()), Path.rename

    def mv_first(path: Path, target: Path) -> Path:
        good = path.with_name("mv")
        good.write_bytes(b"good")
        good.replace(path)
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", mv_first)
    assert quarantine_current(bad, "lstm", failed, "too short", 0.0) is None
    assert bad.read_bytes() == b"good"
    assert list((bad.parent / "rejected").iterdir()) == []


def test_a_symbolic_link_and_a_missing_file_are_not_moved(bad: Path) -> None:
    link = bad.with_name("link.safetensors")
    link.symlink_to(bad)
    assert quarantine_current(link, "link", identity_of(link.stat()), "bad", 0.0) is None
    assert link.is_symlink()
    failed = identity_of(bad.stat())
    bad.unlink()
    assert quarantine_current(bad, "lstm", failed, "bad", 0.0) is None
