"""A system as the drift monitor leaves it: rows in a real store, files in real directories."""

import json
import math
import struct
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from bgpdrift.clock import FakeClock
from bgpdrift.process.identity import identify_self, record
from bgpdrift.settings import Settings, load
from bgpdrift.status.program import read_status
from bgpdrift.status.snapshot import Status
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.store.cursor_states import (
    DriftState,
    IncidentHoldState,
    PersistenceState,
    ProbationState,
    drift_cursor,
    probation_cursor,
)
from bgpdrift.store.database import StateCursor
from bgpdrift.store.model_records import EventReason, RetrainEvent
from bgpdrift.store.request_records import (
    ApprovalRequest,
    HoldApproval,
    RequestReason,
    RetrainApproval,
    RetrainRequest,
)
from bgpdrift.store.schema import (
    cursors,
    drift_metrics,
    drift_signals,
    feature_windows,
    hourly_histograms,
    incidents,
    model_versions,
)

HOUR_S = 3600
NOW = 1_795_230_720  # 2026-11-21 03:12 UTC
CHECKED = NOW // HOUR_S * HOUR_S  # 03:00
WEEK_H = 168
NO_DRIFT = "No drift: the difference between the last 24 h and the 7 days before is within chance (p = 0.62)."
APPROVAL = "retrain lstm? the drift is critical: a person is asked first (retrain.approve_critical)"


class System:
    """Writes what a test needs, as the services would."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self.settings, self.store = settings, store
        settings.artifacts_path.mkdir(parents=True, exist_ok=True)
        settings.logs_path.mkdir(parents=True, exist_ok=True)

    def insert(self, table: Any, *rows: dict[str, Any]) -> list[int]:
        """Insert rows; their ids."""
        ids = []
        with self.store.writing() as connection:
            for row in rows:
                done = connection.execute(table.insert().values(row))
                ids.append(int((done.inserted_primary_key or (0,))[0]) if table is not cursors else 0)
        return ids

    def data_until(self, at: int) -> None:
        """Store a newest window that ends at this time."""
        self.insert(feature_windows, {"window_start": at - 60, "collector": "rrc00", "written_at": at})

    def model_file(self, model: str, version: str, created_at: int, parent: str = "") -> None:
        """Write the header of an active model; nothing else is read."""
        metadata = {"version": version, "created_at": created_at, "parent_version": parent}
        header = json.dumps({"__metadata__": {"bgpdrift": json.dumps(metadata), "digest": "0"}}).encode()
        raw = struct.pack("<Q", len(header)) + header
        (self.settings.artifacts_path / f"{model}.safetensors").write_bytes(raw)

    def version(self, model: str, version: str, state: str, at: int) -> None:
        """Store a row of ``model_versions``."""
        row = {"model": model, "version": version, "state": state, "digest": "0" * 64, "created_at": at}
        self.insert(model_versions, {**row, "activated_at": at, "state_at": at})

    def week(self, model: str, version: str, since_h: int | None = None, verdict: str = "none", **fields: Any) -> int:
        """Store a week of hourly checks with drift in the last ``since_h`` hours; return the id of the last check."""
        checks = []
        for back in range(WEEK_H - 1, -1, -1):
            drifts = since_h is not None and back < since_h
            wave = 0.5 + 0.5 * math.sin(back / 3.7)
            psi = 0.05 + 0.6 * (1 - back / since_h) if drifts and since_h else 0.01 + 0.02 * wave
            now = {"none": "none", "drift": "drift"}.get(verdict, verdict) if drifts or verdict == "held" else "none"
            checks.append(
                {
                    "timestamp": CHECKED - back * HOUR_S,
                    "model": model,
                    "model_version": version,
                    "window": "24h/7d",
                    "psi": psi,
                    "ks": 0.02 + psi / 3,
                    "js": psi / 8,
                    "kl_divergence": psi / 2,
                    "wasserstein": psi,
                    "p_value": 2e-6 if drifts else 0.4,
                    "drift_detected": drifts,
                    "verdict": now,
                    "severity": fields.get("severity", "high") if drifts else "none",
                    "report_path": str(self.settings.artifacts_path / f"drift_report_{model}_20261121T030000Z.json")
                    if drifts
                    else "",
                    "details": {"schema_version": 2, "reason": fields.get("reason", ""), "smallest_shift": 0.12},
                }
            )
        last = self.insert(drift_metrics, *checks)[-1]
        newest = checks[-1]
        state = DriftState(
            model_version=version,
            verdict=newest["verdict"],
            severity=newest["severity"],
            p_value=newest["p_value"],
            reason=fields.get("reason", ""),
            at=CHECKED,
            next_check_at=CHECKED + HOUR_S,
            persistence=PersistenceState(version=version, checks=fields.get("persistence", 0)),
            persistence_checks=6,
            waiting_for=fields.get("waiting_for", ""),
            incident_hold=fields.get("incident_hold", IncidentHoldState()),
            report_path=newest["report_path"],
        )
        self.put_state(drift_cursor(model), state)
        self.alarm_hours(model, version, since_h)
        return last

    def alarm_hours(self, model: str, version: str, since_h: int | None = None) -> None:
        """Store the part of a week of histograms that the status reads."""
        rows = [
            {
                "hour_start": CHECKED - (back + 1) * HOUR_S,
                "series": f"score:{model}",
                "model_version": version,
                "collector": "rrc00",
                "n": 60,
                "alarms": 9 if since_h and back < since_h else int(back % 31 == 0),
                "value_sum": 0.0,
                "value_sum_squares": 0.0,
                "bins": b"",
            }
            for back in range(WEEK_H)
        ]
        self.insert(hourly_histograms, *rows)

    def signals(self, check_id: int, *rows: tuple[str, float | None, float | None, float | None, str]) -> None:
        """Store rows of ``drift_signals``: name, value, threshold, p-value, severity."""
        names = ("signal", "value", "threshold", "p_value", "severity")
        self.insert(drift_signals, *({"check_id": check_id, **dict(zip(names, row, strict=True))} for row in rows))

    def put_state(self, name: str, state: Any) -> None:
        """Store the state of a cursor."""
        with self.store.writing() as connection:
            self.store.write_cursor(connection, StateCursor(name, CHECKED, state))

    def approval(self, kind: Any, subject: str, requested_at: int, summary: str = "") -> int:
        """Store an approval request without an answer."""
        details = RetrainApproval(summary=summary) if kind == "retrain" else HoldApproval(summary=summary)
        request = ApprovalRequest(kind=kind, subject=subject, requested_at=requested_at, details=details)
        return self.store.request_approval(request)

    def request(self, model: str, state: Any, at: int, refusal_reason: str = "") -> int:
        """Store a retraining request of the drift monitor."""
        request = RetrainRequest(
            model=model,
            requested_at=at,
            requested_by="drift_monitor",
            state=state,
            reason=RequestReason(severity="critical"),
            refusal_reason=refusal_reason,
        )
        number = self.store.add_retrain_request(request)
        assert number is not None
        return number

    def incident(self, number: int, started_at: int, **columns: Any) -> None:
        """Store an open incident."""
        row = {"id": number, "state": "open", "severity": "high", "started_at": started_at, "last_seen_at": CHECKED}
        self.insert(incidents, {**row, "peak": 9.0, "collectors": ["rrc00"], "summary": "Surge at rrc00.", **columns})

    def event(self, model: str, kind: Any, at: int, **columns: Any) -> None:
        """Store a row of ``model_retrain_events``."""
        reason = EventReason(summary=columns.pop("reason", ""))
        event = RetrainEvent(
            model=model, kind=kind, started_at=at, reason=reason, **{"finished_at": at + 60, **columns}
        )
        self.store.record_retrain_event(event)

    def claim(self, model: str) -> None:
        """Write claim and lock of a running retrainer."""
        flag = {"reason": "drift", "requested_by": "drift_monitor", "requested_at": NOW - 100}
        folder = self.settings.artifacts_path
        mine = msgspec.to_builtins(record(identify_self(), folder))
        (folder / f"retrain_{model}.flag.claimed").write_text(json.dumps({"model": model, "flag": flag, "owner": mine}))
        (folder / "retrain.lock").write_text(json.dumps({"model": model, "owner": mine, "since": NOW - 90.0}))

    def log_lines(self, model: str, *lines: dict[str, Any]) -> None:
        """Write log lines of a retrainer."""
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (self.settings.logs_path / f"retrain_{model}.ndjson").write_text(text)

    def status(self, now: float = NOW, model: str = "") -> Status:
        """Read the status."""
        return read_status(self.settings, now, model)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(env={"BGPDRIFT_DATA_DIR": str(tmp_path / "data")})


@pytest.fixture
def system(settings: Settings) -> Iterator[System]:
    """An empty store and empty directories; no service runs."""
    migrate(settings.store_url)
    with open_store(settings.store_url, clock=FakeClock(NOW - 86_400.0)) as store:
        yield System(settings, store)


def at_night(system: System) -> System:
    """Store a night on which several things happen at once; the pictures in the docs show it."""
    system.data_until(NOW - 60)
    for model, version, state, age_d in (
        ("heuristic", "4", "accepted", 31),
        ("isolation_forest", "7", "active", 0.4),
        ("lstm", "9", "accepted", 12),
    ):
        since = int(NOW - age_d * 86_400)
        system.model_file(model, version, since, str(int(version) - 1))
        system.version(model, version, state, since)
    system.week("heuristic", "4", reason=NO_DRIFT)
    system.week("isolation_forest", "7", reason=NO_DRIFT)
    check = system.week(
        "lstm",
        "9",
        since_h=9,
        verdict="drift",
        severity="critical",
        persistence=9,
        reason="Drift: the scores of the last 24 h are higher than those of the 7 days before: PSI is 0.65, by chance "
        "it would be 0.032 (p = 2e-06). The level is stable since 2026-11-20 18:00 UTC.",
    )
    for window, scale in (("24h/7d", 1.0), ("24h/pinned", 0.9), ("72h/pinned", 0.4), ("168h/pinned", 0.2)):
        for name, value in (("psi", 0.61), ("ks", 0.22), ("location", 0.19), ("tail_95", 0.31), ("js", 0.07)):
            row = (f"{window}:{name}", value * scale, 0.2 if name == "psi" else None, 10 ** (-6 * scale), "none")
            system.signals(check, row)
    system.signals(
        check,
        ("volume", 1.1, 2.0, None, "none"),
        ("model_age", 12.0, 90.0, None, "none"),
        ("feature:withdrawals", 0.5, 0.2, 1e-4, "high"),
        ("feature:announcements", 0.03, 0.2, 0.6, "none"),
    )
    system.request("lstm", "waiting_approval", CHECKED - 3 * HOUR_S)
    system.approval("retrain", "lstm", CHECKED - 3 * HOUR_S, APPROVAL)
    started = int(NOW - 0.4 * 86_400)
    trial = ProbationState(
        version="7",
        parent_version="6",
        started_at=started,
        ends_at=started + 86_400,
        checks=9,
        alarms_per_day=1.3,
        shadow_alarms_per_day=6.1,
    )
    system.put_state(probation_cursor("isolation_forest"), trial)
    system.event(
        "heuristic", "retrain", NOW - 31 * 86_400, version="4", promoted=True, reason="asked by hand", exit_code=0
    )
    system.event(
        "lstm",
        "retrain",
        NOW - 4 * 86_400,
        exit_code=3,
        reason="drift (high)",
        notes="alarms: 41 per day on clean windows, at most 10",
    )
    system.event(
        "isolation_forest",
        "retrain",
        started - 200,
        version="7",
        promoted=True,
        exit_code=0,
        reason="drift (high), since 11-19 20:00",
        notes="all checks passed",
    )
    return system


@pytest.fixture
def night(system: System) -> System:
    return at_night(system)


@pytest.fixture
def constants() -> SimpleNamespace:
    return SimpleNamespace(NOW=NOW, CHECKED=CHECKED, HOUR_S=HOUR_S)
