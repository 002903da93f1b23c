"""Labels and daily figures; the same on every database."""

import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.errors import StoreError
from bgpdrift.store import IncidentChanges, StateCursor, Store
from bgpdrift.store.cursor_states import PERFORMANCE_CURSOR, PerformanceState
from bgpdrift.store.outcomes import DailyPerformance, Outcome, VoteCount

T = 1_700_000_040
DAY = T // 86_400 * 86_400


@pytest.fixture
def incident(store: Store) -> int:
    row = {"id": 4, "state": "closed", "severity": "low", "started_at": T, "last_seen_at": T + 300, "peak": 2.0}
    store.apply_incidents(IncidentChanges(inserts=(row,), updates=(), events=()), None)
    return 4


def outcome(label: str = "true_positive", incident_id: int | None = None, start: int = T) -> Outcome:
    return Outcome(incident_id=incident_id, starts_at=start, ends_at=start + 360, label=label, notes=label)


def score(minute: int, is_alarm: bool, **columns: object) -> dict[str, object]:
    row = {"window_start": T + 60 * minute, "collector": "rrc00", "model": "lstm", "model_version": "1", "score": 1.0}
    return {**row, "p_value": 0.1, "is_alarm": is_alarm, **columns}


def verdict(minute: int, is_anomaly: bool) -> dict[str, object]:
    names = ("p_values", "votes", "abstaining")
    row = {"window_start": T + 60 * minute, "collector": "rrc00", "combined": 1.0, "majority": False, "maximum": 1.0}
    return {**row, **{name: {} for name in names}, "exceeds": is_anomaly, "is_anomaly": is_anomaly}


def test_a_later_label_replaces_an_earlier_one_and_both_stay_in_the_history(
    store: Store, incident: int, clock: FakeClock
) -> None:
    store.record_outcome(outcome("false_positive", incident), T + 600)
    clock.advance(hours=1)
    kept = store.record_outcome(outcome("true_positive", incident), T + 600)

    events = store.incident_events(incident)

    assert store.outcomes_between(T, T + 60) == [kept]
    assert (kept.label, kept.labelled_at) == ("true_positive", clock.now())
    assert [(event["kind"], event["at"], event["details"]["label"]) for event in events] == [
        ("labelled", T + 600, "false_positive"),
        ("labelled", T + 601, "true_positive"),
    ]


def test_a_label_of_no_incident_is_refused_and_nothing_is_written(store: Store) -> None:
    with pytest.raises(StoreError, match="no incident 9 to label"):
        store.record_outcome(outcome(incident_id=9), T)

    assert store.outcomes_between(0, 2**62) == []


def test_several_missed_ranges_are_kept(store: Store) -> None:
    first, second = (store.record_outcome(outcome("missed", start=T + at), T) for at in (0, 3600))

    assert store.outcomes_between(0, 2**62) == [first, second]


@pytest.mark.parametrize(("start", "end", "count"), [(0, T, 0), (T + 359, T + 400, 1), (T + 360, T + 400, 0)])
def test_labels_that_overlap_the_range_are_read(store: Store, start: int, end: int, count: int) -> None:
    store.record_outcome(outcome("missed"), T)

    assert len(store.outcomes_between(start, end)) == count


def test_the_removal_of_a_label_is_added_to_the_history_of_the_incident(store: Store, incident: int) -> None:
    written = store.record_outcome(outcome("new_normal", incident), T)

    assert store.remove_outcome(written.id, T, "ann") == written

    assert store.outcomes_between(0, 2**62) == []
    assert store.incident_events(incident)[-1]["details"] == {"label": None, "was": "new_normal", "labelled_by": "ann"}
    assert store.remove_outcome(written.id, T, "ann") is None


def test_votes_are_counted_by_model_and_version_without_abstentions(store: Store) -> None:
    rows = [score(0, False), score(1, True), score(2, True, model_version="2"), score(9, True)]
    abstention = score(1, False, model="heuristic", model_version="1", abstained="feed_gap")
    elsewhere = score(1, True, collector="rrc01")
    store.write_scores([*rows, abstention, elsewhere], None)
    store.write_verdicts([verdict(0, False), verdict(1, True), verdict(9, True)], None)

    votes = store.count_votes_between(T, T + 300, ["rrc00"])

    def row(model: str, version: str, votes: int, alarms: int) -> VoteCount:
        return VoteCount(model=model, model_version=version, votes=votes, alarms=alarms)

    assert votes == [row("ensemble", "", 2, 1), row("lstm", "1", 2, 1), row("lstm", "2", 1, 1)]
    assert store.count_votes_between(T, T + 300)[1] == row("lstm", "1", 3, 2)


def test_without_scores_there_are_no_votes(store: Store) -> None:
    assert store.count_votes_between(T, T + 300) == []
    assert store.oldest_score_start() is None


def test_the_oldest_score_is_known(store: Store) -> None:
    store.write_scores([score(5, False), score(2, False)], None)

    assert store.oldest_score_start() == T + 120


def test_figures_of_a_day_replace_all_it_had(store: Store) -> None:
    def figures(version: str, labels: int, day_start: int = DAY) -> DailyPerformance:
        return DailyPerformance(
            day_start=day_start,
            model="lstm",
            model_version=version,
            true_positives=labels,
            false_positives=0,
            true_negatives=0,
            false_negatives=0,
            labels=labels,
        )

    store.replace_performance(DAY, [figures("1", 1), figures("2", 2)], None)
    store.replace_performance(DAY + 86_400, [figures("1", 9, DAY + 86_400)], None)

    cursor = StateCursor(PERFORMANCE_CURSOR, DAY, PerformanceState(fingerprints={DAY: "b"}))
    store.replace_performance(DAY, [figures("2", 5)], cursor)

    rows = store.performance_between(DAY, DAY + 2 * 86_400)
    assert [(row.day_start, row.model_version, row.labels, row.accuracy) for row in rows] == [
        (DAY, "2", 5, None),
        (DAY + 86_400, "1", 9, None),
    ]
    assert store.read_state(PERFORMANCE_CURSOR, PerformanceState) == cursor
    assert store.performance_between(DAY + 86_400, DAY + 86_401) == [rows[1]]
