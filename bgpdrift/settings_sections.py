"""Every setting of bgpdrift: its type, unit, default, reason and what is allowed.

A table of ``bgpdrift.toml`` is a class here, a key a field. Reading and refusing are `bgpdrift.settings`; how a field is
shown to a person is `bgpdrift.settings_fields`. Decides nothing about what the settings are used for. msgspec
validates: it is there for the frames anyway, and every process imports this (docs/decisions/0002-dependencies.md).
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
"""Tables of the store whose rows expire; see `bgpdrift.store.retention` for how long they are kept by default."""

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
    """Where BGP messages come from."""

    url: Annotated[
        str, _f("RIS Live WebSocket; `bgpdrift replay` and `bgpdrift simulate` serve one too", pattern="^wss?://.+")
    ] = "wss://ris-live.ripe.net/v1/ws/"
    client: Annotated[
        str, _f("how we name ourselves to the server; RIPE NCC asks for a contact", pattern="^[A-Za-z0-9._@+-]{1,64}$")
    ] = "bgpdrift"
    collectors: Annotated[
        list[Annotated[str, Meta(pattern="^[A-Za-z0-9._-]+$")]],
        _f("route collectors to subscribe to, one subscription each; empty means all of them"),
    ] = []
    types: Annotated[
        list[Literal["UPDATE", "OPEN", "NOTIFICATION", "KEEPALIVE", "RIS_PEER_STATE", "STATE"]],
        _f("message types to ask for; empty means all, sorted on arrival: a server may know a type by another name"),
    ] = []
    prefixes: Annotated[
        list[str], _f("only messages with one of these prefixes or a more specific one; empty means all")
    ] = []
    paths: Annotated[
        list[str],
        _f("only messages whose AS path matches, e.g. `3356`, `^174,3356`, `12654$`, `!64496`; empty means all"),
    ] = []
    peers: Annotated[list[str], _f("only messages of these peer addresses; empty means all")] = []
    silence_s: Annotated[
        float, _f("no frame of any collector for this long: the socket is half open, reconnect", "s", gt=0)
    ] = 30.0
    max_lag_s: Annotated[
        float, _f("newest message older than this: the backend lags until one reconnects; 0 switches it off", "s", ge=0)
    ] = 180.0
    replay_lag_s: Annotated[
        float, _f("lag beyond this is not a slow backend but a replay of history: nothing to reconnect for", "s", gt=0)
    ] = 86_400.0
    backoff_max_s: Annotated[float, _f("longest wait between two attempts, full jitter below it", "s", gt=0)] = 60.0
    connect_timeout_s: Annotated[float, _f("limit for TCP, TLS and WebSocket handshake together", "s", gt=0)] = 10.0
    subscribe_spacing_s: Annotated[float, _f("pause between subscriptions, which the server asks for", "s", ge=0)] = 0.2
    buffer_bytes: Annotated[
        int,
        _f(
            "frames held in memory while the disk is slow; beyond it frames are dropped, counted and marked",
            "B",
            ge=1_000_000,
        ),
    ] = 64_000_000


class SpoolSettings(Section, frozen=True, kw_only=True):
    """The queue of files between collector and aggregator."""

    segment_s: Annotated[
        float, _f("a segment is finished after this long: what a crash of the machine can cost", "s", ge=0.05)
    ] = 1.0
    segment_bytes: Annotated[int, _f("or when this many raw bytes are in it", "B", ge=10_000)] = 8_000_000
    max_bytes: Annotated[
        int,
        _f(
            "cap of the whole spool; beyond it the oldest segment goes, counted, and its windows are marked incomplete",
            "B",
            ge=1_000_000,
        ),
    ] = 4_000_000_000
    compression_level: Annotated[int, _f("zstd level; 1 is fastest, RIS frames shrink about 8 times", ge=1, le=19)] = 1


class WindowSettings(Section, frozen=True, kw_only=True):
    """Event-time windows and the routing state behind them."""

    lateness_s: Annotated[
        float,
        _f("a window closes this long after its end in event time; later messages count as `late`", "s", ge=0, le=3600),
    ] = 30.0
    idle_close_s: Annotated[
        float,
        _f(
            "feed quiet for this long in wall time: windows that have ended close without waiting for lateness",
            "s",
            gt=0,
        ),
    ] = 45.0
    max_jump_s: Annotated[
        float,
        _f(
            "a timestamp further ahead than this is held until others confirm it: one bad clock must not close windows",
            "s",
            ge=60,
        ),
    ] = 600.0
    per_peer: Annotated[int, _f("also keep windows of the N busiest peers of each collector", ge=0, le=64)] = 0
    warming_minutes: Annotated[
        int,
        _f(
            "windows of a collector that was unknown are marked `warming` this long: everything looks new to an empty table",
            "min",
            ge=0,
        ),
    ] = 60
    max_state_bytes: Annotated[
        int,
        _f(
            "cap of the routing state over all collectors; beyond it the routes longest unheard of go, counted as `evicted`",
            "B",
            ge=8_000_000,
        ),
    ] = 2_000_000_000
    checkpoint_s: Annotated[
        float,
        _f(
            "how often the routing state is saved; the spool keeps what came since, so a crash costs a re-read, not data",
            "s",
            gt=0,
        ),
    ] = 60.0
    warm_up_rib: Annotated[str, _f("an MRT TABLE_DUMP_V2 file read into an empty state at start; empty means none")] = (
        ""
    )


class DetectorTable(Section, frozen=True, kw_only=True):
    """The table of one detector, ``[detectors.<name>]``; the defaults stand in its record."""

    weight: float
    auto_retrain: bool
    anomaly_rate_shift: float


class DetectorSettings(Section, frozen=True, kw_only=True):
    """What all detectors share. A subclass adds one table for each registered detector, see `TABLES`."""

    poll_s: Annotated[float, _f("how often a detector looks for new windows", "s", gt=0)] = 0.5
    batch_windows: Annotated[int, _f("most windows scored at once after an outage", ge=1, le=100_000)] = 2_000
    history_minutes: Annotated[
        int, _f("windows a detector looks back on to know what is usual for a collector", "min", ge=30, le=10_080)
    ] = 360
    model_poll_s: Annotated[
        float,
        _f(
            "how often a detector looks at its model file, beside the events that tell at once but may be lost",
            "s",
            gt=0,
        ),
    ] = 1.0
    false_alarms_per_day: Annotated[
        float, _f("alarm budget of one detector and collector: the threshold follows from it", "1/d", gt=0, le=1440)
    ] = 2.0

    def of(self, model: str) -> DetectorTable:
        """Return the table of one registered detector."""
        table: DetectorTable = getattr(self, model)
        return table

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each registered detector in the ensemble."""
        return {model: self.of(model).weight for model in MODELS}


def _table_type(record: DetectorRecord) -> Any:
    fields: list[tuple[str, Any, Any]] = [
        (
            "weight",
            Annotated[float, _f(f"weight of {record.title} in the combined surprisal of the ensemble", ge=0, le=1)],
            record.weight,
        ),
        ("auto_retrain", Annotated[bool, _f(f"automatic retraining of {record.title}")], record.auto_retrain),
        (
            "anomaly_rate_shift",
            Annotated[
                float,
                _f(f"relative change of the anomaly rate of {record.title} that policy score_shift counts", gt=0),
            ],
            record.anomaly_rate_shift,
        ),
    ]
    name = f"DetectorTable_{record.name}"
    table: Any = msgspec.defstruct(name, fields, bases=(DetectorTable,), frozen=True, kw_only=True)
    return table


def _tables() -> list[tuple[str, Any, Any]]:
    found = []
    for record in DETECTORS:
        if record.name in DetectorSettings.__struct_fields__:
            raise SettingsError(f"detector registry: {record.name!r}: detectors.{record.name} is a common setting")
        table = _table_type(record)
        found.append((record.name, table, table()))
    return found


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
            "alarm budget of the combined score, a collector; that two must agree makes alarms rarer still",
            "1/d",
            gt=0,
            le=1440,
        ),
    ] = 2.0
    debounce_k: Annotated[int, _f("a verdict is an anomaly when k of the last n minutes were", ge=1, le=60)] = 2
    debounce_n: Annotated[int, _f("see debounce_k", "min", ge=1, le=60)] = 3
    stale_s: Annotated[
        float,
        _f(
            "wall time a window waits for a detector that is up but has not scored it, before that one abstains",
            "s",
            gt=0,
        ),
    ] = 20.0


class CorrelationSettings(Section, frozen=True, kw_only=True):
    """How verdicts become incidents."""

    link_minutes: Annotated[
        int, _f("verdicts this close that share AS, prefix or collector are one incident", "min", ge=1)
    ] = 10
    quiet_minutes: Annotated[int, _f("an incident closes after this long without an anomaly", "min", ge=1)] = 15
    reopen_minutes: Annotated[
        int, _f("within this long after closing it opens again instead of a new one", "min", ge=0)
    ] = 60


class DriftSettings(Section, frozen=True, kw_only=True):
    """When a detector no longer fits its scores."""

    enabled: Annotated[bool, _f("master switch of the drift monitor")] = True
    poll_s: Annotated[float, _f("how often new scores are folded into the hourly histograms", "s", gt=0)] = 5.0
    min_labels: Annotated[int, _f("labels of operators needed to give accuracy, precision, recall and F1", ge=1)] = 20
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
            "what decides the verdict: the drift rule, or a classic threshold; docs/drift-report.md lists error rates and the "
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
            "consecutive checks with the verdict drift before a retraining is requested; 12 if no operator watches",
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
    """Training of new models, and when one may replace the active model."""

    days: Annotated[int, _f("training span back from the newest window, event time", "d", ge=1, le=365)] = 7
    min_windows: Annotated[
        int,
        _f("clean windows to learn from, below which nothing is trained; a day, so that every hour was seen", ge=200),
    ] = 1_440
    max_windows: Annotated[
        int, _f("windows read at most: peers are left out first, then the span is shortened; bounds memory", ge=1_000)
    ] = 100_000
    held_out_share: Annotated[
        float, _f("newest share of the span, which only judges: candidate and active model alike", ge=0.05, le=0.5)
    ] = 0.2
    incident_margin_s: Annotated[
        float, _f("also left out before and after an incident or a labelled anomaly: its onset and its echo", "s", ge=0)
    ] = 900.0
    time_limit_s: Annotated[float, _f("a retrainer that runs longer is ended, exit code 6", "s", gt=0)] = 1_800.0
    memory_limit_bytes: Annotated[
        int, _f("a retrainer whose processes together hold more is ended", "B", ge=100_000_000)
    ] = 2_000_000_000
    tolerance: Annotated[
        float, _f("accuracy, F1 or a class may be worse than the active model's by this, as a share", ge=0, le=1)
    ] = 0.01
    detection_tolerance: Annotated[
        float, _f("share of injected anomalies that may be missed beyond what the active model misses", ge=0, le=1)
    ] = 0.1
    kind_tolerance: Annotated[
        float, _f("the same for each kind of injected anomaly; wider, since there are few of each", ge=0, le=1)
    ] = 0.4
    min_detection: Annotated[
        float, _f("share of injected anomalies a model must find, also where none is in force yet", ge=0, le=1)
    ] = 0.1
    max_alarm_factor: Annotated[
        float,
        _f(
            "alarms on clean held-out windows, at most this many times detectors.false_alarms_per_day; days differ",
            ge=1,
        ),
    ] = 5.0
    max_drift: Annotated[
        float, _f("largest PSI between the candidate's scores in training and on held-out windows", gt=0)
    ] = 1.0
    min_labelled_windows: Annotated[
        int, _f("labelled windows from which on labels judge; below, injected anomalies stand in for them", ge=1)
    ] = 60
    auto: Annotated[bool, _f("master switch of automatic retraining; drift is still found and reported without it")] = (
        True
    )
    cooldown_h: Annotated[
        float,
        _f("event time after an automatic run in which no other begins; 168 is the conservative choice", "h", ge=0),
    ] = 24.0
    min_severity: Annotated[
        Literal["low", "medium", "high", "critical"], _f("drift below this severity retrains nothing by itself")
    ] = "high"
    approve_critical: Annotated[
        bool, _f("ask a person before retraining for critical drift; see drift.unanswered for what silence means")
    ] = True
    pilot_collectors: Annotated[
        list[str], _f("only drift at these collectors retrains by itself, as a trial; empty means all")
    ] = []
    low_priority: Annotated[int, _f("niceness of automatic runs", ge=0, le=19)] = 10
    probation_h: Annotated[
        float, _f("event time a new version is watched beside the one before it; 0 is accepted at once", "h", ge=0)
    ] = 24.0
    probation_accuracy_drop: Annotated[
        float, _f("accuracy lost against the previous version, as a share, from which it is taken back", gt=0, le=1)
    ] = 0.05
    probation_alarm_factor: Annotated[
        float,
        _f(
            "alarms, as a multiple of the budget and of what the previous version would raise, from which it is taken back",
            ge=1,
        ),
    ] = 5.0
    probation_detection_loss: Annotated[
        float,
        _f("share of injected anomalies lost against the previous version, from which it is taken back", gt=0, le=1),
    ] = 0.25


class ModelSettings(Section, frozen=True, kw_only=True):
    """Files of models that are kept. The model in force, its parent and accepted versions stay in any case."""

    keep_backups: Annotated[
        int, _f("backups kept a model: versions to go back to, each as large as the model", ge=1, le=1000)
    ] = 5
    keep_candidates: Annotated[int, _f("candidates kept a model that wait for `bgpdrift promote`", ge=1, le=1000)] = 3
    keep_rejected: Annotated[
        int, _f("refused or rolled back files kept a model, with the reason beside them", ge=0, le=1000)
    ] = 5


class SupervisorSettings(Section, frozen=True, kw_only=True):
    """The process manager."""

    ready_timeout_s: Annotated[float, _f("a service that is not ready after this long is started anew", "s", gt=0)] = (
        30.0
    )
    stop_grace_s: Annotated[float, _f("between TERM and KILL", "s", gt=0)] = 2.5
    restart_limit: Annotated[
        int, _f("restarts, counted from READY, within restart_period_s before a service is in `crashloop`", ge=1)
    ] = 5
    restart_period_s: Annotated[float, _f("see restart_limit", "s", gt=0)] = 60.0
    backoff_max_s: Annotated[float, _f("longest wait before a restart inside the budget", "s", gt=0)] = 10.0
    crashloop_retry_s: Annotated[
        float, _f("a service in `crashloop` is tried again this often, for ever", "s", gt=0)
    ] = 60.0
    watchdog_s: Annotated[
        float, _f("a service that reports no progress for this long hangs: dumped, killed, restarted", "s", gt=0)
    ] = 30.0
    memory_limit_bytes: Annotated[
        int,
        _f(
            "a service that holds more resident memory is told to end and started anew, the aggregator beyond "
            "2 × windows.max_state_bytes on top; 0 is no limit",
            "B",
            ge=0,
        ),
    ] = 2_000_000_000
    memory_limits: Annotated[
        dict[str, Annotated[int, Meta(ge=0)]],
        _f("other limits for single services, by name, as in `feature_aggregator = 3_000_000_000`", "B"),
    ] = {}
    disk_low_bytes: Annotated[
        int, _f("less free space than this under the data directory: `degraded`, and an alert", "B", ge=0)
    ] = 1_000_000_000
    log_max_bytes: Annotated[int, _f("a service's log file is rotated at this size", "B", ge=10_000)] = 20_000_000
    log_rotate_s: Annotated[
        float,
        _f("or when this much time has begun anew since its last line; 86,400 is each day at 0:00 UTC", "s", ge=60),
    ] = 86_400.0
    log_keep: Annotated[int, _f("rotated log files kept a service", ge=1, le=100)] = 14
    log_total_bytes: Annotated[
        int, _f("cap of all log files together; beyond it the oldest rotated ones go", "B", ge=100_000)
    ] = 1_000_000_000


class WebSettings(Section, frozen=True, kw_only=True):
    """API and dashboard."""

    host: Annotated[str, _f("address to bind; loopback unless you mean it")] = "127.0.0.1"
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
    busy_timeout_s: Annotated[float, _f("how long a writer waits for another", "s", gt=0)] = 15.0
    reserve_bytes: Annotated[
        int,
        _f("disk space kept free for the database: when less is left, spool and log files stop growing", "B", ge=0),
    ] = 300_000_000
    retention_days: Annotated[
        dict[ExpiringTable, Annotated[int, Meta(ge=1, le=36_500)]],
        _f("days a table's rows are kept, by table name; tables that are not named keep their default", "d"),
    ] = {}


class LogSettings(Section, frozen=True, kw_only=True):
    """Log lines."""

    level: Annotated[Literal["debug", "info", "warning", "error"], _f("lowest level written")] = "info"
    form: Annotated[Literal["json", "console"], _f("json for machines, console for people")] = "json"


class Settings(Section, frozen=True, kw_only=True):
    """The whole of ``bgpdrift.toml``."""

    data_dir: Annotated[str, _f("where database, spool, logs, state and control socket live", min_length=1)] = "data"
    artifacts_dir: Annotated[
        str, _f("where models, flags and drift reports live; empty means `model_artifacts` in the data directory")
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
        return (
            Path(self.artifacts_dir).expanduser().absolute()
            if self.artifacts_dir
            else self.data_path / "model_artifacts"
        )

    @property
    def spool_path(self) -> Path:
        """Finished and unfinished segments."""
        return self.data_path / "spool"

    @property
    def state_path(self) -> Path:
        """Checkpoints of services."""
        return self.data_path / "state"

    @property
    def logs_path(self) -> Path:
        """Captured output of services."""
        return self.data_path / "logs"

    @property
    def store_url(self) -> str:
        """The SQLAlchemy URL in force."""
        return self.store.url or f"sqlite:///{self.data_path / 'bgpdrift.sqlite3'}"
