"""What can happen to an incident."""

from bgpdrift.verdicts.lifecycle import INCIDENT_LIFECYCLE, RECORDED

MOVES = INCIDENT_LIFECYCLE.transitions


def test_an_incident_that_does_not_exist_can_only_be_opened():
    assert [(event, state) for (source, event), state in MOVES.items() if source == ""] == [("anomaly", "open")]


def test_a_verdict_keeps_an_incident_open():
    assert INCIDENT_LIFECYCLE.next_state("", "anomaly", "anomaly", "anomaly") == "updated"


def test_a_closed_incident_reopens_and_no_other_does():
    assert {source for (source, _), state in MOVES.items() if state == "reopened"} == {"closed"}


def test_only_quiet_or_a_merge_closes_an_incident():
    assert {event for (_, event), state in MOVES.items() if state == "closed"} == {"quiet", "merged"}


def test_every_state_that_can_be_reached_leaves_a_row_in_the_log():
    assert set(RECORDED) == set(MOVES.values())
