"""Events of the supervisor reach the store once, across rotation, crashes and two readers at the same time."""

import json

import pytest

from bgpdrift.monitor.event_alerts import build_alerts
from bgpdrift.services.record_events import MAX_BATCH_EVENTS, record
from bgpdrift.store import StateCursor, migrate, open_store
from bgpdrift.store.cursor_states import EventsFileState
from bgpdrift.store.request_records import ServiceEvent


@pytest.fixture
def store(tmp_path, clock):
    url = f"sqlite:///{tmp_path / 'events.sqlite3'}"
    migrate(url)
    with open_store(url, clock=clock) as opened:
        yield opened


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


def line(at, event="ready", service="a", **details):
    return json.dumps({"at": at, "service": service, "event": event, "details": details}) + "\n"


def append(folder, *lines):
    with (folder / "events.ndjson").open("a") as file:
        file.writelines(lines)


def rotate(folder):
    for number in range(9, 0, -1):
        newer = folder / (f"events.ndjson.{number - 1}" if number > 1 else "events.ndjson")
        if newer.exists():
            newer.rename(folder / f"events.ndjson.{number}")


def times(store):
    return [event.at for event in reversed(store.service_events(5_000))]


def test_events_are_recorded_once_even_if_the_program_runs_again(store, folder):
    append(folder, line(1.0), line(2.0))
    assert (record(folder, store), record(folder, store)) == (2, 0)
    append(folder, line(3.0))
    assert record(folder, store) == 1
    assert times(store) == [1.0, 2.0, 3.0]


def test_without_an_event_file_nothing_is_recorded(store, folder):
    assert record(folder, store) == 0


def test_a_rotation_between_two_runs_loses_and_repeats_no_event(store, folder):
    append(folder, line(1.0), line(2.0))
    record(folder, store)
    append(folder, line(3.0))
    rotate(folder)
    append(folder, line(4.0))
    rotate(folder)
    append(folder, line(5.0))
    assert record(folder, store) == 3
    assert times(store) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_reading_continues_with_the_oldest_file_if_the_last_one_was_deleted(store, folder):
    append(folder, line(1.0))
    record(folder, store)
    rotate(folder)
    (folder / "events.ndjson.1").unlink()
    append(folder, line(2.0))
    assert record(folder, store) == 1
    assert times(store) == [1.0, 2.0]


def test_an_unfinished_line_is_read_in_the_next_run(store, folder):
    append(folder, line(1.0), line(2.0)[:20])
    assert record(folder, store) == 1
    append(folder, line(2.0)[20:])
    assert record(folder, store) == 1


def test_a_line_that_is_not_an_event_is_skipped_and_reported(store, folder, capsys):
    append(folder, line(1.0), "garbage\n", line(2.0))
    assert record(folder, store) == 2
    assert "1 lines" in capsys.readouterr().err
    assert record(folder, store) == 0


def test_many_events_are_written_in_batches(store, folder):
    append(folder, *(line(float(number)) for number in range(2 * MAX_BATCH_EVENTS + 1)))
    assert record(folder, store) == 2 * MAX_BATCH_EVENTS + 1
    assert len(times(store)) == 2 * MAX_BATCH_EVENTS + 1


def test_only_one_of_two_readers_at_the_same_time_writes(store, folder):
    append(folder, line(1.0))
    record(folder, store)
    cursor = store.read_state("supervisor_events", EventsFileState)
    moved = StateCursor(cursor.name, 2, EventsFileState())
    assert store.record_service_events([], [], moved, expected=cursor)
    assert not store.record_service_events([ServiceEvent(at=1.0, service="a", event="x")], [], moved, expected=cursor)
    assert times(store) == [1.0]


def test_a_crash_loop_raises_an_alert_when_it_begins_and_when_it_ends(store, folder):
    for attempt in range(5):
        append(folder, line(100.0 + attempt, "crashloop", since=100.0, message="crashloop (6 in 12 s): exit 1"))
    append(folder, line(900.0, "recovered", since=100.0))
    append(folder, line(1000.0, "crashloop", since=1000.0))
    record(folder, store)
    assert [(alert.severity, alert.title) for alert in reversed(store.alerts())] == [
        ("critical", "a is in a crash loop"),
        ("low", "a works again"),
        ("critical", "a is in a crash loop"),
    ]
    assert store.alerts(state="pending")[-1].body == "crashloop (6 in 12 s): exit 1"


def test_a_crash_loop_of_an_optional_service_is_not_critical():
    event = ServiceEvent(at=1.0, service="web", event="crashloop", details={"required": False})
    assert build_alerts(event)[0].severity == "high"


def test_a_service_that_hangs_all_day_raises_one_alert_an_hour(store, folder):
    append(folder, *(line(60.0 * minute, "aborting", message="hung") for minute in range(120)))
    record(folder, store)
    assert len(store.alerts()) == 2


@pytest.mark.parametrize("event", ["waiting", "starting", "ready", "stopping", "stopped", "restarting", "backoff"])
def test_an_ordinary_event_raises_no_alert(event):
    assert build_alerts(ServiceEvent(at=1.0, service="a", event=event)) == []
