"""Attack or new normal: every state, every event, and what people and silence do."""

import pytest

from bgpdrift.drift.episode import Episode, Span, episode_of, left_out, spans_of
from bgpdrift.drift.incident_hold import HOLD_LIFECYCLE, Holding, HoldPolicy, after, heard, looked
from bgpdrift.errors import IllegalTransitionError

HOUR = 3_600
POLICY = HoldPolicy(12 * HOUR, 12 * HOUR)


def episode(number: int = 3, since: int = 0) -> Episode:
    return Episode(number, since, since + HOUR, frozenset({number}))


def test_the_end_of_the_incident_frees_the_drift_in_every_state() -> None:
    for state in HOLD_LIFECYCLE.states:
        assert HOLD_LIFECYCLE.next_state(state, "over") == "free"


@pytest.mark.parametrize("state", ["held", "asked", "attack", "new_normal"])
def test_a_state_survives_the_store(state: str) -> None:
    holding = Holding(state, 3, 60, 9, 120, "attack")  # type: ignore[arg-type]
    assert Holding.from_fields(holding.as_fields()) == holding
    assert Holding.from_fields({"state": "odd"}) == Holding.from_fields(None) == Holding()


def test_an_incident_without_drift_holds_nothing_while_it_is_young_or_not_steady() -> None:
    assert looked(Holding(), episode(), False, True, 11 * HOUR, POLICY) == Holding()
    assert looked(Holding(), episode(), False, False, 90 * HOUR, POLICY) == Holding()


def test_an_old_steady_incident_asks_whatever_the_checks_say_yet() -> None:
    asked = looked(Holding(), episode(), False, True, 12 * HOUR, POLICY)
    assert (asked.state, asked.incident_id, asked.asked_at) == ("asked", 3, 12 * HOUR)
    assert looked(asked, episode(), False, True, 23 * HOUR, POLICY).state == "asked"
    assert looked(asked, episode(), False, True, 24 * HOUR, POLICY).state == "new_normal"


def test_another_incident_in_the_wait_does_not_restart_it() -> None:
    asked = Holding("asked", 3, 0, 9, 12 * HOUR)
    both = Episode(5, 0, 20 * HOUR, frozenset({3, 5}))
    later = looked(asked, both, True, False, 20 * HOUR, POLICY)
    assert (later.incident_id, later.asked_at) == (3, 12 * HOUR)
    assert looked(later, both, True, True, 24 * HOUR, POLICY).answer == "silence"


def test_silence_about_one_incident_is_none_about_the_next() -> None:
    """Storms that began in the wait were called the new normal for an hour's alarm that was over."""
    asked = Holding("asked", 3, 0, 9, 12 * HOUR)
    other = looked(asked, episode(5, 20 * HOUR), True, True, 25 * HOUR, POLICY)
    assert (other.state, other.incident_id, other.question_id) == ("held", 5, 0)


def test_it_is_asked_when_old_enough_and_steady_and_not_before() -> None:
    young = looked(Holding(), episode(), True, True, 11 * HOUR, POLICY)
    assert young.state == "held"
    assert looked(young, episode(), True, False, 13 * HOUR, POLICY).state == "held"
    assert looked(young, episode(), True, True, 13 * HOUR, POLICY).state == "asked"


def test_an_answer_can_be_changed() -> None:
    attack = heard(Holding("asked", 3, 0, 9, HOUR), "rejected", "")
    assert attack.state == "attack"
    assert heard(attack, "rejected", "new_normal").state == "new_normal"
    assert heard(heard(attack, "", "new_normal"), "rejected", "true_positive").state == "attack"


def test_where_silence_means_nothing_it_waits_for_ever() -> None:
    patient = HoldPolicy(12 * HOUR, 12 * HOUR, silence_is_drift=False)
    asked = Holding("asked", 3, 0, 9, 13 * HOUR)
    assert looked(asked, episode(), True, True, 1000 * HOUR, patient).state == "asked"


def test_the_end_of_the_incident_is_the_end_of_the_question() -> None:
    assert looked(Holding("asked", 3, 0, 9, HOUR), None, True, True, 20 * HOUR, POLICY) == Holding()


def test_what_was_decided_does_not_decide_another_incident() -> None:
    decided = Holding("new_normal", 3, 0, 9, HOUR, "new_normal")
    assert looked(decided, None, True, True, 20 * HOUR, POLICY, still_open=True) == decided
    other = looked(decided, episode(8, 19 * HOUR), True, True, 20 * HOUR, POLICY, still_open=True)
    assert (other.state, other.incident_id, other.question_id) == ("held", 8, 0)


def test_silence_without_a_question_is_a_bug() -> None:
    with pytest.raises(IllegalTransitionError):
        after(Holding(), "silence")


def test_an_answer_that_confirms_what_silence_decided_changes_nothing() -> None:
    by_silence = after(Holding("asked", 3, 0, 9, HOUR), "silence")
    assert after(by_silence, "normal") == by_silence


def row(number: int, start: int, end: int | None, **columns: object) -> dict[str, object]:
    state = "open" if end is None else "closed"
    found = {"id": number, "state": state, "started_at": start, "last_seen_at": (end or start + 60) - 60}
    return {**found, "closed_at": end, "merged_into": None, "collectors": ["rrc00"], **columns}


def test_incidents_are_seen_as_they_were_then() -> None:
    """A check of an hour that is past must not know how it ended."""
    (span,) = spans_of([row(1, 0, 10 * HOUR), row(2, 8 * HOUR, None)], [], 5 * HOUR)
    assert (span.number, span.end, span.is_open) == (1, 5 * HOUR, True)


def test_a_range_called_normal_speaks_for_the_incidents_inside_it() -> None:
    label = {"incident_id": None, "starts_at": 0, "ends_at": 20 * HOUR, "label": "new_normal", "collector": ""}
    spans = spans_of([row(1, HOUR, 2 * HOUR), row(2, 19 * HOUR, 21 * HOUR)], [label], 30 * HOUR)
    assert [span.label for span in spans] == ["new_normal", ""]


def test_an_open_incident_that_is_an_attack_takes_no_part() -> None:
    attack = Span(1, 0, 3 * HOUR, True, frozenset({"rrc00"}), "true_positive")
    assert episode_of([attack], 3 * HOUR, 12 * HOUR) is None
    assert set(left_out([attack], None)["rrc00"]) == {0, HOUR, 2 * HOUR}


def test_a_range_that_was_missed_takes_no_part() -> None:
    label = {"incident_id": None, "starts_at": 0, "ends_at": HOUR, "label": "missed", "collector": "rrc00"}
    assert left_out(spans_of([], [label], 9 * HOUR), None) == {"rrc00": {0: "labelled anomaly"}}


def test_a_short_incident_hours_before_is_another() -> None:
    """Its hours are none of the new level, and the age of the question does not count from it."""
    short, old = Span(4, 0, HOUR), Span(5, 6 * HOUR, 20 * HOUR, True)
    found = episode_of([short, old], 20 * HOUR, 12 * HOUR)
    assert found == Episode(5, 6 * HOUR, 20 * HOUR, frozenset({5}))


def test_incidents_far_apart_are_no_episode() -> None:
    far = [Span(n, 10 * n * HOUR, (10 * n + 2) * HOUR) for n in range(5)]
    assert episode_of(far, 43 * HOUR, 12 * HOUR) is None


@pytest.mark.parametrize(("count", "holds"), [(1, False), (2, False), (3, True)])
def test_closed_incidents_hold_only_where_they_are_several(count: int, holds: bool) -> None:
    closed = [Span(n, n * 5 * HOUR, (n * 5 + 4) * HOUR) for n in range(count)]
    assert (episode_of(closed, closed[-1].end + HOUR, 4 * HOUR) is not None) == holds
