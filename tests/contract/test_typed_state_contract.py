"""Every type in a JSON column is read as it was written, and as version 1 wrote it; the same on every database."""

from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from bgpdrift.errors import StoreError
from bgpdrift.process.identity import ProcessIdentity
from bgpdrift.store import IncidentChanges, StateCursor, Store
from bgpdrift.store.codec import SCHEMA_VERSION, StoredValue, decode, encode
from bgpdrift.store.cursor_states import (
    AggregatorState,
    CooldownState,
    CorrelationState,
    DetectorState,
    DriftState,
    EnsembleState,
    EventsFileState,
    FirstTrainingState,
    IncidentHoldState,
    PerformanceState,
    PersistenceState,
    ProbationState,
    ProbationTally,
    RunState,
    StoreIdentity,
    drift_cursor,
)
from bgpdrift.store.drift_records import CheckContext, CheckDetails, ComparisonRecord, ExcludedHours
from bgpdrift.store.evidence_records import (
    ChangedPrefix,
    FiredRule,
    IncidentExplanation,
    RouteChange,
    SeenBy,
    Suspect,
    TopFeature,
    VerdictEvidence,
    WindowEvidence,
)
from bgpdrift.store.model_records import EventReason, VersionDetails
from bgpdrift.store.request_records import HoldApproval, RequestReason, RetrainApproval
from helpers.store_rows import read_raw_state, write_raw_state

T = 1_767_225_600
OWNER = ProcessIdentity(pid=4711, start_time=99, boot_id="b")

FIRED = FiredRule(
    rule="moas_new",
    value=9.0,
    threshold=3.0,
    baseline=0.5,
    minutes=5,
    unit="prefixes with a second origin",
    sufficient=True,
    meaning="A second network announces prefixes beside their owner.",
)
OLD_FIRED = {
    "rule": "moas_new",
    "value": 9.0,
    "threshold": 3.0,
    "baseline": 0.5,
    "minutes": 5,
    "unit": "prefixes with a second origin",
    "sufficient": True,
    "meaning": "A second network announces prefixes beside their owner.",
}
FEATURE = TopFeature(feature="announced", detector="lstm", baseline=80.0, present=900.0, weight=0.5)
OLD_FEATURE = {"feature": "announced", "detector": "lstm", "baseline": 80.0, "present": 900.0, "weight": 0.5}


def change(kind: Any, *prefixes: ChangedPrefix) -> RouteChange:
    """A change as version 1 of the evidence of a window is read."""
    suspects = tuple(Suspect(prefix.new_origin, 1) for prefix in prefixes if prefix.new_origin)
    return RouteChange(
        change=kind, n_routes=len(prefixes), n_prefixes=len(prefixes), suspects=suspects, prefixes=prefixes
    )


SAMPLES: list[tuple[StoredValue, dict[str, Any]]] = [
    (
        WindowEvidence(
            origins=((64500, 3),),
            withdrawn_origins=((64501, 2),),
            peers=(("192.0.2.1", "64502", 7),),
            announced=(("192.0.2.0/24", 3),),
            withdrawn=(("198.51.100.0/24", 2),),
            sessions=(("192.0.2.1", "64502", "down"),),
            edges=((64502, 64500),),
            changes=(
                change("second_origin", ChangedPrefix("192.0.2.0/24", 64500, 64666)),
                change("sub_prefix", ChangedPrefix("192.0.2.0/25", 64500, 64666, covering="192.0.2.0/24")),
                change("lost", ChangedPrefix("198.51.100.0/24", 64501)),
            ),
        ),
        {
            "origins": [[64500, 3]],
            "withdrawn_origins": [[64501, 2]],
            "peers": [["192.0.2.1", "64502", 7]],
            "announced": [["192.0.2.0/24", 3]],
            "withdrawn": [["198.51.100.0/24", 2]],
            "sessions": [["192.0.2.1", "64502", "down"]],
            "edges": [[64502, 64500]],
            "moas": [["192.0.2.0/24", 64500, 64666]],
            "subprefix": [["192.0.2.0/25", 64666, "192.0.2.0/24", 64500]],
            "visibility": [["198.51.100.0/24", 64501, 8.5, 3]],
            "origin_change": [["192.0.2.0/24", 64500, 64666]],
        },
    ),
    (
        VerdictEvidence(
            rules_fired=(FIRED,),
            top_features=(FEATURE,),
            origins=(64666,),
            prefixes=("192.0.2.0/24",),
            peers=("192.0.2.1",),
        ),
        {
            "rules_fired": [OLD_FIRED],
            "top_features": [OLD_FEATURE],
            "origins": [64666],
            "prefixes": ["192.0.2.0/24"],
            "peers": ["192.0.2.1"],
        },
    ),
    (
        IncidentExplanation(
            window_start=T,
            collector="rrc00",
            rules_fired=(FIRED,),
            top_features=(FEATURE,),
            p_values={"heuristic": 1e-5},
            abstaining={"lstm": "waiting for a model"},
            rule_minutes={"moas_new": 7},
        ),
        {
            "window_start": T,
            "collector": "rrc00",
            "rules_fired": [OLD_FIRED],
            "top_features": [OLD_FEATURE],
            "p_values": {"heuristic": 1e-5},
            "abstaining": {"lstm": "waiting for a model"},
            "rule_minutes": {"moas_new": 7.0},
        },
    ),
    (
        DriftState(
            model_version="7",
            verdict="held",
            severity="high",
            p_value=0.001,
            reason="the level rose by 60 %",
            at=T,
            next_check_at=T + 3600,
            change_point=T - 7200,
            collectors=("rrc00", "rrc01"),
            report_path="a/drift_report_lstm.json",
            check_id=3,
            persistence=PersistenceState(
                version="7", checks=4, last_at=T, armed=False, requested_at=T - 3600, requested_severity="medium"
            ),
            persistence_checks=6,
            incident_hold=IncidentHoldState(
                state="asked", incident_id=5, since=T - 50_000, approval_id=8, asked_at=T - 3600
            ),
        ),
        {
            "version": "7",
            "verdict": "held",
            "severity": "high",
            "p_value": 0.001,
            "reason": "the level rose by 60 %",
            "at": T,
            "next_check_at": T + 3600,
            "needed": 6,
            "change_point": T - 7200,
            "collectors": ["rrc00", "rrc01"],
            "waiting_for": "",
            "holding": {
                "state": "asked",
                "incident_id": 5,
                "since": T - 50_000,
                "question_id": 8,
                "asked_at": T - 3600,
                "answer": None,
            },
            "report_path": "a/drift_report_lstm.json",
            "lasting": 4,
            "lasting_at": T,
            "lasting_version": "7",
            "armed": False,
            "wished_at": T - 3600,
            "wished_severity": "medium",
            "check_id": 3,
        },
    ),
    (StoreIdentity(id="5f0c"), {"id": "5f0c"}),
    (
        FirstTrainingState(phase="paused", expected_at=T + 3600, reason="the gate rejected it"),
        {"phase": "paused", "expected_at": T + 3600, "reason": "the gate rejected it"},
    ),
    (CooldownState(reason="an automatic run", request_id=12), {"because": "an automatic run", "trigger_id": 12}),
    (
        RunState(model="lstm", owner=OWNER, started_at=T + 0.5, request_id=12, attempts=1, progress_path="logs/p.json"),
        {
            "model": "lstm",
            "owner": {"pid": 4711, "start_time": 99, "boot_id": "b"},
            "started_at": T + 0.5,
            "trigger_id": 12,
            "attempts": 1,
            "progress": "logs/p.json",
        },
    ),
    (
        ProbationState(
            version="8",
            parent_version="7",
            started_at=T,
            ends_at=T + 86_400,
            past_gate=True,
            checks=2,
            tally=ProbationTally(
                minutes=120,
                alarms=1,
                shadow_alarms=2,
                injected=14,
                detected=9,
                shadow_detected=10,
                labels=5,
                correct=4,
                shadow_correct=3,
            ),
            verdict="accepted",
            reason="as good as the version before it",
            alarms_per_day=1.0,
            shadow_alarms_per_day=2.0,
            detection=9 / 14,
            shadow_detection=10 / 14,
            accuracy=0.8,
            shadow_accuracy=0.6,
        ),
        {
            "version": "8",
            "parent": "7",
            "started_at": T,
            "ends_at": T + 86_400,
            "past_gate": True,
            "checks": 2,
            "tally": {
                "minutes": 120,
                "alarms": 1,
                "shadow_alarms": 2,
                "injected": 14,
                "found": 9,
                "shadow_found": 10,
                "labels": 5,
                "right": 4,
                "shadow_right": 3,
            },
            "verdict": "settled",
            "reason": "as good as the version before it",
            "alarms_per_day": 1.0,
            "shadow_alarms_per_day": 2.0,
            "detection": 9 / 14,
            "shadow_detection": 10 / 14,
            "accuracy": 0.8,
            "shadow_accuracy": 0.6,
        },
    ),
    (
        AggregatorState(closed_before_s=T, messages=9, duplicates=2, event_time=T + 30.5),
        {
            "closed_before_s": T,
            "messages": 9,
            "duplicates": 2,
            "event_time": T + 30.5,
        },
    ),
    (
        DetectorState(phase="waiting for a model", refusal_reason="a wrong digest"),
        {
            "state": "waiting for a model",
            "refused": "a wrong digest",
        },
    ),
    (DetectorState(model_version="7"), {"state": "scoring", "model_version": "7"}),
    (EnsembleState(abstaining={"lstm": "warming"}), {"abstaining": {"lstm": "warming"}}),
    (CorrelationState(clocks={"rrc00": T}), {"clocks": {"rrc00": T}}),
    (EventsFileState(file="0a1b", offset=90), {"file": "0a1b", "offset": 90}),
    (PerformanceState(fingerprints={T: "9f3c"}), {str(T): "9f3c"}),
    (
        RequestReason(
            summary="the level rose by 60 %",
            severity="high",
            verdict="drift",
            model_version="7",
            check_id=3,
            change_point=T - 7200,
            report_path="a/drift_report_lstm.json",
            collectors=("rrc00",),
            consented=True,
            repeats_request_id=11,
            safeguard="approval",
            answered_at=T + 60,
            postponed_until=T + 3600,
            not_before=T + 3600,
            not_before_reason="too few windows",
            flagged_at=T,
            claimed_at=T + 5,
            ended_at=T + 100,
            attempts=2,
            after_event_id=40,
            exit_code=4,
            new_version="8",
        ),
        {
            "severity": "high",
            "verdict": "drift",
            "change_point": T - 7200,
            "reason": "the level rose by 60 %",
            "report_path": "a/drift_report_lstm.json",
            "version": "7",
            "collectors": ["rrc00"],
            "consented": True,
            "check_id": 3,
            "again_after": 11,
            "safeguard": "approval",
            "answered_at": T + 60,
            "until": T + 3600,
            "not_before": T + 3600,
            "not_before_because": "too few windows",
            "flagged_at": T,
            "claimed_at": T + 5,
            "ended_at": T + 100,
            "attempts": 2,
            "after_event": 40,
            "exit_code": 4,
            "version_made": "8",
        },
    ),
    (
        RetrainApproval(
            request_id=12,
            summary="retrain lstm? drift is critical",
            severity="critical",
            reason="the level rose by 60 %",
            report_path="a/drift_report_lstm.json",
            model_version="7",
        ),
        {
            "trigger_id": 12,
            "question": "retrain lstm? drift is critical",
            "severity": "critical",
            "reason": "the level rose by 60 %",
            "report_path": "a/drift_report_lstm.json",
            "version": "7",
        },
    ),
    (
        HoldApproval(
            summary="incident 5, open and steady since 2026-01-01 00:00 UTC: attack or new normal?",
            since=T,
            model="lstm",
            model_version="7",
            p_value=0.001,
            psi=0.4,
            median_shift=0.6,
            reason="the level rose by 60 %",
        ),
        {
            "question": "incident 5, open and steady since 2026-01-01 00:00 UTC: attack or new normal?",
            "since": T,
            "model": "lstm",
            "version": "7",
            "p_value": 0.001,
            "psi": 0.4,
            "median_shift": 0.6,
            "change_point": None,
            "reason": "the level rose by 60 %",
        },
    ),
    (
        CheckDetails(
            reason="the level rose by 60 %",
            smallest_shift=0.2,
            change_point=T - 7200,
            persistence_checks=4,
            persistence_needed=6,
            comparisons=(
                ComparisonRecord(
                    window="24h/7d",
                    reference="rolling",
                    current_start=T - 86_400,
                    current_end=T,
                    reference_start=T - 8 * 86_400,
                    reference_end=T - 86_400,
                    n_current=1440,
                    n_reference=9000,
                    verdict="drift",
                    p_value=0.001,
                    alarming="location",
                    smallest_shift=0.2,
                    change_point=T - 7200,
                    effective_n=33.5,
                    left_out=(ExcludedHours(T - 9000, 2, "reference", "incident 4"),),
                    reason="the level rose by 60 %",
                ),
            ),
            context=CheckContext(
                underlying_verdict="drift",
                persistence_checks=4,
                persistence_needed=6,
                incident_hold=IncidentHoldState(state="held", incident_id=5, since=T - 50_000),
                waiting=("72h/pinned waits",),
                collectors=("rrc00",),
                unreadable_hours=1,
                has_artifact_reference=True,
                preset="standard",
                policy="rule",
                alpha=0.001,
            ),
        ),
        {
            "reason": "the level rose by 60 %",
            "policy": "rule",
            "smallest_shift": 0.2,
            "change_point": T - 7200,
            "lasting": 4,
            "needed": 6,
            "comparisons": [
                {
                    "window": "24h/7d",
                    "reference": "rolling",
                    "verdict": "drift",
                    "p_value": 0.001,
                    "alarming": "location",
                    "smallest_shift": 0.2,
                    "change_point": T - 7200,
                    "effective_n": 33.5,
                    "current_start": T - 86_400,
                    "current_end": T,
                    "reference_start": T - 8 * 86_400,
                    "reference_end": T - 86_400,
                    "n_current": 1440,
                    "n_reference": 9000,
                    "reason": "the level rose by 60 %",
                    "left_out": [[T - 9000, 2, "reference", "incident 4"]],
                }
            ],
            "context": {
                "underlying": "drift",
                "lasting": 4,
                "needed": 6,
                "armed": True,
                "holding": {
                    "state": "held",
                    "incident_id": 5,
                    "since": T - 50_000,
                    "question_id": None,
                    "asked_at": None,
                    "answer": None,
                },
                "waits": ["72h/pinned waits"],
                "collectors": ["rrc00"],
                "unreadable_hours": 1,
                "reference_hours_of_the_artifact": True,
                "preset": "standard",
                "policy": "rule",
                "alpha": 0.001,
            },
        },
    ),
    (
        EventReason(
            summary="the level rose by 60 %",
            requested_by="drift_monitor",
            requested_at=T + 0.5,
            request_id=12,
            force=True,
            attempts=1,
            check_id=3,
            severity="high",
            change_point=T - 7200,
            report_path="a/drift_report_lstm.json",
            model_version="7",
            consented=True,
            not_before=T + 3600,
        ),
        {
            "reason": "the level rose by 60 %",
            "requested_by": "drift_monitor",
            "force": True,
            "requested_at": T + 0.5,
            "cause": {
                "request_id": 12,
                "check_id": 3,
                "severity": "high",
                "change_point": T - 7200,
                "report_path": "a/drift_report_lstm.json",
                "version": "7",
                "consented": True,
            },
            "attempts": 1,
            "request_id": 12,
            "not_before": T + 3600,
        },
    ),
    (EventReason(request_id=12, check_id=3), {"reason": "", "details": {"request_id": 12, "check_id": 3}}),
    (EventReason(summary="too many alarms", replaced_version="8"), {"reason": "too many alarms", "from": "8"}),
    (EventReason(max_drift=0.25, skipped={"6": "damaged"}), {"max_drift": 0.25, "skipped": {"6": "damaged"}}),
    (
        VersionDetails(training={"rows": 9, "seed": 0}, metrics={"f1": 0.9}),
        {"training": {"rows": 9, "seed": 0}, "metrics": {"f1": 0.9}},
    ),
]
"""A value of each type, and the JSON that version 1 wrote for it."""

PAIRS = pytest.mark.parametrize(
    ("value", "version_1"),
    [pytest.param(value, old, id=type(value).__name__) for value, old in SAMPLES],
)


def test_every_type_has_a_sample() -> None:
    assert {type(value) for value, _ in SAMPLES} == set(StoredValue.__subclasses__())


@PAIRS
def test_a_value_is_read_as_it_was_written(store: Store, value: StoredValue, version_1: object) -> None:
    store.put_cursor(StateCursor("any", 17, value))

    assert store.read_state("any", type(value)) == StateCursor("any", 17, value)
    assert read_raw_state(store, "any")["schema_version"] == SCHEMA_VERSION


@PAIRS
def test_the_previous_version_is_read(store: Store, value: StoredValue, version_1: Mapping[str, Any]) -> None:
    write_raw_state(store, "any", 17, version_1)

    assert store.read_state("any", type(value)) == StateCursor("any", 17, value)


def test_a_cursor_without_a_state_has_a_position_only(store: Store) -> None:
    store.put_cursor(StateCursor("retrainer", 17, RunState(model="lstm")))
    store.clear_cursor("retrainer", 18)

    assert store.read_state("retrainer", RunState) is None
    assert store.read_position("retrainer") == 18
    assert store.read_position("another") == 0


@pytest.mark.parametrize("kind", [AggregatorState, CorrelationState, EventsFileState])
def test_a_damaged_value_names_table_key_expected_and_actual_type(store: Store, kind: type[StoredValue]) -> None:
    field = kind.__struct_fields__[1]
    write_raw_state(store, "one", 1, {"schema_version": 2, field: None})

    with pytest.raises(StoreError, match=rf"cursors\.details of one: expected {kind.__name__}: .*null.*\$\.{field}"):
        store.read_state("one", kind)


def test_a_value_of_a_later_version_is_refused(store: Store) -> None:
    write_raw_state(store, "one", 1, {"schema_version": SCHEMA_VERSION + 1})

    with pytest.raises(StoreError, match="expected schema_version 1 to 2, found 3"):
        store.read_state("one", DriftState)


def test_damaged_parts_of_a_drift_state_start_anew_with_a_warning(store: Store) -> None:
    fields = encode(DriftState(verdict="drift", persistence=PersistenceState(checks=3)))
    write_raw_state(store, drift_cursor("lstm"), 1, {**fields, "incident_hold": {"state": "unknown"}, "p_value": "low"})

    with capture_logs() as logs:
        cursor = store.read_drift_state("lstm")

    assert cursor is not None
    assert cursor.state == DriftState(verdict="drift", persistence=PersistenceState(checks=3))
    places = [line["place"] for line in logs if line["event"] == "store.value_reset"]
    assert places == [f"cursors.details of drift:lstm, key {name}" for name in ("p_value", "incident_hold")]


def test_a_value_that_is_no_object_is_refused_or_starts_anew() -> None:
    with pytest.raises(StoreError, match="place: expected AggregatorState as a JSON object, found list"):
        decode(AggregatorState, [], "place")
    assert decode(DriftState, [], "place") == DriftState()


def test_the_changes_of_an_incident_are_read_as_they_were_written(store: Store) -> None:
    """Who, what from what to what, and seen by whom, with its paths, in verdicts and incidents of every database."""
    seen = RouteChange(
        change="moved",
        collector="rrc00",
        first_at=T,
        n_routes=900,
        n_prefixes=90,
        n_peers=12,
        suspects=(Suspect(64666, 880, 20, 2.5),),
        prefixes=(ChangedPrefix("192.0.2.0/24", 64500, 64500, (1, (2, 3), 64500), (1, 64666, 64500), 9),),
        peers=(SeenBy("192.0.2.1", "64502"),),
    )
    evidence = VerdictEvidence(rules_fired=(FIRED,), changes=(seen,))
    explanation = IncidentExplanation(window_start=T, rules_fired=(FIRED,), changes=(seen,))
    figures = {"combined": 5.0, "p_values": {}, "votes": {}, "abstaining": {}, "majority": True, "maximum": 5.0}
    flags = {"exceeds": True, "is_anomaly": True}
    verdict = {"window_start": T, "collector": "rrc00", "evidence": evidence, **figures, **flags}
    incident = {"id": 1, "state": "open", "severity": "low", "started_at": T, "last_seen_at": T, "peak": 2.0}

    store.write_verdicts([verdict], None)
    store.apply_incidents(IncidentChanges(inserts=[incident | {"explanation": explanation}]), None)
    store.apply_incidents(IncidentChanges(updates=[{"id": 1, "explanation": explanation}]), None)

    assert store.verdicts_after(0, 1)[0]["evidence"] == evidence
    assert store.open_incidents()[0]["explanation"] == explanation


def test_a_damaged_explanation_does_not_stop_the_engine(store: Store) -> None:
    incident = {"id": 1, "state": "open", "severity": "low", "started_at": T, "last_seen_at": T, "peak": 2.0}
    damaged = {"schema_version": SCHEMA_VERSION, "rule_minutes": {"silence": 3}, "changes": "none"}

    store.apply_incidents(IncidentChanges(inserts=[incident | {"explanation": damaged}]), None)

    (row,) = store.open_incidents()
    assert row["explanation"] == IncidentExplanation(rule_minutes={"silence": 3})
