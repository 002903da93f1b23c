"""The values of a drift check: a measure, one comparison of two windows, the whole report.

This module decides the vocabulary of verdicts and severities and the fields of a report. `bgpdrift.drift.report_json`
writes a report, `bgpdrift.drift.report_page` draws it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Verdict = Literal["none", "drift", "incident", "immaterial", "held", "not_enough_data"]
Severity = Literal["none", "low", "medium", "high", "critical"]
ReferenceKind = Literal["rolling", "pinned"]

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From harmless to worst."""

REPORT_SCHEMA = 1
"""Version of the JSON form. A reader refuses another version."""


def max_severity(*severities: Severity) -> Severity:
    """Return the worst of some severities; ``none`` if there are none.

    Examples
    --------
    >>> max_severity("low", "critical", "none")
    'critical'
    """
    return max(severities, key=SEVERITIES.index, default="none")


@dataclass(frozen=True, slots=True)
class Measure:
    """One measure of a check.

    Attributes
    ----------
    name : str
        Name in `bgpdrift.drift.measure_registry.MEASURES`.
    value : float or None
        None if it cannot be computed; ``note`` states the reason.
    threshold : float or None
        Value from which the measure counts, in the unit of ``value``.
    by_chance : float or None
        Mean value by chance alone, or the value in the reference.
    p_value : float or None
        The p-value of this measure alone.
    effect : float or None
        Signed size beyond chance, in the unit of the measure.
    severity : str
        One of `SEVERITIES`.
    unit : str
        ``nats``, ``bits``, ``share``, ``score``, ``IQR``, ``days``, ``s`` ...
    note : str
        What a person must know besides the figure, e.g. ``too few labels``.
    """

    name: str
    value: float | None
    threshold: float | None = None
    by_chance: float | None = None
    p_value: float | None = None
    effect: float | None = None
    severity: Severity = "none"
    unit: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Hours that took no part, and the reason."""

    start: int
    """Epoch seconds, UTC, of the first hour."""
    hours: int
    window: str
    """``current`` or ``reference``."""
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A current window compared with one reference.

    Attributes
    ----------
    window : str
        Length of the current window and its reference: ``24h/7d`` (rolling), ``24h/pinned``, ``72h/pinned``,
        ``168h/pinned``.
    reference : str
        ``rolling`` or ``pinned``.
    current_start, current_end, reference_start, reference_end : int
        Epoch seconds, UTC; ends exclusive.
    n_current, n_reference : int
        Values compared, after hours were left out.
    verdict : str
        Verdict of this comparison alone; one of `VERDICTS`.
    p_value : float or None
        Family-wise over the measures of this comparison; None if nothing was tested.
    measures : tuple of Measure
        The tested measures first, then the described ones.
    alarming : str
        Measure with the smallest p-value, if the comparison is significant; otherwise "".
    smallest_shift : float or None
        Smallest relative shift of all scores that this comparison detects in 80 % of cases, e.g. 0.3 for 30 %.
    change_point : int or None
        Hour, epoch seconds, from which the current level holds; only for the verdict drift.
    effective_n : float or None
        Number of independent values to which the current window is equivalent.
    left_out : tuple of LeftOut
        Hours that took no part.
    reason : str
        The verdict in words.
    """

    window: str
    reference: ReferenceKind
    current_start: int
    current_end: int
    reference_start: int
    reference_end: int
    n_current: int
    n_reference: int
    verdict: Verdict
    p_value: float | None = None
    measures: tuple[Measure, ...] = ()
    alarming: str = ""
    smallest_shift: float | None = None
    change_point: int | None = None
    effective_n: float | None = None
    left_out: tuple[LeftOut, ...] = ()
    reason: str = ""

    def find(self, name: str) -> Measure | None:
        """Find a measure by name."""
        return next((measure for measure in self.measures if measure.name == name), None)


@dataclass(frozen=True, slots=True)
class DriftReport:
    """The result of one check of one detector, or of one score log.

    Attributes
    ----------
    model, model_version : str
        Detector and version; "" for a score log.
    at : int
        Event time of the check, epoch seconds UTC: end of the current window.
    verdict : str
        One of `VERDICTS`, of this check alone. Whether a drift persists, the monitor decides.
    severity : str
        One of `SEVERITIES`.
    reason : str
        The verdict in words.
    policy : str
        ``rule`` or the name of a textbook policy.
    p_value : float or None
        Family-wise over all comparisons (Holm).
    comparisons : tuple of Comparison
        The deciding comparison first.
    signals : tuple of Measure
        Other measures: features, embedding, categories, volume, age, lag, performance.
    smallest_shift : float or None
        That of the first comparison.
    change_point : int or None
        That of the deciding comparison.
    context : mapping
        What the monitor adds: persistence, incident hold, settings. JSON values only.
    """

    model: str
    model_version: str
    at: int
    verdict: Verdict
    severity: Severity
    reason: str
    policy: str = "rule"
    p_value: float | None = None
    comparisons: tuple[Comparison, ...] = ()
    signals: tuple[Measure, ...] = ()
    smallest_shift: float | None = None
    change_point: int | None = None
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_drift(self) -> bool:
        """Whether the verdict of this check is drift."""
        return self.verdict == "drift"

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Measures of the first comparison."""
        return self.comparisons[0].measures if self.comparisons else ()

    def measure(self, name: str) -> Measure | None:
        """Find a measure of the first comparison, or a signal, by name."""
        return next((m for m in (*self.measures, *self.signals) if m.name == name), None)

    def as_fields(self) -> dict[str, Any]:
        """Return the report as JSON values, with the version of their form."""
        return {"schema": REPORT_SCHEMA, **asdict(self)}
