"""The minutes before a window: from the cache where it is valid, otherwise from the store, with the same result."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from bgpdrift.scoring.histories import Columns, Group, Histories, select_columns

GROUP = ("rrc00", "")
COLUMNS = select_columns(["messages", "announced"])
WIDTH = len(COLUMNS) - 1


def row(minute: int) -> tuple[Any, ...]:
    return (60 * minute, *[minute] * WIDTH)


class Shelf:
    """All stored windows, and the number of reads."""

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


def test_only_the_first_frame_reads_the_store(shelf: Shelf, histories: Histories) -> None:
    shelf.add(1, 2, 3, 4, 5)
    frame, is_new = histories.build_frame(GROUP, COLUMNS, shelf.add(6, 7), 3)
    assert (minutes_of(frame.window_start), frame.first, is_new.all()) == ([3, 4, 5, 6, 7], 3, True)
    histories.commit()
    frame, _ = histories.build_frame(GROUP, COLUMNS, shelf.add(8), 3)
    assert (minutes_of(frame.window_start), frame.first) == ([5, 6, 7, 8], 3)
    assert shelf.reads == 1
    assert frame.features["messages"].tolist() == [5.0, 6.0, 7.0, 8.0]


def test_a_batch_that_was_not_written_leaves_no_trace(shelf: Shelf, histories: Histories) -> None:
    histories.build_frame(GROUP, COLUMNS, shelf.add(1), 3)
    histories.commit()
    histories.build_frame(GROUP, COLUMNS, shelf.add(2, 3), 3)
    histories.discard()
    frame, is_new = histories.build_frame(GROUP, COLUMNS, shelf.add(2, 3), 3)
    assert (minutes_of(frame.window_start), frame.first, is_new.all()) == ([1, 2, 3], 1, True)


def test_a_late_window_is_scored_in_its_place_and_later_windows_stay_cached(shelf: Shelf, histories: Histories) -> None:
    histories.build_frame(GROUP, COLUMNS, shelf.add(1, 2, 5, 6), 4)
    histories.commit()
    frame, is_new = histories.build_frame(GROUP, COLUMNS, shelf.add(3, 7), 4)
    assert minutes_of(frame.window_start) == [1, 2, 3, 5, 6, 7]
    assert minutes_of(frame.to_score[is_new]) == [3, 7]
    histories.commit()
    frame, is_new = histories.build_frame(GROUP, COLUMNS, shelf.add(4), 4)
    assert (minutes_of(frame.window_start), is_new.all()) == ([1, 2, 3, 4], True)
    histories.commit()
    frame, _ = histories.build_frame(GROUP, COLUMNS, shelf.add(8), 4)
    assert minutes_of(frame.window_start) == [4, 5, 6, 7, 8]


def test_a_model_with_a_longer_history_reads_it_from_the_store(shelf: Shelf, histories: Histories) -> None:
    shelf.add(*range(1, 10))
    histories.build_frame(GROUP, COLUMNS, shelf.add(10), 2)
    histories.commit()
    frame, _ = histories.build_frame(GROUP, COLUMNS, shelf.add(11), 8)
    assert minutes_of(frame.window_start) == list(range(3, 12))


def test_a_model_with_other_columns_reads_them_from_the_store(shelf: Shelf, histories: Histories) -> None:
    shelf.add(1, 2)
    histories.build_frame(GROUP, COLUMNS, shelf.add(3), 5)
    histories.commit()
    fewer = select_columns(["messages"])
    frame, _ = histories.build_frame(GROUP, fewer, [row(4)[: len(fewer)]], 5)
    assert minutes_of(frame.window_start) == [1, 2, 3, 4]
    assert set(frame.features) == {"messages"}


def test_of_two_rows_for_a_minute_the_last_one_counts(shelf: Shelf, histories: Histories) -> None:
    later = (120, *[9] * WIDTH)
    frame, _ = histories.build_frame(GROUP, COLUMNS, [row(2), row(1), later], 5)
    assert frame.features["messages"].tolist() == [1.0, 9.0]


def test_the_cache_is_bounded_and_removed_groups_are_read_again(shelf: Shelf) -> None:
    limit = 3 * 8 * len(COLUMNS) * 4
    histories = Histories(shelf.read, max_bytes=limit)
    shelf.add(1, 2, 3, 4)
    for number in range(50):
        histories.build_frame((f"rrc{number:02}", ""), COLUMNS, [row(5)], 4)
        histories.commit()
    assert 0 < histories.size_bytes <= limit
    reads = shelf.reads
    frame, _ = histories.build_frame(("rrc00", ""), COLUMNS, [row(6)], 4)
    assert shelf.reads == reads + 1
    assert minutes_of(frame.window_start) == [2, 3, 4, 6]
