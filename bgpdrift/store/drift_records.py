"""Typed rows of drift checks: the check, the comparisons in its details, its signals.

This module decides the fields and how version 1 of the JSON among them is read. `bgpdrift.drift` computes
the values, and `bgpdrift.monitor` builds the records.
"""

from typing import Any, ClassVar, Literal

import msgspec

from bgpdrift.store.codec import StoredValue, rename_fields, without_none
from bgpdrift.store.cursor_states import DriftVerdict, IncidentHoldState, Severity

MAX_SIGNAL_LENGTH = 96
"""Width of the column ``signal``."""


class ExcludedHours(msgspec.Struct, frozen=True, array_like=True):
    """Hours that took no part in a comparison."""

    start: int
    """Epoch seconds of the first hour."""
    hours: int
    window: str
    """``current`` or ``reference``."""
    reason: str


class MeasureDetails(msgspec.Struct, frozen=True, array_like=True):
    """What a report states of a measure besides the columns of ``drift_signals``."""

    by_chance: float | None = None
    """Mean value by chance alone, or the value in the reference."""
    effect: float | None = None
    """Signed size beyond chance."""
    note: str = ""


class ComparisonRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison of a current with a reference window, without its measures; times in epoch seconds."""

    window: str
    reference: Literal["rolling", "pinned"]
    current_start: int
    current_end: int
    reference_start: int
    reference_end: int
    n_current: int
    n_reference: int
    verdict: DriftVerdict
    p_value: float | None = None
    alarming: str = ""
    """Measure that decided; empty if none did."""
    smallest_shift: float | None = None
    """Smallest relative level change that this comparison would detect four times in five."""
    change_point: int | None = None
    effective_n: float | None = None
    """Number of independent values to which the current window is equivalent."""
    left_out: tuple[ExcludedHours, ...] = ()
    reason: str = ""


class CheckContext(msgspec.Struct, frozen=True, kw_only=True):
    """What surrounded a check: persistence, incident hold, data, settings."""

    underlying_verdict: DriftVerdict = "not_enough_data"
    """Verdict before the incident hold."""
    persistence_checks: int = 0
    """Consecutive checks that found drift."""
    persistence_needed: int = 1
    """Consecutive checks that a retraining request needs."""
    armed: bool = True
    incident_hold: IncidentHoldState | None = None
    """None if no incident withholds the report."""
    waiting: tuple[str, ...] = ()
    """Comparisons that are not possible yet, with the reason."""
    collectors: tuple[str, ...] = ()
    unreadable_hours: int = 0
    has_artifact_reference: bool = False
    """Whether the model file contains reference hours."""
    preset: str = ""
    policy: str = ""
    alpha: float | None = None


class CheckDetails(StoredValue, frozen=True, kw_only=True):
    """The JSON of a drift check."""

    can_start_anew: ClassVar[bool] = True

    reason: str = ""
    policy: str = "rule"
    smallest_shift: float | None = None
    """That of the first comparison."""
    change_point: int | None = None
    """Hour from which the current level holds, epoch seconds."""
    persistence_checks: int = 0
    persistence_needed: int = 1
    comparisons: tuple[ComparisonRecord, ...] = ()
    """The deciding comparison first."""
    measures: dict[str, MeasureDetails] = msgspec.field(default_factory=dict)
    """By the name in ``drift_signals``; a measure without any of these values is left out."""
    context: CheckContext = CheckContext()

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Rename the persistence and the terms of the context."""
        context = fields.get("context")
        if isinstance(context, dict):
            hold = context.get("holding")
            if isinstance(hold, dict):
                context = context | {"holding": without_none(rename_fields(hold, {"question_id": "approval_id"}))}
            names = {
                "underlying": "underlying_verdict",
                "lasting": "persistence_checks",
                "needed": "persistence_needed",
                "holding": "incident_hold",
                "waits": "waiting",
                "reference_hours_of_the_artifact": "has_artifact_reference",
            }
            fields["context"] = rename_fields(context, names)
        return rename_fields(fields, {"lasting": "persistence_checks", "needed": "persistence_needed"})


class DriftCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``drift_metrics``: figures of the first comparison, verdict of all."""

    id: int = 0
    """0 before it is written."""
    timestamp: int
    """Event time of the check, epoch seconds."""
    model: str
    model_version: str = ""
    window: str
    """Window preset."""
    kl_divergence: float | None = None
    """Nats."""
    psi: float | None = None
    """Nats."""
    ks: float | None = None
    js: float | None = None
    """Bits."""
    wasserstein: float | None = None
    p_value: float | None = None
    baseline_accuracy: float | None = None
    current_accuracy: float | None = None
    drift_detected: bool
    """Whether the verdict is drift, or drift that an incident withholds."""
    verdict: DriftVerdict
    severity: Severity
    report_path: str = ""
    details: CheckDetails = CheckDetails()


class DriftSignal(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``drift_signals``: one measure of a check."""

    id: int = 0
    """0 before it is written."""
    signal: str
    """``<window>:<measure>``, see `join_signal`, or the name of a measure that belongs to no window."""
    value: float | None = None
    threshold: float | None = None
    p_value: float | None = None
    severity: Severity = "none"


def join_signal(window: str, measure: str) -> str:
    """Name the signal of a measure of a window; without a window it is the name of the measure.

    Examples
    --------
    >>> join_signal("24h/7d", "psi"), join_signal("", "lag")
    ('24h/7d:psi', 'lag')
    """
    return f"{window}:{measure}"[:MAX_SIGNAL_LENGTH] if window else measure[:MAX_SIGNAL_LENGTH]


def split_signal(signal: str) -> tuple[str, str]:
    """Split the name of a signal into window and measure; a window has a slash, ``feature:flaps`` has none.

    Examples
    --------
    >>> split_signal("24h/7d:psi"), split_signal("feature:flaps"), split_signal("lag")
    (('24h/7d', 'psi'), ('', 'feature:flaps'), ('', 'lag'))
    """
    window, colon, name = signal.partition(":")
    return (window, name) if colon and "/" in window else ("", signal)
