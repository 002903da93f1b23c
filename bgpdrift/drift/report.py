"""What a drift check says, as frozen values: a measure, one comparison of two windows, the whole report.

Decides the vocabulary of verdicts and severities and what a report holds. What the figures are, which verdict they make and
how a report is written or drawn, others decide.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Verdict = Literal["none", "drift", "incident", "immaterial", "held", "not_enough_data"]
Severity = Literal["none", "low", "medium", "high", "critical"]

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From harmless to worst."""

REPORT_SCHEMA = 1
"""Version of the JSON form; a reader of an older one must be able to tell."""


def worst(*severities: Severity) -> Severity:
    """Give the worst of some severities; ``none`` of nothing.

    Examples
    --------
    >>> worst("low", "critical", "none")
    'critical'
    """
    return max(severities, key=SEVERITIES.index, default="none")


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a check.

    Attributes
    ----------
    name : str
        ``ks``, ``psi``, ``location``, ``tail_95``, ``tail_99``, ``kl``, ``js``, ``wasserstein``, ``median_shift``,
        ``anomaly_rate``, ``rule_mix``, ``feature:<name>``, ``embedding:<i>``, ``projection:<i>``, ``volume``, ``growth``,
        ``model_age``, ``lag``, ``accuracy``, ``precision``, ``recall``, ``f1`` …
    value : float or None
        None where it cannot be had; ``note`` says why.
    threshold : float or None
        From where on it counts, in the unit of ``value``.
    by_chance : float or None
        What chance alone would give it on average.
    p_value : float or None
        Of this measure alone.
    effect : float or None
        Signed size beyond chance, in the measure's own unit.
    severity : str
        One of `SEVERITIES`.
    unit : str
        ``nats``, ``bits``, ``share``, ``score``, ``IQR``, ``days``, ``s`` …
    note : str
        What a person must know beside the figure, e.g. ``too few labels``.
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
    """Hours that took no part, and why."""

    start: int
    """Epoch seconds, UTC, of the first hour."""
    hours: int
    window: str
    """``current`` or ``reference``."""
    reason: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A current window held against one reference.

    Attributes
    ----------
    window : str
        Length of the current window and what it is held against: ``24h/7d`` (rolling), ``24h/pinned``, ``72h/pinned``,
        ``168h/pinned``.
    reference : str
        ``rolling`` or ``pinned``.
    current_start, current_end, reference_start, reference_end : int
        Epoch seconds, UTC; ends exclusive.
    n_current, n_reference : int
        Values compared, after hours were left out.
    verdict : str
        Of this comparison alone; one of `VERDICTS`.
    p_value : float or None
        Family-wise over the measures of this comparison; None if nothing was tested.
    measures : tuple of Measure
        Those the rule tests first, then the descriptive ones.
    alarming : str
        Measure that decided; "" if none did.
    smallest_shift : float or None
        Smallest relative shift of level that this comparison would have seen four times in five, e.g. 0.3 for 30 %.
    change_point : int or None
        Hour (epoch seconds) from which on the current level holds, where a drift was found.
    effective_n : float or None
        Independent values the current window is worth.
    left_out : tuple of LeftOut
        Hours that took no part.
    reason : str
        One sentence.
    """

    window: str
    reference: Literal["rolling", "pinned"]
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


@dataclass(frozen=True, slots=True)
class DriftReport:
    """What one check of one detector (or of somebody's score log) found.

    Attributes
    ----------
    model, model_version : str
        Detector and version; "" for a file.
    at : int
        Event time of the check, epoch seconds UTC: end of the current window.
    verdict : str
        One of `VERDICTS`, of this check alone: that it must last is the monitor's affair.
    severity : str
        One of `SEVERITIES`.
    reason : str
        One sentence for a person at night.
    policy : str
        ``rule`` or the name of a classic policy.
    p_value : float or None
        Family-wise over all comparisons (Holm).
    comparisons : tuple of Comparison
        The deciding one first.
    signals : tuple of Measure
        Measures of other kinds: features, embedding, categories, volume, age, lag, performance.
    smallest_shift : float or None
        That of the first comparison.
    change_point : int or None
        That of the deciding comparison.
    context : mapping
        What the monitor adds: checks running, incident that holds it, settings in force. JSON values only.
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
        """Whether this check alone says drift."""
        return self.verdict == "drift"

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Those of the first comparison."""
        return self.comparisons[0].measures if self.comparisons else ()

    def measure(self, name: str) -> Measure | None:
        """Find a measure of the first comparison, or a signal, by name."""
        return next((m for m in (*self.measures, *self.signals) if m.name == name), None)

    def as_fields(self) -> dict[str, Any]:
        """Give the report as JSON values, with the version of that form."""
        return {"schema": REPORT_SCHEMA, **asdict(self)}
