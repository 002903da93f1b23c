"""Wishes, questions and notices in the store; the same on every database."""

import pytest

from bgpdrift.errors import StoreError
from bgpdrift.store import Cursor, Store

T = 1_700_000_040


def wish(model: str = "lstm", state: str = "wanted", **columns: object) -> dict[str, object]:
    return {"model": model, "requested_at": T, "requested_by": "drift_monitor", "state": state, **columns}


def notice(key: str) -> dict[str, object]:
    return {"at": 1.0, "key": key, "severity": "low", "title": "so", "state": "pending"}


def test_wishes_are_read_newest_first_by_model_and_state(store: Store) -> None:
    first = store.add_trigger(wish(reason={"severity": "high"}))
    second = store.add_trigger(wish("heuristic", "flagged"))
    third = store.add_trigger(wish(state="done"))

    assert [row["id"] for row in store.triggers()] == [third, second, first]
    assert [row["id"] for row in store.triggers("lstm", limit=1)] == [third]
    assert [row["id"] for row in store.triggers(states=("wanted", "flagged"))] == [second, first]
    assert store.triggers("lstm", ("wanted",))[0]["reason"] == {"severity": "high"}


def test_a_wish_changes_with_all_that_goes_with_it(store: Store) -> None:
    number = store.add_trigger(wish())
    assert number is not None
    asked = {"kind": "retrain", "subject": "lstm", "asked_at": T, "state": "pending", "details": {"trigger_id": number}}

    assert store.change_trigger(
        number,
        "wanted",
        "waiting_approval",
        reason={"a": 1},
        refused_because="a person is asked",
        cursor=Cursor("loop:lstm", T, {"because": "a run"}),
        asked=asked,
        notices=[notice("retrain_approval:1"), notice("retrain_approval:1")],
    )

    (row,) = store.triggers()
    assert (row["state"], row["reason"], row["refused_because"]) == ("waiting_approval", {"a": 1}, "a person is asked")
    assert store.read_cursor("loop:lstm") == Cursor("loop:lstm", T, {"because": "a run"})
    (question,) = store.approvals("pending", "retrain", "lstm")
    assert question["details"] == {"trigger_id": number}
    assert [row["key"] for row in store.notifications()] == ["retrain_approval:1"]
    assert store.change_trigger(
        number, "waiting_approval", "flagged", answered=(question["id"], "expired", "bgpdrift", T + 9)
    )
    answered = store.approval(question["id"])
    assert answered is not None
    assert (answered["state"], answered["answered_by"], answered["answered_at"]) == ("expired", "bgpdrift", T + 9)
    assert store.triggers()[0]["refused_because"] == "a person is asked"


def test_of_two_that_saw_the_same_state_one_acts_and_the_other_writes_nothing(store: Store) -> None:
    number = store.add_trigger(wish())
    assert number is not None
    assert store.change_trigger(number, "wanted", "flagged")

    assert not store.change_trigger(
        number, "wanted", "refused", cursor=Cursor("loop:lstm", T), notices=[notice("late")]
    )

    assert store.triggers()[0]["state"] == "flagged"
    assert store.read_cursor("loop:lstm") is None
    assert store.notifications() == []


def test_a_wish_is_made_again_once(store: Store) -> None:
    first = store.add_trigger(wish(state="failed"))
    store.add_trigger(wish("heuristic"))

    second = store.add_trigger(wish(), newest=first)

    assert second is not None
    assert store.add_trigger(wish(), newest=first) is None
    assert [row["id"] for row in store.triggers("lstm")] == [second, first]


def test_a_question_is_answered_once(store: Store) -> None:
    asked = {"kind": "attack_or_new_normal", "subject": "7", "asked_at": T, "state": "pending"}
    number = store.ask_approval(asked)

    assert store.answer_approval(number, "approved", "ann", T + 60)
    assert not store.answer_approval(number, "rejected", "bob", T + 61)
    assert not store.answer_approval(number + 1, "approved", "ann", T)

    row = store.approval(number)
    assert row is not None
    assert (row["state"], row["answered_by"], row["answered_at"], row["details"]) == ("approved", "ann", T + 60, {})
    assert store.approval(number + 1) is None
    assert [row["id"] for row in store.approvals()] == [number]
    assert store.approvals("pending") == []
    assert store.approvals(subject="8") == []


def test_a_notice_with_a_known_key_is_not_written_again(store: Store) -> None:
    store.notify([notice("a")])
    store.notify([notice("b"), notice("a")])
    store.notify([])
    assert [row["key"] for row in store.notifications()] == ["b", "a"]
    assert store.notifications(state="sent") == []


def test_what_is_no_column_is_refused_whole(store: Store) -> None:
    number = store.add_trigger(wish())
    assert number is not None
    with pytest.raises(StoreError, match="unknown column"):
        store.add_trigger({**wish(), "colour": "red"})
    with pytest.raises(StoreError, match="unknown column"):
        store.change_trigger(number, "wanted", "flagged", notices=[{**notice("a"), "colour": "red"}])
    assert store.triggers()[0]["state"] == "wanted"


def test_events_read_from_elsewhere_their_notices_and_the_place_are_kept_together_and_once(store: Store) -> None:
    event = {"at": 1.5, "service": "lstm_detector", "event": "crashloop", "details": {"message": "exit 1"}}
    first = Cursor("supervisor_events", 1, {"file": "a", "offset": 90})
    assert store.record_service_events([event], [notice("loop")], first, expected=None)
    assert not store.record_service_events([event], [notice("other")], first, expected=None)

    second = Cursor("supervisor_events", 2, {"file": "a", "offset": 180})
    assert store.record_service_events([event], [notice("loop")], second, expected=first)

    assert [row["details"] for row in store.service_events(5)] == [{"message": "exit 1"}] * 2
    assert [row["key"] for row in store.notifications()] == ["loop"]
    found = store.read_cursor("supervisor_events")
    assert found is not None
    assert (found.position, found.details) == (2, {"file": "a", "offset": 180})
