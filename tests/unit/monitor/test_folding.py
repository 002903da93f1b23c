"""What scores and windows add to the hourly histograms; unusable values do not stop the monitor."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from bgpdrift.clock import FakeClock
from bgpdrift.drift.exact_values import ExactValues
from bgpdrift.drift.histogram import Histogram
from bgpdrift.monitor.folding import (
    FEATURE_NAMES,
    SCORE_COLUMNS,
    WINDOW_COLUMNS,
    Key,
    build_merge,
    fold_scores,
    fold_windows,
)
from bgpdrift.monitor.monitor_worker import MAX_PROBLEMS, DriftMonitor
from bgpdrift.store import Store, migrate, open_store
from helpers.store_rows import read_histograms

HOUR = 1_699_999_200
PLACE = ("1", "rrc00", HOUR)


def score(minute: int = 0, **columns: Any) -> tuple[Any, ...]:
    row = {
        "id": minute + 1,
        "collector": "rrc00",
        "peer": "",
        "window_start": HOUR + 60 * minute,
        "model": "lstm",
        "model_version": "1",
        "score": 2.0,
        "is_alarm": False,
        "abstained": "",
        "rules_fired": "[]",
        "embedding": None,
        **columns,
    }
    return tuple(row[name] for name in SCORE_COLUMNS)


def window(minute: int = 0, **columns: Any) -> tuple[Any, ...]:
    row = {"id": minute + 1, "collector": "rrc00", "peer": "", "window_start": HOUR + 60 * minute, **columns}
    return tuple(row.get(name, 0) for name in WINDOW_COLUMNS)


def test_scores_are_counted_by_model_version_collector_and_hour() -> None:
    rows = [score(0), score(1, is_alarm=True), score(2, model_version="2"), score(60), score(3, collector="rrc01")]
    added = fold_scores(rows).added
    assert {key: (histogram.n, alarms) for key, (histogram, alarms) in added.items()} == {
        ("score:lstm", "1", "rrc00", HOUR): (2, 1),
        ("score:lstm", "2", "rrc00", HOUR): (1, 0),
        ("score:lstm", "1", "rrc00", HOUR + 3600): (1, 0),
        ("score:lstm", "1", "rrc01", HOUR): (1, 0),
    }
    assert added["score:lstm", *PLACE][0] == ExactValues.of([2.0, 2.0])


def test_peers_abstentions_and_windows_with_a_quality_mark_are_not_counted() -> None:
    rows = [score(0, peer="192.0.2.1"), score(1, abstained="warming"), score(2)]
    assert fold_scores(rows, marked={("rrc00", HOUR + 120)}).added == {}
    assert set(fold_windows([window(0, peer="192.0.2.1")]).added) == set()
    marked = fold_windows([window(0, feed_gap=1, lag_p95=3.0), window(1, lag_p95=5.0, announced=7)])
    assert marked.added["quality:lag", "", "rrc00", HOUR] == (Histogram.of([3.0, 5.0]), 1)
    assert marked.added["feature:announced", "", "rrc00", HOUR] == (Histogram.of([7.0]), 0)
    assert len(marked.added) == 1 + len(FEATURE_NAMES)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), None, "seven", 1e300])
def test_a_score_that_is_not_a_number_is_reported_and_not_counted(bad: Any) -> None:
    folded = fold_scores([score(0, score=bad, is_alarm=True), score(1)])
    assert folded.added["score:lstm", *PLACE] == (ExactValues.of([2.0]), 0)
    assert folded.unusable == {"lstm 1: a score that is not a number": 1}


@pytest.mark.parametrize("bad", ["{", "[1, 2", '{"a": 1}', "[]", '[1, "x"]', "[1e999]", "3", "[null]"])
def test_an_embedding_that_is_not_a_vector_is_reported_and_not_counted(bad: str) -> None:
    folded = fold_scores([score(0, embedding=bad), score(1, embedding="[0.5, -0.5]")])
    assert folded.added["embedding:lstm:0", *PLACE][0].n == 1
    assert folded.unusable == {"lstm 1: an embedding that is not a vector": 1}
    assert folded.added["score:lstm", *PLACE][0].n == 2


def test_of_embeddings_of_several_lengths_the_most_frequent_counts() -> None:
    rows = [score(i, embedding="[0.1, 0.2]") for i in range(3)] + [score(3, embedding="[0.1]")]
    folded = fold_scores(rows)
    assert {key[0] for key in folded.added if key[0].startswith("embedding")} == {
        "embedding:lstm:0",
        "embedding:lstm:1",
    }
    assert sum(folded.unusable.values()) == 1


def test_latent_coordinates_fall_into_fifty_cells_and_eight_fixed_projections() -> None:
    rows = [score(i, embedding=f"[{i / 600 - 1}, 2.0]") for i in range(60)]
    added = fold_scores(rows).added
    assert {key[0] for key in added} == {
        "score:lstm",
        "embedding:lstm:0",
        "embedding:lstm:1",
        *(f"projection:lstm:{j}" for j in range(8)),
    }
    every = [score(0, embedding=[i / 1000 - 1]) for i in range(2001)]
    assert len(fold_scores(every).added["embedding:lstm:0", *PLACE][0].counts) == 50


def test_rules_are_counted_in_all_scored_windows() -> None:
    fired = '[{"rule": "storm"}, {"rule": "silence", "explained_by": "peer_reset"}]'
    rows = [score(0, model="heuristic", rules_fired=fired), score(1, model="heuristic")]
    added = fold_scores(rows, rules={"heuristic": ("storm", "silence")}).added
    assert added["rule:storm", *PLACE] == (Histogram.of([1.0, 0.0]), 1)
    assert added["rule:silence", *PLACE] == (Histogram.of([0.0, 0.0]), 0)
    broken = fold_scores([score(0, model="heuristic", rules_fired="{]")])
    assert broken.unusable == {"rules that cannot be decoded": 1}
    assert ("score:heuristic", *PLACE) in broken.added


def test_an_unreadable_row_is_replaced() -> None:
    key: Key = ("score:lstm", *PLACE)
    damaged = {"series": key[0], "model_version": "1", "collector": "rrc00", "hour_start": HOUR, "bins": b"?"}
    damaged |= {"value_sum": 0.0, "value_sum_squares": 0.0, "alarms": 3}
    (row,) = build_merge({key: (Histogram.of([1.0]), 0)})([damaged])
    assert (row["n"], row["alarms"]) == (1, 0)


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    migrate(url)
    with open_store(url, clock=clock) as opened:
        yield opened


def add_minutes(store: Store, minutes: range) -> None:
    store.write_windows([{"window_start": HOUR + 60 * m, "collector": "rrc00", "announced": m} for m in minutes], None)
    rows = [
        {"window_start": HOUR + 60 * m, "collector": "rrc00", "model": "lstm", "model_version": "1", "score": 1.0 + m}
        for m in minutes
    ]
    store.write_scores([{**row, "p_value": 0.5, "is_alarm": False} for row in rows], None)


def count_values(store: Store, series: str) -> list[int]:
    return [row["n"] for row in read_histograms(store, series)]


def test_two_monitors_count_every_row_once(store: Store) -> None:
    one, two = DriftMonitor(store, True), DriftMonitor(store, True)
    for begin in range(0, 50, 10):
        add_minutes(store, range(begin, begin + 10))
        one.step()
        two.step()
        two.step()
    while one.step() or two.step():
        pass
    assert count_values(store, "score:lstm") == [50]
    assert count_values(store, "feature:announced") == [50]


def test_a_damaged_row_in_the_store_does_not_stop_the_monitor(store: Store) -> None:
    add_minutes(store, range(5))
    with store.writing() as connection:
        connection.execute(text("UPDATE scores SET embedding = '{', score = 'much' WHERE id = 2"))
        connection.execute(text("UPDATE scores SET score = 9e999 WHERE id = 3"))
    monitor = DriftMonitor(store, True)
    while monitor.step():
        pass
    assert count_values(store, "score:lstm") == [3]
    assert "2 × lstm 1: a score that is not a number, not counted" in monitor.status()


def test_the_problems_that_a_monitor_remembers_are_bounded(store: Store) -> None:
    """Each version that outputs NaN is a problem of its own, and there is no end of versions."""
    monitor = DriftMonitor(store, True)
    row = {"window_start": HOUR, "collector": "rrc00", "model": "lstm", "p_value": 0.5, "is_alarm": False, "score": 1.0}
    for version in range(MAX_PROBLEMS + 20):
        store.write_scores([{**row, "window_start": HOUR + 60 * version, "model_version": str(version)}], None)
    with store.writing() as connection:
        connection.execute(text("UPDATE scores SET score = 'none'"))
    while monitor.step():
        pass
    assert f"{MAX_PROBLEMS - 3} other kinds of unusable rows" in monitor.status()
