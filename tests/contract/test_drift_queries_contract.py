"""A drift check and everything that follows from it, written together or not at all; the same on every database."""

from typing import Any

import pytest

from bgpdrift.errors import StoreError
from bgpdrift.store import Cursor, IncidentChanges, StateCursor, Store
from bgpdrift.store.cursor_states import DriftState, DriftVerdict, IncidentHoldState, drift_cursor
from bgpdrift.store.drift import DriftUpdate
from bgpdrift.store.drift_records import CheckDetails, DriftCheck, DriftSignal
from bgpdrift.store.outcomes import Outcome
from bgpdrift.store.request_records import Alert, ApprovalRequest, HoldApproval, RequestReason, RetrainRequest
from helpers.store_rows import write_raw_state

T = 1_700_000_000 // 3600 * 3600
KEY = ("score:lstm", "1", "rrc00", T)


def check(at: int = T, verdict: DriftVerdict = "drift", change_point: int | None = T - 7200) -> DriftCheck:
    return DriftCheck(
        timestamp=at,
        model="lstm",
        model_version="1",
        window="24h/7d",
        drift_detected=True,
        verdict=verdict,
        severity="high",
        details=CheckDetails(change_point=change_point),
    )


def state(at: int = T, **fields: Any) -> StateCursor[DriftState]:
    return StateCursor(drift_cursor("lstm"), at, DriftState(verdict="drift", **fields))


def request(consented: bool = False) -> RetrainRequest:
    reason = RequestReason(severity="high", consented=consented)
    return RetrainRequest(model="lstm", requested_at=T, requested_by="drift_monitor", reason=reason)


def signal(name: str, value: float | None) -> DriftSignal:
    return DriftSignal(signal=name, value=value)


def values_of(store: Store, check_id: int) -> list[tuple[str, float | None]]:
    return [(row.signal, row.value) for row in store.signals_of_check(check_id)]


def test_a_check_is_one_transaction_with_state_signals_and_request(store: Store) -> None:
    signals = [signal("24h/7d:psi", 0.3), signal("lag", None)]

    assert store.update_drift(DriftUpdate(None, state(), check(), signals, request()))

    (row,) = store.drift_checks_between(model="lstm")
    assert row.details == CheckDetails(change_point=T - 7200)
    assert values_of(store, row.id) == [("24h/7d:psi", 0.3), ("lag", None)]
    assert store.read_drift_state("lstm") == state(check_id=row.id)
    assert store.retrain_requests()[0].reason.check_id == row.id


def test_a_monitor_that_saw_an_older_state_writes_nothing(store: Store) -> None:
    assert store.update_drift(DriftUpdate(None, state(), check(), request=request()))
    assert not store.update_drift(DriftUpdate(None, state(T + 3600), check(T + 3600), request=request(True)))
    seen = store.read_drift_state("lstm")
    assert seen is not None
    older = StateCursor(seen.name, seen.position, DriftState())
    assert not store.update_drift(DriftUpdate(older, state(T + 3600), check(T + 3600)))
    assert len(store.drift_checks_between()) == len(store.retrain_requests()) == 1
    assert store.update_drift(DriftUpdate(seen, state(T + 3600), check(T + 3600)))


def test_a_state_of_the_previous_version_is_replaced(store: Store) -> None:
    write_raw_state(store, "drift:lstm", T, {"version": "1", "lasting": 2, "lasting_version": "1"})
    seen = store.read_drift_state("lstm")
    assert store.update_drift(DriftUpdate(seen, state(T + 3600), check(T + 3600)))


def test_a_value_that_cannot_be_stored_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(StoreError):
        store.update_drift(DriftUpdate(None, state(), check(), [signal("psi", float("nan"))], request()))
    assert store.drift_checks_between() == []
    assert store.read_drift_state("lstm") is None


def test_a_repeated_check_replaces_the_first(store: Store) -> None:
    store.update_drift(DriftUpdate(None, state(), check(), [signal("a", 1.0), signal("b", 1.0)]))
    seen = store.read_drift_state("lstm")
    store.update_drift(DriftUpdate(seen, state(reason="again"), check(verdict="none"), [signal("a", 2.0)]))
    (row,) = store.drift_checks_between()
    assert row.verdict == "none"
    assert values_of(store, row.id) == [("a", 2.0)]


def test_only_a_consented_request_is_written_beside_an_open_one(store: Store) -> None:
    for consented, requests in ((False, 1), (False, 1), (True, 2)):
        seen = store.read_drift_state("lstm")
        assert store.update_drift(DriftUpdate(seen, state(), check(), request=request(consented)))
        assert len(store.retrain_requests()) == requests


def test_approval_is_requested_once_for_all_models(store: Store) -> None:
    approval = ApprovalRequest(kind="attack_or_new_normal", subject="7", requested_at=T, details=HoldApproval())
    alert = Alert(at=1.0, key="attack_or_new_normal:7", severity="high", title="?")
    hold = DriftState(incident_hold=IncidentHoldState(state="asked", incident_id=7))
    for model in ("lstm", "heuristic"):
        cursor = StateCursor(drift_cursor(model), T, hold)
        store.update_drift(DriftUpdate(None, cursor, approval=approval, alerts=[alert]))
    (written,) = store.approval_requests()
    for model in ("lstm", "heuristic"):
        cursor_read = store.read_drift_state(model)
        assert cursor_read is not None
        assert cursor_read.state.incident_hold.approval_id == written.id
    assert len(store.alerts()) == 1


def test_the_label_of_a_person_stays(store: Store) -> None:
    incident = {"id": 7, "state": "open", "severity": "low", "started_at": T, "last_seen_at": T, "peak": 1.0}
    store.apply_incidents(IncidentChanges(inserts=[incident]), None)
    label = Outcome(incident_id=7, starts_at=T, ends_at=T + 60, label="new_normal", labelled_by="bgpdrift")
    episode = Outcome(starts_at=T, ends_at=T + 60, label="new_normal", labelled_by="bgpdrift")
    for at in (T, T + 3600):
        seen = store.read_drift_state("lstm")
        assert store.update_drift(DriftUpdate(seen, state(at), labels=[label, episode]))
    assert [outcome.incident_id for outcome in store.outcomes_between(0, 2**62)] == [7, None]
    assert store.label_of_incident(7) == "new_normal"
    theirs = Outcome(incident_id=7, starts_at=T, ends_at=T + 60, label="true_positive", labelled_by="ann")
    store.record_outcome(theirs, T)
    store.update_drift(DriftUpdate(store.read_drift_state("lstm"), state(T + 7200), labels=[label]))
    assert store.label_of_incident(7) == "true_positive"
    assert store.label_of_incident(8) == ""


def test_flagged_spans_begin_with_the_change_point(store: Store) -> None:
    for at, verdict, change_point in ((T, "none", T - 7200), (T + 3600, "drift", T - 3600), (T + 7200, "held", None)):
        written = check(at, verdict, change_point)  # type: ignore[arg-type]
        store.update_drift(DriftUpdate(store.read_drift_state("lstm"), state(at), written))
    assert store.flagged_spans("lstm", "1", T, T + 9000) == [(T - 3600, T + 3600), (T + 3600, T + 7200)]
    assert store.flagged_spans("lstm", "2", T, T + 9000) == []


def histogram(series: str, version: str, collector: str, hour: int) -> dict[str, Any]:
    row = {"series": series, "model_version": version, "collector": collector, "hour_start": hour, "n": 1}
    return {**row, "value_sum": 1.0, "value_sum_squares": 1.0, "bins": b"\x01"}


def test_histograms_are_folded_only_from_the_expected_position(store: Store) -> None:
    seen: list[list[Any]] = []

    def merge(rows: Any) -> list[dict[str, Any]]:
        seen.append([row["hour_start"] for row in rows])
        return [histogram(*KEY)]

    assert store.fold_histograms(Cursor("m:scores", 5), 0, [KEY], merge)
    assert not store.fold_histograms(Cursor("m:scores", 5), 0, [KEY], merge)
    assert store.fold_histograms(Cursor("m:scores", 9), 5, [KEY, ("score:lstm", "2", "rrc00", T)], merge)
    assert seen == [[], [T]]
    assert store.read_position("m:scores") == 9


def test_hours_are_found_by_series_version_and_time(store: Store) -> None:
    rows = [histogram("score:lstm", "1", "rrc00", T), histogram("score:lstm", "2", "rrc01", T + 3600)]
    rows += [histogram("score:lstm", "2", "rrc00", T + 3600), histogram("rule:a", "1", "rrc00", T)]
    store.upsert_histograms(rows, None)

    assert store.hours_with("score:lstm", T, T + 9000) == [T, T + 3600]
    assert [entry[:3] for entry in store.series_versions("score:lstm", 0, 2**62)] == [
        ("1", T, T),
        ("2", T + 3600, T + 3600),
    ]
    assert store.series_names("rule:", T, T + 1) == ["rule:a"]
    assert [row[:2] for row in store.hours_between("score:lstm", "2", T, T + 9000)] == [
        ("rrc00", T + 3600),
        ("rrc01", T + 3600),
    ]
    assert store.hours_of_many(["rule:a", "rule:b"], "1", 0, 2**62).keys() == {"rule:a"}


def test_event_time_is_the_newest_of_the_windows_written_last(store: Store) -> None:
    assert store.latest_window_start() is None
    store.write_windows([{"window_start": T + 86_400 * 365, "collector": "rrc00"}], None)
    store.write_windows([{"window_start": T + 60 * i, "collector": "rrc00"} for i in range(199)], None)
    assert store.latest_window_start() == T + 86_400 * 365
    store.write_windows([{"window_start": T + 60 * 199, "collector": "rrc00"}], None)
    assert store.latest_window_start() == T + 60 * 199


def test_marked_windows_are_those_of_whole_collectors(store: Store) -> None:
    rows = [{"window_start": T, "collector": "rrc00", "feed_gap": 1}, {"window_start": T + 60, "collector": "rrc00"}]
    rows += [{"window_start": T, "collector": "rrc00", "peer": "192.0.2.1", "feed_gap": 1}]
    store.write_windows(rows, None)
    assert store.marked_windows([T], ("feed_gap", "warming")) == [("rrc00", T, 1, 0)]
    assert store.marked_windows([T + 3600], ("feed_gap",)) == []
