"""Histories of measures from recorded drift checks. Pure."""

from collections.abc import Sequence

from bgpdrift.drift.report_page import MeasureHistory
from bgpdrift.store.drift_records import DriftCheck, DriftSignal, split_signal


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
    by_chance: dict[str, float | None] = {}
    for check, signals in sorted(checks, key=lambda entry: entry[0].timestamp):
        for signal in signals:
            of_window, name = split_signal(signal.signal)
            if of_window in ("", window) and signal.value is not None:
                points.setdefault(name, []).append((check.timestamp, signal.value, signal))
                details = check.details.measures.get(signal.signal)
                by_chance[name] = details.by_chance if details else None
    return [
        MeasureHistory(
            name,
            [at for at, _, _ in values],
            [value for _, value, _ in values],
            values[-1][2].threshold,
            by_chance[name],
            severity=values[-1][2].severity,
        )
        for name, values in points.items()
    ]
