"""The minutes before a window: from memory where it can be trusted, else from the store, always the same."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bgpdrift.scoring.histories import Columns, Group, Histories, columns_for

GROUP = ("rrc00", "")
COLUMNS = columns_for(["messages", "announced"])
WIDTH = len(COLUMNS) - 1


def row(minute: int) -> tuple[Any, ...]:
    return (60 * minute, *[minute] * WIDTH)


class Shelf:
    """All windows there are, and how often they were asked for."""

    def __init__(self) -> None:
        self.rows: dict[int, tuple[Any, ...]] = {}
        self.reads = 0

    def add(self, *minutes: int) -> list[tuple[Any, ...]]:
        found = [row(minute) for minute in minutes]
        self.rows |= {int(one[0]): one for one in found}
        return found

    def read(self, columns: Columns, group: Group, start: int, end: int) -> Sequence[tuple[Any, ...]]:
        self.reads += 1
        return [self.rows[at][: len(columns)] for at in sorted(self.rows) if start <= at < end]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def histories(shelf: Shelf) -> Histories:
    return Histories(shelf.read)


def minutes_of(starts: np.ndarray) -> list[int]:
    return (starts // 60).tolist()


def test_a_start_reads_the_store_and_what_follows_does_not(shelf: Shelf, histories: Histories) -> None:
    shelf.add(1, 2, 3, 4, 5)
    frame, wanted = histories.frame(GROUP, COLUMNS, shelf.add(6, 7), 3)
    assert (minutes_of(frame.window_start), frame.first, wanted.all()) == ([3, 4, 5, 6, 7], 3, True)
    histories.keep()
    frame, _ = histories.frame(GROUP, COLUMNS, shelf.add(8), 3)
    assert (minutes_of(frame.window_start), frame.first) == ([5, 6, 7, 8], 3)
    assert shelf.reads == 1
    assert frame.features["messages"].tolist() == [5.0, 6.0, 7.0, 8.0]


def test_a_batch_that_was_not_written_is_as_if_never_seen(shelf: Shelf, histories: Histories) -> None:
    histories.frame(GROUP, COLUMNS, shelf.add(1), 3)
    histories.keep()
    histories.frame(GROUP, COLUMNS, shelf.add(2, 3), 3)
    histories.forget()
    frame, wanted = histories.frame(GROUP, COLUMNS, shelf.add(2, 3), 3)
    assert (minutes_of(frame.window_start), frame.first, wanted.all()) == ([1, 2, 3], 1, True)


def test_a_late_window_is_scored_in_its_place_and_forgets_nothing_of_what_came_after(
    shelf: Shelf, histories: Histories
) -> None:
    histories.frame(GROUP, COLUMNS, shelf.add(1, 2, 5, 6), 4)
    histories.keep()
    frame, wanted = histories.frame(GROUP, COLUMNS, shelf.add(3, 7), 4)
    assert minutes_of(frame.window_start) == [1, 2, 3, 5, 6, 7]
    assert minutes_of(frame.to_score[wanted]) == [3, 7]
    histories.keep()
    frame, wanted = histories.frame(GROUP, COLUMNS, shelf.add(4), 4)
    assert (minutes_of(frame.window_start), wanted.all()) == ([1, 2, 3, 4], True)
    histories.keep()
    frame, _ = histories.frame(GROUP, COLUMNS, shelf.add(8), 4)
    assert minutes_of(frame.window_start) == [4, 5, 6, 7, 8]


def test_a_model_that_looks_back_further_gets_what_it_needs(shelf: Shelf, histories: Histories) -> None:
    shelf.add(*range(1, 10))
    histories.frame(GROUP, COLUMNS, shelf.add(10), 2)
    histories.keep()
    frame, _ = histories.frame(GROUP, COLUMNS, shelf.add(11), 8)
    assert minutes_of(frame.window_start) == list(range(3, 12))


def test_a_model_that_looks_at_other_columns_gets_those(shelf: Shelf, histories: Histories) -> None:
    shelf.add(1, 2)
    histories.frame(GROUP, COLUMNS, shelf.add(3), 5)
    histories.keep()
    fewer = columns_for(["messages"])
    frame, _ = histories.frame(GROUP, fewer, [row(4)[: len(fewer)]], 5)
    assert minutes_of(frame.window_start) == [1, 2, 3, 4]
    assert set(frame.features) == {"messages"}


def test_a_minute_that_comes_twice_keeps_its_last_row(shelf: Shelf, histories: Histories) -> None:
    later = (120, *[9] * WIDTH)
    frame, _ = histories.frame(GROUP, COLUMNS, [row(2), row(1), later], 5)
    assert frame.features["messages"].tolist() == [1.0, 9.0]


def test_memory_is_bounded_and_what_went_is_read_again(shelf: Shelf) -> None:
    limit = 3 * 8 * len(COLUMNS) * 4
    histories = Histories(shelf.read, limit_bytes=limit)
    shelf.add(1, 2, 3, 4)
    for number in range(50):
        histories.frame((f"rrc{number:02}", ""), COLUMNS, [row(5)], 4)
        histories.keep()
    assert histories._bytes <= limit
    assert histories._bytes == sum(matrix.nbytes for _, _, matrix in histories._known.values())
    reads = shelf.reads
    frame, _ = histories.frame(("rrc00", ""), COLUMNS, [row(6)], 4)
    assert shelf.reads == reads + 1
    assert minutes_of(frame.window_start) == [2, 3, 4, 6]
