"""The document of ``check_drift_status --json``, schema version 1.

This module decides names and units. A later version may add fields; a field keeps its name, unit and meaning as long as
`SCHEMA` does not change. Times are epoch seconds, UTC. Times marked "event time" are times of the data, all others are
wall-clock times.
"""

from typing import Any

import msgspec

from bgpdrift.attention import Action

SCHEMA = 1


class Monitor(msgspec.Struct, frozen=True):
    """The drift monitor and the data it works on."""

    state: str
    """State of the service ``drift_monitor`` as in ``run_all_services.py status``; ``not_running`` without a supervisor;
    ``elsewhere`` if another program makes the checks (cron, systemd); ``no_answer`` if the supervisor does not answer;
    ``off`` by the setting ``drift.enabled``."""
    supervisor: str
    """State of the supervisor; ``stopped`` if there is none, ``no_answer`` if it does not answer."""
    message: str
    """Status message of the service."""
    pid: int | None = None
    uptime_s: float | None = None
    last_check_at: int | None = None
    """Event time of the newest check of any model."""
    last_check_written_at: float | None = None
    """Wall-clock time of the same check."""
    next_check_at: int | None = None
    """Event time of the next check."""
    data_until: int | None = None
    """Event time of the end of the newest window."""
    data_age_s: float | None = None
    """Age of the newest window; large in a replay of old data."""
    data_silent_s: float | None = None
    """Seconds since the newest window was written; small in a replay of old data."""
    store: str = "ok"
    """``ok``; ``missing`` if there is no database yet; otherwise the reason why it cannot be read."""
    warming_until: dict[str, int] = {}
    """By collector that is warming: event time at which it no longer is."""
    collectors: int = 0
    """Number of collectors with windows in the newest hour of data."""


class MeasureRow(msgspec.Struct, frozen=True):
    """One measure of the newest check."""

    name: str
    window: str
    """``24h/7d``, ``72h/pinned`` …; empty for a signal that belongs to no window."""
    value: float | None
    threshold: float | None
    p_value: float | None
    severity: str


class Series(msgspec.Struct, frozen=True):
    """One measure, hour by hour, over seven days of event time."""

    name: str
    start: int
    """Event time of the first hour."""
    values: tuple[float | None, ...]
    threshold: float | None = None


class ApprovalRequest(msgspec.Struct, frozen=True):
    """An approval request without an answer."""

    id: int
    kind: str
    """``retrain`` or ``attack_or_new_normal``."""
    subject: str
    """Model, or number of the incident."""
    requested_at: int
    """Event time."""
    message: str
    expires_at: int | None
    """Event time at which the request is decided without an answer; null if never."""
    on_expiry: str
    """What happens then."""
    is_first: bool = False
    """Whether it asks for the first training of a model without a version."""


class Incident(msgspec.Struct, frozen=True):
    """An open incident."""

    id: int
    severity: str
    summary: str
    started_at: int
    """Event time."""
    last_seen_at: int
    """Event time of its newest anomalous window."""
    acknowledged_by: str
    """Empty if it was not acknowledged."""


class IncidentHold(msgspec.Struct, frozen=True):
    """The incident that withholds, or withheld, a drift report."""

    state: str
    """``held``; ``asked`` while an approval request waits; ``attack`` or ``new_normal`` after the answer."""
    incident_id: int
    since: int | None
    """Event time."""
    approval_id: int | None
    answer: str
    """``attack``, ``new_normal``, ``silence`` or empty."""


class RetrainRequest(msgspec.Struct, frozen=True):
    """The newest retraining request of a model."""

    id: int
    state: str
    """``requested``, ``waiting_approval``, ``postponed``, ``flagged``, ``claimed``, ``done``, ``failed``, ``refused``."""
    requested_at: int
    """Event time."""
    requested_by: str
    severity: str
    reason: str
    """Why it was refused or postponed, or why it failed; otherwise empty."""
    is_open: bool = False
    """Whether something is still being done for it."""


class FlagFile(msgspec.Struct, frozen=True):
    """A flag file in the artifact directory."""

    state: str
    """``waiting``, ``claimed``, or ``orphaned`` if the process that claimed it is gone."""
    requested_by: str
    reason: str
    requested_at: float
    attempts: int
    pid: int | None = None


class FirstTraining(msgspec.Struct, frozen=True):
    """What the first training of a model without a version waits for."""

    phase: str
    """``collecting`` clean data; ``training``: it is requested or runs; ``paused`` after a run without a model; ``off``."""
    expected_at: int | None
    """Event time at which it begins if all data until then is clean; null if that is not known."""
    reason: str
    """What is missing; otherwise empty."""


class Probation(msgspec.Struct, frozen=True):
    """The probation of a new version."""

    version: str
    parent_version: str
    """The earlier version that scores as shadow; empty if there is none."""
    started_at: int | None
    """Event time."""
    ends_at: int | None
    """Event time."""
    alarms_per_day: float | None
    shadow_alarms_per_day: float | None
    verdict: str
    """``watching``, ``accepted``, ``rolled_back``; ``needs_review`` if it fails and there is no better version to return to."""
    reason: str

    @property
    def is_running(self) -> bool:
        """Whether the probation has not ended."""
        return self.verdict in ("watching", "needs_review")


class Model(msgspec.Struct, frozen=True):
    """One model."""

    model: str
    version: str
    """The active version; empty if there is none."""
    state: str
    """``active``, ``probation``, ``accepted``; ``none`` without a file, ``damaged`` if the file cannot be read."""
    created_at: int | None
    active_since: int | None
    age_s: float | None
    parent_version: str
    file_problem: str
    """Why the model file cannot be read; otherwise empty."""
    verdict: str
    """Verdict of the newest check; ``not_checked`` before the first, ``unknown`` if the store cannot be read."""
    severity: str
    reason: str
    p_value: float | None
    checked_at: int | None
    """Event time."""
    next_check_at: int | None
    """Event time."""
    persistence: int
    """Consecutive checks that found drift."""
    persistence_checks: int
    """Consecutive checks that a retraining request needs."""
    waiting_for: str
    """Why there is not enough data; otherwise empty."""
    smallest_shift: float | None
    """Smallest relative shift of the level that the newest check would detect; 0.12 is 12 %."""
    change_point: int | None
    """Event time from which the new level holds, if drift was found."""
    collectors: tuple[str, ...]
    """Collectors whose scores drift."""
    report_path: str
    measures: tuple[MeasureRow, ...]
    series: tuple[Series, ...]
    """``psi``, ``ks``, ``js``, ``wasserstein`` of each check, ``alarm_rate`` of each hour."""
    incident_hold: IncidentHold | None = None
    retrain_request: RetrainRequest | None = None
    flag: FlagFile | None = None
    probation: Probation | None = None
    first_training: FirstTraining | None = None

    @property
    def has_persistent_drift(self) -> bool:
        """Whether enough consecutive checks found drift."""
        return self.verdict == "drift" and self.persistence >= self.persistence_checks


class Running(msgspec.Struct, frozen=True):
    """The retrainer that is running."""

    model: str
    pid: int
    since: float
    phase: str
    """``read``, ``fit``, ``calibrate``, ``evaluate``, ``gate``, ``stage``, ``publish``; empty if not known."""
    done: float | None
    """Share of the whole run, 0 to 1; null if not known."""


class ModelEvent(msgspec.Struct, frozen=True):
    """A retraining, or another change of a model."""

    model: str
    kind: str
    version: str
    started_at: int
    finished_at: int | None
    verdict: str
    """``published``, ``rejected``, ``not enough data``, ``failed``, ``timed out``, ``running``, ``rolled back`` …"""
    reason: str
    """Why it was started."""
    result: str
    """Its result in one sentence."""
    exit_code: int | None


class Report(msgspec.Struct, frozen=True):
    """A drift report."""

    model: str
    at: int
    """Event time."""
    verdict: str
    severity: str
    path: str


class Status(msgspec.Struct, frozen=True):
    """The whole document."""

    schema: int
    at: float
    exit_code: int
    headline: str
    actions: tuple[Action, ...]
    """What needs a person, the most urgent first."""
    monitor: Monitor
    models: tuple[Model, ...]
    incidents: tuple[Incident, ...]
    """Open incidents, the newest first."""
    approval_requests: tuple[ApprovalRequest, ...]
    running: Running | None
    history: tuple[ModelEvent, ...]
    """Newest first."""
    reports: tuple[Report, ...]
    """Newest first."""

    def as_json(self) -> bytes:
        """Encode the document as one line of JSON."""
        return msgspec.json.encode(self)

    def only(self, model: str) -> dict[str, Any]:
        """Return the fields that differ if only one model is asked for; for `msgspec.structs.replace`."""
        return {
            "models": tuple(one for one in self.models if one.model == model),
            "history": tuple(one for one in self.history if one.model == model),
            "reports": tuple(one for one in self.reports if one.model == model),
            "running": self.running if self.running and self.running.model == model else None,
        }
