"""A recorded drift check as a report again, and recorded measures as curves; from rows of the store. Pure.

Decides what can be said of a check of which no report file was written (only drift writes one): everything but what chance
gives and the size of effects, which are not kept.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bgpdrift.drift.report import SEVERITIES, VERDICTS, Comparison, DriftReport, LeftOut, Measure
from bgpdrift.drift.report_page import History

Row = Mapping[str, Any]
UNITS = {
    "psi": "nats",
    "kl": "nats",
    "js": "bits",
    "ks": "share",
    "location": "rank",
    "tail_95": "share",
    "tail_99": "share",
    "wasserstein": "score",
    "median_shift": "IQR",
    "anomaly_rate": "share",
    "rule_mix": "nats",
    "rule_mix_js": "bits",
    "accuracy": "share",
    "precision": "share",
    "recall": "share",
    "f1": "share",
    "confidence": "share",
    "volume": "×",
    "growth": "share a day",
    "model_age": "days",
    "lag": "s",
}


def report_of(check: Row, signals: Sequence[Row]) -> DriftReport:
    """Put a row of ``drift_metrics`` and its signals together again."""
    details = check["details"] or {}
    measures: dict[str, list[Measure]] = {}
    for row in signals:
        window, _, name = _split(row["signal"])
        measures.setdefault(window, []).append(_measure(name, row))
    comparisons = tuple(
        _comparison(one, tuple(measures.get(one["window"], ()))) for one in details.get("comparisons", ())
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


def histories(checks: Sequence[tuple[Row, Sequence[Row]]], window: str) -> list[History]:
    """Give each measure of one window, and each signal, over past checks.

    Parameters
    ----------
    checks : sequence of (row, signals)
        In any order.
    window : str
        Whose measures are drawn, e.g. ``24h/7d``.
    """
    curves: dict[str, list[tuple[int, Row]]] = {}
    for check, signals in sorted(checks, key=lambda entry: int(entry[0]["timestamp"])):
        for row in signals:
            of, _, name = _split(row["signal"])
            if of in ("", window) and row["value"] is not None:
                curves.setdefault(name, []).append((int(check["timestamp"]), row))
    return [
        History(
            name,
            [at for at, _ in points],
            [float(row["value"]) for _, row in points],
            points[-1][1]["threshold"],
            severity=points[-1][1]["severity"],
        )
        for name, points in curves.items()
    ]


def _comparison(fields: Mapping[str, Any], measures: tuple[Measure, ...]) -> Comparison:
    left_out = tuple(LeftOut(*one) for one in fields.get("left_out", ()))
    return Comparison(**{**fields, "left_out": left_out, "measures": measures})


def _measure(name: str, row: Row) -> Measure:
    unit = UNITS.get(name, "share" if name.startswith("class:") else "nats" if ":" in name else "")
    severity = _one_of(row["severity"], SEVERITIES, "none")
    return Measure(name, row["value"], row["threshold"], p_value=row["p_value"], severity=severity, unit=unit)


def _split(signal: str) -> tuple[str, str, str]:
    """Take the window off a signal's name.

    Examples
    --------
    >>> _split("24h/7d:psi"), _split("feature:flaps"), _split("lag")
    (('24h/7d', ':', 'psi'), ('', '', 'feature:flaps'), ('', '', 'lag'))
    """
    window, colon, name = signal.partition(":")
    return (window, colon, name) if colon and "/" in window else ("", "", signal)


def _one_of(found: Any, known: tuple[Any, ...], otherwise: Any) -> Any:
    return found if found in known else otherwise
