"""Every pair of state and event is either in the table or refused."""

import itertools

import pytest

from supervisor.lifecycle import (
    ENDING_ON_REQUEST,
    TRANSITIONS,
    WITH_PROCESS,
    Event,
    IllegalTransitionError,
    State,
    next_state,
)

LEGAL = {
    State.STOPPED: "start stop restart",
    State.WAITING: "start stop restart launched failed failed_too_often",
    State.STARTING: "start stop restart said_ready overdue failed failed_too_often",
    State.READY: "start stop restart said_ready hung failed failed_too_often",
    State.STOPPING: "start stop restart said_ready ended",
    State.RESTARTING: "start stop restart said_ready ended",
    State.ABORTING: "start stop restart said_ready failed failed_too_often",
    State.BACKOFF: "start stop restart retry_due",
    State.CRASHLOOP: "start stop restart retry_due",
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_each_pair_moves_or_is_refused(state, event):
    if event in LEGAL[state].split():
        assert next_state(state, event) in State
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


def test_every_state_can_be_reached_and_left():
    assert {state for state, _ in TRANSITIONS} == set(State)
    reached, new = set(), {State.STOPPED}
    while new:
        reached |= new
        new = {after for (before, _), after in TRANSITIONS.items() if before in reached} - reached
    assert reached == set(State)
