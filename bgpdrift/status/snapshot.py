"""What ``check_drift_status --json`` says, as frozen values: its stable form, version 1.

Decides names and units and nothing else. A later version may add fields; one that is there keeps its name, unit and meaning
as long as `SCHEMA` does not change. Times are epoch seconds, UTC; those marked "event time" are the data's own, all
others are the wall clock's.
"""

from typing import Any

import msgspec

SCHEMA = 1
EXIT_OK, EXIT_BLIND, EXIT_USAGE, EXIT_DRIFT = 0, 1, 2, 10
"""Nothing needs a person · what is shown cannot be relied on · bad usage or settings · a model or a question needs one."""


class Command(msgspec.Struct, frozen=True):
    """Something to type."""

    command: str
    does: str


class ToDo(msgspec.Struct, frozen=True):
    """One thing that needs a person."""

    kind: str
    """``store``, ``monitor``, ``data``, ``question``, ``model``, ``drift``, ``retraining``: what is wrong."""
    subject: str
    """Model, service or number of the question; "" for the system."""
    exit_code: int
    sentence: str
    commands: tuple[Command, ...] = ()


class Monitor(msgspec.Struct, frozen=True):
    """Who checks, and when."""

    state: str
    """As ``run_all_services.py status`` says it of ``drift_monitor``; ``not_running`` without a supervisor; ``elsewhere``
    if checks are made all the same (cron, systemd); ``no_answer`` if the supervisor does not answer; ``off`` by
    setting ``drift.enabled``."""
    supervisor: str
    """State of the supervisor; ``stopped`` if there is none, ``no_answer`` if it does not answer."""
    message: str
    """What the service says of itself."""
    pid: int | None = None
    uptime_s: float | None = None
    last_check_at: int | None = None
    """Event time of the newest check of any model."""
    last_check_written_at: float | None = None
    """Wall clock of the same."""
    next_check_at: int | None = None
    """Event time of the check that is due first."""
    data_until: int | None = None
    """Event time of the end of the newest window."""
    data_age_s: float | None = None
    """How old that is; large in a replay of history."""
    store: str = "ok"
    """``ok``; ``missing`` if there is none yet; else why it cannot be read."""


class MeasureRow(msgspec.Struct, frozen=True):
    """One figure of the newest check."""

    name: str
    window: str
    """``24h/7d``, ``72h/pinned`` …; "" for a signal that belongs to none."""
    value: float | None
    threshold: float | None
    p_value: float | None
    severity: str


class Series(msgspec.Struct, frozen=True):
    """A figure hour by hour over seven days of event time."""

    name: str
    start: int
    """Event time of the first hour."""
    values: tuple[float | None, ...]
    threshold: float | None = None


class Question(msgspec.Struct, frozen=True):
    """A question that waits for a person."""

    id: int
    kind: str
    """``retrain`` or ``attack_or_new_normal``."""
    subject: str
    """Model, or number of the incident."""
    asked_at: int
    """Event time."""
    text: str
    silence_until: int | None
    """Event time at which silence becomes an answer; None if it never does."""
    silence_means: str


class Holding(msgspec.Struct, frozen=True):
    """The incident because of which a drift is, or was, held."""

    state: str
    """``held``; ``asked`` while a question waits; ``attack`` or ``new_normal`` once it was answered."""
    incident_id: int
    since: int | None
    """Event time."""
    question_id: int | None
    answer: str
    """``attack``, ``new_normal``, ``silence`` or ""."""


class Wish(msgspec.Struct, frozen=True):
    """The newest wish to retrain a model."""

    id: int
    state: str
    """``requested``, ``waiting_approval``, ``postponed``, ``flagged``, ``claimed``, ``done``, ``failed``, ``refused``."""
    requested_at: int
    """Event time."""
    requested_by: str
    severity: str
    because: str
    """Why it was refused, postponed or failed; "" otherwise."""


class FlagFile(msgspec.Struct, frozen=True):
    """A request to retrain as it lies in the artifact directory."""

    state: str
    """``waiting``, ``claimed``, or ``orphaned`` if whoever claimed it is gone."""
    requested_by: str
    reason: str
    requested_at: float
    attempts: int
    pid: int | None = None


class Probation(msgspec.Struct, frozen=True):
    """How a new version does beside the one before it."""

    version: str
    parent: str
    started_at: int | None
    ends_at: int | None
    alarms_per_day: float | None
    shadow_alarms_per_day: float | None
    verdict: str
    """``watching``; ``accepted``, ``rolled_back``; ``needs_review`` if it failed and no rollback is possible."""
    reason: str

    @property
    def goes_on(self) -> bool:
        """Whether it is not decided yet."""
        return self.verdict in ("", "watching", "needs_review")


class Model(msgspec.Struct, frozen=True):
    """One model."""

    model: str
    version: str
    """In force; "" if there is none."""
    state: str
    """``active``, ``probation``, ``accepted``; ``none`` without a file, ``damaged`` if it cannot be read."""
    created_at: int | None
    active_since: int | None
    age_s: float | None
    parent_version: str
    file_problem: str
    verdict: str
    """Of the newest check; ``not_checked`` before the first, ``unknown`` without the store."""
    severity: str
    reason: str
    p_value: float | None
    checked_at: int | None
    """Event time."""
    next_check_at: int | None
    lasting: int
    """Checks running that said drift."""
    needed: int
    waiting_for: str
    smallest_shift: float | None
    """Smallest relative shift of level that the newest check would have seen; 0.12 is 12 %."""
    change_point: int | None
    """Event time from which on the new level holds, where drift was found."""
    collectors: tuple[str, ...]
    """Where it drifts."""
    report_path: str
    measures: tuple[MeasureRow, ...]
    series: tuple[Series, ...]
    """``psi``, ``ks``, ``js``, ``wasserstein`` of each check, ``alarm_rate`` of each hour."""
    holding: Holding | None = None
    wish: Wish | None = None
    flag: FlagFile | None = None
    probation: Probation | None = None

    @property
    def drifts(self) -> bool:
        """Whether drift was said often enough to be acted on."""
        return self.verdict == "drift" and self.lasting >= self.needed


class Running(msgspec.Struct, frozen=True):
    """The retrainer at work."""

    model: str
    pid: int
    since: float
    phase: str
    """``read``, ``fit``, ``calibrate``, ``evaluate``, ``gate``, ``stage``, ``publish``; "" if it has not said."""
    done: float | None
    """Share of the whole run, 0 to 1; None if it does not say."""


class Retraining(msgspec.Struct, frozen=True):
    """Something that happened to a model."""

    model: str
    kind: str
    version: str
    started_at: int
    finished_at: int | None
    verdict: str
    """``published``, ``rejected``, ``not enough data``, ``failed``, ``timed out``, ``running``, ``taken back`` …"""
    because: str
    """Why it was begun."""
    result: str
    """What came of it, in one sentence."""
    exit_code: int | None


class Report(msgspec.Struct, frozen=True):
    """A report of a check."""

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
    todo: tuple[ToDo, ...]
    monitor: Monitor
    models: tuple[Model, ...]
    questions: tuple[Question, ...]
    running: Running | None
    history: tuple[Retraining, ...]
    reports: tuple[Report, ...]

    def as_json(self) -> bytes:
        """Give the document as one line of JSON."""
        return msgspec.json.encode(self)

    def only(self, model: str) -> dict[str, Any]:
        """Give the parts that differ when only one model is asked for; for `msgspec.structs.replace`."""
        return {
            "models": tuple(one for one in self.models if one.model == model),
            "history": tuple(one for one in self.history if one.model == model),
            "reports": tuple(one for one in self.reports if one.model == model),
            "running": self.running if self.running and self.running.model == model else None,
        }
