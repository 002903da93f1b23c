"""Replacing a file: a reader sees the old content or the new one, whatever fails in between."""

import contextlib

import pytest

from bgpdrift.errors import TransientError
from bgpdrift.process.durable import remove_stale_stages, replace_file, stage_file, write_durably


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    return path


@pytest.mark.parametrize("sync", [True, False])
def test_the_content_is_replaced_at_the_end_of_the_block(path, sync):
    with replace_file(path, sync=sync) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_in_the_block_leaves_the_old_file_and_no_stage(path):
    with contextlib.suppress(ValueError), replace_file(path) as file:
        file.write(b"new")
        raise ValueError
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_stage_of_a_crashed_writer_is_overwritten(path):
    path.with_name("file.new").write_bytes(b"a long text of a writer that was killed")
    with replace_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_the_new_file_has_the_given_mode_and_the_stage_a_name(path):
    with replace_file(path, mode=0o600) as file:
        assert file.name == str(path.with_name("file.new"))
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_stage_that_is_a_symbolic_link_is_refused(path):
    path.with_name("file.new").symlink_to(path)
    with pytest.raises(OSError, match="symbolic links"), replace_file(path):
        pass
    assert path.read_bytes() == b"old"


def test_a_durable_write_creates_the_directory(tmp_path):
    write_durably(tmp_path / "a" / "b", b"new")
    assert (tmp_path / "a" / "b").read_bytes() == b"new"


def test_a_durable_write_that_fails_is_a_transient_error(path):
    with pytest.raises(TransientError, match="cannot be written"):
        write_durably(path / "below_a_file", b"new")


def test_only_stages_without_a_live_writer_are_removed(path):
    stale = path.parent / ".file.1-0.stage"
    stale.write_bytes(b"of a dead writer")
    with stage_file(path, b"new") as live:
        assert remove_stale_stages(path.parent) == [stale]
        assert live.read_bytes() == b"new"
    assert not live.exists()
