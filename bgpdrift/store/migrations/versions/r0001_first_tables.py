"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("answered_by", sa.String(length=64), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_approvals_state", "approvals", ["state"], unique=False)
    op.create_table(
        "cursors",
        sa.Column("name", sa.String(length=96), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "drift_metrics",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("timestamp", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("model_version", sa.String(length=64), nullable=False),
        sa.Column("window", sa.String(length=16), nullable=False),
        sa.Column("kl_divergence", sa.Float(), nullable=True),
        sa.Column("psi", sa.Float(), nullable=True),
        sa.Column("ks", sa.Float(), nullable=True),
        sa.Column("js", sa.Float(), nullable=True),
        sa.Column("wasserstein", sa.Float(), nullable=True),
        sa.Column("p_value", sa.Float(), nullable=True),
        sa.Column("baseline_accuracy", sa.Float(), nullable=True),
        sa.Column("current_accuracy", sa.Float(), nullable=True),
        sa.Column("drift_detected", sa.Boolean(), nullable=False),
        sa.Column("verdict", sa.String(length=24), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("report_path", sa.Text(), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_metrics")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_drift_metrics_key", "drift_metrics", ["model", "window", "timestamp"], unique=True)
    op.create_table(
        "feature_windows",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("window_start", sa.BigInteger(), nullable=False),
        sa.Column("collector", sa.String(length=64), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("announced", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn", sa.BigInteger(), nullable=False),
        sa.Column("announced_prefixes", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_prefixes", sa.BigInteger(), nullable=False),
        sa.Column("origins", sa.BigInteger(), nullable=False),
        sa.Column("peers", sa.BigInteger(), nullable=False),
        sa.Column("new", sa.BigInteger(), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), nullable=False),
        sa.Column("implicit_withdrawal", sa.BigInteger(), nullable=False),
        sa.Column("readvertised_same", sa.BigInteger(), nullable=False),
        sa.Column("readvertised_different", sa.BigInteger(), nullable=False),
        sa.Column("duplicate_withdrawal", sa.BigInteger(), nullable=False),
        sa.Column("unknown_withdrawal", sa.BigInteger(), nullable=False),
        sa.Column("origin_change", sa.BigInteger(), nullable=False),
        sa.Column("longer", sa.BigInteger(), nullable=False),
        sa.Column("shorter", sa.BigInteger(), nullable=False),
        sa.Column("edit_distance_sum", sa.BigInteger(), nullable=False),
        sa.Column("edit_distance_max", sa.BigInteger(), nullable=False),
        sa.Column("path_length_sum", sa.BigInteger(), nullable=False),
        sa.Column("path_length_max", sa.BigInteger(), nullable=False),
        sa.Column("unique_path_length_sum", sa.BigInteger(), nullable=False),
        sa.Column("as_set", sa.BigInteger(), nullable=False),
        sa.Column("prepended", sa.BigInteger(), nullable=False),
        sa.Column("origin_igp", sa.BigInteger(), nullable=False),
        sa.Column("origin_egp", sa.BigInteger(), nullable=False),
        sa.Column("origin_incomplete", sa.BigInteger(), nullable=False),
        sa.Column("ipv6", sa.BigInteger(), nullable=False),
        sa.Column("max_per_second", sa.BigInteger(), nullable=False),
        sa.Column("origin_entropy", sa.Float(), nullable=False),
        sa.Column("peer_entropy", sa.Float(), nullable=False),
        sa.Column("top_origin_share", sa.Float(), nullable=False),
        sa.Column("moas_new", sa.BigInteger(), nullable=False),
        sa.Column("subprefix_new", sa.BigInteger(), nullable=False),
        sa.Column("edge_new", sa.BigInteger(), nullable=False),
        sa.Column("bogon", sa.BigInteger(), nullable=False),
        sa.Column("path_loop", sa.BigInteger(), nullable=False),
        sa.Column("too_specific", sa.BigInteger(), nullable=False),
        sa.Column("visibility_loss", sa.BigInteger(), nullable=False),
        sa.Column("session_down", sa.BigInteger(), nullable=False),
        sa.Column("session_up", sa.BigInteger(), nullable=False),
        sa.Column("late", sa.BigInteger(), nullable=False),
        sa.Column("parse_errors", sa.BigInteger(), nullable=False),
        sa.Column("dropped", sa.BigInteger(), nullable=False),
        sa.Column("evicted", sa.BigInteger(), nullable=False),
        sa.Column("incomplete", sa.BigInteger(), nullable=False),
        sa.Column("feed_gap", sa.BigInteger(), nullable=False),
        sa.Column("peer_reset", sa.BigInteger(), nullable=False),
        sa.Column("lag_p50", sa.Float(), nullable=False),
        sa.Column("lag_p95", sa.Float(), nullable=False),
        sa.Column("warming", sa.BigInteger(), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("written_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feature_windows")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_feature_windows_window_start", "feature_windows", ["window_start"], unique=False)
    op.create_index("uq_feature_windows_key", "feature_windows", ["collector", "peer", "window_start"], unique=True)
    op.create_table(
        "hourly_histograms",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("hour_start", sa.BigInteger(), nullable=False),
        sa.Column("series", sa.String(length=96), nullable=False),
        sa.Column("model_version", sa.String(length=64), nullable=False),
        sa.Column("collector", sa.String(length=64), nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("alarms", sa.BigInteger(), nullable=False),
        sa.Column("value_sum", sa.Float(), nullable=False),
        sa.Column("value_sum_squares", sa.Float(), nullable=False),
        sa.Column("bins", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hourly_histograms")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_hourly_histograms_key",
        "hourly_histograms",
        ["series", "model_version", "collector", "hour_start"],
        unique=True,
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=48), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("peak", sa.Float(), nullable=False),
        sa.Column("collectors", sa.JSON(), nullable=False),
        sa.Column("peers", sa.JSON(), nullable=False),
        sa.Column("origins", sa.JSON(), nullable=False),
        sa.Column("prefixes", sa.JSON(), nullable=False),
        sa.Column("explanation", sa.JSON(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("merged_into", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=64), nullable=True),
        sa.Column("acknowledged_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["merged_into"], ["incidents.id"], name=op.f("fk_incidents_merged_into_incidents"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_incidents_merged_into", "incidents", ["merged_into"], unique=False)
    op.create_index("ix_incidents_started_at", "incidents", ["started_at"], unique=False)
    op.create_index("ix_incidents_state", "incidents", ["state"], unique=False)
    op.create_table(
        "model_retrain_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("reason_json", sa.JSON(), nullable=False),
        sa.Column("train_records", sa.BigInteger(), nullable=True),
        sa.Column("valid_records", sa.BigInteger(), nullable=True),
        sa.Column("acc_old", sa.Float(), nullable=True),
        sa.Column("acc_new", sa.Float(), nullable=True),
        sa.Column("f1_old", sa.Float(), nullable=True),
        sa.Column("f1_new", sa.Float(), nullable=True),
        sa.Column("promoted", sa.Boolean(), nullable=False),
        sa.Column("artifact_path", sa.Text(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_retrain_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_model_retrain_events_model", "model_retrain_events", ["model"], unique=False)
    op.create_table(
        "model_versions",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("parent_version", sa.String(length=64), nullable=True),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("artifact_path", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("activated_at", sa.BigInteger(), nullable=True),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_versions")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_model_versions_key", "model_versions", ["model", "version"], unique=True)
    op.create_table(
        "notifications",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("key", sa.String(length=128), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_notifications_key", "notifications", ["key"], unique=False)
    op.create_table(
        "performance_metrics",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("day_start", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("model_version", sa.String(length=64), nullable=False),
        sa.Column("true_positives", sa.Integer(), nullable=False),
        sa.Column("false_positives", sa.Integer(), nullable=False),
        sa.Column("true_negatives", sa.Integer(), nullable=False),
        sa.Column("false_negatives", sa.Integer(), nullable=False),
        sa.Column("accuracy", sa.Float(), nullable=True),
        sa.Column("precision", sa.Float(), nullable=True),
        sa.Column("recall", sa.Float(), nullable=True),
        sa.Column("f1", sa.Float(), nullable=True),
        sa.Column("labels", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_performance_metrics")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_performance_metrics_key", "performance_metrics", ["model", "model_version", "day_start"], unique=True
    )
    op.create_table(
        "retrain_triggers",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("requested_by", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=24), nullable=False),
        sa.Column("refused_because", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_retrain_triggers")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_retrain_triggers_model", "retrain_triggers", ["model"], unique=False)
    op.create_table(
        "scores",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("window_start", sa.BigInteger(), nullable=False),
        sa.Column("collector", sa.String(length=64), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=64), nullable=False),
        sa.Column("model_version", sa.String(length=64), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        sa.Column("p_value", sa.Float(), nullable=False),
        sa.Column("is_alarm", sa.Boolean(), nullable=False),
        sa.Column("abstained", sa.String(length=64), nullable=False),
        sa.Column("rules_fired", sa.JSON(), nullable=False),
        sa.Column("top_features", sa.JSON(), nullable=False),
        sa.Column("scored_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scores")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_scores_key", "scores", ["window_start", "collector", "peer", "model"], unique=True)
    op.create_table(
        "service_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("service", sa.String(length=64), nullable=False),
        sa.Column("event", sa.String(length=48), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_service_events_service_at", "service_events", ["service", "at"], unique=False)
    op.create_table(
        "verdicts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("window_start", sa.BigInteger(), nullable=False),
        sa.Column("collector", sa.String(length=64), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("combined", sa.Float(), nullable=False),
        sa.Column("p_values", sa.JSON(), nullable=False),
        sa.Column("votes", sa.JSON(), nullable=False),
        sa.Column("abstaining", sa.JSON(), nullable=False),
        sa.Column("majority", sa.Boolean(), nullable=False),
        sa.Column("maximum", sa.Float(), nullable=False),
        sa.Column("exceeds", sa.Boolean(), nullable=False),
        sa.Column("is_anomaly", sa.Boolean(), nullable=False),
        sa.Column("explained_by", sa.String(length=64), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("decided_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_verdicts_key", "verdicts", ["window_start", "collector", "peer"], unique=True)
    op.create_table(
        "drift_signals",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("check_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("signal", sa.String(length=96), nullable=False),
        sa.Column("value", sa.Float(), nullable=True),
        sa.Column("threshold", sa.Float(), nullable=True),
        sa.Column("p_value", sa.Float(), nullable=True),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["check_id"], ["drift_metrics.id"], name=op.f("fk_drift_signals_check_id_drift_metrics"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_signals")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_drift_signals_check_id", "drift_signals", ["check_id"], unique=False)
    op.create_table(
        "incident_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_incident_events_incident_id_incidents"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incident_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("uq_incident_events_key", "incident_events", ["incident_id", "at", "kind"], unique=True)
    op.create_table(
        "outcomes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("incident_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.Column("collector", sa.String(length=64), nullable=False),
        sa.Column("label", sa.String(length=24), nullable=False),
        sa.Column("labelled_by", sa.String(length=64), nullable=False),
        sa.Column("labelled_at", sa.Float(), nullable=False),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["incident_id"], ["incidents.id"], name=op.f("fk_outcomes_incident_id_incidents"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outcomes")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outcomes_incident_id", "outcomes", ["incident_id"], unique=False)
    op.create_index("ix_outcomes_starts_at", "outcomes", ["starts_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_outcomes_starts_at", table_name="outcomes")
    op.drop_index("ix_outcomes_incident_id", table_name="outcomes")
    op.drop_table("outcomes")
    op.drop_index("uq_incident_events_key", table_name="incident_events")
    op.drop_table("incident_events")
    op.drop_index("ix_drift_signals_check_id", table_name="drift_signals")
    op.drop_table("drift_signals")
    op.drop_index("uq_verdicts_key", table_name="verdicts")
    op.drop_table("verdicts")
    op.drop_index("ix_service_events_service_at", table_name="service_events")
    op.drop_table("service_events")
    op.drop_index("uq_scores_key", table_name="scores")
    op.drop_table("scores")
    op.drop_index("ix_retrain_triggers_model", table_name="retrain_triggers")
    op.drop_table("retrain_triggers")
    op.drop_index("uq_performance_metrics_key", table_name="performance_metrics")
    op.drop_table("performance_metrics")
    op.drop_index("ix_notifications_key", table_name="notifications")
    op.drop_table("notifications")
    op.drop_index("uq_model_versions_key", table_name="model_versions")
    op.drop_table("model_versions")
    op.drop_index("ix_model_retrain_events_model", table_name="model_retrain_events")
    op.drop_table("model_retrain_events")
    op.drop_index("ix_incidents_state", table_name="incidents")
    op.drop_index("ix_incidents_started_at", table_name="incidents")
    op.drop_index("ix_incidents_merged_into", table_name="incidents")
    op.drop_table("incidents")
    op.drop_index("uq_hourly_histograms_key", table_name="hourly_histograms")
    op.drop_table("hourly_histograms")
    op.drop_index("uq_feature_windows_key", table_name="feature_windows")
    op.drop_index("ix_feature_windows_window_start", table_name="feature_windows")
    op.drop_table("feature_windows")
    op.drop_index("uq_drift_metrics_key", table_name="drift_metrics")
    op.drop_table("drift_metrics")
    op.drop_table("cursors")
    op.drop_index("ix_approvals_state", table_name="approvals")
    op.drop_table("approvals")
