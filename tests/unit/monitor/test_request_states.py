"""The life of a wish: every pair of state and event, and what evidence makes of it."""

import itertools

import pytest

from bgpdrift.errors import PublishRefusedError
from bgpdrift.monitor.request_states import (
    EVENTS,
    MOST_ATTEMPTS,
    OPEN,
    STATES,
    TRANSITIONS,
    Ended,
    Evidence,
    after,
    next_state,
    progress,
)

ALLOWED = {
    ("wanted", "ask"): "waiting_approval",
    ("wanted", "postpone"): "postponed",
    ("wanted", "flag"): "flagged",
    ("wanted", "refuse"): "refused",
    ("postponed", "resume"): "wanted",
    ("postponed", "refuse"): "refused",
    ("waiting_approval", "postpone"): "postponed",
    ("waiting_approval", "flag"): "flagged",
    ("waiting_approval", "refuse"): "refused",
    ("flagged", "claim"): "claimed",
    ("claimed", "requeue"): "flagged",
    ("claimed", "postpone"): "postponed",
    ("claimed", "finish"): "done",
    ("claimed", "fail"): "failed",
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(STATES, EVENTS)))
def test_every_pair_is_a_move_of_the_table_or_refused(state, event):
    if (state, event) in ALLOWED:
        assert next_state(state, event) == ALLOWED[state, event]
    else:
        with pytest.raises(PublishRefusedError, match=f'is {state} cannot take "{event}"'):
            next_state(state, event)


def test_a_wish_ends_in_a_state_that_nothing_leaves():
    ends = {state for state in STATES if not any(before == state for before, _ in TRANSITIONS)}
    assert ends == {"done", "failed", "refused"} == set(STATES) - set(OPEN)


def test_several_moves_are_each_asked():
    assert after("flagged", "claim", "requeue", "claim", "finish") == "done"
    with pytest.raises(PublishRefusedError):
        after("flagged", "finish")


LIVE_CLAIM = {"claimed": True, "claim_is_ours": True}


@pytest.mark.parametrize(
    ("state", "seen", "state_then", "drop"),
    [
        ("flagged", Evidence(), "flagged", True),  # we died before the flag was dropped
        ("flagged", Evidence(flag_waits=True, flag_is_ours=True), "flagged", False),
        ("flagged", Evidence(flag_waits=True), "flagged", False),  # somebody wrote over it
        ("flagged", Evidence(run_goes_on=True), "flagged", False),
        ("flagged", Evidence(**LIVE_CLAIM), "claimed", False),
        ("flagged", Evidence(ended=Ended(0, True)), "done", False),  # it was quicker than we looked
        ("claimed", Evidence(**LIVE_CLAIM), "claimed", False),
        ("claimed", Evidence(flag_waits=True, flag_is_ours=True), "flagged", False),  # its retrainer died
        ("claimed", Evidence(ended=Ended(0, True, version="4")), "done", False),
        ("claimed", Evidence(ended=Ended(1, True)), "done", False),  # killed after the publication
        ("claimed", Evidence(ended=Ended(3)), "failed", False),
        ("claimed", Evidence(ended=Ended(6)), "failed", False),
        ("claimed", Evidence(ended=Ended(2)), "failed", False),
        ("claimed", Evidence(ended=Ended(4)), "postponed", False),
        ("claimed", Evidence(ended=Ended(1)), "flagged", True),
        ("claimed", Evidence(ended=Ended(1), attempts=MOST_ATTEMPTS - 1), "failed", False),
        ("claimed", Evidence(), "flagged", True),  # gone without a word
        ("claimed", Evidence(attempts=MOST_ATTEMPTS - 1), "failed", False),
        ("claimed", Evidence(run_goes_on=True), "claimed", False),
    ],
)
def test_what_can_be_seen_decides_what_became_of_a_wish(state, seen, state_then, drop):
    found = progress(state, seen)
    assert (after(state, *found.events), found.drop) == (state_then, drop)


def test_whatever_is_seen_makes_a_legal_move():
    ends = [None, *(Ended(code) for code in (None, 0, 1, 2, 3, 4, 5, 6, 130))]
    for state, bits, ended in itertools.product(
        ("flagged", "claimed"), itertools.product([False, True], repeat=5), ends
    ):
        after(state, *progress(state, Evidence(*bits, ended=ended)).events)
