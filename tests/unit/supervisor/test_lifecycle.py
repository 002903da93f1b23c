"""Every pair of state and event has the outcome written here, or is refused."""

import itertools

import pytest

from supervisor.lifecycle import (
    ENDING_ON_REQUEST,
    TRANSITIONS,
    UP,
    WITH_PROCESS,
    Event,
    IllegalTransitionError,
    State,
    next_state,
)

# Event>state that follows; what is not named cannot happen.
LEGAL = {
    "stopped": "start>waiting stop>stopped restart>waiting",
    "waiting": (
        "start>waiting stop>stopped restart>waiting launched>starting failed>backoff failed_too_often>crashloop"
    ),
    "starting": (
        "start>starting stop>stopping restart>restarting said_ready>ready overdue>aborting "
        "too_large>recycling failed>backoff failed_too_often>crashloop"
    ),
    "ready": (
        "start>ready stop>stopping restart>restarting said_ready>ready said_degraded>degraded "
        "hung>aborting too_large>recycling failed>backoff failed_too_often>crashloop"
    ),
    "degraded": (
        "start>degraded stop>stopping restart>restarting said_ready>degraded said_well>ready "
        "hung>aborting too_large>recycling failed>backoff failed_too_often>crashloop"
    ),
    "stopping": "start>restarting stop>stopping restart>restarting said_ready>stopping ended>stopped",
    "restarting": "start>restarting stop>stopping restart>restarting said_ready>restarting ended>waiting",
    "recycling": (
        "start>recycling stop>stopping restart>restarting said_ready>recycling failed>backoff "
        "failed_too_often>crashloop"
    ),
    "aborting": (
        "start>aborting stop>stopping restart>restarting said_ready>aborting failed>backoff failed_too_often>crashloop"
    ),
    "backoff": "start>backoff stop>stopped restart>waiting retry_due>waiting",
    "crashloop": "start>crashloop stop>stopped restart>waiting retry_due>waiting",
}
EXPECTED = {
    (State(state), Event(event)): State(follows)
    for state, moves in LEGAL.items()
    for event, follows in (move.split(">") for move in moves.split())
}


def test_every_state_is_written_here():
    assert set(LEGAL) == set(State)


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_each_pair_leads_where_it_is_written_or_is_refused(state, event):
    if (state, event) in EXPECTED:
        assert next_state(state, event) is EXPECTED[state, event]
    else:
        with pytest.raises(IllegalTransitionError, match=f"{state}: '{event}'"):
            next_state(state, event)


@pytest.mark.parametrize("state", State)
def test_stop_always_leads_down(state):
    assert next_state(state, Event.STOP) in {State.STOPPED, State.STOPPING}


@pytest.mark.parametrize("state", sorted(ENDING_ON_REQUEST))
def test_an_end_that_was_asked_for_is_no_failure(state):
    assert next_state(state, Event.ENDED) in {State.STOPPED, State.WAITING}
    assert (state, Event.FAILED) not in TRANSITIONS


@pytest.mark.parametrize("state", sorted(WITH_PROCESS - ENDING_ON_REQUEST))
def test_an_end_nobody_asked_for_is_a_failure(state):
    assert next_state(state, Event.FAILED) is State.BACKOFF
    assert next_state(state, Event.FAILED_TOO_OFTEN) is State.CRASHLOOP


@pytest.mark.parametrize("state", sorted(UP))
def test_one_that_is_up_may_hang_or_grow_too_large(state):
    assert next_state(state, Event.HUNG) is State.ABORTING
    assert next_state(state, Event.TOO_LARGE) is State.RECYCLING


def test_every_state_can_be_reached_and_left():
    assert {state for state, _ in TRANSITIONS} == set(State)
    reached, new = set(), {State.STOPPED}
    while new:
        reached |= new
        new = {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached
    assert reached == set(State)
