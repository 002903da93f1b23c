"""The classic thresholds, for those who must report them: each turns the figures of one comparison into a verdict.

Decides what each named policy concludes and says how often it is known to be wrong. None of them looks at season, at
dependence between minutes, at effect or assess_stability: that is what the rule (`bgpdrift.drift.rule`) is for, and why it is the
default. Severities by the same tables of the settings.

=================  ===============================================================  ============================================
policy             drift if                                                         rank
=================  ===============================================================  ============================================
psi                PSI is at least ``psi_threshold``                                multiples of the threshold
ks                 textbook two-sample KS p < the second of ``severity_p``          p-value table, medium or high
kl_psi_accuracy    KL or PSI reaches its threshold, or accuracy is below the floor  multiples of the one furthest beyond
score_shift        median moved by ``median_shift`` IQR, or anomaly rate by a       multiples of the one furthest beyond
                   share (``detectors.<name>.anomaly_rate_shift``)
pvalue             family-wise p of the rule < the first of ``severity_p``          p-value table: low, medium or high
=================  ===============================================================  ============================================

`KNOWN` holds their false alarms.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Literal, get_args

from bgpdrift.drift.report import SEVERITIES, Comparison, DriftReport, Measure, Severity, Verdict
from bgpdrift.drift.severity import rank_accuracy_drop, rank_factor, rank_p_value
from bgpdrift.settings_sections import DriftSettings

Policy = Literal["psi", "ks", "kl_psi_accuracy", "score_shift", "pvalue"]
POLICIES: tuple[Policy, ...] = get_args(Policy)

KNOWN: Mapping[Policy, str] = {
    "psi": "false alarms 0 % and 0 %, 14 % with an incident; sees a shift of 30 % in 32 % and 2 %",
    "ks": "false alarms 57 % and 5 %, 88 % with an incident; sees a shift of 30 % in 99 % and 100 %",
    "kl_psi_accuracy": "false alarms 0 % and 0 %, 14 % with an incident; sees a shift of 30 % in 32 % and 2 %",
    "score_shift": "false alarms 80 % and 52 %, 100 % with an incident; sees a shift of 30 % in 99 % and 100 %",
    "pvalue": "false alarms 3 % and 4 %, 70 % with an incident; sees a shift of 30 % in 81 % and 100 %",
}
"""How each does a check on simulated scores, 200 runs a cell: a score a minute, gamma with a daily season of 2.2, dependent from
minute to minute by .9 and by .5, an incident of three hours at three times the score, a day against the seven before it."""

WEIGHTS: Mapping[str, float] = {"kl": 0.3, "psi": 0.4, "accuracy": 0.3}
"""Of the combined score of ``kl_psi_accuracy``."""
MOST = 2.0
"""A part of the combined score counts for no more than this."""
ANOMALY_RATE_SHIFT = 0.20
"""Relative change of the anomaly rate that ``score_shift`` counts for scores of no registered detector."""

Concluded = tuple[Verdict, Severity, str]


def apply(
    name: str,
    comparison: Comparison,
    settings: DriftSettings,
    accuracy: Measure | None = None,
    *,
    anomaly_rate_shift: float = ANOMALY_RATE_SHIFT,
) -> Concluded:
    """Conclude by a named policy.

    Parameters
    ----------
    name : str
        One of `POLICIES`.
    comparison : Comparison
        With its measures; where there was not enough data, that stays the verdict.
    settings : DriftSettings
        Thresholds and severity tables.
    accuracy : Measure, optional
        As `bgpdrift.drift.accuracy` gives it; without a value (too few labels) it takes no part.
    anomaly_rate_shift : float
        Relative change of the anomaly rate that ``score_shift`` counts: ``detectors.<name>.anomaly_rate_shift``.

    Returns
    -------
    verdict, severity, reason : str
        Verdict ``drift``, ``none`` or ``not_enough_data``; the reason is one sentence.

    Raises
    ------
    ValueError
        No policy has this name.

    Examples
    --------
    >>> from bgpdrift.drift.report import Measure
    >>> found = Comparison("24h/7d", "rolling", 0, 1, 0, 1, 1_440, 10_080, "none", measures=(Measure("psi", 0.31),))
    >>> apply("psi", found, DriftSettings())
    ('drift', 'high', 'PSI 0.31 reaches 0.2.')
    """
    if name not in _CONCLUDE:
        raise ValueError(f"{name!r} is no policy; expected one of {', '.join(POLICIES)}")
    if comparison.verdict == "not_enough_data":
        return "not_enough_data", "none", comparison.reason
    return _CONCLUDE[name](comparison, settings, accuracy, anomaly_rate_shift)


def conclude(
    report: DriftReport,
    name: str,
    settings: DriftSettings,
    accuracy: Measure | None = None,
    *,
    anomaly_rate_shift: float = ANOMALY_RATE_SHIFT,
) -> DriftReport:
    """Give the report as a named policy would have concluded it; ``rule`` gives it back as it is.

    A policy looks at the rolling comparison, as the classic tests do; the others stay in the report, which names the
    policy. A report without comparisons stays as it is too.
    """
    if name == "rule" or not report.comparisons:
        return report
    chosen = next((c for c in report.comparisons if c.reference == "rolling"), report.comparisons[0])
    verdict, severity, reason = apply(name, chosen, settings, accuracy, anomaly_rate_shift=anomaly_rate_shift)
    others = tuple(comparison for comparison in report.comparisons if comparison is not chosen)
    return replace(
        report,
        policy=name,
        verdict=verdict,
        severity=severity,
        reason=reason,
        comparisons=(chosen, *others),
        smallest_shift=chosen.smallest_shift,
        change_point=chosen.change_point if verdict == "drift" else None,
    )


def combined_score(parts: Mapping[str, float]) -> float:
    """Combined drift score: weighted mean of multiples of thresholds, each at most `MOST`; 1 is on the threshold.

    Parameters
    ----------
    parts : mapping of str to float
        ``kl`` and ``psi`` as multiples of their thresholds, ``accuracy`` as errors in multiples of those allowed,
        (1 − accuracy) / (1 − floor). What is not known is left out, and the others share its weight.

    Examples
    --------
    >>> round(combined_score({"kl": 1.0, "psi": 1.5}), 2), combined_score({"psi": 9.0})
    (1.29, 2.0)
    """
    known = {name: WEIGHTS[name] for name in parts}
    total = sum(known.values())
    return sum(weight * min(parts[name], MOST) for name, weight in known.items()) / total if total else 0.0


def kolmogorov_p(distance: float, n_current: float, n_reference: float) -> float:
    """Textbook p-value of a two-sample KS distance, as if every value were independent of the one before.

    References
    ----------
    .. [1] N. Smirnov, "Table for estimating the goodness of fit of empirical distributions", Ann. Math. Stat. 19, 1948.

    Examples
    --------
    >>> round(kolmogorov_p(0.1, 200, 200), 3), kolmogorov_p(0.0, 5, 5)
    (0.27, 1.0)
    """
    reach = distance * math.sqrt(n_current * n_reference / (n_current + n_reference))
    if reach < 0.2:
        return 1.0  # the series converges slowly here, to 1 − 1e-12
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * (k * reach) ** 2) for k in range(1, 101))
    return min(max(math.fsum(terms), 0.0), 1.0)


def _psi(comparison: Comparison, settings: DriftSettings, _accuracy: Measure | None, _shift: float) -> Concluded:
    value, bound = _value(comparison, "psi"), settings.psi_threshold
    return _by_multiple({f"PSI {value:.2g}": value / bound}, f"{bound:g}", settings)


def _ks(comparison: Comparison, settings: DriftSettings, _accuracy: Measure | None, _shift: float) -> Concluded:
    distance = _value(comparison, "ks")
    p_value, bound = kolmogorov_p(distance, comparison.n_current, comparison.n_reference), settings.severity_p[1]
    said = f"KS {distance:.3f} has p {p_value:.2g} as if minutes were independent"
    if p_value < bound:
        return "drift", rank_p_value(p_value, settings), f"{said}, below {bound:g}."
    return "none", "none", f"No drift: {said}, not below {bound:g}."


def _kl_psi_accuracy(
    comparison: Comparison, settings: DriftSettings, accuracy: Measure | None, _shift: float
) -> Concluded:
    parts = {
        "kl": _value(comparison, "kl") / settings.kl_threshold,
        "psi": _value(comparison, "psi") / settings.psi_threshold,
    }
    said = [f"KL {_value(comparison, 'kl'):.2g} of {settings.kl_threshold:g}"]
    said.append(f"PSI {_value(comparison, 'psi'):.2g} of {settings.psi_threshold:g}")
    low, rank = False, SEVERITIES[0]
    if accuracy is not None and accuracy.value is not None:
        parts["accuracy"] = (1 - accuracy.value) / (1 - settings.accuracy_floor)
        low = accuracy.value < settings.accuracy_floor
        said.append(f"accuracy {accuracy.value:.2f} with {settings.accuracy_floor:g} wanted")
        rank = max(rank, rank_accuracy_drop(settings.accuracy_floor - accuracy.value, settings), key=SEVERITIES.index)
    else:
        said.append(f"no accuracy ({accuracy.note if accuracy else 'no labels'})")
    sentence = f"combined score {combined_score(parts):.2f}: {', '.join(said)}."
    if max(parts["kl"], parts["psi"]) < 1 and not low:
        return "none", "none", f"No drift, {sentence}"
    furthest = rank_factor(max(*parts.values(), 1.0), 1.0, settings)
    return "drift", max(rank, furthest, key=SEVERITIES.index), sentence[0].upper() + sentence[1:]


def _score_shift(
    comparison: Comparison, settings: DriftSettings, _accuracy: Measure | None, anomaly_rate_shift: float
) -> Concluded:
    parts: dict[str, float] = {}
    median = _found(comparison, "median_shift")
    if median is not None and median.value is not None:
        parts[f"median moved by {median.value:+.2f} IQR"] = abs(median.value) / settings.median_shift
    rate = _found(comparison, "anomaly_rate")
    if rate is not None and rate.value is not None and rate.by_chance:
        change = rate.value / rate.by_chance - 1
        parts[f"anomaly rate changed by {change:+.0%}"] = abs(change) / anomaly_rate_shift
    if not parts:
        return "not_enough_data", "none", "Neither a spread to measure the median by nor anomalies in the reference."
    return _by_multiple(parts, "what is allowed", settings)


def _pvalue(comparison: Comparison, settings: DriftSettings, _accuracy: Measure | None, _shift: float) -> Concluded:
    p_value, bound = comparison.p_value, settings.severity_p[0]
    if p_value is None:
        return "not_enough_data", "none", comparison.reason
    if p_value < bound:
        return "drift", rank_p_value(p_value, settings), f"Family-wise p {p_value:.2g} is below {bound:g}."
    return "none", "none", f"No drift: family-wise p {p_value:.2g} is not below {bound:g}."


def _by_multiple(parts: Mapping[str, float], bound: str, settings: DriftSettings) -> Concluded:
    """Conclude from figures as multiples of their thresholds: the furthest one decides."""
    furthest = max(parts, key=lambda said: parts[said])
    said = furthest[0].upper() + furthest[1:]
    if parts[furthest] < 1:
        return "none", "none", f"No drift: {furthest}, below {bound}."
    rank = rank_factor(max(parts[furthest], min(settings.severity_factors)), 1.0, settings)
    return "drift", rank, f"{said} reaches {bound}."


def _found(comparison: Comparison, name: str) -> Measure | None:
    return next((measure for measure in comparison.measures if measure.name == name), None)


def _value(comparison: Comparison, name: str) -> float:
    measure = _found(comparison, name)
    if measure is None or measure.value is None:
        raise ValueError(f"the comparison {comparison.window} has no {name}")
    return measure.value


_CONCLUDE: Mapping[str, Callable[[Comparison, DriftSettings, Measure | None, float], Concluded]] = {
    "psi": _psi,
    "ks": _ks,
    "kl_psi_accuracy": _kl_psi_accuracy,
    "score_shift": _score_shift,
    "pvalue": _pvalue,
}
