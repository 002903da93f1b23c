"""A drift is wished away once, and again only for a reason."""

import pytest

from bgpdrift.drift.persistence import GAP_S, Lasting, counted, due, wished

HOUR = 3_600
REARM = 24 * HOUR


def after(*verdicts: str, needed: int = 3, severity: str = "medium", version: str = "1") -> tuple[Lasting, list[int]]:
    """State after hourly verdicts, and the hours at which a wish followed."""
    state, wishes = Lasting(), []
    for hour, verdict in enumerate(verdicts):
        state = counted(state, verdict, severity, version, hour * HOUR, REARM)  # type: ignore[arg-type]
        if due(state, verdict, needed):  # type: ignore[arg-type]
            state, wishes = wished(state, hour * HOUR, severity), [*wishes, hour]  # type: ignore[arg-type]
    return state, wishes


def test_a_drift_must_last() -> None:
    assert after("drift", "drift")[1] == []
    assert after("drift", "drift", "none", "drift", "drift")[1] == []
    assert after("drift", "drift", "drift", "drift")[1] == [2]


@pytest.mark.parametrize("between", ["none", "immaterial"])
def test_it_is_wished_for_again_only_after_it_was_clear(between: str) -> None:
    assert after(*["drift"] * 3, "incident", *["drift"] * 5)[1] == [2]
    assert after(*["drift"] * 3, between, *["drift"] * 3)[1] == [2, 6]


def test_an_hour_without_enough_data_neither_counts_nor_clears() -> None:
    assert after("drift", "drift", "not_enough_data", "drift")[1] == [3]


def test_after_an_outage_it_is_counted_anew() -> None:
    state = counted(Lasting("1", 5, 0), "drift", "high", "1", GAP_S + 1, REARM)
    assert state.checks == 1


def test_another_version_begins_anew() -> None:
    assert counted(Lasting("1", 5, HOUR, armed=False), "drift", "high", "2", 2 * HOUR, REARM) == Lasting(
        "2", 1, 2 * HOUR
    )


def test_what_gets_worse_or_outlasts_the_cooldown_is_wished_for_again() -> None:
    state = wished(Lasting("1", 3, HOUR), HOUR, "medium")
    assert not due(counted(state, "drift", "medium", "1", 2 * HOUR, REARM), "drift", 3)
    assert due(counted(state, "drift", "high", "1", 2 * HOUR, REARM), "drift", 3)
    assert after(*["drift"] * 40)[1] == [2, 26]


def test_consent_stands_for_lasting_but_not_for_drift() -> None:
    state = counted(Lasting(), "drift", "high", "1", 0, REARM)
    assert due(state, "drift", 6, consented=True)
    assert not due(state, "held", 6, consented=True)
    assert not due(counted(state, "none", "none", "1", HOUR, REARM), "drift", 6, consented=True)
