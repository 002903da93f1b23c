"""A drift check and all that follows from it, written together or not at all; the same on every database."""

from typing import Any

import pytest

from bgpdrift.errors import StoreError
from bgpdrift.store import Cursor, IncidentChanges, Store
from bgpdrift.store.drift import DriftWrite

T = 1_700_000_000 // 3600 * 3600
KEY = ("score:lstm", "1", "rrc00", T)


def check(at: int = T, **columns: Any) -> dict[str, Any]:
    row = {"timestamp": at, "model": "lstm", "model_version": "1", "window": "24h/7d", "drift_detected": True}
    return {**row, "verdict": "drift", "severity": "high", "details": {"change_point": at - 7200}, **columns}


def state(at: int = T, **details: Any) -> Cursor:
    return Cursor("drift:lstm", at, {"verdict": "drift", **details})


def wish(consented: bool = False) -> dict[str, Any]:
    reason = {"severity": "high", "consented": consented}
    row = {"model": "lstm", "requested_at": T, "requested_by": "drift_monitor", "state": "requested"}
    return {**row, "reason": reason}


def signal(name: str, value: float | None) -> dict[str, Any]:
    return {"signal": name, "value": value, "severity": "none"}


def test_a_check_is_one_transaction_with_state_signals_and_wish(store: Store) -> None:
    write = DriftWrite(None, state(), check(), [signal("24h/7d:psi", 0.3), signal("lag", None)], wish=wish())

    assert store.record_drift(write)

    (row,) = store.drift_checks("lstm")
    assert [(s["signal"], s["value"]) for s in store.drift_signals(row["id"])] == [("24h/7d:psi", 0.3), ("lag", None)]
    assert store.read_cursor("drift:lstm") == state(check_id=row["id"])
    assert store.triggers()[0]["reason"]["check_id"] == row["id"]


def test_whoever_saw_an_older_state_writes_nothing(store: Store) -> None:
    assert store.record_drift(DriftWrite(None, state(), check(), wish=wish()))
    assert not store.record_drift(DriftWrite(None, state(T + 3600), check(T + 3600), wish=wish(True)))
    seen = store.read_cursor("drift:lstm")
    assert seen is not None
    assert not store.record_drift(DriftWrite(Cursor(seen.name, seen.position, {}), state(T + 3600), check(T + 3600)))
    assert len(store.drift_checks()) == len(store.triggers()) == 1
    assert store.record_drift(DriftWrite(seen, state(T + 3600), check(T + 3600)))


def test_what_cannot_be_stored_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(StoreError):
        store.record_drift(DriftWrite(None, state(), check(), [signal("psi", float("nan"))], wish=wish()))
    assert store.drift_checks() == []
    assert store.read_cursor("drift:lstm") is None


def test_the_same_check_again_takes_the_place_of_the_first(store: Store) -> None:
    store.record_drift(DriftWrite(None, state(), check(), [signal("a", 1.0), signal("b", 1.0)]))
    seen = store.read_cursor("drift:lstm")
    store.record_drift(DriftWrite(seen, state(note="again"), check(verdict="none"), [signal("a", 2.0)]))
    (row,) = store.drift_checks()
    assert row["verdict"] == "none"
    assert [(s["signal"], s["value"]) for s in store.drift_signals(row["id"])] == [("a", 2.0)]


def test_beside_an_open_wish_there_is_none_but_a_consented_one(store: Store) -> None:
    for consented, wishes in ((False, 1), (False, 1), (True, 2)):
        seen = store.read_cursor("drift:lstm")
        assert store.record_drift(DriftWrite(seen, state(), check(), wish=wish(consented)))
        assert len(store.triggers()) == wishes


def test_a_question_is_asked_once_for_all_models(store: Store) -> None:
    question = {"kind": "attack_or_new_normal", "subject": "7", "asked_at": T, "state": "pending"}
    notice = {"at": 1.0, "key": "attack_or_new_normal:7", "severity": "high", "title": "?", "state": "pending"}
    for model in ("lstm", "heuristic"):
        cursor = Cursor(f"drift:{model}", T, {"holding": {"state": "asked"}})
        store.record_drift(DriftWrite(None, cursor, question=question, notices=[notice]))
    (asked,) = store.approvals()
    for model in ("lstm", "heuristic"):
        found = store.read_cursor(f"drift:{model}")
        assert found is not None
        assert found.details["holding"]["question_id"] == asked["id"]
    assert len(store.notifications()) == 1


def test_a_label_by_a_person_stays(store: Store) -> None:
    incident = {"id": 7, "state": "open", "severity": "low", "started_at": T, "last_seen_at": T, "peak": 1.0}
    store.apply_incidents(IncidentChanges(inserts=[incident]), None)
    label = {"incident_id": 7, "starts_at": T, "ends_at": T + 60, "label": "new_normal", "labelled_by": "bgpdrift"}
    spread = {**label, "incident_id": None}
    for at in (T, T + 3600):
        seen = store.read_cursor("drift:lstm")
        assert store.record_drift(DriftWrite(seen, state(at), labels=[label, spread]))
    assert [row["incident_id"] for row in store.outcomes_between(0, 2**62)] == [7, None]
    assert store.label_of_incident(7) == "new_normal"
    store.record_outcome({**label, "label": "true_positive", "labelled_by": "ann"}, T)
    store.record_drift(DriftWrite(store.read_cursor("drift:lstm"), state(T + 7200), labels=[label]))
    assert store.label_of_incident(7) == "true_positive"
    assert store.label_of_incident(8) == ""


def test_flagged_spans_begin_with_the_change(store: Store) -> None:
    for at, verdict in ((T, "none"), (T + 3600, "drift"), (T + 7200, "held")):
        details = {"change_point": None} if verdict == "held" else {"change_point": at - 7200}
        write = DriftWrite(store.read_cursor("drift:lstm"), state(at), check(at, verdict=verdict, details=details))
        store.record_drift(write)
    assert store.flagged_spans("lstm", "1", T, T + 9000) == [(T - 3600, T + 3600), (T + 3600, T + 7200)]
    assert store.flagged_spans("lstm", "2", T, T + 9000) == []


def histogram(series: str, version: str, collector: str, hour: int) -> dict[str, Any]:
    row = {"series": series, "model_version": version, "collector": collector, "hour_start": hour, "n": 1}
    return {**row, "value_sum": 1.0, "value_sum_squares": 1.0, "bins": b"\x01"}


def test_histograms_are_folded_only_from_where_the_reader_began(store: Store) -> None:
    seen: list[list[Any]] = []

    def merge(rows: Any) -> list[dict[str, Any]]:
        seen.append([row["hour_start"] for row in rows])
        return [histogram(*KEY)]

    assert store.fold_histograms(Cursor("m:scores", 5), 0, [KEY], merge)
    assert not store.fold_histograms(Cursor("m:scores", 5), 0, [KEY], merge)
    assert store.fold_histograms(Cursor("m:scores", 9), 5, [KEY, ("score:lstm", "2", "rrc00", T)], merge)
    assert seen == [[], [T]]
    assert store.read_cursor("m:scores") == Cursor("m:scores", 9)


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


def test_event_time_is_that_of_the_windows_written_last(store: Store) -> None:
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
