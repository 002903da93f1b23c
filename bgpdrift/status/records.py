"""What the store says, read in one consistent view with a short wait: a person must not be kept waiting by a busy writer.

Decides which rows are needed, and that a store which is missing, locked, damaged or of another version is an answer: its
reason stands in `Records.problem`, and everything else is empty.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Executable, func, select

from bgpdrift.errors import BgpdriftError
from bgpdrift.models.paths import MODELS
from bgpdrift.store import open_store
from bgpdrift.store.drift import NEWEST_WINDOWS
from bgpdrift.store.engine import parse_url, sqlite_path
from bgpdrift.store.schema import (
    approvals,
    cursors,
    drift_metrics,
    drift_signals,
    feature_windows,
    hourly_histograms,
    model_retrain_events,
    model_versions,
    retrain_triggers,
)

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
    cursors : mapping of str to Row
        By name: ``drift:<model>``, ``probation:<model>``.
    versions : list of Row
        Of ``model_versions``.
    checks : list of Row
        Of ``drift_metrics``, seven days up to the newest check, oldest first.
    signals : mapping of str to list of Row
        Of ``drift_signals``, those of each model's newest check.
    hours : list of (series, hour_start, n, alarms)
        Sums over collectors and versions of the scores' hourly histograms, oldest first.
    questions, wishes, events : list of Row
        Pending approvals, oldest first; the newest wish of each model; model events.
    """

    problem: str = ""
    missing: bool = False
    data_until: int | None = None
    cursors: dict[str, Row] = field(default_factory=dict)
    versions: list[Row] = field(default_factory=list)
    checks: list[Row] = field(default_factory=list)
    signals: dict[str, list[Row]] = field(default_factory=dict)
    hours: list[tuple[str, int, int, int]] = field(default_factory=list)
    questions: list[Row] = field(default_factory=list)
    wishes: list[Row] = field(default_factory=list)
    events: list[Row] = field(default_factory=list)


def read(url: str, patience_s: float = PATIENCE_S) -> Records:
    """Read all that is shown."""
    try:
        with open_store(url, busy_timeout_s=patience_s) as store, store.reading() as connection:
            return _read(connection)
    except BgpdriftError as error:
        return Records(problem=str(error), missing=_is_missing(url))


def _is_missing(url: str) -> bool:
    try:
        path = sqlite_path(parse_url(url))
    except BgpdriftError:
        return False
    return path is not None and not path.exists()


def _read(connection: Connection) -> Records:
    last = select(feature_windows.c.window_start).order_by(feature_windows.c.id.desc()).limit(NEWEST_WINDOWS).subquery()
    newest = connection.execute(select(func.max(last.c.window_start))).scalar()
    names = [f"{kind}:{model}" for kind in ("drift", "probation") for model in MODELS]
    known = {str(row["name"]): row for row in _rows(connection, select(cursors).where(cursors.c.name.in_(names)))}
    checks = _checks(connection)
    newest_checks = {row["model"]: row for row in checks}
    end = max((row["timestamp"] for row in checks), default=newest)
    wish_ids = select(func.max(retrain_triggers.c.id)).group_by(retrain_triggers.c.model)
    pending = select(approvals).where(approvals.c.state == "pending").order_by(approvals.c.id)
    events = select(model_retrain_events).order_by(model_retrain_events.c.id.desc()).limit(HISTORY)
    return Records(
        data_until=None if newest is None else int(newest) + MINUTE_S,
        cursors=known,
        versions=_rows(connection, select(model_versions).order_by(model_versions.c.id.desc())),
        checks=checks,
        signals={model: _signals(connection, row["id"]) for model, row in newest_checks.items()},
        hours=_hours(connection, end) if end is not None else [],
        questions=_rows(connection, pending),
        wishes=_rows(connection, select(retrain_triggers).where(retrain_triggers.c.id.in_(wish_ids))),
        events=_rows(connection, events),
    )


def _checks(connection: Connection) -> list[Row]:
    newest = connection.execute(select(func.max(drift_metrics.c.timestamp))).scalar()
    if newest is None:
        return []
    query = select(drift_metrics).where(drift_metrics.c.timestamp > int(newest) - WEEK_S)
    return _rows(connection, query.order_by(drift_metrics.c.timestamp, drift_metrics.c.id))


def _signals(connection: Connection, check_id: int) -> list[Row]:
    query = select(drift_signals).where(drift_signals.c.check_id == check_id)
    return _rows(connection, query.order_by(drift_signals.c.id))


def _hours(connection: Connection, end: int) -> list[tuple[str, int, int, int]]:
    table = hourly_histograms
    query = select(table.c.series, table.c.hour_start, func.sum(table.c.n), func.sum(table.c.alarms))
    # By name, not by pattern: SQLite uses no index for LIKE, and most of this table are features.
    series = [f"score:{model}" for model in MODELS]
    query = query.where(table.c.series.in_(series), table.c.hour_start >= end - WEEK_S, table.c.hour_start < end)
    found = connection.execute(query.group_by(table.c.series, table.c.hour_start).order_by(table.c.hour_start))
    return [(str(series), int(hour), int(n), int(alarms)) for series, hour, n, alarms in found]


def _rows(connection: Connection, statement: Executable) -> list[Row]:
    result = connection.execute(statement)
    names: Iterable[str] = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]
