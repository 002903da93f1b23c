"""The states of a retraining request and the paths between them."""

import pytest

from bgpdrift.monitor.request_states import OPEN_STATES, REQUEST_LIFECYCLE


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (("flag", "claim", "finish"), "done"),
        (("flag", "claim", "requeue", "claim", "fail"), "failed"),
        (("request_approval", "flag"), "flagged"),
        (("request_approval", "postpone", "resume", "flag"), "flagged"),
        (("request_approval", "refuse"), "refused"),
        (("postpone", "resume"), "requested"),
        (("flag", "claim", "postpone", "resume"), "requested"),
    ],
)
def test_a_request_takes_the_documented_paths(events, state):
    assert REQUEST_LIFECYCLE.next_state(REQUEST_LIFECYCLE.initial, *events) == state


def test_a_request_that_is_done_failed_or_refused_never_changes_again():
    ends = {"done", "failed", "refused"}
    assert REQUEST_LIFECYCLE.final_states == ends == set(REQUEST_LIFECYCLE.states) - set(OPEN_STATES)


def test_only_a_claimed_request_can_be_done():
    assert [state for state in REQUEST_LIFECYCLE.states if REQUEST_LIFECYCLE.allows(state, "finish")] == ["claimed"]
