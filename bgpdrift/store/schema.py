"""All tables, in SQLAlchemy Core. The Alembic migrations (`migrations/`) lead to exactly this schema.

Times are integer epoch seconds, UTC; times that need a fraction are floats. They sort, index and compare alike on
SQLite and PostgreSQL, and event time has whole seconds. JSON columns hold typed values with a schema version (see
`bgpdrift.store.codec`) or small lists; no query joins on them.

An id is never reused (``sqlite_autoincrement``). Readers remember the last id that they read; without this, SQLite would
start again at 1 after retention emptied a table, and readers would miss the new rows.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

from bgpdrift.store.window_columns import FEATURES, QUALITY

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite assigns row ids only to an INTEGER column; PostgreSQL needs 64 bits.
Id = BigInteger().with_variant(Integer, "sqlite")

feature_windows = Table(
    "feature_windows",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),  # grows with every insert; readers use it as their cursor
    Column("window_start", BigInteger, nullable=False),
    Column("collector", String(64), nullable=False),
    Column("peer", String(64), nullable=False, default=""),  # "" is the whole collector
    *(Column(c.name, BigInteger if c.kind is int else Float, nullable=False, default=0) for c in (*FEATURES, *QUALITY)),
    # {"origins": [[asn, A]…], "peers": [[address, asn, A+W]…], "moas": [[prefix, old, new]…],
    #  "subprefix": [[prefix, origin, covering, its origin]…], "origin_change": [[prefix, old, new, n peers]…],
    #  "visibility": [[prefix, origin, peers before, after]…], "sessions": [[address, asn, state]…]}; each list is short
    Column("evidence", JSON, nullable=False, default=dict),
    Column("written_at", Float, nullable=False),  # wall clock
    Index("uq_feature_windows_key", "collector", "peer", "window_start", unique=True),
    Index("ix_feature_windows_window_start", "window_start"),
    sqlite_autoincrement=True,
)

scores = Table(
    "scores",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("window_start", BigInteger, nullable=False),
    Column("collector", String(64), nullable=False),
    Column("peer", String(64), nullable=False, default=""),
    Column("model", String(64), nullable=False),
    Column("model_version", String(64), nullable=False),
    Column("score", Float, nullable=False),
    Column("p_value", Float, nullable=False),
    Column("is_alarm", Boolean, nullable=False),
    Column("abstained", String(64), nullable=False, default=""),  # reason for the abstention; "" for a vote
    Column("rules_fired", JSON, nullable=False, default=list),  # [{"rule", "value", "threshold"}…]
    Column("top_features", JSON, nullable=False, default=list),  # [{"feature", "baseline", "present", "weight"}…]
    Column("embedding", JSON(none_as_null=True), nullable=True),  # latent vector of the window; NULL without one
    Column("alarm_p", Float, nullable=True),  # p-value up to which this version alarmed, within its budget
    Column("scored_at", Float, nullable=False),
    Index("uq_scores_key", "window_start", "collector", "peer", "model", unique=True),
    sqlite_autoincrement=True,
)

hourly_histograms = Table(
    "hourly_histograms",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("hour_start", BigInteger, nullable=False),
    Column("series", String(96), nullable=False),  # score:<model>, feature:<name>
    Column("model_version", String(64), nullable=False, default=""),
    Column("collector", String(64), nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("alarms", BigInteger, nullable=False, default=0),
    Column("value_sum", Float, nullable=False),
    Column("value_sum_squares", Float, nullable=False),
    Column("bins", LargeBinary, nullable=False),  # counts by bin, or scores: bgpdrift.drift.histogram, exact_values
    Index("uq_hourly_histograms_key", "series", "model_version", "collector", "hour_start", unique=True),
    sqlite_autoincrement=True,
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("window_start", BigInteger, nullable=False),
    Column("collector", String(64), nullable=False),
    Column("peer", String(64), nullable=False, default=""),
    Column("combined", Float, nullable=False),  # −log10 p of the votes, see bgpdrift.verdicts.ensemble
    Column("p_values", JSON, nullable=False),  # {model: p}
    Column("votes", JSON, nullable=False),  # {model: bool}
    Column("abstaining", JSON, nullable=False),  # {model: reason}
    Column("majority", Boolean, nullable=False),
    Column("maximum", Float, nullable=False),  # largest −log10 p
    Column("exceeds", Boolean, nullable=False),  # this minute alone, before debounce
    Column("is_anomaly", Boolean, nullable=False),  # after debounce, k of n
    Column("explained_by", String(64), nullable=False, default=""),  # cause that explains an alarm, e.g. "peer_reset"
    Column("evidence", JSON, nullable=False, default=dict),  # rules fired, top features, origins, prefixes, peers
    Column("decided_at", Float, nullable=False),
    Index("uq_verdicts_key", "window_start", "collector", "peer", unique=True),
    sqlite_autoincrement=True,
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("state", String(16), nullable=False),  # open, updated, closed, reopened
    Column("kind", String(48), nullable=False, default=""),  # probable kind, from the rules that fired
    Column("severity", String(16), nullable=False),  # low, medium, high, critical
    Column("started_at", BigInteger, nullable=False),  # event time of the first anomalous window
    Column("last_seen_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger, nullable=True),
    Column("peak", Float, nullable=False),  # largest combined score
    Column("collectors", JSON, nullable=False, default=list),
    Column("peers", JSON, nullable=False, default=list),
    Column("origins", JSON, nullable=False, default=list),
    Column("prefixes", JSON, nullable=False, default=list),
    Column("explanation", JSON, nullable=False, default=dict),
    Column("summary", Text, nullable=False, default=""),
    Column("merged_into", Id, ForeignKey("incidents.id", ondelete="SET NULL"), nullable=True),
    Column("acknowledged_by", String(64), nullable=True),
    Column("acknowledged_at", BigInteger, nullable=True),
    Index("ix_incidents_state", "state"),
    Index("ix_incidents_started_at", "started_at"),
    Index("ix_incidents_merged_into", "merged_into"),
    sqlite_autoincrement=True,
)

incident_events = Table(
    "incident_events",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("incident_id", Id, ForeignKey("incidents.id", ondelete="CASCADE"), nullable=False),
    Column("at", BigInteger, nullable=False),  # event time
    Column("kind", String(16), nullable=False),  # opened, updated, closed, reopened, merged, labelled, acknowledged
    Column("details", JSON, nullable=False, default=dict),
    Index("uq_incident_events_key", "incident_id", "at", "kind", unique=True),
    sqlite_autoincrement=True,
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("incident_id", Id, ForeignKey("incidents.id", ondelete="SET NULL"), nullable=True),
    Column("starts_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("collector", String(64), nullable=False, default=""),
    Column("label", String(24), nullable=False),  # true_positive, false_positive, missed, new_normal
    Column("labelled_by", String(64), nullable=False, default=""),
    Column("labelled_at", Float, nullable=False),
    Column("notes", Text, nullable=False, default=""),
    Index("ix_outcomes_starts_at", "starts_at"),
    Index("ix_outcomes_incident_id", "incident_id"),
    sqlite_autoincrement=True,
)

performance_metrics = Table(
    "performance_metrics",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("day_start", BigInteger, nullable=False),
    Column("model", String(64), nullable=False),
    Column("model_version", String(64), nullable=False, default=""),
    Column("true_positives", Integer, nullable=False),
    Column("false_positives", Integer, nullable=False),
    Column("true_negatives", Integer, nullable=False),
    Column("false_negatives", Integer, nullable=False),
    Column("accuracy", Float, nullable=True),  # NULL: too few labels
    Column("precision", Float, nullable=True),
    Column("recall", Float, nullable=True),
    Column("f1", Float, nullable=True),
    Column("labels", Integer, nullable=False),
    Index("uq_performance_metrics_key", "model", "model_version", "day_start", unique=True),
    sqlite_autoincrement=True,
)

drift_metrics = Table(
    "drift_metrics",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("timestamp", BigInteger, nullable=False),  # event time of the check
    Column("model", String(64), nullable=False),
    Column("model_version", String(64), nullable=False, default=""),
    Column("window", String(16), nullable=False),  # e.g. 24h/7d
    Column("kl_divergence", Float, nullable=True),
    Column("psi", Float, nullable=True),
    Column("ks", Float, nullable=True),
    Column("js", Float, nullable=True),
    Column("wasserstein", Float, nullable=True),
    Column("p_value", Float, nullable=True),
    Column("baseline_accuracy", Float, nullable=True),
    Column("current_accuracy", Float, nullable=True),
    Column("drift_detected", Boolean, nullable=False),
    Column("verdict", String(24), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("report_path", Text, nullable=False, default=""),
    Column("details", JSON, nullable=False, default=dict),
    Index("uq_drift_metrics_key", "model", "window", "timestamp", unique=True),
    sqlite_autoincrement=True,
)

drift_signals = Table(
    "drift_signals",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("check_id", Id, ForeignKey("drift_metrics.id", ondelete="CASCADE"), nullable=False),
    Column("signal", String(96), nullable=False),
    Column("value", Float, nullable=True),
    Column("threshold", Float, nullable=True),
    Column("p_value", Float, nullable=True),
    Column("severity", String(16), nullable=False),
    Index("ix_drift_signals_check_id", "check_id"),
    sqlite_autoincrement=True,
)

retrain_requests = Table(
    "retrain_requests",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("requested_by", String(64), nullable=False),
    Column("reason", JSON, nullable=False, default=dict),
    Column("state", String(24), nullable=False),  # see bgpdrift.store.request_records.RequestState
    Column("refusal_reason", Text, nullable=False, default=""),
    Index("ix_retrain_requests_model", "model"),
    sqlite_autoincrement=True,
)

model_retrain_events = Table(
    "model_retrain_events",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("version", String(64), nullable=False, default=""),  # version that the event made; "" for none
    Column("kind", String(24), nullable=False, default="retrain"),  # see bgpdrift.store.model_records.EventKind
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger, nullable=True),
    Column("reason_json", JSON, nullable=False, default=dict),
    Column("train_records", BigInteger, nullable=True),
    Column("valid_records", BigInteger, nullable=True),
    Column("acc_old", Float, nullable=True),
    Column("acc_new", Float, nullable=True),
    Column("f1_old", Float, nullable=True),
    Column("f1_new", Float, nullable=True),
    Column("promoted", Boolean, nullable=False, default=False),
    Column("artifact_path", Text, nullable=False, default=""),
    Column("exit_code", Integer, nullable=True),
    Column("notes", Text, nullable=False, default=""),
    Index("ix_model_retrain_events_model", "model"),
    sqlite_autoincrement=True,
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("model", String(64), nullable=False),
    Column("version", String(64), nullable=False),
    Column("state", String(24), nullable=False),  # candidate, active, accepted, rejected, rolled_back, retired
    Column("parent_version", String(64), nullable=True),
    Column("digest", String(64), nullable=False),
    Column("artifact_path", Text, nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("activated_at", BigInteger, nullable=True),
    Column("state_at", BigInteger, nullable=True),  # wall clock, when the state was reached
    Column("details", JSON, nullable=False, default=dict),
    Index("uq_model_versions_key", "model", "version", unique=True),
    sqlite_autoincrement=True,
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("kind", String(32), nullable=False),  # retrain, attack_or_new_normal
    Column("subject", String(64), nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),  # pending, approved, rejected, expired
    Column("answered_at", BigInteger, nullable=True),
    Column("answered_by", String(64), nullable=True),
    Column("details", JSON, nullable=False, default=dict),
    Index("ix_approvals_state", "state"),
    sqlite_autoincrement=True,
)

alerts = Table(
    "alerts",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),
    Column("key", String(128), nullable=False),  # for de-duplication
    Column("severity", String(16), nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False, default=""),
    Column("state", String(16), nullable=False),  # pending, sent, failed, suppressed
    Column("attempts", Integer, nullable=False, default=0),
    Index("ix_alerts_key", "key"),
    sqlite_autoincrement=True,
)

service_events = Table(
    "service_events",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("at", Float, nullable=False),  # wall clock
    Column("service", String(64), nullable=False),
    Column("event", String(48), nullable=False),
    Column("details", JSON, nullable=False, default=dict),
    Index("ix_service_events_service_at", "service", "at"),
    sqlite_autoincrement=True,
)

cursors = Table(
    "cursors",
    metadata,
    Column("name", String(96), primary_key=True),  # <service> or <service>:<what>
    Column("position", BigInteger, nullable=False, default=0),
    Column("details", JSON, nullable=False, default=dict),
    Column("updated_at", Float, nullable=False),
)
