"""A write that waits for another writer: it reports progress meanwhile, and gives up after its limit."""

from collections.abc import Iterator

import pytest

from bgpdrift.errors import StoreBusyError
from bgpdrift.process.waiting import register_progress
from bgpdrift.store import Cursor, Store, migrate, open_store


@pytest.fixture
def reports() -> Iterator[list[int]]:
    """One entry for each report of progress."""
    made: list[int] = []
    register_progress(lambda: made.append(1))
    yield made
    register_progress(lambda: None)


def test_a_write_that_waits_for_a_lock_reports_progress_and_gives_up(url: str, reports: list[int]) -> None:
    migrate(url)
    with open_store(url) as holder, open_store(url, busy_timeout_s=1.0) as waiter:
        holder.put_cursor(Cursor("a", 1))
        with holder.writing() as connection:
            holder.write_cursor(connection, Cursor("a", 2))
            with pytest.raises(StoreBusyError):
                waiter.put_cursor(Cursor("a", 3))
        assert len(reports) >= 3
        assert waiter.read_position("a") == 2
        waiter.put_cursor(Cursor("a", 4))
        assert holder.read_position("a") == 4


def test_a_read_does_not_wait_for_a_writer(store: Store, reports: list[int]) -> None:
    with store.writing() as connection:
        store.write_cursor(connection, Cursor("a", 1))
        assert store.read_position("a") == 0
    assert reports == []
