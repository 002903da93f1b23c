"""Retraining requests, approval requests, alerts and events of services; the same on every database."""

import pytest

from bgpdrift.errors import StoreError
from bgpdrift.store import StateCursor, Store
from bgpdrift.store.cursor_states import CooldownState, EventsFileState, cooldown_cursor
from bgpdrift.store.request_records import (
    Alert,
    ApprovalAnswer,
    ApprovalRequest,
    HoldApproval,
    RequestReason,
    RequestState,
    RetrainApproval,
    RetrainRequest,
    ServiceEvent,
)

T = 1_700_000_040
COOLDOWN = StateCursor(cooldown_cursor("lstm"), T, CooldownState(reason="a run"))


def request(model: str = "lstm", state: RequestState = "requested", **reason: object) -> RetrainRequest:
    details = RequestReason(**reason)  # type: ignore[arg-type]
    return RetrainRequest(model=model, requested_at=T, requested_by="drift_monitor", state=state, reason=details)


def alert(key: str) -> Alert:
    return Alert(at=1.0, key=key, severity="low", title="so")


def test_requests_are_read_newest_first_by_model_and_state(store: Store) -> None:
    first = store.add_retrain_request(request(severity="high"))
    second = store.add_retrain_request(request("heuristic", "flagged"))
    third = store.add_retrain_request(request(state="done"))

    assert [row.id for row in store.retrain_requests()] == [third, second, first]
    assert [row.id for row in store.retrain_requests("lstm", limit=1)] == [third]
    assert [row.id for row in store.retrain_requests(states=("requested", "flagged"))] == [second, first]
    assert store.retrain_requests("lstm", ("requested",))[0].reason == RequestReason(severity="high")


def test_a_request_changes_with_everything_that_belongs_to_the_change(store: Store) -> None:
    number = store.add_retrain_request(request())
    assert number is not None
    details = RetrainApproval(request_id=number, summary="retrain lstm? drift is critical")
    approval = ApprovalRequest(kind="retrain", subject="lstm", requested_at=T, details=details)

    assert store.change_retrain_request(
        number,
        "requested",
        "waiting_approval",
        reason=RequestReason(attempts=1),
        refusal_reason="a person is asked",
        cursor=COOLDOWN,
        approval=approval,
        alerts=[alert("retrain_approval:1"), alert("retrain_approval:1")],
    )

    (changed,) = store.retrain_requests()
    assert (changed.state, changed.reason, changed.refusal_reason) == (
        "waiting_approval",
        RequestReason(attempts=1),
        "a person is asked",
    )
    assert store.read_state("cooldown:lstm", CooldownState) == COOLDOWN
    (written,) = store.approval_requests("pending", "retrain", "lstm")
    assert (written.details, written.summary) == (details, "retrain lstm? drift is critical")
    assert [row.key for row in store.alerts()] == ["retrain_approval:1"]
    assert store.has_alert("retrain_approval:1")
    assert not store.has_alert("retrain_approval:2")
    answer = ApprovalAnswer(written.id, "expired", "bgpdrift", T + 9)
    assert store.change_retrain_request(number, "waiting_approval", "flagged", answer=answer)
    answered = store.approval_request(written.id)
    assert answered is not None
    assert (answered.state, answered.answered_by, answered.answered_at) == ("expired", "bgpdrift", T + 9)
    assert store.retrain_requests()[0].refusal_reason == "a person is asked"


def test_of_two_monitors_that_saw_the_same_state_one_writes(store: Store) -> None:
    number = store.add_retrain_request(request())
    assert number is not None
    assert store.change_retrain_request(number, "requested", "flagged")

    assert not store.change_retrain_request(number, "requested", "refused", cursor=COOLDOWN, alerts=[alert("late")])

    assert store.retrain_requests()[0].state == "flagged"
    assert store.read_state("cooldown:lstm", CooldownState) is None
    assert store.alerts() == []


def test_a_request_is_repeated_once(store: Store) -> None:
    first = store.add_retrain_request(request(state="failed"))
    store.add_retrain_request(request("heuristic"))

    second = store.add_retrain_request(request(), newest=first)

    assert second is not None
    assert store.add_retrain_request(request(), newest=first) is None
    assert [row.id for row in store.retrain_requests("lstm")] == [second, first]


def test_an_approval_request_is_answered_once(store: Store) -> None:
    approval = ApprovalRequest(kind="attack_or_new_normal", subject="7", requested_at=T, details=HoldApproval())
    number = store.request_approval(approval)

    assert store.answer_approval(number, "approved", "ann", T + 60)
    assert not store.answer_approval(number, "rejected", "bob", T + 61)
    assert not store.answer_approval(number + 1, "approved", "ann", T)

    answered = store.approval_request(number)
    assert answered is not None
    assert (answered.state, answered.answered_by, answered.answered_at) == ("approved", "ann", T + 60)
    assert answered.details == HoldApproval()
    assert answered.summary == "incident 7: attack or new normal?"
    assert store.approval_request(number + 1) is None
    assert [row.id for row in store.approval_requests()] == [number]
    assert store.approval_requests("pending") == []
    assert store.approval_requests(subject="8") == []


def test_an_alert_with_a_known_key_is_not_written_again(store: Store) -> None:
    store.raise_alerts([alert("a")])
    store.raise_alerts([alert("b"), alert("a")])
    store.raise_alerts([])
    assert [row.key for row in store.alerts()] == ["b", "a"]
    assert store.alerts(state="sent") == []


def test_a_change_with_a_value_that_cannot_be_stored_writes_nothing(store: Store) -> None:
    number = store.add_retrain_request(request())
    assert number is not None
    damaged = Alert(at=float("nan"), key="a", severity="low", title="so")
    with pytest.raises(StoreError, match=r"alerts\.at = nan: expected a finite number"):
        store.change_retrain_request(number, "requested", "flagged", alerts=[damaged])
    assert store.retrain_requests()[0].state == "requested"


def test_events_their_alerts_and_the_position_are_written_together_and_once(store: Store) -> None:
    event = ServiceEvent(at=1.5, service="lstm_detector", event="crashloop", details={"message": "exit 1"})
    first = StateCursor("supervisor_events", 1, EventsFileState(file="a", offset=90))
    assert store.record_service_events([event], [alert("loop")], first, expected=None)
    assert not store.record_service_events([event], [alert("other")], first, expected=None)

    second = StateCursor("supervisor_events", 2, EventsFileState(file="a", offset=180))
    assert store.record_service_events([event], [alert("loop")], second, expected=first)

    assert [row.details for row in store.service_events(5)] == [{"message": "exit 1"}] * 2
    assert [row.key for row in store.alerts()] == ["loop"]
    assert store.read_state("supervisor_events", EventsFileState) == second
