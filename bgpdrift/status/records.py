"""What the store says, read in one consistent view with a short wait: a person must not be kept waiting by a busy writer.

Decides which rows are needed, and that a store which is missing, locked, damaged or of another version is an answer: its
reason stands in `Records.problem`, and everything else is empty.
"""

from dataclasses import dataclass, field
from typing import Any

from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import BgpdriftError
from bgpdrift.store import StateCursor, Store, open_store
from bgpdrift.store.cursor_states import DriftState, ProbationState, probation_cursor
from bgpdrift.store.drift_records import DriftCheck, DriftSignal
from bgpdrift.store.engine import parse_url, sqlite_path
from bgpdrift.store.request_records import ApprovalRequest, RetrainRequest

WEEK_S, MINUTE_S = 7 * 86_400, 60
PATIENCE_S = 2.0
HISTORY, REPORTS = 20, 10
Row = dict[str, Any]


@dataclass(frozen=True)
class Records:
    """Rows by column name; lists newest first unless said otherwise.

    Attributes
    ----------
    problem : str
        Why the store cannot be read; "" if it can.
    missing : bool
        There is no database file yet.
    data_until : int or None
        Event time of the end of the newest window.
    drift : mapping of str to StateCursor
        State of the drift checks by model.
    probations : mapping of str to ProbationState
        By model.
    versions : list of Row
        Of ``model_versions``.
    checks : list of DriftCheck
        Seven days up to the newest check, oldest first.
    signals : mapping of str to list of DriftSignal
        Those of each model's newest check.
    hours : list of (series, hour_start, n, alarms)
        Sums over collectors and versions of the scores' hourly histograms, oldest first.
    approvals : list of ApprovalRequest
        Pending ones, oldest first.
    requests : mapping of str to RetrainRequest
        The newest one of each model.
    events : list of Row
        Of ``model_retrain_events``.
    """

    problem: str = ""
    missing: bool = False
    data_until: int | None = None
    drift: dict[str, StateCursor[DriftState]] = field(default_factory=dict)
    probations: dict[str, ProbationState] = field(default_factory=dict)
    versions: list[Row] = field(default_factory=list)
    checks: list[DriftCheck] = field(default_factory=list)
    signals: dict[str, list[DriftSignal]] = field(default_factory=dict)
    hours: list[tuple[str, int, int, int]] = field(default_factory=list)
    approvals: list[ApprovalRequest] = field(default_factory=list)
    requests: dict[str, RetrainRequest] = field(default_factory=dict)
    events: list[Row] = field(default_factory=list)


def read(url: str, patience_s: float = PATIENCE_S) -> Records:
    """Read all that is shown."""
    try:
        with open_store(url, busy_timeout_s=patience_s) as store, store.consistent_reads():
            return _read(store)
    except BgpdriftError as error:
        return Records(problem=str(error), missing=_is_missing(url))


def _is_missing(url: str) -> bool:
    try:
        path = sqlite_path(parse_url(url))
    except BgpdriftError:
        return False
    return path is not None and not path.exists()


def _read(store: Store) -> Records:
    newest, checks = store.latest_window_start(), _checks(store)
    newest_checks = {check.model: check for check in checks}
    end = max((check.timestamp for check in checks), default=newest)
    series = [f"score:{model}" for model in MODELS]
    drift = {model: store.read_drift_state(model) for model in MODELS}
    probations = {model: store.read_state(probation_cursor(model), ProbationState) for model in MODELS}
    return Records(
        data_until=None if newest is None else newest + MINUTE_S,
        drift={model: cursor for model, cursor in drift.items() if cursor is not None},
        probations={model: cursor.state for model, cursor in probations.items() if cursor is not None},
        versions=store.model_versions(),
        checks=checks,
        signals={model: store.signals_of_check(check.id) for model, check in newest_checks.items()},
        hours=[] if end is None else store.hourly_alarms(series, end - WEEK_S, end),
        approvals=store.approval_requests("pending")[::-1],
        requests={model: request for model in MODELS for request in store.retrain_requests(model, limit=1)},
        events=store.retrain_events(limit=HISTORY),
    )


def _checks(store: Store) -> list[DriftCheck]:
    newest = store.drift_checks_between(limit=1)
    return store.drift_checks_between(newest[0].timestamp - WEEK_S + 1)[::-1] if newest else []
