"""A database of any earlier schema is upgraded with its rows; the same on every database."""

from typing import Any

import pytest
from sqlalchemy import URL, inspect, text

from bgpdrift.store import StateCursor, migrate, open_store
from bgpdrift.store.cursor_states import CooldownState, DriftState, PersistenceState, cooldown_cursor
from bgpdrift.store.engine import WRITE, make_engine, parse_url, sqlite_path
from bgpdrift.store.evidence_records import FiredRule, VerdictEvidence
from bgpdrift.store.migrate import upgrade
from bgpdrift.store.model_records import RetrainEvent
from bgpdrift.store.request_records import Alert, ApprovalRequest, RequestReason, RetrainApproval, RetrainRequest

T = 1_700_000_040

ROWS = (
    "INSERT INTO model_retrain_events (model, started_at, reason_json, promoted, artifact_path, notes) "
    "VALUES ('lstm', 5, '{}', false, '', 'old')",
    "INSERT INTO model_versions (model, version, state, digest, artifact_path, created_at, details) "
    "VALUES ('lstm', '7', 'settled', 'ab', '', 5, '{}')",
    "INSERT INTO retrain_triggers (model, requested_at, requested_by, reason, state, refused_because) "
    """VALUES ('lstm', 5, 'drift_monitor', '{"version": "7", "until": 9}', 'wanted', '')""",
    "INSERT INTO retrain_triggers (model, requested_at, requested_by, reason, state, refused_because) "
    "VALUES ('lstm', 6, 'drift_monitor', '{}', 'refused', 'the drift is gone')",
    "INSERT INTO approvals (kind, subject, asked_at, state, details) "
    """VALUES ('retrain', 'lstm', 5, 'pending', '{"trigger_id": 1, "question": "retrain lstm?"}')""",
    "INSERT INTO notifications (at, key, severity, title, body, state, attempts) "
    "VALUES (1.5, 'k', 'high', 't', '', 'pending', 0)",
    "INSERT INTO cursors (name, position, details, updated_at) "
    """VALUES ('drift:lstm', 7200, '{"version": "7", "lasting": 2, "wished_at": 3600}', 1.0)""",
    "INSERT INTO cursors (name, position, details, updated_at) "
    """VALUES ('loop:lstm', 7200, '{"because": "an automatic run", "trigger_id": 1}', 1.0)""",
    "INSERT INTO scores (window_start, collector, peer, model, model_version, score, p_value, is_alarm, abstained, "
    "rules_fired, top_features, scored_at) VALUES (60, 'rrc00', '', 'heuristic', '1', 1.0, 0.5, true, '', "
    """'[{"rule":"update_storm","usual":7}]', '[{"feature":"usual","usual":"7"}]', 1.0)""",
    "INSERT INTO verdicts (window_start, collector, peer, combined, p_values, votes, abstaining, majority, maximum, "
    "exceeds, is_anomaly, explained_by, evidence, decided_at) VALUES (60, 'rrc00', '', 1.0, '{}', '{}', '{}', true, "
    """1.0, true, true, '', '{"rules_fired":[{"rule":"update_storm","usual":7}]}', 1.0)""",
)
"""Rows as the program of the first and the second schema wrote them."""


def create_file(url: str) -> URL:
    """Create the empty file of a SQLite database, as `migrate` does."""
    parsed = parse_url(url)
    path = sqlite_path(parsed)
    if path is not None:
        path.touch()
    return parsed


def execute_at(url: str, revision: str, statements: tuple[str, ...]) -> None:
    """Create a database of a revision and execute statements in it."""
    engine = make_engine(create_file(url), 5.0)
    try:
        with engine.execution_options(**{WRITE: True}).connect() as connection, connection.begin():
            upgrade(connection, revision)
            for statement in statements:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()


@pytest.mark.parametrize("revision", ["0001", "0002"])
def test_a_database_of_an_earlier_schema_is_upgraded_with_its_rows(url: str, revision: str) -> None:
    execute_at(url, revision, ROWS)

    assert migrate(url) == "upgraded"

    with open_store(url) as store:
        (event,) = store.retrain_events("lstm")
        assert (event.notes, event.kind, event.version) == ("old", "retrain", "")
        assert [row.state for row in store.model_versions()] == ["accepted"]
        common: dict[str, Any] = {"model": "lstm", "requested_by": "drift_monitor"}
        assert store.retrain_requests() == [
            RetrainRequest(id=2, requested_at=6, state="refused", refusal_reason="the drift is gone", **common),
            RetrainRequest(id=1, requested_at=5, reason=RequestReason(model_version="7", postponed_until=9), **common),
        ]
        assert store.approval_requests() == [
            ApprovalRequest(
                id=1,
                kind="retrain",
                subject="lstm",
                requested_at=5,
                details=RetrainApproval(request_id=1, summary="retrain lstm?"),
            )
        ]
        assert store.alerts() == [Alert(id=1, at=1.5, key="k", severity="high", title="t")]
        cooldown = store.read_state(cooldown_cursor("lstm"), CooldownState)
        assert cooldown == StateCursor("cooldown:lstm", 7200, CooldownState(reason="an automatic run", request_id=1))
        (score,) = store.scores_between(0, 120)
        assert score["rules_fired"] == [{"rule": "update_storm", "baseline": 7}]
        assert score["top_features"] == [{"feature": "usual", "baseline": "7"}]
        (verdict,) = store.verdicts_between(0, 120)
        assert verdict["evidence"] == VerdictEvidence(rules_fired=(FiredRule(rule="update_storm", baseline=7.0),))
        drift = store.read_drift_state("lstm")
        assert drift is not None
        assert drift.state == DriftState(model_version="7", persistence=PersistenceState(checks=2, requested_at=3600))


def test_ids_continue_after_an_upgrade(url: str) -> None:
    execute_at(url, "0002", ROWS)
    migrate(url)

    with open_store(url) as store:
        assert store.add_retrain_request(RetrainRequest(model="lstm", requested_at=T, requested_by="ann")) == 3
        store.raise_alerts([Alert(at=2.0, key="l", severity="low", title="t")])
        assert store.alerts()[0].id == 2
        assert store.record_retrain_event(RetrainEvent(model="lstm", started_at=T)) == 2


def test_the_last_step_can_be_undone(url: str) -> None:
    from alembic import command

    from bgpdrift.store.migrate import alembic_config

    execute_at(url, "0002", ROWS)
    migrate(url)
    engine = make_engine(create_file(url), 5.0)
    try:
        with engine.execution_options(**{WRITE: True}).connect() as connection, connection.begin():
            config = alembic_config()
            config.attributes["connection"] = connection
            command.downgrade(config, "0002")
            assert {"retrain_triggers", "notifications"} <= set(inspect(connection).get_table_names())
            states = connection.execute(text("SELECT state FROM retrain_triggers ORDER BY id")).scalars().all()
            assert states == ["wanted", "refused"]
            names = connection.execute(text("SELECT name FROM cursors ORDER BY name")).scalars().all()
            assert names == ["drift:lstm", "loop:lstm", "store"]
    finally:
        engine.dispose()
