"""The registry of drift measures: one record per measure, from which reports, tables, pages and documentation derive.

To add a measure, add one record to `MEASURES`. The record decides the name, the text for people, the unit, the
threshold, and how the measure is computed. A comparison of two windows computes all measures with a ``statistic``
(tested by the rule) or ``compute`` (described only). The others are computed elsewhere, and their record holds text and
unit. docs/extending.md shows an example.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bgpdrift.drift import measures, tested_statistics
from bgpdrift.drift.histogram import middle_of
from bgpdrift.drift.hours import FloatArray
from bgpdrift.drift.null_distribution import two_sided_p
from bgpdrift.drift.report import Measure, Severity
from bgpdrift.drift.season import MatchedWindows
from bgpdrift.drift.tested_statistics import Statistic
from bgpdrift.settings_sections import DriftSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureValue:
    """One computed measure: its value, the value by chance, its p-value and its signed size beyond chance."""

    value: float | None
    by_chance: float | None = None
    p_value: float | None = None
    effect: float | None = None


class WindowFigures:
    """What a described measure is computed from: two windows matched to the season.

    Parameters
    ----------
    matched : MatchedWindows
        Both windows.
    alarm_sd, freedom : float
        Standard deviation of the difference of alarm shares, and its degrees of freedom.

    Attributes
    ----------
    current, reference, middles : ndarray of float, shape (bins,)
        Counts by fine bin, and the middles of the bins.
    deciles : tuple of ndarray
        Counts of both windows by decile group of the reference.
    """

    def __init__(self, matched: MatchedWindows, alarm_sd: float, freedom: float) -> None:
        self.matched, self.alarm_sd, self.freedom = matched, alarm_sd, freedom
        self.current, self.reference = matched.current_counts, matched.expected_counts
        self.middles: FloatArray = np.array([middle_of(number) for number in matched.bins.tolist()])
        self.deciles = measures.group_bins(self.current, self.reference)


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftMeasure:
    """The record of one measure.

    Attributes
    ----------
    name : str
        Name in reports and in the store. A name that ends with ``:`` is a family, such as ``feature:<name>``.
    label : str
        Name for people.
    meaning : str
        The meaning of the measure, one sentence.
    unit : str
        ``nats``, ``bits``, ``share``, ``score``, ``IQR``, ``days``, ``s`` ...
    is_percentage : bool
        Whether people read the value as a percentage.
    has_direction : bool
        Whether a value below the reference counts like one above it, so that the value has a sign or a reference level.
    threshold : callable, optional
        The value from which the measure counts, in its unit, from the settings.
    ranks_severity : bool
        Whether the size of this measure raises the severity, by multiples of the threshold.
    statistic : Statistic, optional
        The rule tests the measure: it has a p-value and contributes to the family-wise p-value.
    compute : callable, optional
        The measure is described beside the tested ones.
    """

    name: str
    label: str
    meaning: str
    unit: str = ""
    is_percentage: bool = False
    has_direction: bool = False
    threshold: Callable[[DriftSettings], float] | None = None
    ranks_severity: bool = False
    statistic: Statistic | None = None
    compute: Callable[[WindowFigures], MeasureValue] | None = None

    def build(self, value: MeasureValue, settings: DriftSettings, severity: Severity = "none") -> Measure:
        """Build the measure of a report."""
        return Measure(
            self.name,
            value.value,
            self.threshold(settings) if self.threshold else None,
            value.by_chance,
            value.p_value,
            value.effect,
            severity,
            self.unit,
        )


def _anomaly_rate(figures: WindowFigures) -> MeasureValue:
    rate, change = float(figures.matched.expected[-1]), float(figures.matched.difference[-1])
    p_value = two_sided_p(change, figures.alarm_sd, figures.freedom)
    return MeasureValue(value=rate + change, by_chance=rate, p_value=p_value, effect=change)


_ALL = (
    DriftMeasure(
        name="ks",
        label="KS",
        meaning="Largest difference of the two distribution functions.",
        unit="share",
        statistic=tested_statistics.KS,
    ),
    DriftMeasure(
        name="psi",
        label="PSI",
        meaning="How differently the scores spread over groups of the reference. Half a count is added to each group.",
        unit="nats",
        threshold=lambda settings: settings.psi_threshold,
        ranks_severity=True,
        statistic=tested_statistics.PSI,
    ),
    DriftMeasure(
        name="location",
        label="mean rank",
        meaning="Probability that a current score exceeds a reference score; 0.5 is no change.",
        unit="rank",
        has_direction=True,
        statistic=tested_statistics.LOCATION,
    ),
    DriftMeasure(
        name="tail_95",
        label="share of scores above the 95 % point",
        meaning="Share of scores above the 95 % point of the reference.",
        unit="share",
        is_percentage=True,
        has_direction=True,
        statistic=tested_statistics.TAIL_95,
    ),
    DriftMeasure(
        name="tail_99",
        label="share of scores above the 99 % point",
        meaning="Share of scores above the 99 % point of the reference.",
        unit="share",
        is_percentage=True,
        has_direction=True,
        statistic=tested_statistics.TAIL_99,
    ),
    DriftMeasure(
        name="kl",
        label="KL divergence",
        meaning="Kullback-Leibler divergence of the current scores from the reference, over deciles.",
        unit="nats",
        compute=lambda figures: MeasureValue(value=measures.kl(*figures.deciles)),
    ),
    DriftMeasure(
        name="js",
        label="JS divergence",
        meaning="Jensen-Shannon divergence over deciles, at most 1.",
        unit="bits",
        compute=lambda figures: MeasureValue(value=measures.js(*figures.deciles)),
    ),
    DriftMeasure(
        name="wasserstein",
        label="Wasserstein distance",
        meaning="How far the average score moved, in its own unit.",
        unit="score",
        compute=lambda figures: MeasureValue(
            value=measures.wasserstein(figures.current, figures.reference, figures.middles)
            * figures.matched.scaling.scale
        ),
    ),
    DriftMeasure(
        name="median_shift",
        label="median shift",
        meaning="How far the median moved, in interquartile ranges of the reference.",
        unit="IQR",
        has_direction=True,
        compute=lambda figures: MeasureValue(
            value=measures.median_shift(figures.current, figures.reference, figures.middles)
        ),
    ),
    DriftMeasure(
        name="anomaly_rate",
        label="anomaly rate",
        meaning="Share of minutes that raised an alarm; the share in the reference is in `by_chance`.",
        unit="share",
        is_percentage=True,
        has_direction=True,
        compute=_anomaly_rate,
    ),
    DriftMeasure(
        name="rule_mix",
        label="mix of rules that fire (PSI)",
        meaning="PSI of the rules that fire; `note` names the rule whose share changed most.",
        unit="nats",
        threshold=lambda settings: settings.psi_threshold,
    ),
    DriftMeasure(
        name="rule_mix_js",
        label="mix of rules that fire (JS)",
        meaning="Jensen-Shannon divergence of the rules that fire.",
        unit="bits",
    ),
    DriftMeasure(
        name="feature:",
        label="feature",
        meaning="PSI of one feature, tested by the same rule.",
        unit="nats",
        threshold=lambda settings: settings.psi_threshold,
    ),
    DriftMeasure(
        name="embedding:",
        label="embedding",
        meaning="KL divergence over 50 groups of one latent coordinate.",
        unit="nats",
        threshold=lambda settings: settings.kl_threshold,
    ),
    DriftMeasure(
        name="projection:",
        label="projection",
        meaning="KL divergence over 50 groups of a fixed random projection of all latent coordinates.",
        unit="nats",
        threshold=lambda settings: settings.kl_threshold,
    ),
    DriftMeasure(name="volume", label="volume", meaning="Values an hour as a multiple of the reference.", unit="×"),
    DriftMeasure(name="growth", label="growth", meaning="Relative growth of the volume a day.", unit="share a day"),
    DriftMeasure(
        name="model_age",
        label="age of the model",
        meaning="Days since the end of the data that the model learned from.",
        unit="days",
    ),
    DriftMeasure(name="lag", label="lag", meaning="Seconds that the data lie behind the wall clock.", unit="s"),
    *(
        DriftMeasure(
            name=name, label=label, meaning=f"{meaning} By labels of operators.", unit="share", is_percentage=True
        )
        for name, label, meaning in (
            ("accuracy", "accuracy", "Share of verdicts that were right."),
            ("precision", "precision", "Share of alarms that were anomalies."),
            ("recall", "recall", "Share of anomalies that raised an alarm."),
            ("f1", "F1", "Harmonic mean of precision and recall."),
            ("class:", "class", "Share of one class that was recognised."),
        )
    ),
)

MEASURES: dict[str, DriftMeasure] = {measure.name: measure for measure in _ALL}
"""Every measure by name, in the order of reports."""


def list_statistics() -> dict[str, Statistic]:
    """Return the tested statistics by the name of their measure.

    Examples
    --------
    >>> list(list_statistics())
    ['ks', 'psi', 'location', 'tail_95', 'tail_99']
    """
    return {name: measure.statistic for name, measure in MEASURES.items() if measure.statistic is not None}


def find_measure(name: str) -> DriftMeasure | None:
    """Find the record of a measure, or of its family; None if nothing is registered under the name.

    Examples
    --------
    >>> find_measure("psi").label, find_measure("feature:announced").name, find_measure("phase") is None
    ('PSI', 'feature:', True)
    """
    family, colon, _ = name.partition(":")
    return MEASURES.get(name) or (MEASURES.get(family + colon) if colon else None)


def format_measure_name(name: str) -> str:
    """Format the name of a measure for people.

    Examples
    --------
    >>> format_measure_name("psi"), format_measure_name("feature:edit_distance"), format_measure_name("new_one")
    ('PSI', 'feature: edit distance', 'new one')
    """
    record = find_measure(name)
    if record is not None and record.name == name:
        return record.label
    family, colon, member = name.partition(":")
    text = f"{record.label if record else family}: {member}" if colon else name
    return text.replace("_", " ")
