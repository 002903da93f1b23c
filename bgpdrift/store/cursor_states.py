"""The typed states of the table ``cursors``: the values beside a position with which a service continues after a restart.

This module decides the fields, their units and how version 1 of each state is read. The service that owns a
state decides when it changes.
"""

from typing import Any, ClassVar, Literal

import msgspec

from bgpdrift.process.identity import ProcessIdentity
from bgpdrift.store.codec import StoredValue, rename_fields, without_none

DriftVerdict = Literal["none", "drift", "incident", "immaterial", "held", "not_enough_data"]
Severity = Literal["none", "low", "medium", "high", "critical"]
HoldState = Literal["free", "held", "asked", "attack", "new_normal"]
HoldAnswer = Literal["", "attack", "new_normal", "silence"]
ProbationVerdict = Literal["watching", "accepted", "rolled_back", "needs_review"]
FirstTrainingPhase = Literal["collecting", "training", "paused", "off"]
DetectorPhase = Literal["scoring", "waiting for a model"]

RUN_CURSOR = "retrainer"
"""The retrainer run in progress, see `RunState`; without a state if there is none."""
STORE_CURSOR = "store"
"""The identity of the database, see `StoreIdentity`; its position is 0."""
PERFORMANCE_CURSOR = "drift_monitor:performance"


def drift_cursor(model: str) -> str:
    """Name the cursor of a model's drift checks, see `DriftState`."""
    return f"drift:{model}"


def cooldown_cursor(model: str) -> str:
    """Name the cursor of a model's cooldown, see `CooldownState`."""
    return f"cooldown:{model}"


def probation_cursor(model: str) -> str:
    """Name the cursor of a model's probation, see `ProbationState`."""
    return f"probation:{model}"


def first_training_cursor(model: str) -> str:
    """Name the cursor of a model's first training, see `FirstTrainingState`."""
    return f"first_training:{model}"


class PersistenceState(msgspec.Struct, frozen=True, kw_only=True):
    """The number of consecutive checks that found drift, and the last retraining request that followed."""

    version: str = ""
    """Model version that the count refers to."""
    checks: int = 0
    """Consecutive checks that found drift, including held ones."""
    last_at: int = 0
    """Event time of the last of these checks; 0 for none."""
    armed: bool = True
    """Whether a retraining request may follow."""
    requested_at: int = 0
    """Event time of the last retraining request; 0 for none."""
    requested_severity: Severity = "none"


class IncidentHoldState(msgspec.Struct, frozen=True, kw_only=True):
    """The incident that withholds the drift reports of one model."""

    state: HoldState = "free"
    incident_id: int = 0
    since: int = 0
    """Event time at which the incident began."""
    approval_id: int = 0
    """Approval request about the incident; 0 before it is asked."""
    asked_at: int = 0
    """Event time of the approval request; 0 before it is asked."""
    answer: HoldAnswer = ""


class DriftState(StoredValue, frozen=True, kw_only=True):
    """The result of a model's last drift check; the cursor's position is the event time of that check."""

    can_start_anew: ClassVar[bool] = True

    model_version: str = ""
    verdict: DriftVerdict = "not_enough_data"
    severity: Severity = "none"
    p_value: float | None = None
    reason: str = ""
    at: int = 0
    """Event time of the check, epoch seconds."""
    next_check_at: int = 0
    """Event time of the next check; 0 if it is not known."""
    change_point: int | None = None
    """Hour from which the current level holds, epoch seconds."""
    collectors: tuple[str, ...] = ()
    waiting_for: str = ""
    """Reason why there was not enough data; empty if there was."""
    report_path: str = ""
    check_id: int | None = None
    """Row of ``drift_metrics``."""
    persistence: PersistenceState = PersistenceState()
    persistence_checks: int = 1
    """Consecutive checks that a retraining request needs (``drift.persistence_checks``)."""
    incident_hold: IncidentHoldState = IncidentHoldState()

    @property
    def is_checked(self) -> bool:
        """Whether any check had data of a model version."""
        return bool(self.model_version)

    @property
    def is_persistent(self) -> bool:
        """Whether the last check found drift, and enough consecutive checks did."""
        return self.verdict == "drift" and self.persistence.checks >= self.persistence_checks

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Group the fields of the persistence and rename those of the incident hold."""
        names = {
            "lasting_version": "version",
            "lasting": "checks",
            "lasting_at": "last_at",
            "armed": "armed",
            "wished_at": "requested_at",
            "wished_severity": "requested_severity",
        }
        count = {names[name]: fields.pop(name) for name in names if name in fields}
        hold = fields.pop("holding", None)
        if isinstance(hold, dict):
            hold = without_none(rename_fields(hold, {"question_id": "approval_id"}))
        fields = rename_fields(without_none(fields), {"version": "model_version", "needed": "persistence_checks"})
        return fields | without_none({"persistence": without_none(count), "incident_hold": hold})


class StoreIdentity(StoredValue, frozen=True, kw_only=True):
    """The identity of a database. A copy of the database has the same one."""

    id: str = ""
    """Random text; "" in a database that no migration of this version has seen."""


class CooldownState(StoredValue, frozen=True, kw_only=True):
    """What began a model's cooldown; the cursor's position is the event time of that."""

    can_start_anew: ClassVar[bool] = True

    reason: str = "an automatic run"
    request_id: int | None = None
    """Retraining request whose run ended; None if the cooldown has another cause."""

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Rename the reason and the request."""
        return rename_fields(without_none(fields), {"because": "reason", "trigger_id": "request_id"})


class FirstTrainingState(StoredValue, frozen=True, kw_only=True):
    """What the first training of a model waits for; the cursor's position is the event time of that finding."""

    can_start_anew: ClassVar[bool] = True

    phase: FirstTrainingPhase = "collecting"
    """``collecting`` clean data; ``training``: it is requested or runs; ``paused`` after a run without a model; ``off``."""
    expected_at: int = 0
    """Event time at which the training begins, if all data until then is clean; 0 if that is not known."""
    reason: str = ""
    """What is missing, or why the training does not begin, as a clause; empty if nothing is missing."""


class RunState(StoredValue, frozen=True, kw_only=True):
    """A retrainer run that the drift monitor started; the cursor's position is the event time of the start."""

    can_start_anew: ClassVar[bool] = True

    model: str = ""
    owner: ProcessIdentity = ProcessIdentity()
    started_at: float = 0.0
    """Wall clock, epoch seconds."""
    request_id: int | None = None
    attempts: int = 0
    """Runs for the same flag file that failed before this one."""
    progress_path: str = ""
    """File into which the run writes its progress."""

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Rename the request and the progress file."""
        return rename_fields(without_none(fields), {"trigger_id": "request_id", "progress": "progress_path"})


class ProbationTally(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of a probation, summed over its hours; ``shadow_`` is the earlier version on the same windows."""

    minutes: int = 0
    """Clean minutes of collectors on which both versions have a vote, or the new one if there is no earlier one."""
    alarms: int = 0
    shadow_alarms: int = 0
    injected: int = 0
    """Injected anomalies."""
    detected: int = 0
    """Injected anomalies that the version on probation detects."""
    shadow_detected: int = 0
    labels: int = 0
    correct: int = 0
    """Labels with which the version on probation agrees."""
    shadow_correct: int = 0


class ProbationState(StoredValue, frozen=True, kw_only=True):
    """The probation of one model version; the cursor's position is the start of the next hour to examine."""

    can_start_anew: ClassVar[bool] = True

    version: str = ""
    parent_version: str = ""
    """The earlier version that scores as shadow; empty for none."""
    started_at: int = 0
    """Event time."""
    ends_at: int = 0
    """Event time at which the probation ends at the latest."""
    past_gate: bool = False
    """Whether the version became active although no gate accepted it."""
    checks: int = 0
    """Hours examined."""
    tally: ProbationTally = ProbationTally()
    verdict: ProbationVerdict = "watching"
    reason: str = ""
    alarms_per_day: float | None = None
    shadow_alarms_per_day: float | None = None
    detection: float | None = None
    """Share of the injected anomalies that the version detects."""
    shadow_detection: float | None = None
    accuracy: float | None = None
    """Share of the labels with which the version agrees."""
    shadow_accuracy: float | None = None

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Rename the verdict of an accepted version, the parent and the counts."""
        tally = fields.get("tally")
        if isinstance(tally, dict):
            names = {"found": "detected", "shadow_found": "shadow_detected"}
            fields["tally"] = rename_fields(tally, {**names, "right": "correct", "shadow_right": "shadow_correct"})
        verdicts = {"settled": "accepted", "alone": "needs_review"}
        if fields.get("verdict") in verdicts:
            fields["verdict"] = verdicts[fields["verdict"]]
        return rename_fields(fields, {"parent": "parent_version"})


class CollectorClock(msgspec.Struct, frozen=True, kw_only=True):
    """Report on the clocks of one collector."""

    event_time: float = 0.0
    """Epoch seconds; 0 before the first accepted message."""
    skew_s: float | None = None
    """Seconds by which its messages are ahead of their arrival, median over its peers; negative values include the delay of the
    feed and of the spool. None without arrival times."""
    peers: dict[str, float] = msgspec.field(default_factory=dict)
    """Skew relative to the collector by peer, seconds; only peers with another clock, and at most ten."""
    held: int = 0
    """Messages ahead that wait for a confirmation."""
    released: dict[str, int] = msgspec.field(default_factory=dict)
    """Number of messages that waited and were counted in their window, by reason."""
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    """Number of messages that waited and count as late, by reason."""
    invalid: int = 0
    """Messages without a valid time."""
    largest_ahead_s: float = 0.0
    """Largest distance of a refused time from the event time."""
    steps_back: int = 0
    steps_ahead: int = 0
    """Steps of the clock of most peers."""

    @property
    def n_refused(self) -> int:
        """Number of refused messages."""
        return sum(self.refused.values())

    @property
    def is_wrong(self) -> bool:
        """Whether any clock of the collector showed a fault."""
        return bool(self.n_refused or self.steps_back or self.steps_ahead)


class AggregatorState(StoredValue, frozen=True, kw_only=True):
    """Progress of the feature aggregator; the cursor's position is the last spool segment that was read."""

    closed_before_s: int = 0
    """Event time before which the windows of every collector are closed, epoch seconds."""
    closed_by_collector: dict[str, int] = msgspec.field(default_factory=dict)
    """The same by collector: each has its own event time."""
    messages: int = 0
    duplicates: int = 0
    event_time: float = 0.0
    """Event time of the middle collector, epoch seconds."""
    clocks: dict[str, CollectorClock] = msgspec.field(default_factory=dict)
    """Report on the clocks by collector."""


class DetectorState(StoredValue, frozen=True, kw_only=True):
    """Progress of a detector service; the cursor's position is the last window that was scored or passed over."""

    can_start_anew: ClassVar[bool] = True

    phase: DetectorPhase = "scoring"
    model_version: str = ""
    refusal_reason: str = ""
    """Why the newest model file was refused; empty if none was."""

    @property
    def has_model(self) -> bool:
        """Whether the service has a model to score with."""
        return self.phase == "scoring"

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Rename the phase and the refusal."""
        return rename_fields(fields, {"state": "phase", "refused": "refusal_reason"})


class EnsembleState(StoredValue, frozen=True, kw_only=True):
    """Progress of the ensemble coordinator; the cursor's position is the last window with a verdict."""

    can_start_anew: ClassVar[bool] = True

    abstaining: dict[str, str] = msgspec.field(default_factory=dict)
    """Reason by detector without a vote in the newest verdict."""


class CorrelationState(StoredValue, frozen=True, kw_only=True):
    """Progress of the correlation engine; the cursor's position is the last verdict that was read."""

    clocks: dict[str, int] = msgspec.field(default_factory=dict)
    """Event time by collector, epoch seconds."""


class EventsFileState(StoredValue, frozen=True, kw_only=True):
    """Progress in the supervisor's event file; the cursor's position is the number of lines that were read."""

    file: str = ""
    """Fingerprint of the file's first line, which rotation does not change; empty before the first file."""
    offset: int = 0
    """Bytes of the file that were read."""


class PerformanceState(StoredValue, frozen=True, kw_only=True):
    """Days whose labels were evaluated; the cursor's position is the start of the last one."""

    can_start_anew: ClassVar[bool] = True

    fingerprints: dict[int, str] = msgspec.field(default_factory=dict)
    """Fingerprint of a day's labels by the start of the day, epoch seconds."""

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Move the days, which were the keys, into a field."""
        return {"fingerprints": fields}
