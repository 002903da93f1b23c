"""Signals: measures of other kinds, such as features, embedding, volume, growth, age and lag.

This module decides from which value each has a severity, and its note. No signal requests a retraining by itself.
Signals explain why scores moved, or show that something else is wrong.
"""

import math
from collections.abc import Sequence
from itertools import combinations

from bgpdrift.drift import measures
from bgpdrift.drift.constants import (
    DAILY_GROWTH,
    DAY_S,
    EMBEDDING_GROUPS,
    MAX_LAG_S,
    MAX_MODEL_AGE_D,
    MIN_GROWTH_DAYS,
    VOLUME_FACTOR,
)
from bgpdrift.drift.histogram import Histogram
from bgpdrift.drift.report import Comparison, Measure, Severity
from bgpdrift.drift.severity import rank_severity
from bgpdrift.formatting import format_time
from bgpdrift.settings_sections import DriftSettings


def summarize_comparison(name: str, comparison: Comparison, settings: DriftSettings) -> Measure:
    """Make one signal of a whole comparison, e.g. of ``feature:withdrawals``: its PSI, p-value and verdict.

    Examples
    --------
    >>> psi = Measure("psi", 0.5, by_chance=0.01, effect=0.49)
    >>> comparison = Comparison("24h/7d", "rolling", 0, 1, 0, 1, 9, 9, "drift", 0.0002, (psi,))
    >>> signal = summarize_comparison("feature:withdrawals", comparison, DriftSettings())
    >>> signal.name, signal.value, signal.severity
    ('feature:withdrawals', 0.5, 'critical')
    """
    psi = comparison.find("psi")
    if psi is None or comparison.p_value is None:
        return Measure(name, None, settings.psi_threshold, unit="nats", note=comparison.reason)
    severity = rank_severity(comparison.p_value, psi.effect, settings) if comparison.verdict == "drift" else "none"
    note = "" if comparison.verdict == "none" else comparison.verdict
    return Measure(
        name, psi.value, settings.psi_threshold, psi.by_chance, comparison.p_value, psi.effect, severity, "nats", note
    )


def measure_embedding(
    name: str, current: Histogram, reference: Histogram, comparison: Comparison, settings: DriftSettings
) -> Measure:
    """Measure one latent coordinate or projection: KL over 50 groups, with the p-value and verdict of its comparison.

    Parameters
    ----------
    name : str
        ``embedding:<i>`` or ``projection:<j>``.
    current, reference : Histogram
        Pooled over the hours of the comparison.
    comparison : Comparison
        Comparison of the same series by the rule, which decides the severity.

    Examples
    --------
    >>> calm = Histogram.of([1 + i / 500 for i in range(500)])
    >>> too_short = Comparison("24h/7d", "rolling", 0, 1, 0, 1, 500, 500, "not_enough_data", reason="Too short.")
    >>> measure = measure_embedding("embedding:3", calm, calm, too_short, DriftSettings())
    >>> measure.value, measure.threshold, measure.severity, measure.note
    (0.0, 0.1, 'none', 'Too short.')
    """
    tested = summarize_comparison(name, comparison, settings)
    if not current.n or not reference.n:
        return Measure(name, None, settings.kl_threshold, unit="nats", note=tested.note or "no values")
    now, before, _ = measures.align_histograms(current, reference)
    return Measure(
        name,
        measures.kl(*measures.group_bins(now, before, EMBEDDING_GROUPS)),
        settings.kl_threshold,
        p_value=tested.p_value,
        severity=tested.severity,
        unit="nats",
        note=tested.note,
    )


def measure_volume(n_current: float, hours_current: float, n_reference: float, hours_reference: float) -> Measure:
    """Measure the values an hour, as a multiple of those in the reference.

    Examples
    --------
    >>> half = measure_volume(24 * 25, 24, 168 * 60, 168)
    >>> round(half.value, 2), half.severity, half.note
    (0.42, 'low', '25 values an hour, 60 in the reference')
    """
    if not hours_current or not hours_reference or not n_reference:
        return Measure("volume", None, VOLUME_FACTOR, unit="×", note="no values to compare")
    now, before = n_current / hours_current, n_reference / hours_reference
    ratio = now / before
    is_beyond = max(ratio, 1 / ratio if ratio else math.inf) >= VOLUME_FACTOR
    return Measure(
        "volume",
        ratio,
        VOLUME_FACTOR,
        1.0,
        effect=ratio - 1,
        severity="low" if is_beyond else "none",
        unit="×",
        note=f"{now:,.0f} values an hour, {before:,.0f} in the reference",
    )


def measure_growth(daily: Sequence[float]) -> Measure:
    """Measure the relative growth of a daily volume: the median slope of its logarithm (Theil-Sen).

    Examples
    --------
    >>> doubling = measure_growth([100, 200, 400, 800, 1600])
    >>> doubling.value, doubling.severity, doubling.note
    (1.0, 'low', 'doubles in 1 days')
    >>> measure_growth([100, 101, 99]).note
    '3 whole days, 4 needed'
    """
    unit = "share a day"
    days = [(day, math.log(size)) for day, size in enumerate(daily) if size > 0]
    if len(days) < MIN_GROWTH_DAYS:
        note = f"{len(days)} whole days, {MIN_GROWTH_DAYS} needed"
        return Measure("growth", None, DAILY_GROWTH, unit=unit, note=note)
    slopes = sorted((b - a) / (j - i) for (i, a), (j, b) in combinations(days, 2))
    middle = len(slopes) // 2
    slope = slopes[middle] if len(slopes) % 2 else (slopes[middle - 1] + slopes[middle]) / 2
    share = round(math.expm1(slope), 9)
    is_beyond = abs(share) >= DAILY_GROWTH
    note = f"{'doubles' if slope > 0 else 'halves'} in {math.log(2) / abs(slope):.3g} days" if is_beyond else ""
    severity: Severity = "low" if is_beyond else "none"
    return Measure("growth", share, DAILY_GROWTH, 0.0, effect=share, severity=severity, unit=unit, note=note)


def measure_age(trained_until: int, now: int) -> Measure:
    """Measure the days since the end of a model's training span, both epoch seconds of event time.

    Examples
    --------
    >>> age = measure_age(0, 100 * 86_400)
    >>> age.value, age.severity, age.note
    (100.0, 'low', 'trained on data until 1970-01-01')
    """
    age = max(0.0, (now - trained_until) / DAY_S)
    note = f"trained on data until {format_time(trained_until)[:10]}"
    severity: Severity = "low" if age >= MAX_MODEL_AGE_D else "none"
    return Measure("model_age", age, MAX_MODEL_AGE_D, severity=severity, unit="days", note=note)


def measure_lag(event_now: int, wall_now: float) -> Measure:
    """Measure how far the newest folded window lies behind the wall clock; large in every replay of history.

    Examples
    --------
    >>> late = measure_lag(1_000_000, 1_001_800.0)
    >>> late.value, late.severity
    (1800.0, 'low')
    """
    behind = max(0.0, wall_now - event_now)
    return Measure("lag", behind, MAX_LAG_S, severity="low" if behind >= MAX_LAG_S else "none", unit="s")
