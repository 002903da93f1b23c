"""The drift rule: the verdict of one comparison, and the verdict of all comparisons of a check.

`compare` decides one comparison: like is compared with like, all measures have one p-value, and the change must matter
and be stable. `decide` divides alpha among comparisons and detectors (Holm), applies the policy of the settings and
returns the report. `bgpdrift.drift.windows` decides which hours take part, `bgpdrift.drift.persistence` whether a drift
persists.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bgpdrift.drift.between_day_variance import BetweenDayVariance
from bgpdrift.drift.change_point import find_change_point
from bgpdrift.drift.constants import ANOMALY_RATE_SHIFT, DAY_H, HOUR_S, MAX_REVERTED_SHARE, NULL_DRAWS, SCREENING_DRAWS
from bgpdrift.drift.evidence import Evidence, gather_evidence
from bgpdrift.drift.hours import FloatArray, Hours, merge_hours
from bgpdrift.drift.measure_registry import MEASURES
from bgpdrift.drift.policies import apply_policy
from bgpdrift.drift.report import Comparison, DriftReport, Measure, Verdict
from bgpdrift.drift.reversion import compute_reverted_share
from bgpdrift.drift.season import MatchedWindows, match_hours
from bgpdrift.drift.severity import rank_severity
from bgpdrift.drift.smallest_shift import find_smallest_shift
from bgpdrift.drift.stability import is_fading
from bgpdrift.drift.windows import WindowPair, describe_windows
from bgpdrift.formatting import format_time
from bgpdrift.settings_sections import DriftSettings

LARGE_SHIFT_IQR = 1.0
"""Shift of the median, in interquartile ranges of the reference, from which a report without drift explains it."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A pair cut to its spans and matched, and the comparison as far as it is known before the test."""

    now: dict[str, Hours]
    before: dict[str, Hours]
    matched: MatchedWindows | None
    bare: Comparison


def compare(
    pair: WindowPair,
    settings: DriftSettings,
    *,
    between_day_variance: BetweenDayVariance | None = None,
    draws: int = NULL_DRAWS,
    seed: int = 0,
) -> Comparison:
    """Compare a current window with one reference.

    Parameters
    ----------
    pair : WindowPair
        Both windows. Hours of incidents and of other versions are excluded already. Only hours inside the spans count.
        The hours between reference and current window (``recent``) are used for the change point only.
    settings : DriftSettings
        ``alpha``, ``effect_ks``, ``effect_tail``, ``stability_hours`` and the minimum lengths.
    between_day_variance : BetweenDayVariance, optional
        How whole days differ, learned from a history longer than the reference.
    draws, seed : int
        Number and seed of the draws of the null distribution. Equal values give equal results.
    """
    prepared = _prepare(pair, settings)
    if prepared.matched is None or prepared.bare.reason:
        return prepared.bare
    now, before = prepared.now, prepared.before
    evidence = gather_evidence(prepared.matched, draws, seed, between_day_variance)
    critical = evidence.null.family_critical_sizes(settings.alpha)
    verdict = _conclude(prepared, evidence, critical, settings)
    since, reverted = None, 0.0
    if verdict == "drift":
        since = find_change_point(now, _join_series(before, pair.recent), pair.reference_span[0])
        reverted = compute_reverted_share(now, before, pair.current_span[0] if since is None else since)
    if reverted > MAX_REVERTED_SHARE:
        verdict, since = "incident", None
    return replace(
        prepared.bare,
        verdict=verdict,
        p_value=evidence.p_value,
        measures=(*evidence.tested_measures(settings), *evidence.described_measures(settings)),
        alarming=evidence.alarming if evidence.p_value <= settings.alpha else "",
        smallest_shift=find_smallest_shift(prepared.matched, evidence.null, critical, settings),
        change_point=since,
        effective_n=evidence.effective_n(),
        reason=_explain(verdict, evidence, pair.window, since, reverted),
    )


def screen(pair: WindowPair, settings: DriftSettings) -> Comparison:
    """Compare a current window with a reference for the tested measures, the p-value and the verdict only.

    Meant for many series that explain a change and decide nothing: few draws of the null distribution, no smallest
    shift, no change point and no described measures. The p-value agrees with that of `compare` within the scatter of so
    few draws.
    """
    prepared = _prepare(pair, settings)
    if prepared.matched is None or prepared.bare.reason:
        return prepared.bare
    evidence = gather_evidence(prepared.matched, SCREENING_DRAWS, 0)
    verdict = _conclude(prepared, evidence, None, settings)
    return replace(
        prepared.bare,
        verdict=verdict,
        p_value=evidence.p_value,
        measures=tuple(evidence.tested_measures(settings)),
        alarming=evidence.alarming if evidence.p_value <= settings.alpha else "",
        reason=_explain(verdict, evidence, pair.window, None),
    )


def decide(
    comparisons: Sequence[Comparison],
    *,
    model: str,
    model_version: str,
    at: int,
    settings: DriftSettings,
    detectors: int = 1,
    signals: Sequence[Measure] = (),
    anomaly_rate_shift: float = ANOMALY_RATE_SHIFT,
) -> DriftReport:
    """Conclude a check from its comparisons, by the policy of the settings.

    Parameters
    ----------
    comparisons : sequence of Comparison
        Made with the same settings.
    at : int
        Event time of the check, epoch seconds UTC.
    detectors : int, default 1
        Number of detectors checked at the same time, among which alpha is divided.
    signals : sequence of Measure
        Other measures to report. A policy reads ``accuracy`` from them.
    anomaly_rate_shift : float
        Setting ``detectors.<name>.anomaly_rate_shift``, for the policy ``score_shift``.

    Examples
    --------
    >>> decide([], model="lstm", model_version="v1", at=0, settings=DriftSettings()).verdict
    'not_enough_data'
    """
    adjusted = _adjust_p_values([c for c in comparisons if c.p_value is not None], detectors)
    ranked = sorted(comparisons, key=lambda c: _rank(c, adjusted, settings.alpha))
    first = ranked[0] if ranked else None
    p_value = min(adjusted.values(), default=None)
    verdict: Verdict = "not_enough_data"
    reason = "Not enough data: there are no clean scores yet."
    if first is not None:
        verdict, reason = first.verdict, first.reason
        if first.p_value is not None and adjusted[id(first)] > settings.alpha and verdict != "none":
            verdict = "none"
            current, reference = describe_windows(first.window)
            reason = (
                f"No drift: among {len(adjusted) * detectors} comparisons of one check, the difference between "
                f"{current} and {reference} is within chance (p = {first.p_value:.2g})."
            )
    if first is not None and verdict == "none":
        reason += _explain_large_shift(first)
    psi = first.find("psi") if first is not None else None
    severity = rank_severity(p_value, psi.effect if psi else None, settings) if verdict == "drift" else "none"
    if verdict == "drift" and severity in ("none", "low"):
        severity = "medium"
    report = DriftReport(
        model,
        model_version,
        at,
        verdict,
        severity,
        reason,
        p_value=p_value,
        comparisons=tuple(ranked),
        signals=tuple(signals),
        smallest_shift=first.smallest_shift if first else None,
        change_point=first.change_point if first and verdict == "drift" else None,
    )
    return apply_policy(report, settings, anomaly_rate_shift)


def _prepare(pair: WindowPair, settings: DriftSettings) -> _Prepared:
    now = {name: hours.between(*pair.current_span) for name, hours in sorted(pair.current.items())}
    before = {name: hours.between(*pair.reference_span) for name, hours in sorted(pair.reference.items())}
    matched = match_hours(now, before)
    bare = Comparison(
        pair.window,
        pair.reference_kind,
        *pair.current_span,
        *pair.reference_span,
        n_current=matched.n_current if matched else 0,
        n_reference=matched.n_reference if matched else 0,
        verdict="not_enough_data",
        left_out=(*pair.left_out, *(matched.left_out if matched else ())),
        reason=_explain_missing(matched, before, pair.current_span[1], settings),
    )
    return _Prepared(now, before, matched, bare)


def _conclude(prepared: _Prepared, evidence: Evidence, critical: FloatArray | None, settings: DriftSettings) -> Verdict:
    if evidence.p_value > settings.alpha:
        return "none"
    if not evidence.is_material(settings):
        return "immaterial"
    is_stable = evidence.is_stable(critical, settings.stability_hours)
    return "drift" if is_stable and not is_fading(prepared.now, prepared.before) else "incident"


def _explain_missing(
    matched: MatchedWindows | None, before: Mapping[str, Hours], end: int, settings: DriftSettings
) -> str:
    """Say which hours are missing and when they exist at the earliest; "" if there are enough."""
    starts = [hours.starts for hours in before.values()]
    n_reference = len(np.unique(np.concatenate([np.zeros(0, np.int64), *starts])))
    needed = DAY_H * settings.min_reference_days
    if n_reference < needed:
        return (
            f"Not enough data: the reference holds {n_reference} of {needed} clean hours; the others exist at "
            f"{format_time(end + (needed - n_reference) * HOUR_S)} UTC at the earliest."
        )
    hours, needed = 0 if matched is None else len(matched.starts), settings.min_current_h
    if hours < needed:
        return (
            f"Not enough data: the current window holds {hours} of {needed} clean hours with a counterpart in the "
            f"reference; the others exist at {format_time(end + (needed - hours) * HOUR_S)} UTC at the earliest."
        )
    return ""


def _explain(verdict: Verdict, evidence: Evidence, window: str, since: int | None, reverted: float = 0.0) -> str:
    current, reference = describe_windows(window)
    p_text = f"p = {evidence.p_value:.2g}"
    if verdict == "none":
        return f"No drift: the difference between {current} and {reference} is within chance ({p_text})."
    name = evidence.alarming
    k, statistic = evidence.basis.index(name), evidence.basis.statistics[name]
    size, by_chance = evidence.sizes[k] ** statistic.exponent, evidence.chance_levels[k]
    change = "changed by " if statistic.is_linear else ""
    direction = "higher" if evidence.is_higher else "lower"
    difference = (
        f"the scores of {current} are {direction} than those of {reference} at the same hours of day: "
        f"{MEASURES[name].label} {change}{size:.3g} ({by_chance:.2g} by chance, {p_text})."
    )
    if verdict == "drift":
        begin = "" if since is None else f" The new level began at {format_time(since)} UTC."
        return f"Drift: {difference}{begin}"
    if verdict == "immaterial":
        return f"Immaterial: {difference} The change is too small to matter."
    if reverted > MAX_REVERTED_SHARE:
        waves = f"The level comes in waves: {reverted:.0%} of the minutes are back at the old level."
        return f"Incident, no drift: {difference} {waves}"
    return f"Incident, no drift: {difference} Only a few hours differ, or the level is going back."


def _explain_large_shift(comparison: Comparison) -> str:
    """Explain why a shift that anyone can see is no drift; "" if the median moved little.

    Examples
    --------
    >>> shifted = Comparison("24h/7d", "rolling", 0, 1, 0, 1, 9, 9, "none", smallest_shift=2.6, effective_n=2.4,
    ...                      measures=(Measure("median_shift", 3.25, unit="IQR"),))
    >>> print(_explain_large_shift(shifted).strip())
    The median is 3.2 interquartile ranges higher, but the days of the reference differ from each other as well: the current
    window is equivalent to 2 independent values, and only a shift of 260 % or more would be detected.
    """
    shift = comparison.find("median_shift")
    if shift is None or shift.value is None or abs(shift.value) < LARGE_SHIFT_IQR:
        return ""
    size, direction = f"{abs(shift.value):.2g}", "higher" if shift.value > 0 else "lower"
    smallest = comparison.smallest_shift
    limit = "no shift" if smallest is None else f"only a shift of {100 * smallest:.0f} % or more"
    weight = ""
    if comparison.effective_n is not None:
        n = max(round(comparison.effective_n), 1)
        weight = f"the current window is equivalent to {n:,} independent value{'s' if n > 1 else ''}, and "
    return (
        f" The median is {size} interquartile ranges {direction}, but the days of the reference differ from each other as "
        f"well: {weight}{limit} would be detected."
    )


def _join_series(before: Mapping[str, Hours], recent: Mapping[str, Hours]) -> dict[str, Hours]:
    names = {*before, *recent}
    return {name: merge_hours([part[name] for part in (before, recent) if name in part]) for name in names}


def _adjust_p_values(tested: Sequence[Comparison], detectors: int) -> dict[int, float]:
    """Holm's p-values by identity of the comparison; every detector counts as as many comparisons."""
    adjusted: dict[int, float] = {}
    largest = 0.0
    ranked = sorted(tested, key=lambda c: c.p_value or 0.0)
    for place, comparison in enumerate(ranked):
        largest = max(largest, min((len(ranked) * detectors - place) * (comparison.p_value or 0.0), 1.0))
        adjusted[id(comparison)] = largest
    return adjusted


def _rank(comparison: Comparison, adjusted: Mapping[int, float], alpha: float) -> tuple[int, float]:
    """Order of comparisons: significant drift, incident, immaterial, then no drift, then not enough data."""
    if comparison.p_value is None:
        return (9, 0.0)
    is_significant = adjusted[id(comparison)] <= alpha
    order = ("drift", "incident", "immaterial").index(comparison.verdict) if comparison.verdict != "none" else 3
    return (order if is_significant else 4, comparison.p_value)
