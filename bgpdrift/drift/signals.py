"""Measures of other kinds than a score's distribution, from plain figures: features, embedding, volume, growth, age, lag.

Decides from where on each counts, and what it says to a person. None of them retrains a model by itself: they tell why
scores moved, or that something else is wrong. Where the figures come from, the monitor knows.
"""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import combinations

from bgpdrift.drift import measures
from bgpdrift.drift.accuracy import measure_share
from bgpdrift.drift.histogram import Histogram
from bgpdrift.drift.report import Comparison, Measure
from bgpdrift.drift.severity import rank_severity
from bgpdrift.settings_sections import DriftSettings

VOLUME_FACTOR = 2.0
"""Twice as many values an hour as usual, or half as many: worth a look."""
GROWTH_A_DAY = 0.1
"""A tenth more, or less, day after day."""
GROWTH_DAYS = 4
"""Days below which no growth is given."""
MODEL_AGE_DAYS = 90.0
LAG_S = 900.0
EMBEDDING_GROUPS = 50
_DAY_S = 86_400


def summarize_comparison(name: str, comparison: Comparison, settings: DriftSettings) -> Measure:
    """Make one signal of a whole comparison, e.g. of ``feature:withdrawals``: its PSI, p-value and what the rule said.

    Examples
    --------
    >>> psi = Measure("psi", 0.5, by_chance=0.01, effect=0.49)
    >>> found = Comparison("24h/7d", "rolling", 0, 1, 0, 1, 9, 9, "drift", 0.0002, (psi,))
    >>> signal = summarize_comparison("feature:withdrawals", found, DriftSettings())
    >>> signal.name, signal.value, signal.severity
    ('feature:withdrawals', 0.5, 'critical')
    """
    psi = next((measure for measure in comparison.measures if measure.name == "psi"), None)
    if psi is None or comparison.p_value is None:
        return Measure(name, None, settings.psi_threshold, unit="nats", note=comparison.reason)
    rank = rank_severity(comparison.p_value, psi.effect, settings) if comparison.verdict == "drift" else "none"
    note = "" if comparison.verdict == "none" else comparison.verdict
    return Measure(
        name, psi.value, settings.psi_threshold, psi.by_chance, comparison.p_value, psi.effect, rank, "nats", note
    )


def measure_embedding(
    name: str, current: Histogram, reference: Histogram, comparison: Comparison, settings: DriftSettings
) -> Measure:
    """Measure one latent coordinate or projection: KL over 50 bins, with p-value and verdict of its comparison.

    Parameters
    ----------
    name : str
        ``embedding:<i>`` or ``projection:<j>``.
    current, reference : Histogram
        Pooled over the hours of the comparison.
    comparison : Comparison
        Of the same series by the rule, which decides the rank.

    Examples
    --------
    >>> calm = Histogram.of([1 + i / 500 for i in range(500)])
    >>> none = Comparison("24h/7d", "rolling", 0, 1, 0, 1, 500, 500, "not_enough_data", reason="Too short.")
    >>> measure_embedding("embedding:3", calm, calm, none, DriftSettings())
    Measure(name='embedding:3', value=0.0, threshold=0.1, by_chance=None, p_value=None, effect=None, severity='none',
            unit='nats', note='Too short.')
    """
    judged = summarize_comparison(name, comparison, settings)
    if not current.n or not reference.n:
        return Measure(name, None, settings.kl_threshold, unit="nats", note=judged.note or "no values")
    now, before, _ = measures.align_histograms(current, reference)
    value = measures.kl(*measures.group_bins(now, before, EMBEDDING_GROUPS))
    return Measure(
        name,
        value,
        settings.kl_threshold,
        p_value=judged.p_value,
        severity=judged.severity,
        unit="nats",
        note=judged.note,
    )


def measure_agreement(current: tuple[int, int], reference: tuple[int, int] | None, settings: DriftSettings) -> Measure:
    """Measure how often another detector agrees with this one's alarms: (alarms agreed with, alarms), now and before.

    As near as one comes to precision without labels; a fall is judged as one of accuracy is.

    Examples
    --------
    >>> fell = measure_agreement((20, 80), (60, 80), DriftSettings())
    >>> fell.value, fell.severity, measure_agreement((1, 2), (60, 80), DriftSettings()).note
    (0.25, 'critical', 'too few alarms: 2 in the current window, 20 needed')
    """
    return measure_share("confidence", current, reference, settings, what="alarms")


def measure_volume(n_current: float, hours_current: float, n_reference: float, hours_reference: float) -> Measure:
    """Measure how many values came in an hour, as a multiple of what is usual.

    Examples
    --------
    >>> half = measure_volume(24 * 25, 24, 168 * 60, 168)
    >>> round(half.value, 2), half.severity, half.note
    (0.42, 'low', '25 an hour where 60 are usual')
    """
    if not hours_current or not hours_reference or not n_reference:
        return Measure("volume", None, VOLUME_FACTOR, unit="×", note="nothing to compare with")
    now, usual = n_current / hours_current, n_reference / hours_reference
    ratio = now / usual
    beyond = max(ratio, 1 / ratio if ratio else math.inf) >= VOLUME_FACTOR
    note = f"{now:,.0f} an hour where {usual:,.0f} are usual"
    return Measure(
        "volume", ratio, VOLUME_FACTOR, 1.0, effect=ratio - 1, severity="low" if beyond else "none", unit="×", note=note
    )


def measure_growth(daily: Sequence[float]) -> Measure:
    """Measure by what share a daily volume grows a day: the median slope between any two days (Theil-Sen) of its logarithm.

    Examples
    --------
    >>> doubling = measure_growth([100, 200, 400, 800, 1600])
    >>> doubling.value, doubling.severity, doubling.note
    (1.0, 'low', 'doubles in 1 days')
    >>> measure_growth([100, 101, 99]).note
    '3 whole days, 4 needed'
    """
    days = [(day, math.log(size)) for day, size in enumerate(daily) if size > 0]
    if len(days) < GROWTH_DAYS:
        return Measure(
            "growth", None, GROWTH_A_DAY, unit="share a day", note=f"{len(days)} whole days, {GROWTH_DAYS} needed"
        )
    slopes = sorted((b - a) / (j - i) for (i, a), (j, b) in combinations(days, 2))
    middle = len(slopes) // 2
    slope = slopes[middle] if len(slopes) % 2 else (slopes[middle - 1] + slopes[middle]) / 2
    share = round(math.expm1(slope), 9)
    beyond = abs(share) >= GROWTH_A_DAY
    note = f"{'doubles' if slope > 0 else 'halves'} in {math.log(2) / abs(slope):.3g} days" if beyond else ""
    return Measure(
        "growth",
        share,
        GROWTH_A_DAY,
        0.0,
        effect=share,
        severity="low" if beyond else "none",
        unit="share a day",
        note=note,
    )


def measure_age(trained_until: int, now: int) -> Measure:
    """Measure the days since a model's training span ended, both epoch seconds of event time.

    Examples
    --------
    >>> measure_age(0, 100 * 86_400)
    Measure(name='model_age', value=100.0, threshold=90.0, by_chance=None, p_value=None, effect=None, severity='low',
            unit='days', note='learned until 1970-01-01')
    """
    age = max(0.0, (now - trained_until) / _DAY_S)
    note = f"learned until {datetime.fromtimestamp(trained_until, UTC):%Y-%m-%d}"
    return Measure(
        "model_age", age, MODEL_AGE_DAYS, severity="low" if age >= MODEL_AGE_DAYS else "none", unit="days", note=note
    )


def measure_lag(event_now: int, wall_now: float) -> Measure:
    """Measure how far the newest folded window lies behind the wall clock; a replay of history always does.

    Examples
    --------
    >>> late = measure_lag(1_000_000, 1_001_800.0)
    >>> late.value, late.severity
    (1800.0, 'low')
    """
    behind = max(0.0, wall_now - event_now)
    return Measure("lag", behind, LAG_S, severity="low" if behind >= LAG_S else "none", unit="s")
