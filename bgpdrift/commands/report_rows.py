"""Recorded drift checks as reports and as histories of measures, from rows of the store. Pure.

Rebuilds a check without a report file, which is written for drift only. The store keeps neither the values by chance
nor the effects.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bgpdrift.drift.measure_registry import find_measure
from bgpdrift.drift.report import SEVERITIES, VERDICTS, Comparison, DriftReport, LeftOut, Measure
from bgpdrift.drift.report_page import MeasureHistory

Row = Mapping[str, Any]


def build_report(check: Row, signals: Sequence[Row]) -> DriftReport:
    """Rebuild a report from a row of ``drift_metrics`` and its signals."""
    details = check["details"] or {}
    measures: dict[str, list[Measure]] = {}
    for row in signals:
        window, name = _split_signal(row["signal"])
        measures.setdefault(window, []).append(_build_measure(name, row))
    comparisons = tuple(
        _build_comparison(one, tuple(measures.get(one["window"], ()))) for one in details.get("comparisons", ())
    )
    return DriftReport(
        check["model"],
        check["model_version"],
        int(check["timestamp"]),
        _one_of(check["verdict"], VERDICTS, "not_enough_data"),
        _one_of(check["severity"], SEVERITIES, "none"),
        str(details.get("reason", "")),
        str(details.get("policy", "rule")),
        check["p_value"],
        comparisons,
        tuple(measures.get("", ())),
        details.get("smallest_shift"),
        details.get("change_point"),
        details.get("context") or {},
    )


def build_histories(checks: Sequence[tuple[Row, Sequence[Row]]], window: str) -> list[MeasureHistory]:
    """Build the history of each measure of one window, and of each signal.

    Parameters
    ----------
    checks : sequence of (row, signals)
        Past checks, in any order.
    window : str
        Window of the measures, e.g. ``24h/7d``.
    """
    points: dict[str, list[tuple[int, Row]]] = {}
    for check, signals in sorted(checks, key=lambda entry: int(entry[0]["timestamp"])):
        for row in signals:
            of_window, name = _split_signal(row["signal"])
            if of_window in ("", window) and row["value"] is not None:
                points.setdefault(name, []).append((int(check["timestamp"]), row))
    return [
        MeasureHistory(
            name,
            [at for at, _ in rows],
            [float(row["value"]) for _, row in rows],
            rows[-1][1]["threshold"],
            severity=rows[-1][1]["severity"],
        )
        for name, rows in points.items()
    ]


def _build_comparison(fields: Mapping[str, Any], measures: tuple[Measure, ...]) -> Comparison:
    left_out = tuple(LeftOut(*one) for one in fields.get("left_out", ()))
    return Comparison(**{**fields, "left_out": left_out, "measures": measures})


def _build_measure(name: str, row: Row) -> Measure:
    record = find_measure(name)
    unit = record.unit if record else ""
    severity = _one_of(row["severity"], SEVERITIES, "none")
    return Measure(name, row["value"], row["threshold"], p_value=row["p_value"], severity=severity, unit=unit)


def _split_signal(signal: str) -> tuple[str, str]:
    """Split the name of a signal into window and measure.

    Examples
    --------
    >>> _split_signal("24h/7d:psi"), _split_signal("feature:flaps"), _split_signal("lag")
    (('24h/7d', 'psi'), ('', 'feature:flaps'), ('', 'lag'))
    """
    window, colon, name = signal.partition(":")
    return (window, name) if colon and "/" in window else ("", signal)


def _one_of(value: Any, allowed: tuple[Any, ...], otherwise: Any) -> Any:
    return value if value in allowed else otherwise
