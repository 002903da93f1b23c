"""Histories of measures from recorded drift checks. Pure."""

from collections.abc import Sequence

from bgpdrift.drift.report_page import MeasureHistory
from bgpdrift.store.drift_records import DriftCheck, DriftSignal


def build_histories(checks: Sequence[tuple[DriftCheck, Sequence[DriftSignal]]], window: str) -> list[MeasureHistory]:
    """Build the history of each measure of one window, and of each signal.

    Parameters
    ----------
    checks : sequence of (check, signals)
        Past checks, in any order.
    window : str
        Window of the measures, e.g. ``24h/7d``.
    """
    points: dict[str, list[tuple[int, float, DriftSignal]]] = {}
    for check, signals in sorted(checks, key=lambda entry: entry[0].timestamp):
        for signal in signals:
            of_window, name = _split_signal(signal.signal)
            if of_window in ("", window) and signal.value is not None:
                points.setdefault(name, []).append((check.timestamp, signal.value, signal))
    return [
        MeasureHistory(
            name,
            [at for at, _, _ in values],
            [value for _, value, _ in values],
            values[-1][2].threshold,
            severity=values[-1][2].severity,
        )
        for name, values in points.items()
    ]


def _split_signal(signal: str) -> tuple[str, str]:
    """Split the name of a signal into window and measure.

    Examples
    --------
    >>> _split_signal("24h/7d:psi"), _split_signal("feature:flaps"), _split_signal("lag")
    (('24h/7d', 'psi'), ('', 'feature:flaps'), ('', 'lag'))
    """
    window, colon, name = signal.partition(":")
    return (window, name) if colon and "/" in window else ("", signal)
