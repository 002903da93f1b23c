"""Puts together what is shown from what was read: store, files, supervisor, settings, one instant. Pure.

Decides what a model's state is called, which figures are drawn as series, and that whatever a row lacks is shown as missing
rather than guessed. What needs a person is decided in `todo`.
"""

from collections.abc import Mapping
from typing import Any

from bgpdrift.models.paths import MODELS
from bgpdrift.monitor.approvals import ATTACK_OR_NEW_NORMAL, question
from bgpdrift.settings import Settings
from bgpdrift.status.files import Files, ModelHeader
from bgpdrift.status.records import REPORTS, WEEK_S, Records, Row
from bgpdrift.status.retrainings import retraining
from bgpdrift.status.snapshot import (
    SCHEMA,
    Holding,
    MeasureRow,
    Model,
    Monitor,
    Probation,
    Question,
    Report,
    Series,
    Status,
    Wish,
)
from bgpdrift.status.supervised import Supervised
from bgpdrift.status.todo import MISSING, exit_code_of, headline_of, todo_of

HOUR_S = 3_600
DRAWN = ("psi", "ks", "js", "wasserstein")
"""Columns of ``drift_metrics`` that become series."""


def build(records: Records, files: Files, supervised: Supervised, settings: Settings, now: float) -> Status:
    """Put the document together.

    Parameters
    ----------
    records, files, supervised
        What was read.
    settings : Settings
        For thresholds, switches and how long silence lasts.
    now : float
        Wall clock, epoch seconds: one instant for all that is said.
    """
    models = tuple(_model(name, records, files, settings, now) for name in MODELS)
    monitor = _monitor(records, supervised, settings, models, now)
    questions = tuple(_question(row, settings) for row in records.questions)
    history = tuple(retraining(row) for row in records.events)
    todo = todo_of(monitor, models, questions, history, settings, supervised.others_down)
    return Status(
        SCHEMA,
        now,
        exit_code_of(todo),
        headline_of(todo, models, records.problem),
        todo,
        monitor,
        models,
        questions,
        files.running,
        history,
        _reports(records),
    )


def _monitor(
    records: Records, supervised: Supervised, settings: Settings, models: tuple[Model, ...], now: float
) -> Monitor:
    checked = [row for name, row in records.cursors.items() if name.startswith("drift:")]
    written_at = max((float(row["updated_at"]) for row in checked), default=None)
    state, message = supervised.state, supervised.message
    if not settings.drift.enabled:
        state, message = "off", "switched off (drift.enabled)"
    elif state == "not_running" and written_at is not None and abs(now - written_at) < _patience_s(settings):
        state, message = "elsewhere", "checks are made without this supervisor"
    return Monitor(
        state,
        supervised.supervisor,
        message,
        supervised.pid,
        supervised.uptime_s,
        max((model.checked_at for model in models if model.checked_at is not None), default=None),
        written_at,
        min((model.next_check_at for model in models if model.next_check_at is not None), default=None),
        records.data_until,
        None if records.data_until is None else max(0.0, now - records.data_until),
        MISSING if records.missing else records.problem or "ok",
    )


def _patience_s(settings: Settings) -> float:
    """How old a check may be while somebody without a supervisor makes them."""
    return 2.5 * settings.drift.check_every_h * HOUR_S


def _model(name: str, records: Records, files: Files, settings: Settings, now: float) -> Model:
    header = files.models.get(name, ModelHeader(exists=False))
    known = {row["version"]: row for row in records.versions if row["model"] == name}
    row = known.get(header.version, {})
    cursor = records.cursors.get(f"drift:{name}")
    said = _details(cursor)
    checks = [check for check in records.checks if check["model"] == name]
    last = checks[-1] if checks else None
    active_since = row.get("activated_at") or header.created_at or None
    probation = _probation(records, name, header.version)
    return Model(
        model=name,
        version=header.version,
        state=_state(header, row, probation),
        created_at=header.created_at or None,
        active_since=active_since,
        age_s=max(0.0, now - active_since) if active_since else None,
        parent_version=header.parent_version,
        file_problem=header.problem,
        verdict=str(said.get("verdict") or (last["verdict"] if last else _unchecked(records))),
        severity=str(said.get("severity") or (last["severity"] if last else "none")),
        reason=str(said.get("reason") or (_details(last).get("reason") if last else "") or ""),
        p_value=_number(said.get("p_value", last["p_value"] if last else None)),
        checked_at=int(cursor["position"]) if cursor else last["timestamp"] if last else None,
        next_check_at=_whole(said.get("next_check_at")),
        lasting=_whole(said.get("lasting")) or 0,
        needed=_whole(said.get("needed")) or settings.drift.lasting_checks,
        waiting_for=str(said.get("waiting_for") or ""),
        smallest_shift=_number(_details(last).get("smallest_shift")),
        change_point=_whole(said.get("change_point", _details(last).get("change_point"))),
        collectors=_names(said.get("collectors")),
        report_path=str(said.get("report_path") or (last["report_path"] if last else "")),
        measures=tuple(_measure(signal) for signal in records.signals.get(name, ())),
        series=tuple(_series(name, checks, records, settings)),
        holding=_holding(said.get("holding")),
        wish=next((_wish(wish) for wish in records.wishes if wish["model"] == name), None),
        flag=files.flags.get(name),
        probation=probation,
    )


def _unchecked(records: Records) -> str:
    return "unknown" if records.problem else "not_checked"


def _state(header: ModelHeader, row: Mapping[str, Any], probation: Probation | None) -> str:
    if header.problem:
        return "damaged"
    if not header.exists:
        return "none"
    if probation is not None and probation.goes_on:
        return "probation"
    return str(row.get("state") or "active")


def _probation(records: Records, model: str, version: str) -> Probation | None:
    said = _details(records.cursors.get(f"probation:{model}"))
    if not version or str(said.get("version") or "") != version:
        return None
    return Probation(
        version,
        str(said.get("parent") or ""),
        _whole(said.get("started_at")),
        _whole(said.get("ends_at")),
        _number(said.get("alarms_per_day")),
        _number(said.get("shadow_alarms_per_day")),
        str(said.get("verdict") or ""),
        str(said.get("reason") or ""),
    )


def _series(model: str, checks: list[Row], records: Records, settings: Settings) -> list[Series]:
    ends = [check["timestamp"] for check in records.checks] or [hour + HOUR_S for _, hour, _, _ in records.hours]
    if not ends:
        return []
    start = (max(ends) - WEEK_S) // HOUR_S * HOUR_S
    thresholds = {"psi": settings.drift.psi_threshold}
    drawn = [
        Series(
            name,
            start,
            _hourly({_hour(check["timestamp"] - 1): _number(check[name]) for check in checks}, start),
            thresholds.get(name),
        )
        for name in DRAWN
    ]
    rates = {hour: alarms / n if n else None for series, hour, n, alarms in records.hours if series == f"score:{model}"}
    return [*drawn, Series("alarm_rate", start, _hourly(rates, start))]


def _hourly(found: Mapping[int, float | None], start: int) -> tuple[float | None, ...]:
    return tuple(found.get(start + hour * HOUR_S) for hour in range(WEEK_S // HOUR_S))


def _hour(at: int) -> int:
    return at // HOUR_S * HOUR_S


def _measure(row: Row) -> MeasureRow:
    # "24h/7d:psi" belongs to a window, "volume" and "feature:withdrawals" to none.
    head, _, tail = str(row["signal"]).partition(":")
    window, name = (head, tail) if "/" in head else ("", str(row["signal"]))
    figures = (_number(row["value"]), _number(row["threshold"]), _number(row["p_value"]))
    return MeasureRow(name, window, *figures, str(row["severity"]))


def _question(row: Row, settings: Settings) -> Question:
    ends = settings.drift.unanswered == "drift"
    means = "it counts as the new normal" if row["kind"] == ATTACK_OR_NEW_NORMAL else "the model is retrained"
    asked_at = int(row["asked_at"])
    return Question(
        int(row["id"]),
        str(row["kind"]),
        str(row["subject"]),
        asked_at,
        question(row),
        asked_at + round(settings.drift.unanswered_h * HOUR_S) if ends else None,
        means if ends else "nothing happens",
    )


def _holding(said: Any) -> Holding | None:
    if not isinstance(said, Mapping) or said.get("incident_id") is None:
        return None
    return Holding(
        str(said.get("state") or "held"),
        int(said["incident_id"]),
        _whole(said.get("since")),
        _whole(said.get("question_id")),
        str(said.get("answer") or ""),
    )


def _wish(row: Row) -> Wish:
    reason = row["reason"] if isinstance(row["reason"], Mapping) else {}
    return Wish(
        int(row["id"]),
        str(row["state"]),
        int(row["requested_at"]),
        str(row["requested_by"]),
        str(reason.get("severity") or ""),
        str(row["refused_because"] or ""),
    )


def _reports(records: Records) -> tuple[Report, ...]:
    found = [row for row in reversed(records.checks) if row["report_path"]][:REPORTS]
    return tuple(
        Report(str(row["model"]), int(row["timestamp"]), str(row["verdict"]), str(row["severity"]), row["report_path"])
        for row in found
    )


def _details(row: Mapping[str, Any] | None) -> Mapping[str, Any]:
    found = row.get("details") if row else None
    return found if isinstance(found, Mapping) else {}


def _names(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list) else ()


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
