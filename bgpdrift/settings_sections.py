"""Every setting of bgpdrift: its type, unit, default, limits and description.

A class is a table of ``bgpdrift.toml``, and a field is a key. `bgpdrift.settings` reads and checks the values;
`bgpdrift.settings_fields` shows them to people. msgspec checks types and limits: the frames need it anyway, and every
process imports this module (docs/decisions/0002-dependencies.md). The settings of single detectors come from
`bgpdrift.detector_registry`.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from bgpdrift.detector_registry import DETECTORS, MODELS, DetectorRecord
from bgpdrift.errors import SettingsError

ExpiringTable = Literal[
    "feature_windows",
    "scores",
    "hourly_histograms",
    "verdicts",
    "incidents",
    "outcomes",
    "performance_metrics",
    "drift_metrics",
    "retrain_requests",
    "model_retrain_events",
    "approvals",
    "alerts",
    "service_events",
]
"""Tables of the store whose rows expire; `bgpdrift.store.retention` has the default number of days."""

EXPIRING_TABLES: tuple[str, ...] = get_args(ExpiringTable)

WindowPresetName = Literal["24h/7d", "7d/7d", "7d/30d"]
"""Names of the presets in `bgpdrift.drift.windows.PRESETS`."""
DriftPolicyName = Literal["rule", "psi", "ks", "kl_psi_accuracy", "score_shift", "pvalue"]
"""Names of the policies in `bgpdrift.drift.policies.POLICIES`."""


def _f(description: str, unit: str = "", **limits: Any) -> Meta:
    return Meta(description=description, extra={"unit": unit} if unit else None, **limits)


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of ``bgpdrift.toml``."""


class FeedSettings(Section, frozen=True, kw_only=True):
    """The source of BGP messages."""

    url: Annotated[
        str,
        _f("WebSocket of RIS Live; `bgpdrift replay` and `bgpdrift simulate` serve one too", pattern="^wss?://.+"),
    ] = "wss://ris-live.ripe.net/v1/ws/"
    client: Annotated[
        str,
        _f("client name sent to the server; RIPE NCC asks for a contact address", pattern="^[A-Za-z0-9._@+-]{1,64}$"),
    ] = "bgpdrift"
    collectors: Annotated[
        list[Annotated[str, Meta(pattern="^[A-Za-z0-9._-]+$")]],
        _f("route collectors to subscribe to, one subscription for each; empty means all"),
    ] = []
    types: Annotated[
        list[Literal["UPDATE", "OPEN", "NOTIFICATION", "KEEPALIVE", "RIS_PEER_STATE", "STATE"]],
        _f("message types to subscribe to; empty means all, filtered on arrival, since servers name types differently"),
    ] = []
    prefixes: Annotated[
        list[str], _f("only messages about one of these prefixes or a more specific one; empty means all")
    ] = []
    paths: Annotated[
        list[str],
        _f("only messages whose AS path matches, e.g. `3356`, `^174,3356`, `12654$`, `!64496`; empty means all"),
    ] = []
    peers: Annotated[list[str], _f("only messages of these peer addresses; empty means all")] = []
    silence_s: Annotated[
        float, _f("without any frame for this long, the connection counts as broken and is opened again", "s", gt=0)
    ] = 30.0
    max_lag_s: Annotated[
        float,
        _f("if the newest message is older than this, the connection is opened again; 0 disables the check", "s", ge=0),
    ] = 180.0
    replay_lag_s: Annotated[
        float, _f("a lag above this is a replay of history, and the connection is kept", "s", gt=0)
    ] = 86_400.0
    backoff_max_s: Annotated[
        float, _f("longest wait between two connection attempts; each wait is random below its limit", "s", gt=0)
    ] = 60.0
    connect_timeout_s: Annotated[
        float, _f("time limit for the TCP, TLS and WebSocket handshakes together", "s", gt=0)
    ] = 10.0
    subscribe_spacing_s: Annotated[float, _f("pause between subscriptions, as the server requires", "s", ge=0)] = 0.2
    buffer_bytes: Annotated[
        int,
        _f(
            "memory for frames while the disk is slow; further frames are dropped, counted and marked",
            "B",
            ge=1_000_000,
        ),
    ] = 64_000_000

    @property
    def is_filtered(self) -> bool:
        """Whether only some messages are subscribed to, so that a quiet feed can be in order."""
        return bool(self.prefixes or self.paths or self.peers or (self.types and "UPDATE" not in self.types))


class SpoolSettings(Section, frozen=True, kw_only=True):
    """The queue of files between the collector and the aggregator."""

    segment_s: Annotated[
        float, _f("a segment is finished after this time; a crash of the machine loses at most this much", "s", ge=0.05)
    ] = 1.0
    segment_bytes: Annotated[
        int, _f("a segment is also finished at this size, uncompressed", "B", ge=10_000, le=200_000_000)
    ] = 8_000_000
    max_bytes: Annotated[
        int,
        _f(
            "limit of the spool; above it the oldest segment is deleted and counted, and its windows are marked incomplete",
            "B",
            ge=1_000_000,
        ),
    ] = 4_000_000_000
    compression_level: Annotated[
        int, _f("zstd level; 1 is the fastest and compresses RIS frames to about an eighth", ge=1, le=19)
    ] = 1


class WindowSettings(Section, frozen=True, kw_only=True):
    """Event-time windows and the routing state behind them."""

    lateness_s: Annotated[
        float,
        _f(
            "a window closes this long after its end, in event time; later messages count as `late`",
            "s",
            ge=0,
            le=3600,
        ),
    ] = 30.0
    idle_close_s: Annotated[
        float,
        _f(
            "if the feed or a collector is quiet for this long in wall time, its windows that have ended close",
            "s",
            gt=0,
        ),
    ] = 45.0
    max_gap_minutes: Annotated[
        int,
        _f(
            "minutes without a message have a window each, up to so many; a longer absence of a collector is one gap, "
            "marked in the next window",
            "min",
            ge=1,
            le=1440,
        ),
    ] = 180
    per_peer: Annotated[int, _f("windows are also kept for the N busiest peers of each collector", ge=0, le=64)] = 0
    warming_minutes: Annotated[
        int,
        _f(
            "windows of a new collector are marked `warming` for this long, since an empty table makes every route new",
            "min",
            ge=0,
        ),
    ] = 60
    max_state_bytes: Annotated[
        int,
        _f(
            "limit of the routing state of all collectors; above it the oldest routes are removed and counted as `evicted`",
            "B",
            ge=8_000_000,
        ),
    ] = 1_000_000_000
    checkpoint_s: Annotated[
        float,
        _f(
            "interval at which the routing state is saved, longer if that takes more than 5 % of the time; the spool keeps what "
            "came since, so a crash loses no data",
            "s",
            gt=0,
        ),
    ] = 60.0
    warm_up_rib: Annotated[
        str, _f("MRT TABLE_DUMP_V2 file that fills an empty routing state at the start; empty means none")
    ] = ""


class DetectorTable(Section, frozen=True, kw_only=True):
    """The table of one detector, ``[detectors.<name>]``; the detector's record has the defaults."""

    weight: float
    auto_retrain: bool
    anomaly_rate_shift: float


class DetectorSettings(Section, frozen=True, kw_only=True):
    """Settings of all detectors; a subclass adds the table of each registered detector."""

    poll_s: Annotated[float, _f("interval at which a detector reads new windows", "s", gt=0)] = 0.5
    batch_windows: Annotated[int, _f("most windows scored in one batch after an outage", ge=1, le=100_000)] = 2_000
    history_minutes: Annotated[
        int, _f("length of the rolling baseline, with which the rules compare a new collector", "min", ge=30, le=10_080)
    ] = 360
    model_poll_s: Annotated[
        float,
        _f(
            "interval at which a detector checks its model file, in addition to file events, which may be lost",
            "s",
            gt=0,
        ),
    ] = 1.0
    model_settle_s: Annotated[
        float,
        _f(
            "time for which an unfinished model file must not have changed before it is moved to `rejected/`", "s", gt=0
        ),
    ] = 60.0
    false_alarms_per_day: Annotated[
        float, _f("alarm budget of one detector at one collector; it sets the threshold", "1/d", gt=0, le=1440)
    ] = 2.0

    def of(self, model: str) -> DetectorTable:
        """Return the table of a registered detector."""
        table: DetectorTable = getattr(self, model)
        return table

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each registered detector in the ensemble."""
        return {model: self.of(model).weight for model in MODELS}


def _table_type(record: DetectorRecord) -> Any:
    shift = f"relative change of the anomaly rate of {record.title} that policy score_shift reports as drift"
    fields: list[tuple[str, Any, Any]] = [
        (
            "weight",
            Annotated[float, _f(f"weight of {record.title} in the combined surprisal of the ensemble", ge=0, le=1)],
            record.weight,
        ),
        ("auto_retrain", Annotated[bool, _f(f"automatic retraining of {record.title}")], record.auto_retrain),
        ("anomaly_rate_shift", Annotated[float, _f(shift, gt=0)], record.anomaly_rate_shift),
    ]
    name = f"DetectorTable_{record.name}"
    return msgspec.defstruct(name, fields, bases=(DetectorTable,), frozen=True, kw_only=True)


def _tables() -> list[tuple[str, Any, Any]]:
    tables = []
    for record in DETECTORS:
        if record.name in DetectorSettings.__struct_fields__:
            raise SettingsError(f"detector registry: {record.name!r}: detectors.{record.name} is a common setting")
        table = _table_type(record)
        tables.append((record.name, table, table()))
    return tables


if TYPE_CHECKING:
    _DetectorSettings = DetectorSettings
else:
    _DetectorSettings = msgspec.defstruct(
        "DetectorSettings", _tables(), bases=(DetectorSettings,), frozen=True, kw_only=True
    )


class EnsembleSettings(Section, frozen=True, kw_only=True):
    """Combination of the votes of the detectors into one verdict."""

    false_alarms_per_day: Annotated[
        float,
        _f(
            "alarm budget of the combined surprisal at one collector; the rule that two must agree makes alarms rarer",
            "1/d",
            gt=0,
            le=1440,
        ),
    ] = 2.0
    debounce_k: Annotated[int, _f("a verdict is an anomaly if k of the last n minutes exceed", ge=1, le=60)] = 2
    debounce_n: Annotated[int, _f("see debounce_k", "min", ge=1, le=60)] = 3
    stale_s: Annotated[
        float,
        _f("a running detector that has not scored a window after this wall time counts as abstaining", "s", gt=0),
    ] = 20.0


class CorrelationSettings(Section, frozen=True, kw_only=True):
    """The correlation of verdicts into incidents."""

    link_minutes: Annotated[
        int, _f("verdicts at most this far apart that share AS, prefix or collector are one incident", "min", ge=1)
    ] = 10
    quiet_minutes: Annotated[int, _f("an incident closes after this time without an anomaly", "min", ge=1)] = 15
    reopen_minutes: Annotated[
        int, _f("a closed incident is opened again, instead of a new one, within this time", "min", ge=0)
    ] = 60


class DriftSettings(Section, frozen=True, kw_only=True):
    """When a detector no longer fits its scores."""

    enabled: Annotated[bool, _f("master switch of the drift monitor")] = True
    poll_s: Annotated[float, _f("how often new scores are folded into the hourly histograms", "s", gt=0)] = 5.0
    min_labels: Annotated[
        int,
        _f(
            "labels of operators needed to judge a detector by them: accuracy, precision, recall, F1, the gate, probation; "
            "at least 5 of anomalies and 5 of normal time among them",
            ge=1,
        ),
    ] = 20
    check_every_h: Annotated[int, _f("hours of event time between two checks", "h", ge=1, le=168)] = 1
    preset: Annotated[
        WindowPresetName,
        _f(
            "current window and rolling reference: a day and the 7 days before it, a week and the week before it, "
            "or a week and the days 30 to 60 ago"
        ),
    ] = "24h/7d"
    pinned_windows_h: Annotated[
        list[Annotated[int, Meta(ge=1, le=720)]],
        _f("current windows compared with the hours when the model became active; detects slow drift", "h"),
    ] = msgspec.field(default_factory=lambda: [24, 72, 168])
    min_reference_days: Annotated[
        int,
        _f("days of clean scores of the same version that a reference must hold; less is `not_enough_data`", "d", ge=2),
    ] = 3
    min_current_h: Annotated[
        int, _f("clean hours that a current window must hold; less is `not_enough_data`", "h", ge=2, le=168)
    ] = 12
    policy: Annotated[
        DriftPolicyName,
        _f(
            "what decides the verdict: the drift rule, or a textbook policy; docs/drift-report.md lists error rates and the "
            "thresholds that each policy reads"
        ),
    ] = "rule"
    alpha: Annotated[
        float,
        _f("family-wise false-alarm rate of one check of all windows and detectors; policy rule", gt=0, lt=0.5),
    ] = 0.01
    effect_ks: Annotated[
        float, _f("a change matters if KS exceeds its value by chance by this much; policy rule", ge=0, le=1)
    ] = 0.03
    effect_tail: Annotated[
        float,
        _f("or if the share above the reference's 95 % point changed by this share of itself; policy rule", ge=0),
    ] = 0.25
    stability_hours: Annotated[
        int,
        _f(
            "most extreme hours of each day, on either side, without which the change must remain; policy rule",
            "h",
            ge=0,
            le=24,
        ),
    ] = 4
    persistence_checks: Annotated[
        int,
        _f(
            "consecutive checks with the verdict drift before a retraining is requested; use 12 without an operator",
            ge=1,
            le=1000,
        ),
    ] = 6
    max_hold_h: Annotated[
        float,
        _f("age of an incident at a stable level from which a person is asked: attack or new normal?", "h", gt=0),
    ] = 12.0
    unanswered_h: Annotated[
        float, _f("how long that approval request, and any other, waits for an answer", "h", ge=0)
    ] = 12.0
    unanswered: Annotated[
        Literal["drift", "hold"],
        _f("what happens without an answer: `drift` accepts the new level, `hold` keeps the drift held"),
    ] = "drift"
    severity_p: Annotated[
        list[Annotated[float, Meta(gt=0, lt=1)]],
        _f(
            "p-values below which a drift is low, medium, high; policy ks compares with the second, pvalue with the first",
            min_length=3,
            max_length=3,
        ),
    ] = msgspec.field(default_factory=lambda: [0.05, 0.01, 0.001])
    severity_accuracy_drop: Annotated[
        list[Annotated[float, Meta(gt=0, lt=1)]],
        _f("drops of accuracy from which a drift is low, medium, high, critical", min_length=4, max_length=4),
    ] = msgspec.field(default_factory=lambda: [0.02, 0.05, 0.10, 0.15])
    severity_factors: Annotated[
        list[Annotated[float, Meta(gt=0)]],
        _f(
            "multiples of a measure's threshold from which a drift is medium, high, critical",
            min_length=3,
            max_length=3,
        ),
    ] = msgspec.field(default_factory=lambda: [1.0, 1.5, 2.0])
    psi_threshold: Annotated[
        float,
        _f(
            "PSI that counts as 1 × in the severity; decides the verdict of policies psi and kl_psi_accuracy, not of the rule",
            "nats",
            gt=0,
        ),
    ] = 0.2
    kl_threshold: Annotated[
        float, _f("KL divergence that decides the verdict of policy kl_psi_accuracy only", "nats", gt=0)
    ] = 0.1
    accuracy_floor: Annotated[
        float, _f("accuracy below which the verdict of policy kl_psi_accuracy is drift; no other uses it", gt=0, lt=1)
    ] = 0.75
    median_shift: Annotated[
        float, _f("median shift in IQR that decides the verdict of policy score_shift only", gt=0)
    ] = 0.15
    keep_reports: Annotated[int, _f("drift reports of each model kept in the artifact directory", ge=1, le=100_000)] = (
        200
    )


class RetrainSettings(Section, frozen=True, kw_only=True):
    """The training of new models, and the conditions under which one replaces the active model."""

    days: Annotated[int, _f("training span before the newest window, in event time", "d", ge=1, le=365)] = 7
    min_windows: Annotated[
        int,
        _f(
            "fewest clean windows for a training, of all collectors together; a first training requires them of one "
            "collector, and every hour of the day",
            ge=200,
        ),
    ] = 1_440
    max_windows: Annotated[
        int,
        _f(
            "most windows read, which limits memory; single peers are left out first, then the span is shortened",
            ge=1_000,
        ),
    ] = 100_000
    held_out_share: Annotated[
        float,
        _f(
            "newest share of the span, which is not trained on and evaluates the candidate and the active model",
            ge=0.05,
            le=0.5,
        ),
    ] = 0.2
    incident_margin_s: Annotated[
        float, _f("time also left out before and after an incident or a labelled anomaly", "s", ge=0)
    ] = 900.0
    time_limit_s: Annotated[float, _f("time limit of a retrainer; exit code 6", "s", gt=0)] = 1_800.0
    memory_limit_bytes: Annotated[
        int, _f("memory limit of all processes of a retrainer together", "B", ge=100_000_000)
    ] = 2_000_000_000
    tolerance: Annotated[
        float, _f("loss of accuracy, of F1 and of each class's figure allowed against the active model", ge=0, le=1)
    ] = 0.01
    recall_tolerance: Annotated[
        float, _f("loss of recall on injected anomalies allowed against the active model", ge=0, le=1)
    ] = 0.1
    kind_tolerance: Annotated[
        float, _f("the same for each kind of injected anomaly; larger, since there are few of each kind", ge=0, le=1)
    ] = 0.4
    min_recall: Annotated[float, _f("smallest recall on injected anomalies, also of the first model", ge=0, le=1)] = 0.1
    max_alarm_factor: Annotated[
        float,
        _f("most alarms on clean held-out windows, as a multiple of detectors.false_alarms_per_day", ge=1),
    ] = 5.0
    max_drift: Annotated[
        float, _f("largest PSI between the candidate's scores on training and held-out windows", gt=0)
    ] = 1.0
    min_labelled_windows: Annotated[
        int,
        _f(
            "labelled windows from which labels evaluate a model, if there are drift.min_labels labels; otherwise "
            "injected anomalies do",
            ge=1,
        ),
    ] = 60
    auto: Annotated[
        bool, _f("master switch of automatic trainings, also of the first; drift is reported without it too")
    ] = True
    first: Annotated[
        Literal["auto", "ask", "off"],
        _f(
            "first training of a model without a version: `auto` trains it once there is enough clean data, `ask` makes "
            "an approval request, `off` leaves it to a person"
        ),
    ] = "auto"
    cooldown_h: Annotated[
        float,
        _f("shortest time between two automatic runs, in event time; 168 is the conservative choice", "h", ge=0),
    ] = 24.0
    min_severity: Annotated[
        Literal["low", "medium", "high", "critical"], _f("lowest severity of a drift that retrains automatically")
    ] = "high"
    approve_critical: Annotated[
        bool, _f("critical drift needs the approval of a person; drift.unanswered decides without an answer")
    ] = True
    pilot_collectors: Annotated[
        list[str], _f("only drift at these collectors retrains automatically, as a trial; empty means all")
    ] = []
    niceness: Annotated[int, _f("niceness of automatic runs", ge=0, le=19)] = 10
    probation_h: Annotated[
        float,
        _f("event time for which a new version is compared with the previous one; 0 accepts it at once", "h", ge=0),
    ] = 24.0
    probation_accuracy_drop: Annotated[
        float, _f("loss of accuracy against the previous version from which a new version is rolled back", gt=0, le=1)
    ] = 0.05
    probation_alarm_factor: Annotated[
        float,
        _f("multiple of the alarm budget, and of the previous version's alarms, from which it is rolled back", ge=1),
    ] = 5.0
    probation_recall_loss: Annotated[
        float,
        _f(
            "loss of recall on injected anomalies against the previous version from which it is rolled back", gt=0, le=1
        ),
    ] = 0.25


class ModelSettings(Section, frozen=True, kw_only=True):
    """Model files that are kept. The active version, its parent and accepted versions are always kept."""

    keep_backups: Annotated[
        int, _f("backups kept for each model, to roll back to; each is as large as the model", ge=1, le=1000)
    ] = 5
    keep_candidates: Annotated[int, _f("candidates kept for each model until `bgpdrift promote`", ge=1, le=1000)] = 3
    keep_rejected: Annotated[
        int, _f("rejected and rolled-back files kept for each model, with the reason beside them", ge=0, le=1000)
    ] = 5


class SupervisorSettings(Section, frozen=True, kw_only=True):
    """The process manager."""

    ready_timeout_s: Annotated[float, _f("a service that is not ready after this time is restarted", "s", gt=0)] = 30.0
    stop_grace_s: Annotated[float, _f("time between TERM and KILL", "s", gt=0)] = 2.5
    restart_limit: Annotated[
        int, _f("restarts within restart_period_s, counted from READY, after which a service is in `crashloop`", ge=1)
    ] = 5
    restart_period_s: Annotated[float, _f("see restart_limit", "s", gt=0)] = 60.0
    restart_long_limit: Annotated[
        int,
        _f(
            "restarts within restart_long_period_s, whether ready or not, after which a service is in `crashloop`", ge=1
        ),
    ] = 12
    restart_long_period_s: Annotated[float, _f("see restart_long_limit", "s", gt=0)] = 3600.0
    backoff_max_s: Annotated[float, _f("longest wait before a restart within the budget", "s", gt=0)] = 10.0
    crashloop_retry_s: Annotated[
        float, _f("interval at which a service in `crashloop` is started again", "s", gt=0)
    ] = 60.0
    watchdog_s: Annotated[
        float,
        _f("a service without progress for this time counts as hung: stack dump, kill, restart", "s", gt=0),
    ] = 30.0
    memory_limit_bytes: Annotated[
        int,
        _f(
            "resident memory above which a service is stopped and restarted; the aggregator may use "
            "2 × windows.max_state_bytes more; 0 means no limit",
            "B",
            ge=0,
        ),
    ] = 2_000_000_000
    memory_limits: Annotated[
        dict[str, Annotated[int, Meta(ge=0)]],
        _f("limits of single services, by name, as in `feature_aggregator = 3_000_000_000`", "B"),
    ] = {}
    disk_low_bytes: Annotated[
        int,
        _f("free space under the data directory below which the system is `degraded` and an alert is sent", "B", ge=0),
    ] = 1_000_000_000
    log_max_bytes: Annotated[int, _f("size at which a service's log file is rotated", "B", ge=10_000)] = 20_000_000
    log_rotate_s: Annotated[
        float,
        _f("period at whose start a log file is rotated too; 86,400 is each day at 00:00 UTC", "s", ge=60),
    ] = 86_400.0
    log_keep: Annotated[int, _f("rotated log files kept for each service", ge=1, le=100)] = 14
    log_total_bytes: Annotated[
        int, _f("limit of all log files together; above it the oldest rotated files are deleted", "B", ge=100_000)
    ] = 1_000_000_000


class WebSettings(Section, frozen=True, kw_only=True):
    """The API and the pages."""

    host: Annotated[str, _f("address to bind; only processes of this machine reach the loopback address")] = "127.0.0.1"
    port: Annotated[int, _f("TCP port", ge=1, le=65_535)] = 8004


class StoreSettings(Section, frozen=True, kw_only=True):
    """The database."""

    url: Annotated[
        str,
        _f(
            "SQLAlchemy URL; empty means SQLite, `bgpdrift.sqlite3` in the data directory",
            pattern="^$|^sqlite:///.+|^postgresql\\+psycopg://.+",
        ),
    ] = ""
    busy_timeout_s: Annotated[float, _f("time for which a writer waits for another writer", "s", gt=0)] = 15.0
    reserve_bytes: Annotated[
        int,
        _f("disk space reserved for the database; with less, the spool and the log files stop growing", "B", ge=0),
    ] = 300_000_000
    retention_days: Annotated[
        dict[ExpiringTable, Annotated[int, Meta(ge=1, le=36_500)]],
        _f("days for which the rows of a table are kept, by table name; other tables keep their default", "d"),
    ] = {}


class LogSettings(Section, frozen=True, kw_only=True):
    """Log lines."""

    level: Annotated[Literal["debug", "info", "warning", "error"], _f("lowest level written")] = "info"
    form: Annotated[Literal["json", "console"], _f("json for programs, console for people")] = "json"


class Settings(Section, frozen=True, kw_only=True):
    """All settings, as in ``bgpdrift.toml``."""

    data_dir: Annotated[
        str, _f("directory of the database, the spool, logs, state and the control socket", min_length=1)
    ] = "data"
    artifacts_dir: Annotated[
        str,
        _f("directory of models, flag files and drift reports; empty means `model_artifacts` in the data directory"),
    ] = ""
    feed: FeedSettings = FeedSettings()
    spool: SpoolSettings = SpoolSettings()
    windows: WindowSettings = WindowSettings()
    detectors: _DetectorSettings = _DetectorSettings()
    ensemble: EnsembleSettings = EnsembleSettings()
    correlation: CorrelationSettings = CorrelationSettings()
    drift: DriftSettings = DriftSettings()
    retrain: RetrainSettings = RetrainSettings()
    models: ModelSettings = ModelSettings()
    supervisor: SupervisorSettings = SupervisorSettings()
    store: StoreSettings = StoreSettings()
    web: WebSettings = WebSettings()
    logs: LogSettings = LogSettings()

    @property
    def data_path(self) -> Path:
        """The data directory, absolute."""
        return Path(self.data_dir).expanduser().absolute()

    @property
    def artifacts_path(self) -> Path:
        """The artifact directory, absolute."""
        if self.artifacts_dir:
            return Path(self.artifacts_dir).expanduser().absolute()
        return self.data_path / "model_artifacts"

    @property
    def spool_path(self) -> Path:
        """The directory of finished and unfinished segments."""
        return self.data_path / "spool"

    @property
    def state_path(self) -> Path:
        """The directory of the services' checkpoints."""
        return self.data_path / "state"

    @property
    def logs_path(self) -> Path:
        """The directory of the services' captured output."""
        return self.data_path / "logs"

    @property
    def store_url(self) -> str | Path:
        """The SQLAlchemy URL that is set, or else the file of the SQLite database; `bgpdrift.store.engine` reads both."""
        return self.store.url or self.data_path / "bgpdrift.sqlite3"
