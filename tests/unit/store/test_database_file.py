"""What the store does when the files of its SQLite database are removed, replaced, damaged or read-only."""

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgpdrift.errors import StoreFileError, StoreReplacedError
from bgpdrift.store import Cursor, Store, migrate, open_store


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite3"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    migrate(path)
    with open_store(path, busy_timeout_s=0.2) as opened:
        opened.put_cursor(Cursor("a", 1))
        yield opened


def copy_of(path: Path, store: Store) -> Path:
    """A backup, made as SQLite recommends."""
    copy = path.with_name("backup.sqlite3")
    with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    return copy


def test_a_removed_database_takes_no_write_until_it_is_back(store: Store, path: Path) -> None:
    aside = path.rename(path.with_name("aside"))
    for attempt in (lambda: store.put_cursor(Cursor("a", 2)), lambda: store.read_position("a"), store.check):
        with pytest.raises(StoreFileError, match="removed"):
            attempt()
    assert not path.exists()

    aside.rename(path)

    assert store.read_position("a") == 1
    store.put_cursor(Cursor("a", 3))
    assert store.read_position("a") == 3


def test_another_file_in_place_of_the_database_is_not_written(store: Store, path: Path) -> None:
    copy_of(path, store).replace(path)
    for attempt in (lambda: store.put_cursor(Cursor("a", 2)), lambda: store.read_position("a")):
        with pytest.raises(StoreReplacedError, match="another file"):
            attempt()
    with open_store(path) as opened:
        assert opened.read_position("a") == 1


def test_a_write_is_not_taken_for_done_if_the_database_was_removed_before_its_commit(store: Store, path: Path) -> None:
    def write_while_it_is_removed() -> None:
        with store.writing() as connection:
            store.write_cursor(connection, Cursor("a", 2))
            path.unlink()

    with pytest.raises(StoreFileError, match="removed"):
        write_while_it_is_removed()


def test_a_removed_log_of_the_database_is_noticed(store: Store, path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()
    with pytest.raises(StoreReplacedError, match="log"):
        store.put_cursor(Cursor("a", 2))


def test_another_database_restored_into_the_same_file_is_noticed(store: Store, path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite3"
    migrate(other)
    with sqlite3.connect(other) as source, sqlite3.connect(path) as target:
        source.backup(target)
    with pytest.raises(StoreReplacedError, match="expected the database"):
        store.put_cursor(Cursor("a", 2))
    with open_store(path) as opened:
        assert opened.read_position("a") == 0


def test_a_migrated_database_keeps_its_identity(store: Store, path: Path) -> None:
    migrate(path)
    store.put_cursor(Cursor("a", 2))
    assert store.read_position("a") == 2


def test_a_damaged_page_is_named_and_a_restored_copy_is_read(store: Store, path: Path) -> None:
    copy = copy_of(path, store)
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    with open_without_check(path) as damaged, pytest.raises(StoreFileError, match=r"damaged: .*restore a copy"):
        damaged.read_position("a")
    shutil.copy(copy, path)
    with open_store(path) as restored:
        assert restored.read_position("a") == 1


def open_without_check(path: Path) -> Store:
    from bgpdrift.store.store import connect

    return connect(path)


def test_a_database_that_cannot_be_written_is_named(store: Store, path: Path) -> None:
    with store.reading() as connection:
        connection.exec_driver_sql("PRAGMA query_only=ON")  # the mode of the file does not concern root
    with pytest.raises(StoreFileError, match="must be able to write the file"):
        store.put_cursor(Cursor("a", 2))
    with store.reading() as connection:
        connection.exec_driver_sql("PRAGMA query_only=OFF")
    store.put_cursor(Cursor("a", 3))
    assert store.read_position("a") == 3
