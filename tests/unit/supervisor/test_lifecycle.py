"""What can happen to a service in each state."""

import pytest

from supervisor.lifecycle import ENDING_ON_REQUEST, SERVICE_LIFECYCLE, UP, WITH_PROCESS, Event, State

next_state = SERVICE_LIFECYCLE.next_state


def test_no_state_of_a_service_is_final():
    assert not SERVICE_LIFECYCLE.final_states


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ("start launched reported_ready", State.READY),
        ("start launched reported_ready reported_degraded reported_recovered", State.READY),
        ("start launched reported_ready failed retry_due launched reported_ready", State.READY),
        ("start launched ready_timeout failed_too_often retry_due launched", State.STARTING),
        ("start launched reported_ready memory_exceeded failed", State.BACKOFF),
        ("start launched reported_ready restart ended launched", State.STARTING),
        ("start launched reported_ready stop ended", State.STOPPED),
        ("start launched restart stop ended", State.STOPPED),
        ("start launched stop start ended", State.WAITING),
    ],
)
def test_a_service_takes_the_documented_paths(events, state):
    assert next_state(State.STOPPED, *map(Event, events.split())) is state


@pytest.mark.parametrize("state", State)
def test_start_and_restart_of_an_operator_are_never_refused(state):
    assert next_state(state, Event.START) not in {State.STOPPED, State.STOPPING}
    assert next_state(state, Event.RESTART) in {State.WAITING, State.STARTING, State.RESTARTING}


@pytest.mark.parametrize("state", State)
def test_stop_leads_to_stopped_or_stopping_from_every_state(state):
    assert next_state(state, Event.STOP) in {State.STOPPED, State.STOPPING}


@pytest.mark.parametrize("state", sorted(ENDING_ON_REQUEST))
def test_an_end_on_request_is_not_a_failure(state):
    assert next_state(state, Event.ENDED) in {State.STOPPED, State.WAITING}
    assert not SERVICE_LIFECYCLE.allows(state, Event.FAILED)


@pytest.mark.parametrize("state", sorted(WITH_PROCESS - ENDING_ON_REQUEST))
def test_an_end_without_a_request_is_a_failure(state):
    assert next_state(state, Event.FAILED) is State.BACKOFF
    assert next_state(state, Event.FAILED_TOO_OFTEN) is State.CRASHLOOP


@pytest.mark.parametrize("state", sorted(UP))
def test_one_that_is_up_may_hang_or_grow_memory_exceeded(state):
    assert next_state(state, Event.WATCHDOG_TIMEOUT) is State.ABORTING
    assert next_state(state, Event.MEMORY_EXCEEDED) is State.RECYCLING
