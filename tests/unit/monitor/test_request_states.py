"""The life of a wish: every pair of state and event, and what evidence makes of it."""

import itertools

import pytest

from bgpdrift.monitor.request_states import (
    MOST_ATTEMPTS,
    OPEN,
    REQUEST_LIFECYCLE,
    Ended,
    Evidence,
    progress,
)

next_state = REQUEST_LIFECYCLE.next_state


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (("flag", "claim", "finish"), "done"),
        (("flag", "claim", "requeue", "claim", "fail"), "failed"),
        (("ask", "flag"), "flagged"),
        (("ask", "postpone", "resume", "flag"), "flagged"),
        (("ask", "refuse"), "refused"),
        (("postpone", "resume"), "wanted"),
        (("flag", "claim", "postpone", "resume"), "wanted"),
    ],
)
def test_a_request_takes_the_documented_paths(events, state):
    assert next_state(REQUEST_LIFECYCLE.initial, *events) == state


def test_a_request_that_is_done_failed_or_refused_never_changes_again():
    assert REQUEST_LIFECYCLE.final_states == {"done", "failed", "refused"} == set(REQUEST_LIFECYCLE.states) - set(OPEN)


def test_only_a_claimed_request_can_be_done():
    assert [state for state in REQUEST_LIFECYCLE.states if REQUEST_LIFECYCLE.allows(state, "finish")] == ["claimed"]


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
    assert (next_state(state, *found.events), found.drop) == (state_then, drop)


def test_whatever_is_seen_makes_a_legal_move():
    ends = [None, *(Ended(code) for code in (None, 0, 1, 2, 3, 4, 5, 6, 130))]
    for state, bits, ended in itertools.product(
        ("flagged", "claimed"), itertools.product([False, True], repeat=5), ends
    ):
        next_state(state, *progress(state, Evidence(*bits, ended=ended)).events)
