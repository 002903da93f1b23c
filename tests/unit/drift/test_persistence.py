"""One retraining request per drift, and another one only for a reason."""

import pytest

from bgpdrift.drift.constants import MAX_CHECK_GAP_S
from bgpdrift.drift.persistence import Persistence, count_check, mark_requested, needs_request

HOUR = 3_600
REARM = 24 * HOUR


def run_checks(
    *verdicts: str, needed: int = 3, severity: str = "medium", version: str = "1"
) -> tuple[Persistence, list[int]]:
    """Return the state after hourly verdicts, and the hours at which a retraining was requested."""
    state, requests = Persistence(), []
    for hour, verdict in enumerate(verdicts):
        state = count_check(state, verdict, severity, version, hour * HOUR, REARM)  # type: ignore[arg-type]
        if needs_request(state, verdict, needed):  # type: ignore[arg-type]
            state, requests = mark_requested(state, hour * HOUR, severity), [*requests, hour]  # type: ignore[arg-type]
    return state, requests


def test_a_drift_must_persist() -> None:
    assert run_checks("drift", "drift")[1] == []
    assert run_checks("drift", "drift", "none", "drift", "drift")[1] == []
    assert run_checks("drift", "drift", "drift", "drift")[1] == [2]


@pytest.mark.parametrize("between", ["none", "immaterial"])
def test_a_drift_leads_to_another_request_only_after_it_was_clear(between: str) -> None:
    assert run_checks(*["drift"] * 3, "incident", *["drift"] * 5)[1] == [2]
    assert run_checks(*["drift"] * 3, between, *["drift"] * 3)[1] == [2, 6]


def test_an_hour_without_enough_data_neither_counts_nor_clears() -> None:
    assert run_checks("drift", "drift", "not_enough_data", "drift")[1] == [3]


def test_the_count_begins_again_after_an_outage() -> None:
    state = count_check(Persistence("1", 5, 0), "drift", "high", "1", MAX_CHECK_GAP_S + 1, REARM)
    assert state.checks == 1


def test_the_count_begins_again_for_another_version() -> None:
    assert count_check(Persistence("1", 5, HOUR, armed=False), "drift", "high", "2", 2 * HOUR, REARM) == Persistence(
        "2", 1, 2 * HOUR
    )


def test_a_drift_that_gets_worse_or_outlasts_the_cooldown_is_requested_again() -> None:
    state = mark_requested(Persistence("1", 3, HOUR), HOUR, "medium")
    assert not needs_request(count_check(state, "drift", "medium", "1", 2 * HOUR, REARM), "drift", 3)
    assert needs_request(count_check(state, "drift", "high", "1", 2 * HOUR, REARM), "drift", 3)
    assert run_checks(*["drift"] * 40)[1] == [2, 26]


def test_a_new_normal_replaces_the_persistence_but_not_the_drift() -> None:
    state = count_check(Persistence(), "drift", "high", "1", 0, REARM)
    assert needs_request(state, "drift", 6, is_approved=True)
    assert not needs_request(state, "held", 6, is_approved=True)
    assert not needs_request(count_check(state, "none", "none", "1", HOUR, REARM), "drift", 6, is_approved=True)
