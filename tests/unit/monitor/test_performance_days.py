"""Labels become daily figures when a day is over, and again whenever they change."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.monitor.performance_days import LOOK_EVERY_S, LabelledDays
from bgpdrift.store import IncidentChanges, Store, migrate, open_store

DAY = 19_000 * 86_400


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    migrate(url)
    with open_store(url, clock=clock) as opened:
        yield opened


@pytest.fixture
def days(store: Store, clock: FakeClock) -> LabelledDays:
    return LabelledDays(store, clock, min_labels=2)


def tell(store: Store, at: int, label: str = "missed", **columns: object) -> int:
    return store.record_outcome({"starts_at": at, "ends_at": at + 600, "label": label, **columns}, at)


def scored(store: Store, at: int, is_alarm: bool, collector: str = "rrc00") -> None:
    row = {"window_start": at, "collector": collector, "model": "lstm", "model_version": "1", "score": 1.0}
    store.write_scores([{**row, "p_value": 0.1, "is_alarm": is_alarm}], None)


def event_time(store: Store, at: int) -> None:
    store.write_windows([{"window_start": at, "collector": "rrc00", "peer": ""}], None)


def looked(days: LabelledDays, clock: FakeClock, times: int = 3) -> None:
    clock.advance(seconds=LOOK_EVERY_S)
    for _ in range(times):
        days.step()


def figures(store: Store) -> list[tuple[int, int, int, float | None]]:
    rows = store.performance_between(0, 2**62)
    return [(row["day_start"], row["true_positives"], row["false_negatives"], row["accuracy"]) for row in rows]


def test_a_day_is_judged_when_it_is_over(store: Store, days: LabelledDays, clock: FakeClock) -> None:
    scored(store, DAY + 600, True)
    tell(store, DAY + 600)
    event_time(store, DAY + 86_340)
    looked(days, clock)
    assert figures(store) == []

    event_time(store, DAY + 86_400)
    looked(days, clock)

    assert figures(store) == [(DAY, 1, 0, None)]


def test_a_label_given_later_judges_its_day_again(store: Store, days: LabelledDays, clock: FakeClock) -> None:
    scored(store, DAY + 600, True)
    scored(store, DAY + 6000, False)
    event_time(store, DAY + 2 * 86_400)
    tell(store, DAY + 600)
    looked(days, clock)

    tell(store, DAY + 6000)
    looked(days, clock)

    assert figures(store) == [(DAY, 1, 1, 0.5)]


def test_a_label_taken_back_takes_its_figures_with_it(store: Store, days: LabelledDays, clock: FakeClock) -> None:
    scored(store, DAY + 600, True)
    event_time(store, DAY + 2 * 86_400)
    number = tell(store, DAY + 600)
    looked(days, clock)

    store.remove_outcome(number, DAY, "ann")
    looked(days, clock)

    assert figures(store) == []


def test_labels_that_did_not_change_are_not_judged_again_also_after_a_restart(
    store: Store, days: LabelledDays, clock: FakeClock
) -> None:
    scored(store, DAY + 600, True)
    event_time(store, DAY + 2 * 86_400)
    tell(store, DAY + 600)
    looked(days, clock)
    store.replace_performance(DAY, [], None)

    looked(LabelledDays(store, clock, min_labels=2), clock)

    assert figures(store) == []


def test_another_number_of_labels_wanted_judges_every_day_again(
    store: Store, days: LabelledDays, clock: FakeClock
) -> None:
    scored(store, DAY + 600, True)
    event_time(store, DAY + 2 * 86_400)
    tell(store, DAY + 600)
    looked(days, clock)

    looked(LabelledDays(store, clock, min_labels=1), clock)

    assert figures(store) == [(DAY, 1, 0, 1.0)]


def test_days_whose_scores_have_expired_keep_their_figures(store: Store, days: LabelledDays, clock: FakeClock) -> None:
    scored(store, DAY + 600, True)
    scored(store, DAY + 3 * 86_400, True)
    event_time(store, DAY + 4 * 86_400)
    number = tell(store, DAY + 600)
    looked(days, clock)

    store.delete_expired("scores", DAY + 2 * 86_400, 10)
    store.remove_outcome(number, DAY, "retention")
    looked(days, clock)

    assert figures(store) == [(DAY, 1, 0, None)]


def test_an_alarm_at_a_collector_that_did_not_see_the_incident_does_not_count(
    store: Store, days: LabelledDays, clock: FakeClock
) -> None:
    incident = {"id": 1, "state": "closed", "severity": "low", "started_at": DAY + 600, "last_seen_at": DAY + 900}
    seen_by = ["rrc00", "rrc01"]
    store.apply_incidents(IncidentChanges(inserts=({**incident, "peak": 2.0, "collectors": seen_by},)), None)
    scored(store, DAY + 600, False)
    scored(store, DAY + 660, True, collector="rrc21")
    event_time(store, DAY + 2 * 86_400)
    tell(store, DAY + 600, "true_positive", incident_id=1)

    looked(days, clock)

    assert figures(store) == [(DAY, 0, 1, None)]
