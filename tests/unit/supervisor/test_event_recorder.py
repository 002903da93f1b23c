"""When events are carried into the store: soon, together, not all the time, and again after a failure."""

import pytest

from supervisor.event_recorder import BETWEEN_S, GATHER_S, LIMIT_S, EventRecorder


@pytest.fixture
def recorder(clock):
    return EventRecorder(clock)


def run(recorder, well=True):
    recorder.began()
    recorder.ended(well)


def test_without_news_it_never_runs(recorder, clock):
    clock.advance(hours=1000)
    assert (recorder.is_due(), recorder.deadline()) == (False, None)


def test_events_go_together_a_few_seconds_after_the_first(recorder, clock):
    recorder.happened()
    clock.advance(seconds=GATHER_S - 1)
    recorder.happened()
    assert not recorder.is_due()
    clock.advance(seconds=1)
    assert recorder.is_due()


def test_a_crash_loop_does_not_make_it_run_all_the_time_but_what_is_urgent_goes_at_once(recorder, clock):
    recorder.happened()
    clock.advance(seconds=GATHER_S)
    run(recorder)
    recorder.happened()
    clock.advance(seconds=GATHER_S)
    assert not recorder.is_due()
    recorder.happened(urgent=True)
    clock.advance(seconds=GATHER_S)
    assert recorder.is_due()


def test_what_happens_during_a_run_is_for_the_next(recorder, clock):
    recorder.happened()
    clock.advance(seconds=GATHER_S)
    recorder.began()
    recorder.happened()
    clock.advance(seconds=GATHER_S)
    assert not recorder.is_due()
    recorder.ended(well=True)
    clock.advance(seconds=BETWEEN_S)
    assert recorder.is_due()


def test_a_run_that_failed_is_repeated(recorder, clock):
    recorder.happened()
    run(recorder, well=False)
    clock.advance(seconds=BETWEEN_S)
    assert recorder.is_due()


def test_a_run_that_takes_too_long_is_late(recorder, clock):
    recorder.happened()
    recorder.began()
    assert recorder.deadline() == clock.monotonic() + LIMIT_S
    clock.advance(seconds=LIMIT_S)
    assert recorder.is_late()
