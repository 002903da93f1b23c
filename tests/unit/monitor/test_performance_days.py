"""Labels become daily figures when a day is over, and again whenever they change."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.monitor.performance_days import INTERVAL_S, PerformanceDays
from bgpdrift.store import IncidentChanges, Store, migrate, open_store
from bgpdrift.store.outcomes import Outcome

DAY = 19_000 * 86_400


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    migrate(url)
    with open_store(url, clock=clock) as opened:
        yield opened


@pytest.fixture
def days(store: Store, clock: FakeClock) -> PerformanceDays:
    return PerformanceDays(store, clock, min_labels=2)


def add_label(store: Store, at: int, label: str = "missed", **fields: Any) -> int:
    return store.record_outcome(Outcome(starts_at=at, ends_at=at + 600, label=label, **fields), at).id


def add_score(store: Store, at: int, is_alarm: bool, collector: str = "rrc00") -> None:
    row = {"window_start": at, "collector": collector, "model": "lstm", "model_version": "1", "score": 1.0}
    store.write_scores([{**row, "p_value": 0.1, "is_alarm": is_alarm}], None)


def set_event_time(store: Store, at: int) -> None:
    store.write_windows([{"window_start": at, "collector": "rrc00", "peer": ""}], None)


def run_steps(days: PerformanceDays, clock: FakeClock, times: int = 3) -> None:
    clock.advance(seconds=INTERVAL_S)
    for _ in range(times):
        days.step()


def figures(store: Store) -> list[tuple[int, int, int, float | None]]:
    rows = store.performance_between(0, 2**62)
    return [(row.day_start, row.true_positives, row.false_negatives, row.accuracy) for row in rows]


def test_a_day_is_evaluated_when_it_is_over(store: Store, days: PerformanceDays, clock: FakeClock) -> None:
    add_score(store, DAY + 600, True)
    add_label(store, DAY + 600)
    set_event_time(store, DAY + 86_340)
    run_steps(days, clock)
    assert figures(store) == []

    set_event_time(store, DAY + 86_400)
    run_steps(days, clock)

    assert figures(store) == [(DAY, 1, 0, None)]


def test_a_later_label_evaluates_its_day_again(store: Store, days: PerformanceDays, clock: FakeClock) -> None:
    add_score(store, DAY + 600, True)
    add_score(store, DAY + 6000, False)
    set_event_time(store, DAY + 2 * 86_400)
    add_label(store, DAY + 600)
    run_steps(days, clock)

    add_label(store, DAY + 6000)
    run_steps(days, clock)

    assert figures(store) == [(DAY, 1, 1, None)]


def test_a_day_has_rates_with_enough_labels_of_each_class(
    store: Store, days: PerformanceDays, clock: FakeClock
) -> None:
    for number in range(9):
        at = DAY + 600 + 6000 * number
        add_score(store, at, number % 2 == 0)
        add_label(store, at, "missed" if number < 5 else "false_positive")
    set_event_time(store, DAY + 2 * 86_400)
    run_steps(days, clock)
    assert figures(store) == [(DAY, 3, 2, None)]

    add_score(store, DAY + 80_000, False)
    add_label(store, DAY + 80_000, "new_normal")
    run_steps(days, clock)

    assert figures(store) == [(DAY, 3, 2, 0.6)]


def test_a_removed_label_removes_its_figures(store: Store, days: PerformanceDays, clock: FakeClock) -> None:
    add_score(store, DAY + 600, True)
    set_event_time(store, DAY + 2 * 86_400)
    number = add_label(store, DAY + 600)
    run_steps(days, clock)

    store.remove_outcome(number, DAY, "ann")
    run_steps(days, clock)

    assert figures(store) == []


def test_unchanged_labels_are_not_evaluated_again_even_after_a_restart(
    store: Store, days: PerformanceDays, clock: FakeClock
) -> None:
    add_score(store, DAY + 600, True)
    set_event_time(store, DAY + 2 * 86_400)
    add_label(store, DAY + 600)
    run_steps(days, clock)
    store.replace_performance(DAY, [], None)

    run_steps(PerformanceDays(store, clock, min_labels=2), clock)

    assert figures(store) == []


def test_a_different_minimum_of_labels_evaluates_every_day_again(store: Store, clock: FakeClock) -> None:
    for number in range(10):
        add_score(store, DAY + 600 + 6000 * number, number < 5)
        add_label(store, DAY + 600 + 6000 * number, "missed" if number < 5 else "false_positive")
    set_event_time(store, DAY + 2 * 86_400)
    run_steps(PerformanceDays(store, clock, min_labels=11), clock)
    assert figures(store) == [(DAY, 5, 0, None)]

    run_steps(PerformanceDays(store, clock, min_labels=10), clock)

    assert figures(store) == [(DAY, 5, 0, 1.0)]


def test_days_whose_scores_have_expired_keep_their_figures(
    store: Store, days: PerformanceDays, clock: FakeClock
) -> None:
    add_score(store, DAY + 600, True)
    add_score(store, DAY + 3 * 86_400, True)
    set_event_time(store, DAY + 4 * 86_400)
    number = add_label(store, DAY + 600)
    run_steps(days, clock)

    store.delete_expired("scores", DAY + 2 * 86_400, 10)
    store.remove_outcome(number, DAY, "retention")
    run_steps(days, clock)

    assert figures(store) == [(DAY, 1, 0, None)]


def test_an_alarm_at_a_collector_that_did_not_see_the_incident_does_not_count(
    store: Store, days: PerformanceDays, clock: FakeClock
) -> None:
    incident = {"id": 1, "state": "closed", "severity": "low", "started_at": DAY + 600, "last_seen_at": DAY + 900}
    seen_by = ["rrc00", "rrc01"]
    store.apply_incidents(IncidentChanges(inserts=({**incident, "peak": 2.0, "collectors": seen_by},)), None)
    add_score(store, DAY + 600, False)
    add_score(store, DAY + 660, True, collector="rrc21")
    set_event_time(store, DAY + 2 * 86_400)
    add_label(store, DAY + 600, "true_positive", incident_id=1)

    run_steps(days, clock)

    assert figures(store) == [(DAY, 0, 1, None)]
