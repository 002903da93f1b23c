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

# Rows: the state; columns: the event, in the order of `EVENTS`; a dot: cannot happen.
EVENTS = (
    "start stop restart launched said_ready said_degraded said_well overdue hung too_large ended failed "
    "failed_too_often retry_due"
).split()
GRID = """
stopped    waiting    stopped  waiting    .        .          .        .     .        .        .         .       .       .         .
waiting    waiting    stopped  waiting    starting .          .        .     .        .        .         .       backoff crashloop .
starting   starting   stopping restarting .        ready      .        .     aborting .        recycling .       backoff crashloop .
ready      ready      stopping restarting .        ready      degraded .     .        aborting recycling .       backoff crashloop .
degraded   degraded   stopping restarting .        degraded   .        ready .        aborting recycling .       backoff crashloop .
stopping   restarting stopping restarting .        stopping   .        .     .        .        .         stopped .       .         .
restarting restarting stopping restarting .        restarting .        .     .        .        .         waiting .       .         .
recycling  recycling  stopping restarting .        recycling  .        .     .        .        .         .       backoff crashloop .
aborting   aborting   stopping restarting .        aborting   .        .     .        .        .         .       backoff crashloop .
backoff    backoff    stopped  waiting    .        .          .        .     .        .        .         .       .       .         waiting
crashloop  crashloop  stopped  waiting    .        .          .        .     .        .        .         .       .       .         waiting
"""
EXPECTED = {
    (State(state), Event(event)): outcome
    for state, *outcomes in (line.split() for line in GRID.strip().splitlines())
    for event, outcome in zip(EVENTS, outcomes, strict=True)
}


def test_the_grid_names_every_pair():
    assert set(EXPECTED) == set(itertools.product(State, Event))


@pytest.mark.parametrize(("state", "event"), list(itertools.product(State, Event)))
def test_each_pair_leads_where_the_grid_says_or_is_refused(state, event):
    outcome = EXPECTED[state, event]
    if outcome == ".":
        with pytest.raises(IllegalTransitionError, match=f"{state}: '{event}'"):
            next_state(state, event)
    else:
        assert next_state(state, event) == outcome


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
