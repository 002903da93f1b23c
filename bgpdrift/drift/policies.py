"""The policies: the drift rule, which is the default, and the textbook policies.

The textbook policies are for people who must report them. None of them considers season, dependence between minutes,
effect or stability, which is why the rule (`bgpdrift.drift.rule`) is the default. Each record in `POLICIES` names the
settings that its verdict and its severity read, and the error rates of the policy. `describe_unused_settings` names
thresholds that are set and that the chosen policy does not use.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bgpdrift.drift.constants import ANOMALY_RATE_SHIFT, COMBINED_WEIGHTS, MAX_COMBINED_PART
from bgpdrift.drift.report import Comparison, DriftReport, Measure, Severity, Verdict, max_severity
from bgpdrift.drift.severity import rank_accuracy_drop, rank_factor, rank_p_value
from bgpdrift.settings_sections import DriftPolicyName, DriftSettings

Conclusion = tuple[Verdict, Severity, str]
"""Verdict, severity and reason."""

THRESHOLDS = (
    "alpha",
    "effect_ks",
    "effect_tail",
    "stability_hours",
    "severity_p",
    "severity_factors",
    "psi_threshold",
    "kl_threshold",
    "accuracy_floor",
    "median_shift",
)
"""Settings that are thresholds of some policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInput:
    """What a textbook policy concludes from.

    Attributes
    ----------
    comparison : Comparison
        The rolling comparison, with its measures.
    settings : DriftSettings
        Thresholds and severity tables.
    accuracy : Measure or None
        Accuracy by labels. Without a value (too few labels) it is ignored.
    anomaly_rate_shift : float
        Relative change of the anomaly rate from which it counts.
    """

    comparison: Comparison
    settings: DriftSettings
    accuracy: Measure | None = None
    anomaly_rate_shift: float = ANOMALY_RATE_SHIFT

    def value(self, name: str) -> float:
        """Return the value of a measure; raises ValueError if the comparison has none."""
        measure = self.comparison.find(name)
        if measure is None or measure.value is None:
            raise ValueError(f"the comparison {self.comparison.window} has no {name}")
        return measure.value


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPolicy:
    """The record of one policy.

    Attributes
    ----------
    name : str
        Name in the settings.
    condition : str
        When the verdict is drift, in words.
    verdict_settings, severity_settings : tuple of str
        Settings that decide the verdict, and those that rank the severity only.
    known_errors : str
        How often one check is wrong on simulated scores: 200 runs a cell, one score a minute, gamma with a daily season
        of 2.2, dependence from minute to minute of .9 and of .5, an incident of three hours at three times the score, a
        day against the seven before it.
    blind_spot : str
        What the policy ignores.
    conclude : callable, optional
        None for the rule, whose verdict a report already has.
    """

    name: DriftPolicyName
    condition: str
    verdict_settings: tuple[str, ...]
    severity_settings: tuple[str, ...]
    known_errors: str
    blind_spot: str = ""
    conclude: Callable[[PolicyInput], Conclusion] | None = None


def apply_policy(
    report: DriftReport, settings: DriftSettings, anomaly_rate_shift: float = ANOMALY_RATE_SHIFT
) -> DriftReport:
    """Return the report as the policy of the settings concludes it; the rule returns it unchanged.

    A textbook policy uses the rolling comparison. The other comparisons stay in the report, which names the policy. A
    report without comparisons is returned unchanged. `bgpdrift.drift.rule.decide` calls this function once per check.
    """
    policy = POLICIES[settings.policy]
    if policy.conclude is None or not report.comparisons:
        return report
    chosen = next((c for c in report.comparisons if c.reference == "rolling"), report.comparisons[0])
    verdict: Verdict = "not_enough_data"
    severity: Severity = "none"
    reason = chosen.reason
    if chosen.verdict != "not_enough_data":
        accuracy = next((signal for signal in report.signals if signal.name == "accuracy"), None)
        verdict, severity, reason = policy.conclude(
            PolicyInput(comparison=chosen, settings=settings, accuracy=accuracy, anomaly_rate_shift=anomaly_rate_shift)
        )
    return replace(
        report,
        policy=policy.name,
        verdict=verdict,
        severity=severity,
        reason=reason,
        comparisons=(chosen, *(comparison for comparison in report.comparisons if comparison is not chosen)),
        smallest_shift=chosen.smallest_shift,
        change_point=chosen.change_point if verdict == "drift" else None,
    )


def describe_unused_settings(settings: DriftSettings) -> list[str]:
    """Describe the thresholds that differ from their default and that do not decide the verdict of the chosen policy.

    Examples
    --------
    >>> describe_unused_settings(DriftSettings())
    []
    >>> for line in describe_unused_settings(DriftSettings(psi_threshold=0.1, median_shift=0.5)):
    ...     print(line)
    drift.psi_threshold is set, but the policy rule uses it for the severity only; it decides the verdict of psi,
    kl_psi_accuracy drift.median_shift is set, but the policy rule does not use it; it decides the verdict of
    score_shift
    """
    default, policy = DriftSettings(), POLICIES[settings.policy]
    lines = []
    for name in THRESHOLDS:
        if getattr(settings, name) == getattr(default, name) or name in policy.verdict_settings:
            continue
        readers = [other.name for other in POLICIES.values() if name in other.verdict_settings]
        if not readers and name in policy.severity_settings:
            continue
        use = "uses it for the severity only" if name in policy.severity_settings else "does not use it"
        decides = f"; it decides the verdict of {', '.join(readers)}" if readers else ""
        lines.append(f"drift.{name} is set, but the policy {policy.name} {use}{decides}")
    return lines


def compute_combined_score(parts: Mapping[str, float]) -> float:
    """Compute the combined drift score: a weighted mean of multiples of thresholds; 1 is on the threshold.

    Parameters
    ----------
    parts : mapping of str to float
        ``kl`` and ``psi`` as multiples of their thresholds, ``accuracy`` as errors in multiples of those allowed,
        (1 - accuracy) / (1 - floor). A part that is not known is left out, and the others share its weight.

    Examples
    --------
    >>> round(compute_combined_score({"kl": 1.0, "psi": 1.5}), 2), compute_combined_score({"psi": 9.0})
    (1.29, 2.0)
    """
    weights = {name: COMBINED_WEIGHTS[name] for name in parts}
    total = sum(weights.values())
    return (
        sum(weight * min(parts[name], MAX_COMBINED_PART) for name, weight in weights.items()) / total if total else 0.0
    )


def kolmogorov_p(distance: float, n_current: float, n_reference: float) -> float:
    """Textbook p-value of a two-sample KS distance, as if all values were independent.

    References
    ----------
    .. [1] N. Smirnov, "Table for estimating the goodness of fit of empirical distributions", Ann. Math. Stat. 19, 1948.

    Examples
    --------
    >>> round(kolmogorov_p(0.1, 200, 200), 3), kolmogorov_p(0.0, 5, 5)
    (0.27, 1.0)
    """
    scaled = distance * math.sqrt(n_current * n_reference / (n_current + n_reference))
    if scaled < 0.2:
        return 1.0  # the series converges slowly here, to 1 - 1e-12
    terms = (2 * (-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(max(math.fsum(terms), 0.0), 1.0)


def _conclude_psi(given: PolicyInput) -> Conclusion:
    value, bound = given.value("psi"), given.settings.psi_threshold
    return _conclude_by_multiple({f"PSI is {value:.2g}": value / bound}, f"the threshold of {bound:g}", given.settings)


def _conclude_ks(given: PolicyInput) -> Conclusion:
    comparison, bound = given.comparison, given.settings.severity_p[1]
    distance = given.value("ks")
    p_value = kolmogorov_p(distance, comparison.n_current, comparison.n_reference)
    figure = f"KS is {distance:.3f} with p = {p_value:.2g} if minutes were independent"
    if p_value < bound:
        return "drift", rank_p_value(p_value, given.settings), f"Drift: {figure}, below {bound:g}."
    return "none", "none", f"No drift: {figure}, not below {bound:g}."


def _conclude_kl_psi_accuracy(given: PolicyInput) -> Conclusion:
    settings, accuracy = given.settings, given.accuracy
    kl, psi = given.value("kl"), given.value("psi")
    parts = {"kl": kl / settings.kl_threshold, "psi": psi / settings.psi_threshold}
    figures = [f"KL {kl:.2g} of {settings.kl_threshold:g}", f"PSI {psi:.2g} of {settings.psi_threshold:g}"]
    is_low, severity = False, rank_accuracy_drop(None, settings)
    if accuracy is not None and accuracy.value is not None:
        parts["accuracy"] = (1 - accuracy.value) / (1 - settings.accuracy_floor)
        is_low = accuracy.value < settings.accuracy_floor
        figures.append(f"accuracy {accuracy.value:.2f}, at least {settings.accuracy_floor:g} expected")
        severity = rank_accuracy_drop(settings.accuracy_floor - accuracy.value, settings)
    else:
        figures.append(f"no accuracy ({accuracy.note if accuracy else 'no labels'})")
    text = f"combined score {compute_combined_score(parts):.2f} ({', '.join(figures)})."
    if max(parts["kl"], parts["psi"]) < 1 and not is_low:
        return "none", "none", f"No drift: {text}"
    by_factor = rank_factor(max(*parts.values(), 1.0), 1.0, settings)
    return "drift", max_severity(severity, by_factor), f"Drift: {text}"


def _conclude_score_shift(given: PolicyInput) -> Conclusion:
    parts: dict[str, float] = {}
    median = given.comparison.find("median_shift")
    if median is not None and median.value is not None:
        parts[f"the median moved by {median.value:+.2f} IQR"] = abs(median.value) / given.settings.median_shift
    rate = given.comparison.find("anomaly_rate")
    if rate is not None and rate.value is not None and rate.by_chance:
        change = rate.value / rate.by_chance - 1
        parts[f"the anomaly rate changed by {change:+.0%}"] = abs(change) / given.anomaly_rate_shift
    if not parts:
        return "not_enough_data", "none", "Not enough data: the reference has neither a spread of scores nor anomalies."
    return _conclude_by_multiple(parts, "its threshold", given.settings)


def _conclude_pvalue(given: PolicyInput) -> Conclusion:
    p_value, bound = given.comparison.p_value, given.settings.severity_p[0]
    if p_value is None:
        return "not_enough_data", "none", given.comparison.reason
    if p_value < bound:
        return (
            "drift",
            rank_p_value(p_value, given.settings),
            f"Drift: the family-wise p = {p_value:.2g} is below {bound:g}.",
        )
    return "none", "none", f"No drift: the family-wise p = {p_value:.2g} is not below {bound:g}."


def _conclude_by_multiple(parts: Mapping[str, float], bound: str, settings: DriftSettings) -> Conclusion:
    """Conclude from figures as multiples of their thresholds: the largest multiple decides."""
    largest = max(parts, key=lambda text: parts[text])
    if parts[largest] < 1:
        return "none", "none", f"No drift: {largest}, below {bound}."
    severity = rank_factor(max(parts[largest], min(settings.severity_factors)), 1.0, settings)
    return "drift", severity, f"Drift: {largest} and reaches {bound}."


_RECORDS = (
    DriftPolicy(
        name="rule",
        condition="significant at `alpha`, material (`effect_ks`, `effect_tail`) and stable (`stability_hours`)",
        verdict_settings=("alpha", "effect_ks", "effect_tail", "stability_hours"),
        severity_settings=("severity_p", "psi_threshold", "severity_factors"),
        known_errors="false alarms 0 % and 0.5 %, 5.5 % with an incident; detects a shift of 30 % in 62.5 % at .9",
    ),
    DriftPolicy(
        name="psi",
        condition="PSI ≥ `psi_threshold`",
        verdict_settings=("psi_threshold",),
        severity_settings=("severity_factors",),
        known_errors="false alarms 0 % and 0 %, 14 % with an incident; detects a shift of 30 % in 32 % and 2 %",
        blind_spot="PSI by chance: a fixed 0.2 is too high to detect a shift of 30 %, and an incident exceeds it",
        conclude=_conclude_psi,
    ),
    DriftPolicy(
        name="ks",
        condition="textbook two-sample KS p < the second value of `severity_p`",
        verdict_settings=("severity_p",),
        severity_settings=(),
        known_errors="false alarms 57 % and 5 %, 88 % with an incident; detects a shift of 30 % in 99 % and 100 %",
        blind_spot="dependence: with a day of minutes everything is significant",
        conclude=_conclude_ks,
    ),
    DriftPolicy(
        name="kl_psi_accuracy",
        condition="KL ≥ `kl_threshold`, PSI ≥ `psi_threshold` or accuracy < `accuracy_floor`",
        verdict_settings=("kl_threshold", "psi_threshold", "accuracy_floor"),
        severity_settings=("severity_factors", "severity_accuracy_drop"),
        known_errors="false alarms 0 % and 0 %, 14 % with an incident; detects a shift of 30 % in 32 % and 2 %",
        blind_spot="the same, and the uncertainty of an accuracy over few labels",
        conclude=_conclude_kl_psi_accuracy,
    ),
    DriftPolicy(
        name="score_shift",
        condition="median shift ≥ `median_shift` IQR, or anomaly rate ± `detectors.<name>.anomaly_rate_shift`",
        verdict_settings=("median_shift",),
        severity_settings=("severity_factors",),
        known_errors="false alarms 80 % and 52 %, 100 % with an incident; detects a shift of 30 % in 99 % and 100 %",
        blind_spot="season and dependence: on an ordinary day the median moves by 15 % of the IQR",
        conclude=_conclude_score_shift,
    ),
    DriftPolicy(
        name="pvalue",
        condition="family-wise p of the rule < the first value of `severity_p`",
        verdict_settings=("severity_p",),
        severity_settings=(),
        known_errors="false alarms 3 % and 4 %, 70 % with an incident; detects a shift of 30 % in 81 % and 100 %",
        blind_spot="effect and stability: an incident of three hours is enough",
        conclude=_conclude_pvalue,
    ),
)
POLICIES: dict[DriftPolicyName, DriftPolicy] = {policy.name: policy for policy in _RECORDS}
"""Every policy by name; the default first."""
