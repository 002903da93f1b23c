"""When events are written into the store: soon, several at once, at intervals, and again after a failure."""

import pytest

from supervisor.event_recorder import GATHER_S, LIMIT_S, MIN_INTERVAL_S, RecordSchedule


@pytest.fixture
def schedule(clock):
    return RecordSchedule(clock)


def run(schedule, succeeded=True):
    schedule.begin_run()
    schedule.end_run(succeeded)


def test_without_events_nothing_runs(schedule, clock):
    clock.advance(hours=1000)
    assert (schedule.is_due(), schedule.deadline()) == (False, None)


def test_several_events_share_one_run_a_few_seconds_after_the_first(schedule, clock):
    schedule.add_event()
    clock.advance(seconds=GATHER_S - 1)
    schedule.add_event()
    assert not schedule.is_due()
    clock.advance(seconds=1)
    assert schedule.is_due()


def test_runs_have_an_interval_that_an_urgent_event_does_not_wait_for(schedule, clock):
    schedule.add_event()
    clock.advance(seconds=GATHER_S)
    run(schedule)
    schedule.add_event()
    clock.advance(seconds=GATHER_S)
    assert not schedule.is_due()
    schedule.add_event(urgent=True)
    clock.advance(seconds=GATHER_S)
    assert schedule.is_due()


def test_an_event_during_a_run_is_left_to_the_next_run(schedule, clock):
    schedule.add_event()
    clock.advance(seconds=GATHER_S)
    schedule.begin_run()
    schedule.add_event()
    clock.advance(seconds=GATHER_S)
    assert not schedule.is_due()
    schedule.end_run(succeeded=True)
    clock.advance(seconds=MIN_INTERVAL_S)
    assert schedule.is_due()


def test_a_failed_run_is_repeated(schedule, clock):
    schedule.add_event()
    run(schedule, succeeded=False)
    clock.advance(seconds=MIN_INTERVAL_S)
    assert schedule.is_due()


def test_a_run_that_takes_too_long_is_overdue(schedule, clock):
    schedule.add_event()
    schedule.begin_run()
    assert schedule.deadline() == clock.monotonic() + LIMIT_S
    clock.advance(seconds=LIMIT_S)
    assert schedule.is_overdue()
