"""The parts of a report as text for people, in a terminal and on a page."""

from bgpdrift.drift.measure_registry import find_measure, format_measure_name
from bgpdrift.drift.policies import POLICIES
from bgpdrift.drift.report import Comparison, DriftReport, LeftOut, Measure
from bgpdrift.formatting import format_time

VERDICT_LABELS = {
    "none": "no drift",
    "drift": "DRIFT",
    "incident": "incident, no drift",
    "immaterial": "immaterial",
    "held": "held",
    "not_enough_data": "not enough data",
}
MAX_WRITTEN_OUT = 1e7
"""Numbers from here on have an exponent, so that a column of figures stays narrow."""
MEASURE_COLUMNS = ("measure", "value", "by chance", "p-value", "severity", "note")


def format_number(value: float | None) -> str:
    """Format a figure with three digits.

    Examples
    --------
    >>> format_number(0.012345), format_number(1_234_567.0), format_number(None), format_number(0.0), format_number(1e-12)
    ('0.0123', '1,234,567', '–', '0', '1e-12')
    >>> format_number(98_765_432.1), format_number(-1e300)
    ('9.88e+07', '-1e+300')
    """
    if value is None:
        return "–"
    if 1e3 <= abs(value) < MAX_WRITTEN_OUT:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def format_p_value(value: float | None) -> str:
    """Format a p-value; very small ones are not distinguished.

    Examples
    --------
    >>> format_p_value(0.034), format_p_value(1e-9), format_p_value(None), format_p_value(1.0)
    ('0.034', '< 0.0001', '–', '1')
    """
    if value is None:
        return "–"
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def format_shift(value: float | None) -> str:
    """Format the smallest shift that a window detects.

    Examples
    --------
    >>> format_shift(0.314), format_shift(0.00123), format_shift(None)
    ('31 %', '0.12 %', 'none, since these windows detect no shift of the scores')
    """
    if value is None:
        return "none, since these windows detect no shift of the scores"
    return f"{value:.0%}".replace("%", " %") if value >= 0.005 else f"{100 * value:.2g} %"


def format_span(start: int, end: int) -> str:
    """Format a window.

    Examples
    --------
    >>> format_span(0, 3_600)
    '1970-01-01 00:00 to 1970-01-01 01:00 UTC'
    """
    return f"{format_time(start)} to {format_time(end)} UTC"


def format_left_out(hours: LeftOut) -> str:
    """Format hours that took no part.

    Examples
    --------
    >>> format_left_out(LeftOut(0, 3, "current", "incident 7"))
    '3 h from 1970-01-01 00:00 UTC of the current window: incident 7'
    """
    return f"{hours.hours} h from {format_time(hours.start)} UTC of the {hours.window} window: {hours.reason}"


def list_facts(report: DriftReport) -> list[tuple[str, str]]:
    """List the basis of a report as pairs of label and text."""
    facts = [("severity", report.severity), ("decided by", describe_policy(report.policy))]
    if report.p_value is not None:
        facts.append(("p-value", format_p_value(report.p_value)))
    if report.comparisons:
        first: Comparison = report.comparisons[0]
        smallest = format_shift(report.smallest_shift) if first.p_value is not None else "nothing was tested"
        current = format_span(first.current_start, first.current_end)
        reference = format_span(first.reference_start, first.reference_end)
        facts += [
            ("current window", f"{current}, {first.n_current:,} values"),
            ("reference window", f"{reference}, {first.n_reference:,} values, {first.reference}"),
            ("smallest detectable shift", smallest),
        ]
        if first.effective_n is not None:
            n = format_number(round(first.effective_n))
            facts.append(("independent values", f"the current window is equivalent to {n}"))
    if report.change_point is not None:
        facts.append(("new level since", f"{format_time(report.change_point)} UTC"))
    return facts


def describe_policy(name: str) -> str:
    """Describe what decided a verdict, and which thresholds of the settings ranked the severity only.

    Examples
    --------
    >>> describe_policy("rule")
    'the drift rule; severity_p, psi_threshold, severity_factors rank the severity only'
    """
    policy = next((record for record in POLICIES.values() if record.name == name), None)
    text = "the drift rule" if name == "rule" else f"the policy {name}"
    if policy is None or not policy.severity_settings:
        return text
    return f"{text}; {', '.join(policy.severity_settings)} rank the severity only"


def format_measure(measure: Measure) -> tuple[str, str, str, str, str, str]:
    """Format a measure as the cells of `MEASURE_COLUMNS`."""
    record = find_measure(measure.name)
    is_percentage = record is not None and record.is_percentage
    unit = f" {measure.unit}" if measure.unit not in ("", "share") and measure.value is not None else ""

    def format_figure(value: float | None) -> str:
        return f"{value:.1%}".replace("%", " %") if is_percentage and value is not None else format_number(value)

    return (
        format_measure_name(measure.name),
        format_figure(measure.value) + unit,
        format_figure(measure.by_chance),
        format_p_value(measure.p_value),
        measure.severity if measure.severity != "none" else "",
        measure.note,
    )
