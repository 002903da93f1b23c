"""Evidence about a flagged retraining request decides its events."""

import itertools

import pytest

from bgpdrift.monitor.request_progress import MAX_ATTEMPTS, Evidence, RunEnd, assess_progress
from bgpdrift.monitor.request_states import REQUEST_LIFECYCLE

LIVE_CLAIM = {"claim_exists": True, "claim_is_ours": True}


@pytest.mark.parametrize(
    ("state", "evidence", "state_after", "drops_flag"),
    [
        ("flagged", Evidence(), "flagged", True),  # the monitor died before it dropped the flag
        ("flagged", Evidence(flag_exists=True, flag_is_ours=True), "flagged", False),
        ("flagged", Evidence(flag_exists=True), "flagged", False),  # another flag replaced ours
        ("flagged", Evidence(run_is_active=True), "flagged", False),
        ("flagged", Evidence(**LIVE_CLAIM), "claimed", False),
        ("flagged", Evidence(run_end=RunEnd(0, promoted=True)), "done", False),  # the run ended between two steps
        ("claimed", Evidence(**LIVE_CLAIM), "claimed", False),
        ("claimed", Evidence(flag_exists=True, flag_is_ours=True), "flagged", False),  # the retrainer died
        ("claimed", Evidence(run_end=RunEnd(0, promoted=True, version="4")), "done", False),
        ("claimed", Evidence(run_end=RunEnd(1, promoted=True)), "done", False),  # killed after the publication
        ("claimed", Evidence(run_end=RunEnd(3)), "failed", False),
        ("claimed", Evidence(run_end=RunEnd(6)), "failed", False),
        ("claimed", Evidence(run_end=RunEnd(2)), "failed", False),
        ("claimed", Evidence(run_end=RunEnd(4)), "postponed", False),
        ("claimed", Evidence(run_end=RunEnd(1)), "flagged", True),
        ("claimed", Evidence(run_end=RunEnd(1), attempts=MAX_ATTEMPTS - 1), "failed", False),
        ("claimed", Evidence(), "flagged", True),  # the run left no record
        ("claimed", Evidence(attempts=MAX_ATTEMPTS - 1), "failed", False),
        ("claimed", Evidence(run_is_active=True), "claimed", False),
    ],
)
def test_the_evidence_decides_the_next_state(state, evidence, state_after, drops_flag):
    progress = assess_progress(state, evidence)
    assert (REQUEST_LIFECYCLE.next_state(state, *progress.events), progress.drops_flag) == (state_after, drops_flag)


def test_every_combination_of_evidence_gives_a_legal_move():
    ends = [None, *(RunEnd(code) for code in (None, 0, 1, 2, 3, 4, 5, 6, 130))]
    for state, bits, run_end in itertools.product(
        ("flagged", "claimed"), itertools.product([False, True], repeat=5), ends
    ):
        REQUEST_LIFECYCLE.next_state(state, *assess_progress(state, Evidence(*bits, run_end=run_end)).events)
