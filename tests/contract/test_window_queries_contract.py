"""Queries on windows, groups of windows and closed incidents; the same on every database."""

import pytest

from bgpdrift.store import IncidentChanges, Store

T = 1_700_000_040


def window(minute: int) -> dict[str, object]:
    return {"window_start": T + 60 * minute, "collector": "rrc00", "peer": ""}


def test_an_empty_store_has_no_newest_row(store: Store) -> None:
    assert (store.newest_window_start(), store.newest_window_id()) == (None, 0)
    assert (store.newest_score_start(), store.newest_score_id(), store.oldest_score_start()) == (None, 0, None)
    assert (store.newest_verdict_start(), store.newest_verdict_id()) == (None, 0)


def test_the_newest_window_is_not_always_the_last_row(store: Store) -> None:
    store.write_windows([window(3)], None)
    store.write_windows([window(1)], None)
    first, second = store.windows_after(0, 10)

    assert store.newest_window_start() == T + 180
    assert store.newest_window_id() == second["id"] > first["id"]


@pytest.mark.parametrize(("since", "numbers"), [(T + 500, [2]), (T + 100, [1, 2]), (T + 1000, [])])
def test_closed_incidents_are_read_without_those_merged_into_another(
    store: Store, since: int, numbers: list[int]
) -> None:
    def incident(number: int, closed_at: int | None, merged_into: int | None = None) -> dict[str, object]:
        state = "open" if closed_at is None else "closed"
        row = {"id": number, "state": state, "severity": "low", "started_at": T, "last_seen_at": T, "peak": 2.0}
        return {**row, "closed_at": closed_at, "merged_into": merged_into}

    rows = [incident(1, T + 100), incident(2, T + 500), incident(3, None), incident(4, T + 900, merged_into=2)]
    store.apply_incidents(IncidentChanges(inserts=tuple(rows), updates=(), events=()), None)

    assert [row["id"] for row in store.incidents_closed_since(since)] == numbers


def test_a_window_that_is_counted_again_is_read_again_and_its_scores_are_removed(store: Store) -> None:
    """A wrong clock made the first one; a reader past it must meet the new one."""
    score = {"model": "lstm", "model_version": "1", "score": 1.0, "p_value": 0.5, "is_alarm": False}
    store.write_windows([window(1), window(2)], None)
    store.write_scores([window(1) | score, window(2) | score], None)
    newest = store.newest_window_id()

    store.write_windows([window(1) | {"messages": 7}, window(2)], None, recounted=[("rrc00", T + 60)])

    assert [(row["window_start"], row["messages"]) for row in store.windows_after(newest, 10)] == [(T + 60, 7)]
    assert [row["window_start"] for row in store.windows_between(0, 2**33)] == [T + 60, T + 120]
    assert [row["window_start"] for row in store.scores_between(0, 2**33, "lstm")] == [T + 120]


def test_groups_are_counted_and_their_columns_read_in_order_of_time(store: Store) -> None:
    rows = [{**window(minute), "announced": minute} for minute in (2, 0, 1)]
    rows += [{**window(1), "peer": "192.0.2.1", "announced": 7}, {**window(1), "collector": "rrc01"}]
    store.write_windows(rows, None)

    assert store.window_groups(T, T + 120) == [("rrc00", "", 2), ("rrc00", "192.0.2.1", 1), ("rrc01", "", 1)]
    assert store.window_groups(T + 600, T + 900) == []
    names = ("window_start", "announced", "origin_entropy")
    assert store.window_columns(names, "rrc00", "", T, T + 180) == [
        (T, 0, 0.0),
        (T + 60, 1, 0.0),
        (T + 120, 2, 0.0),
    ]
    assert store.window_columns(names, "rrc00", "192.0.2.1", T, T + 180) == [(T + 60, 7, 0.0)]


def test_the_next_windows_are_read_as_tuples_of_some_columns(store: Store) -> None:
    store.write_windows([{**window(minute), "announced": minute} for minute in range(4)], None)
    first = store.windows_after(0, 1)[0]["id"]

    columns = store.window_columns_after(("id", "collector", "window_start", "announced"), first, 2)

    assert columns == [(first + 1, "rrc00", T + 60, 1), (first + 2, "rrc00", T + 120, 2)]
