"""Every pair of state and event of an incident."""

import pytest

from bgpdrift.verdicts.lifecycle import EVENTS, STATES, TRANSITIONS, IllegalTransitionError, after


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", EVENTS)
def test_a_pair_leads_where_the_table_says_or_is_refused(state: str, event: str) -> None:
    if (state, event) in TRANSITIONS:
        assert after(state, event) in STATES[1:]
    else:
        with pytest.raises(IllegalTransitionError, match=event):
            after(state, event)


def test_the_illegal_pairs_are_these() -> None:
    illegal = {(s, e) for s in STATES for e in EVENTS} - set(TRANSITIONS)
    assert illegal == {("", "quiet"), ("", "merged"), ("closed", "quiet")}


def test_only_a_closed_incident_reopens_and_only_quiet_or_a_merger_closes() -> None:
    assert {s for (s, _), to in TRANSITIONS.items() if to == "reopened"} == {"closed"}
    assert {e for (_, e), to in TRANSITIONS.items() if to == "closed"} == {"quiet", "merged"}
