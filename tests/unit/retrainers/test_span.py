"""The training span: which windows train, which evaluate, and which are excluded with what reason."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bgpdrift.detectors.interface import EXCLUDED
from bgpdrift.errors import NotEnoughDataError
from bgpdrift.models.excluded_intervals import Interval, build_incident_intervals, build_label_intervals, mark_excluded
from bgpdrift.store import Cursor, IncidentChanges, Store, migrate, open_store
from bgpdrift.store.outcomes import Outcome
from retrainers.span import choose_groups, read_span

MARGIN_S = 600
LIMITS = {"days": 7, "held_out_share": 0.2, "margin_s": MARGIN_S, "min_windows": 100, "max_windows": 100_000}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    url = f"sqlite:///{tmp_path / 'store.sqlite3'}"
    migrate(url)
    with open_store(url) as opened:
        yield opened


def incident(number, start, end, state="closed", collectors=("rrc00",)):
    row = {"id": number, "state": state, "severity": "high", "started_at": start, "last_seen_at": end - 60, "peak": 3.0}
    return row | {"collectors": list(collectors), "merged_into": None}


def outcome(start, end, label, incident_id=None, labelled_at=1.0, number=1):
    return Outcome(
        id=number, incident_id=incident_id, starts_at=start, ends_at=end, label=label, labelled_at=labelled_at
    )


def excluded(frames) -> list[int]:
    """Rows of the first frame that carry the mark."""
    return np.flatnonzero(frames[0].mark(EXCLUDED)).tolist()


def test_the_newest_days_are_read_in_event_time_and_the_last_part_is_held_out(store, windows):
    frame = windows.calm(3 * 1_440)
    store.write_windows(windows.rows_of(frame), None)

    span = read_span(store, **LIMITS | {"days": 2})

    (read,) = span.frames
    assert span.end == frame.window_start[-1] + 60
    assert len(read) == 2 * 1_440
    assert (read.features["announced"] == frame.features["announced"][-2 * 1_440 :]).all()
    assert (span.cut - span.start) // 60 == round(0.8 * 2 * 1_440)
    (teaching,), (judging,) = span.training_frames(), span.held_out_frames(300)
    assert teaching.window_start[-1] == span.cut - 60
    assert (judging.to_score[0], judging.first) == (span.cut, 300)


def test_hours_of_the_day_that_no_collector_trains_on_are_named(store, windows):
    """Many collectors have enough windows before they have seen a night."""
    for name in ("rrc00", "rrc01", "rrc03"):
        store.write_windows(windows.rows_of(replace(windows.calm(600), collector=name)), None)

    span = read_span(store, **LIMITS | {"min_windows": 1_440})

    assert span.notes == ("no training data from 08:00 to 00:00 UTC: the model may raise false alarms at these hours",)


def test_incidents_labelled_anomalies_and_marked_windows_are_excluded_and_counted(store, windows):
    frame = windows.calm(1_440)
    at = frame.window_start
    frame.quality["feed_gap"][900:910] = 1.0
    store.write_windows(windows.rows_of(frame), None)
    row = incident(1, int(at[200]), int(at[230]))
    store.apply_incidents(IncidentChanges(inserts=[row]), Cursor("correlation_engine", 1))
    store.record_outcome(outcome(int(at[600]), int(at[620]), "missed"), 1)

    span = read_span(store, **LIMITS)

    margin = MARGIN_S // 60
    expected = [*range(200 - margin, 230 + margin), *range(600 - margin, 620 + margin)]
    assert excluded(span.frames) == expected
    assert span.excluded == {"labelled anomaly": 40, "incident": 50, "feed_gap": 10}
    assert span.clean_windows == 1_440 - 100
    assert span.as_record().labels == {"missed": 1}


def test_excluded_windows_are_gaps_in_training_frames_and_unchanged_for_labels(store, windows):
    frame = windows.calm(1_440)
    at = frame.window_start
    store.write_windows(windows.rows_of(frame), None)
    rows = [incident(1, int(at[200]), int(at[230])), incident(2, int(at[1_300]), int(at[1_310]))]
    store.apply_incidents(IncidentChanges(inserts=rows), Cursor("correlation_engine", 1))

    span = read_span(store, **LIMITS)

    (teaching,), (judging,) = span.training_frames(), span.held_out_frames(60)
    assert (teaching.mark("incomplete") == teaching.mark(EXCLUDED)).all()
    assert teaching.mark("incomplete").sum() == 50
    assert judging.mark("incomplete").sum() == 30
    assert not span.frames[0].mark("incomplete").any()


def test_an_incident_labelled_as_a_false_alarm_is_training_data(store, windows):
    frame = windows.calm(1_440)
    at = frame.window_start
    store.write_windows(windows.rows_of(frame), None)
    row = incident(1, int(at[200]), int(at[230]))
    store.apply_incidents(IncidentChanges(inserts=[row]), Cursor("correlation_engine", 1))
    store.record_outcome(outcome(int(at[200]), int(at[230]), "false_positive", incident_id=1), 1)

    assert excluded(read_span(store, **LIMITS).frames) == []


def test_the_last_label_of_an_incident_counts(windows):
    frame = windows.calm(400)
    at = [int(start) for start in frame.window_start]
    incidents = [incident(1, at[100], at[120])]
    labels = build_label_intervals(
        [
            outcome(at[100], at[120], "false_positive", 1, labelled_at=2.0, number=2),
            outcome(at[100], at[120], "true_positive", 1, labelled_at=1.0, number=1),
        ],
        incidents,
    )
    assert [label.label for label in labels] == ["false_positive"]
    marked, left_out = mark_excluded([frame], build_incident_intervals(incidents, labels, at[-1]), labels, MARGIN_S)
    assert excluded(marked) == []
    assert left_out == {}


def test_a_labelled_anomaly_within_a_false_alarm_is_excluded(windows):
    frame = windows.calm(400)
    at = [int(start) for start in frame.window_start]
    labels = [
        Interval(at[100], at[200], frozenset(), "false_positive"),
        Interval(at[150], at[160], frozenset(), "true_positive"),
    ]
    marked, _ = mark_excluded([frame], [], labels, 0.0)
    assert excluded(marked) == list(range(150, 160))


def test_an_open_incident_lasts_until_now(windows):
    frame = windows.calm(400)
    at = [int(start) for start in frame.window_start]
    intervals = build_incident_intervals([incident(1, at[300], at[310], state="open")], [], at[-1] + 60)
    marked, _ = mark_excluded([frame], intervals, [], 0.0)
    assert excluded(marked) == list(range(300, 400))


def test_a_new_normal_is_training_data_also_after_its_label_was_given(windows):
    frame = windows.calm(400)
    at = [int(start) for start in frame.window_start]
    rows = [incident(1, at[100], at[310], state="open"), incident(3, at[90], at[99]) | {"merged_into": 1}]
    labels = build_label_intervals([outcome(at[100], at[150], "new_normal", incident_id=1)], rows)

    intervals = build_incident_intervals(rows, labels, at[-1] + 60)

    assert excluded(mark_excluded([frame], intervals, labels, MARGIN_S)[0]) == []


def test_another_incident_within_a_new_normal_is_excluded(windows):
    frame = windows.calm(400)
    at = [int(start) for start in frame.window_start]
    rows = [incident(1, at[100], at[310], state="open"), incident(2, at[200], at[220])]
    labels = build_label_intervals([outcome(at[100], at[150], "new_normal", incident_id=1)], rows)

    marked, left_out = mark_excluded([frame], build_incident_intervals(rows, labels, at[-1] + 60), labels, 0.0)

    assert excluded(marked) == list(range(200, 220))
    assert left_out == {"incident": 20}


def test_only_windows_after_a_level_change_are_training_data(store, windows):
    frame = windows.calm(4 * 1_440)
    store.write_windows(windows.rows_of(frame), None)
    change = int(frame.window_start[2 * 1_440])

    span = read_span(store, **LIMITS, change_point=change)

    assert (span.start, span.change_point, span.as_record().windows) == (change, change, 2 * 1_440)
    assert span.as_record().change_point == change
    assert span.notes == ("begins at the level change at 2026-09-03 00:00 UTC",)


def test_too_few_windows_after_a_change_give_the_time_when_there_are_enough(store, windows):
    frame = windows.calm(3 * 1_440)
    store.write_windows(windows.rows_of(frame), None)
    change = int(frame.window_start[2 * 1_440])
    with pytest.raises(NotEnoughDataError, match=r"24 of 30 hours .* available at 2026-09-04 06:00 UTC") as caught:
        read_span(store, **LIMITS, change_point=change)
    assert caught.value.not_before == change + 30 * 3_600


def test_a_change_before_the_span_does_not_shorten_it(store, windows):
    frame = windows.calm(3 * 1_440)
    store.write_windows(windows.rows_of(frame), None)
    span = read_span(store, **LIMITS | {"days": 2}, change_point=int(frame.window_start[10]))
    assert (span.as_record().windows, span.change_point) == (2 * 1_440, None)


def test_an_incident_at_another_collector_excludes_nothing(windows):
    frame = windows.calm(400)
    at = [int(start) for start in frame.window_start]
    elsewhere = build_incident_intervals([incident(1, at[100], at[120], collectors=["rrc01"])], [], at[-1])
    everywhere = build_incident_intervals([incident(2, at[100], at[120], collectors=[])], [], at[-1])
    assert excluded(mark_excluded([frame], elsewhere, [], 0.0)[0]) == []
    assert excluded(mark_excluded([frame], everywhere, [], 0.0)[0]) == list(range(100, 120))


def test_too_few_clean_windows_are_an_error_that_names_the_excluded_ones(store, windows):
    frame = windows.calm(300)
    frame.quality["warming"][:200] = 1.0
    store.write_windows(windows.rows_of(frame), None)
    with pytest.raises(NotEnoughDataError, match=r"100 clean windows .* 80 of them .* at least 100 .*200 warming"):
        read_span(store, **LIMITS)


def test_an_empty_store_is_not_enough_data(store):
    with pytest.raises(NotEnoughDataError, match="no windows yet"):
        read_span(store, **LIMITS)


def test_peers_have_their_own_frames_and_are_left_out_first(store, windows):
    frame = windows.calm(600)
    store.write_windows(windows.rows_of(frame), None)
    store.write_windows(windows.rows_of(replace(frame, peer="192.0.2.1")), None)

    both, one = read_span(store, **LIMITS), read_span(store, **LIMITS | {"max_windows": 1_000})

    assert [frame.peer for frame in both.frames] == ["", "192.0.2.1"]
    assert [frame.peer for frame in one.frames] == [""]
    assert one.notes[0] == "1 of 1 peers not read: more than 1,000 windows"


def test_too_many_collectors_shorten_the_span():
    groups, start, notes = choose_groups([("rrc00", "", 600), ("rrc01", "", 600), ("rrc01", "p", 9)], 0, 36_000, 400)
    assert groups == [("rrc00", ""), ("rrc01", "")]
    assert start == 24_000
    assert notes == ("span shortened by 400 minutes: more than 400 windows",)
