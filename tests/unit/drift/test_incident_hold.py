"""The incident hold: every state, every event, and what an answer or a missing answer does."""

import pytest

from bgpdrift.drift.incident_hold import (
    HOLD_LIFECYCLE,
    HoldPolicy,
    IncidentHold,
    apply_answer,
    apply_event,
    update_hold,
)
from bgpdrift.drift.incident_spans import IncidentGroup, Span, build_spans, group_incidents, list_excluded_hours
from bgpdrift.errors import IllegalTransitionError
from bgpdrift.store.outcomes import Outcome

HOUR = 3_600
POLICY = HoldPolicy(max_hold_s=12 * HOUR, unanswered_s=12 * HOUR)


def group(number: int = 3, since: int = 0) -> IncidentGroup:
    return IncidentGroup(number, since, since + HOUR, frozenset({number}))


def test_the_end_of_the_incident_frees_the_drift_in_every_state() -> None:
    for state in HOLD_LIFECYCLE.states:
        assert HOLD_LIFECYCLE.next_state(state, "end") == "free"


def test_an_incident_without_drift_holds_nothing_while_it_is_young_or_unstable() -> None:
    assert update_hold(IncidentHold(), group(), False, True, 11 * HOUR, POLICY) == IncidentHold()
    assert update_hold(IncidentHold(), group(), False, False, 90 * HOUR, POLICY) == IncidentHold()


def test_an_old_stable_incident_leads_to_an_approval_request_whatever_the_verdict_is() -> None:
    asked = update_hold(IncidentHold(), group(), False, True, 12 * HOUR, POLICY)
    assert (asked.state, asked.incident_id, asked.asked_at) == ("asked", 3, 12 * HOUR)
    assert update_hold(asked, group(), False, True, 23 * HOUR, POLICY).state == "asked"
    assert update_hold(asked, group(), False, True, 24 * HOUR, POLICY).state == "new_normal"


def test_another_incident_during_the_wait_does_not_restart_it() -> None:
    asked = IncidentHold("asked", 3, 0, 9, 12 * HOUR)
    wider = IncidentGroup(5, 0, 20 * HOUR, frozenset({3, 5}))
    later = update_hold(asked, wider, True, False, 20 * HOUR, POLICY)
    assert (later.incident_id, later.asked_at) == (3, 12 * HOUR)
    assert update_hold(later, wider, True, True, 24 * HOUR, POLICY).answer == "silence"


def test_a_missing_answer_about_one_incident_does_not_apply_to_the_next() -> None:
    """Otherwise storms that begin during the wait become the new normal without an answer about an alarm of one hour."""
    asked = IncidentHold("asked", 3, 0, 9, 12 * HOUR)
    other = update_hold(asked, group(5, 20 * HOUR), True, True, 25 * HOUR, POLICY)
    assert (other.state, other.incident_id, other.approval_id) == ("held", 5, 0)


def test_a_person_is_asked_only_when_the_incident_is_old_enough_and_stable() -> None:
    young = update_hold(IncidentHold(), group(), True, True, 11 * HOUR, POLICY)
    assert young.state == "held"
    assert update_hold(young, group(), True, False, 13 * HOUR, POLICY).state == "held"
    assert update_hold(young, group(), True, True, 13 * HOUR, POLICY).state == "asked"


def test_an_answer_can_be_changed() -> None:
    attack = apply_answer(IncidentHold("asked", 3, 0, 9, HOUR), "rejected", "")
    assert attack.state == "attack"
    assert apply_answer(attack, "rejected", "new_normal").state == "new_normal"
    assert apply_answer(apply_answer(attack, "", "new_normal"), "rejected", "true_positive").state == "attack"


def test_the_hold_lasts_without_an_answer_if_the_settings_say_so() -> None:
    patient = HoldPolicy(max_hold_s=12 * HOUR, unanswered_s=12 * HOUR, silence_is_drift=False)
    asked = IncidentHold("asked", 3, 0, 9, 13 * HOUR)
    assert update_hold(asked, group(), True, True, 1000 * HOUR, patient).state == "asked"


def test_the_end_of_the_incident_ends_the_approval_request() -> None:
    assert update_hold(IncidentHold("asked", 3, 0, 9, HOUR), None, True, True, 20 * HOUR, POLICY) == IncidentHold()


def test_a_decision_about_one_incident_does_not_apply_to_another() -> None:
    decided = IncidentHold("new_normal", 3, 0, 9, HOUR, "new_normal")
    assert update_hold(decided, None, True, True, 20 * HOUR, POLICY, still_open=True) == decided
    other = update_hold(decided, group(8, 19 * HOUR), True, True, 20 * HOUR, POLICY, still_open=True)
    assert (other.state, other.incident_id, other.approval_id) == ("held", 8, 0)


def test_a_missing_answer_without_an_approval_request_is_a_bug() -> None:
    with pytest.raises(IllegalTransitionError):
        apply_event(IncidentHold(), "silence")


def test_an_answer_that_confirms_the_decision_changes_nothing() -> None:
    by_silence = apply_event(IncidentHold("asked", 3, 0, 9, HOUR), "silence")
    assert apply_event(by_silence, "normal") == by_silence


def row(number: int, start: int, end: int | None, **columns: object) -> dict[str, object]:
    state = "open" if end is None else "closed"
    found = {"id": number, "state": state, "started_at": start, "last_seen_at": (end or start + 60) - 60}
    return {**found, "closed_at": end, "merged_into": None, "collectors": ["rrc00"], **columns}


def test_spans_show_incidents_as_they_were_known_at_the_check() -> None:
    """A check of a past hour must not use what happened later."""
    (span,) = build_spans([row(1, 0, 10 * HOUR), row(2, 8 * HOUR, None)], [], 5 * HOUR)
    assert (span.number, span.end, span.is_open) == (1, 5 * HOUR, True)


def test_a_range_labelled_normal_applies_to_the_incidents_inside_it() -> None:
    label = Outcome(starts_at=0, ends_at=20 * HOUR, label="new_normal")
    spans = build_spans([row(1, HOUR, 2 * HOUR), row(2, 19 * HOUR, 21 * HOUR)], [label], 30 * HOUR)
    assert [span.label for span in spans] == ["new_normal", ""]


def test_an_open_incident_that_is_an_attack_takes_no_part() -> None:
    attack = Span(1, 0, 3 * HOUR, True, frozenset({"rrc00"}), "true_positive")
    assert group_incidents([attack], 3 * HOUR, 12 * HOUR) is None
    assert set(list_excluded_hours([attack], None)["rrc00"]) == {0, HOUR, 2 * HOUR}


def test_a_range_labelled_missed_takes_no_part() -> None:
    label = Outcome(starts_at=0, ends_at=HOUR, label="missed", collector="rrc00")
    assert list_excluded_hours(build_spans([], [label], 9 * HOUR), None) == {"rrc00": {0: "labelled anomaly"}}


def test_a_short_incident_hours_earlier_is_not_part_of_the_group() -> None:
    """Its hours are not at the new level, and the age of the group does not count from it."""
    short, old = Span(4, 0, HOUR), Span(5, 6 * HOUR, 20 * HOUR, True)
    grouped = group_incidents([short, old], 20 * HOUR, 12 * HOUR)
    assert grouped == IncidentGroup(5, 6 * HOUR, 20 * HOUR, frozenset({5}))


def test_incidents_far_apart_are_not_one_group() -> None:
    far = [Span(n, 10 * n * HOUR, (10 * n + 2) * HOUR) for n in range(5)]
    assert group_incidents(far, 43 * HOUR, 12 * HOUR) is None


@pytest.mark.parametrize(("count", "holds"), [(1, False), (2, False), (3, True)])
def test_closed_incidents_hold_a_drift_only_if_there_are_several(count: int, holds: bool) -> None:
    closed = [Span(n, n * 5 * HOUR, (n * 5 + 4) * HOUR) for n in range(count)]
    assert (group_incidents(closed, closed[-1].end + HOUR, 4 * HOUR) is not None) == holds
