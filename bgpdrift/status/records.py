"""Reads the rows of ``check_drift_status`` from the store, with a short wait for a busy writer.

This module decides which rows are needed. A store that is missing, locked, damaged or of another version is a result:
`Records.problem` states the reason, and everything else is empty.
"""

from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import func, select

from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import BgpdriftError
from bgpdrift.store import StateCursor, Store, open_store
from bgpdrift.store.cursor_states import (
    DriftState,
    FirstTrainingState,
    ProbationState,
    first_training_cursor,
    probation_cursor,
)
from bgpdrift.store.drift_records import DriftCheck, DriftSignal
from bgpdrift.store.engine import parse_url, sqlite_path
from bgpdrift.store.model_records import ModelVersion, RetrainEvent
from bgpdrift.store.request_records import ApprovalRequest, RetrainRequest
from bgpdrift.store.schema import feature_windows

WEEK_S, HOUR_S, MINUTE_S = 7 * 86_400, 3_600, 60
MAX_DATA_S = 8 * 86_400
"""Older windows do not count as data that a model could be trained on: a training reads the newest days, and a recording of
another month may lie before them."""
MAX_WAIT_S = 2.0
MAX_EVENTS = 20


class HourlyAlarms(msgspec.Struct, frozen=True):
    """Scores and alarms of one model in one hour, summed over collectors and versions."""

    model: str
    hour_start: int
    """Event time, epoch seconds."""
    scores: int
    alarms: int


class Records(msgspec.Struct, frozen=True):
    """What the store holds.

    Attributes
    ----------
    problem : str
        Why the store cannot be read; empty if it can.
    missing : bool
        There is no database file yet.
    data_from, data_until : int or None
        Event time of the start of the oldest window of the last eight days, and of the end of the newest window.
    data_written_at : float or None
        Wall-clock time at which the newest window was written.
    drift : dict of str to StateCursor
        State of the newest check by model.
    probations : dict of str to ProbationState
        By model.
    versions : list of ModelVersion
        All of them.
    checks : list of DriftCheck
        Seven days up to the newest check, oldest first.
    signals : dict of str to list of DriftSignal
        Measures of the newest check by model.
    hours : list of HourlyAlarms
        Oldest first.
    approvals : list of ApprovalRequest
        Without an answer, oldest first.
    requests : dict of str to RetrainRequest
        Newest retraining request by model.
    events : list of RetrainEvent
        Newest first.
    incidents : list of dict
        Open incidents, newest first.
    first_trainings : dict of str to FirstTrainingState
        What the first training waits for, by model.
    warming_since : dict of str to int
        Event time of the first window marked ``warming``, by collector that is warming.
    collectors : int
        Number of collectors with windows in the newest hour.
    """

    problem: str = ""
    missing: bool = False
    data_from: int | None = None
    data_until: int | None = None
    data_written_at: float | None = None
    drift: dict[str, StateCursor[DriftState]] = {}
    probations: dict[str, ProbationState] = {}
    versions: list[ModelVersion] = []
    checks: list[DriftCheck] = []
    signals: dict[str, list[DriftSignal]] = {}
    hours: list[HourlyAlarms] = []
    approvals: list[ApprovalRequest] = []
    requests: dict[str, RetrainRequest] = {}
    events: list[RetrainEvent] = []
    incidents: list[dict[str, Any]] = []
    first_trainings: dict[str, FirstTrainingState] = {}
    warming_since: dict[str, int] = {}
    collectors: int = 0


def read(
    url: str | Path, max_wait_s: float = MAX_WAIT_S, *, with_series: bool = True, warming_minutes: int = 0
) -> Records:
    """Read everything that is shown; without series, only what decides whether something needs a person.

    Windows of a new collector are marked ``warming`` for ``warming_minutes``; with 0, such collectors are not read.
    """
    try:
        with open_store(url, busy_timeout_s=max_wait_s) as store:
            return read_records(store, with_series=with_series, warming_minutes=warming_minutes)
    except BgpdriftError as error:
        return Records(problem=str(error), missing=_is_missing(url))


def read_records(store: Store, *, with_series: bool = True, warming_minutes: int = 0) -> Records:
    """Read the same from an open store.

    Raises
    ------
    BgpdriftError
        The store cannot be read.
    """
    with store.consistent_reads():
        return _read(store, with_series, warming_minutes)


def _is_missing(url: str | Path) -> bool:
    try:
        path = sqlite_path(parse_url(url))
    except BgpdriftError:
        return False
    return path is not None and not path.exists()


def _read(store: Store, with_series: bool, warming_minutes: int) -> Records:
    newest = store.latest_window_start()
    states = {model: store.read_drift_state(model) for model in MODELS}
    drift = {model: state for model, state in states.items() if state is not None}
    checks = _read_checks(store) if with_series else []
    newest_checks = {check.model: check for check in checks}
    end = checks[-1].timestamp if checks else newest
    trials = {model: store.read_state(probation_cursor(model), ProbationState) for model in MODELS}
    requests = {model: store.retrain_requests(model, limit=1) for model in MODELS}
    first = {model: store.read_state(first_training_cursor(model), FirstTrainingState) for model in MODELS}
    current = store.window_groups(newest - HOUR_S, newest + MINUTE_S) if newest is not None and warming_minutes else []
    return Records(
        data_from=None if newest is None else _read_oldest_window(store, newest - MAX_DATA_S),
        data_until=None if newest is None else newest + MINUTE_S,
        data_written_at=store.last_window_written_at(),
        drift=drift,
        probations={model: trial.state for model, trial in trials.items() if trial is not None},
        versions=store.model_versions(),
        checks=checks,
        signals={model: store.signals_of_check(check.id) for model, check in newest_checks.items() if with_series},
        hours=_read_hours(store, end) if with_series and end is not None else [],
        approvals=store.approval_requests(state="pending")[::-1],
        requests={model: found[0] for model, found in requests.items() if found},
        events=store.retrain_events(limit=MAX_EVENTS),
        incidents=[row for row in reversed(store.open_incidents()) if row["merged_into"] is None],
        first_trainings={model: cursor.state for model, cursor in first.items() if cursor is not None},
        warming_since=store.warming_since(newest, warming_minutes * MINUTE_S) if current and newest is not None else {},
        collectors=sum(not peer for _, peer, _ in current),
    )


def _read_oldest_window(store: Store, start: int) -> int | None:
    query = select(func.min(feature_windows.c.window_start).label("oldest")).where(
        feature_windows.c.window_start >= start
    )
    value = store.rows(query)[0]["oldest"]
    return None if value is None else int(value)


def _read_checks(store: Store) -> list[DriftCheck]:
    newest = store.drift_checks_between(limit=1)
    if not newest:
        return []
    return store.drift_checks_between(newest[0].timestamp - WEEK_S + 1)[::-1]


def _read_hours(store: Store, end: int) -> list[HourlyAlarms]:
    models = {f"score:{model}": model for model in MODELS}
    return [
        HourlyAlarms(models[name], *values) for name, *values in store.hourly_alarms(list(models), end - WEEK_S, end)
    ]
