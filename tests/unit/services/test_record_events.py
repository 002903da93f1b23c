"""What the supervisor saw reaches the store once, across rotation, crashes and two readers at once."""

import json

import pytest

from bgpdrift.monitor.event_alerts import notices_of
from bgpdrift.services.record_events import BATCH, record
from bgpdrift.store import migrate, open_store


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
    return [row["at"] for row in reversed(store.service_events(5_000))]


def test_events_are_recorded_once_however_often_it_runs(store, folder):
    append(folder, line(1.0), line(2.0))
    assert (record(folder, store), record(folder, store)) == (2, 0)
    append(folder, line(3.0))
    assert record(folder, store) == 1
    assert times(store) == [1.0, 2.0, 3.0]


def test_nothing_to_read_is_nothing_to_do(store, folder):
    assert record(folder, store) == 0


def test_a_rotation_between_two_runs_loses_and_doubles_nothing(store, folder):
    append(folder, line(1.0), line(2.0))
    record(folder, store)
    append(folder, line(3.0))
    rotate(folder)
    append(folder, line(4.0))
    rotate(folder)
    append(folder, line(5.0))
    assert record(folder, store) == 3
    assert times(store) == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_when_the_file_it_read_is_no_longer_kept_it_goes_on_with_what_is(store, folder):
    append(folder, line(1.0))
    record(folder, store)
    rotate(folder)
    (folder / "events.ndjson.1").unlink()
    append(folder, line(2.0))
    assert record(folder, store) == 1
    assert times(store) == [1.0, 2.0]


def test_a_line_that_is_still_being_written_is_left_for_the_next_run(store, folder):
    append(folder, line(1.0), line(2.0)[:20])
    assert record(folder, store) == 1
    append(folder, line(2.0)[20:])
    assert record(folder, store) == 1


def test_what_is_no_event_is_left_out_and_told(store, folder, capsys):
    append(folder, line(1.0), "garbage\n", line(2.0))
    assert record(folder, store) == 2
    assert "1 lines" in capsys.readouterr().err
    assert record(folder, store) == 0


def test_many_are_written_in_batches(store, folder):
    append(folder, *(line(float(number)) for number in range(2 * BATCH + 1)))
    assert record(folder, store) == 2 * BATCH + 1
    assert len(times(store)) == 2 * BATCH + 1


def test_of_two_readers_at_once_one_writes(store, folder):
    from bgpdrift.store import Cursor

    append(folder, line(1.0))
    record(folder, store)
    cursor = store.read_cursor("supervisor_events")
    moved = Cursor(cursor.name, 2, {})
    assert store.record_service_events([], [], moved, expected=cursor)
    assert not store.record_service_events([{"at": 1.0, "service": "a", "event": "x"}], [], moved, expected=cursor)
    assert times(store) == [1.0]


def test_a_crash_loop_is_told_when_it_begins_and_when_it_is_over(store, folder):
    for attempt in range(5):
        append(folder, line(100.0 + attempt, "crashloop", since=100.0, message="crashloop (6 in 12 s): exit 1"))
    append(folder, line(900.0, "recovered", since=100.0))
    append(folder, line(1000.0, "crashloop", since=1000.0))
    record(folder, store)
    told = [(row["severity"], row["title"]) for row in reversed(store.notifications())]
    assert told == [
        ("critical", "a is in a crash loop"),
        ("low", "a works again"),
        ("critical", "a is in a crash loop"),
    ]
    assert store.notifications(state="pending")[-1]["body"] == "crashloop (6 in 12 s): exit 1"


def test_what_may_be_missed_is_no_critical_alarm():
    event = {"at": 1.0, "service": "web", "event": "crashloop", "details": {"required": False}}
    assert notices_of(event)[0]["severity"] == "high"


def test_a_service_that_hangs_all_day_is_told_once_an_hour(store, folder):
    append(folder, *(line(60.0 * minute, "aborting", message="hung") for minute in range(120)))
    record(folder, store)
    assert len(store.notifications()) == 2


@pytest.mark.parametrize("event", ["waiting", "starting", "ready", "stopping", "stopped", "restarting", "backoff"])
def test_what_is_ordinary_alarms_nobody(event):
    assert notices_of({"at": 1.0, "service": "a", "event": event, "details": {}}) == []
