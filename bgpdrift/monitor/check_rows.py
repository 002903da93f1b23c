"""A drift check as rows: of the check, its signals, its model's state, a wish, a question, a notice. Pure.

Decides what is kept of a check and how it is said in one line. What it concluded, others decided.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bgpdrift.drift.incident_hold import IncidentHold
from bgpdrift.drift.persistence import Persistence
from bgpdrift.drift.report import VERDICTS, Comparison, DriftReport, LeftOut, Measure, Severity, Verdict
from bgpdrift.store import Cursor

REQUESTED_BY = "drift_monitor"
_FIGURES = {"kl_divergence": "kl", "psi": "psi", "ks": "ks", "js": "js", "wasserstein": "wasserstein"}
_LONGEST_SIGNAL = 96


def said(at: int) -> str:
    """A time for people.

    Examples
    --------
    >>> said(1_767_225_600)
    '2026-01-01 00:00 UTC'
    """
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def check_row(report: DriftReport, window: str, path: str, lasting: Persistence, needed: int) -> dict[str, Any]:
    """Make the row of ``drift_metrics``: figures of the first comparison, verdict of all."""
    accuracy = next((signal for signal in report.signals if signal.name == "accuracy"), None)
    current = accuracy.value if accuracy else None
    change = accuracy.effect if accuracy else None
    return {
        "timestamp": report.at,
        "model": report.model,
        "model_version": report.model_version,
        "window": window,
        **{column: _value(report.measure(name)) for column, name in _FIGURES.items()},
        "p_value": report.p_value,
        "current_accuracy": current,
        "baseline_accuracy": None if current is None or change is None else current - change,
        "drift_detected": report.verdict in ("drift", "held"),
        "verdict": report.verdict,
        "severity": report.severity,
        "report_path": path,
        "details": {
            "reason": report.reason,
            "policy": report.policy,
            "smallest_shift": report.smallest_shift,
            "change_point": report.change_point,
            "lasting": lasting.checks,
            "needed": needed,
            "comparisons": [_short(comparison) for comparison in report.comparisons],
            "context": dict(report.context),
        },
    }


def signal_rows(report: DriftReport) -> list[dict[str, Any]]:
    """Make the rows of ``drift_signals``: ``<window>:<measure>`` of each comparison, then signals by their name."""
    named = [
        (f"{comparison.window}:{measure.name}", measure)
        for comparison in report.comparisons
        for measure in comparison.measures
    ]
    named += [(signal.name, signal) for signal in report.signals]
    return [
        {
            "signal": name[:_LONGEST_SIGNAL],
            "value": measure.value,
            "threshold": measure.threshold,
            "p_value": measure.p_value,
            "severity": measure.severity,
        }
        for name, measure in named
    ]


def state_fields(
    report: DriftReport, lasting: Persistence, holding: IncidentHold, path: str, every_s: int, needed: int
) -> dict[str, Any]:
    """Make the details of a model's cursor ``drift:<model>``: all that must survive a restart."""
    return {
        "version": report.model_version,
        "verdict": report.verdict,
        "severity": report.severity,
        "p_value": report.p_value,
        "reason": report.reason,
        "at": report.at,
        "next_check_at": report.at + every_s,
        "needed": needed,
        "change_point": report.change_point,
        "collectors": list(report.context.get("collectors", ())),
        "waiting_for": report.reason if report.verdict == "not_enough_data" else "",
        "holding": holding.as_fields(),
        "report_path": path,
        **lasting_fields(lasting),
    }


def lasting_fields(lasting: Persistence) -> dict[str, Any]:
    """Give the count as part of the details."""
    return {
        "lasting": lasting.checks,
        "lasting_at": lasting.last_at,
        "lasting_version": lasting.version,
        "armed": lasting.armed,
        "wished_at": lasting.requested_at,
        "wished_severity": lasting.requested_severity,
    }


def lasting_of(cursor: Cursor | None) -> Persistence:
    """Read the count back; one that cannot be read begins anew."""
    details = cursor.details if cursor else {}
    try:
        return Persistence(
            str(details["lasting_version"]),
            int(details["lasting"]),
            int(details["lasting_at"]),
            bool(details["armed"]),
            int(details["wished_at"]),
            details["wished_severity"],
        )
    except (KeyError, TypeError, ValueError):
        return Persistence()


def holding_of(cursor: Cursor | None) -> IncidentHold:
    """Read what holds a drift back."""
    try:
        return IncidentHold.from_fields(cursor.details.get("holding") if cursor else None)
    except (TypeError, ValueError):
        return IncidentHold()


def wish(model: str, at: int, details: Mapping[str, Any], consented: bool) -> dict[str, Any]:
    """Make the row of ``retrain_requests``; ``details`` are the model's state."""
    names = ("severity", "verdict", "change_point", "reason", "report_path", "version", "collectors")
    reason = {name: details.get(name) for name in names}
    return {
        "model": model,
        "requested_at": at,
        "requested_by": REQUESTED_BY,
        "reason": {**reason, "consented": consented},
        "state": "requested",
    }


def wish_notice(model: str, at: int, details: Mapping[str, Any], wall_now: float) -> list[dict[str, Any]]:
    """Make the notice that a drift lasted."""
    return [
        {
            "at": wall_now,
            "key": f"drift_found:{model}:{details.get('version')}:{at}"[:128],
            "severity": str(details.get("severity") or "medium"),
            "title": f"drift of {model}, version {details.get('version')}",
            "body": str(details.get("reason") or ""),
            "state": "pending",
        }
    ]


def question(holding: IncidentHold, report: DriftReport, kind: str) -> dict[str, Any]:
    """Make the row of ``approvals`` that asks whether an incident is an attack or the new normal."""
    return {
        "kind": kind,
        "subject": str(holding.incident_id),
        "asked_at": holding.asked_at,
        "state": "pending",
        "details": {
            "question": question_text(holding),
            "since": holding.since,
            "model": report.model,
            "version": report.model_version,
            "p_value": report.p_value,
            "psi": _value(report.measure("psi")),
            "median_shift": _value(report.measure("median_shift")),
            "change_point": report.change_point,
            "reason": report.reason,
        },
    }


def question_text(holding: IncidentHold) -> str:
    """Ask in one line."""
    return f"incident {holding.incident_id}, open and steady since {said(holding.since)}: attack or new normal?"


def question_notice(holding: IncidentHold, report: DriftReport, wall_now: float) -> list[dict[str, Any]]:
    """Make the notice that somebody is asked."""
    return [
        {
            "at": wall_now,
            "key": f"attack_or_new_normal:{holding.incident_id}",
            "severity": "high",
            "title": question_text(holding),
            "body": f"`bgpdrift approve` means new normal, `bgpdrift reject` attack. {report.reason}",
            "state": "pending",
        }
    ]


def status_line(model: str, cursor: Cursor) -> str:
    """Say in a few words where a model stands.

    Examples
    --------
    >>> details = {"verdict": "drift", "severity": "high", "at": 7200, "next_check_at": 10800, "lasting": 2, "needed": 6}
    >>> status_line("lstm", Cursor("drift:lstm", 7200, details))
    'lstm drift (high, 2 of 6 checks) 1970-01-01 02:00 UTC, next 03:00'
    """
    details = cursor.details
    verdict = str(details.get("verdict", "unknown"))
    text = f"{model} {verdict.replace('_', ' ')}"
    if verdict in ("drift", "held"):
        text += f" ({details.get('severity')}, {details.get('lasting')} of {details.get('needed')} checks)"
    next_at = details.get("next_check_at")
    after = f", next {said(int(next_at))[11:16]}" if next_at else ""
    waits = f": {details['waiting_for']}" if details.get("waiting_for") else ""
    return f"{text} {said(cursor.position)}{after}{waits}"


def severity_in(details: Mapping[str, Any]) -> Severity:
    """Severity of a state; ``none`` where there is none."""
    found = details.get("severity")
    return found if found in ("low", "medium", "high", "critical") else "none"


def verdict_in(details: Mapping[str, Any]) -> Verdict:
    """Verdict of a state; ``not_enough_data`` where there is none."""
    return next((verdict for verdict in VERDICTS if verdict == details.get("verdict")), "not_enough_data")


def report_of(row: Mapping[str, Any], signals: Sequence[Mapping[str, Any]]) -> DriftReport:
    """Make a report of what the store has of a check: less than was written to a file, enough to be read."""
    details = row["details"]
    by_window: dict[str, list[Measure]] = {}
    alone = []
    windows = {str(short["window"]) for short in details["comparisons"]}
    for signal in signals:
        window, _, name = str(signal["signal"]).partition(":")
        figures = (signal["value"], signal["threshold"], None, signal["p_value"], None, signal["severity"])
        if window in windows:
            by_window.setdefault(window, []).append(Measure(name, *figures))
        else:
            alone.append(Measure(str(signal["signal"]), *figures))
    comparisons = [
        Comparison(
            **{name: value for name, value in short.items() if name != "left_out"},
            left_out=tuple(LeftOut(*part) for part in short["left_out"]),
            measures=tuple(by_window.get(str(short["window"]), ())),
        )
        for short in details["comparisons"]
    ]
    return DriftReport(
        str(row["model"]),
        str(row["model_version"]),
        int(row["timestamp"]),
        row["verdict"],
        row["severity"],
        str(details["reason"]),
        str(details["policy"]),
        row["p_value"],
        tuple(comparisons),
        tuple(alone),
        details["smallest_shift"],
        details["change_point"],
        details["context"],
    )


def _short(comparison: Comparison) -> dict[str, Any]:
    names = ("window", "reference", "verdict", "p_value", "alarming", "smallest_shift", "change_point", "effective_n")
    spans = ("current_start", "current_end", "reference_start", "reference_end", "n_current", "n_reference", "reason")
    left_out = [[part.start, part.hours, part.window, part.reason] for part in comparison.left_out]
    return {name: getattr(comparison, name) for name in (*names, *spans)} | {"left_out": left_out}


def _value(measure: Measure | None) -> float | None:
    return None if measure is None else measure.value
