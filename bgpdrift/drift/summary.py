"""How figures, measures and windows of a report are said to a person, in a terminal and on a page. Decides no figure."""

from datetime import UTC, datetime

from bgpdrift.drift.report import Comparison, DriftReport, LeftOut, Measure

VERDICT_LABELS = {
    "none": "no drift",
    "drift": "DRIFT",
    "incident": "incident, no drift",
    "immaterial": "immaterial",
    "held": "held",
    "not_enough_data": "not enough data",
}
MEASURE_LABELS = {
    "psi": "PSI",
    "ks": "KS",
    "kl": "KL divergence",
    "js": "JS divergence",
    "location": "level (mean rank)",
    "tail_95": "scores above 95 %",
    "tail_99": "scores above 99 %",
    "wasserstein": "Wasserstein distance",
    "median_shift": "median shift",
    "anomaly_rate": "anomaly rate",
    "rule_mix": "rules that fire, PSI",
    "rule_mix_js": "rules that fire, JS",
    "model_age": "age of the model",
    "f1": "F1",
}


def name(measure: str) -> str:
    """Say a measure's name.

    Examples
    --------
    >>> name("psi"), name("feature:edit_distance"), name("volume")
    ('PSI', 'feature: edit distance', 'volume')
    """
    return MEASURE_LABELS.get(measure, measure.replace(":", ": ").replace("_", " "))


def number(value: float | None) -> str:
    """Say a figure in three digits.

    Examples
    --------
    >>> number(0.012345), number(1_234_567.0), number(None), number(0.0), number(1e-12)
    ('0.0123', '1,234,567', '–', '0', '1e-12')
    """
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def p_value(value: float | None) -> str:
    """Say a p-value; what is very small is not told apart.

    Examples
    --------
    >>> p_value(0.034), p_value(1e-9), p_value(None), p_value(1.0)
    ('0.034', '< 0.0001', '–', '1')
    """
    if value is None:
        return "–"
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def shift(value: float | None) -> str:
    """Say the smallest shift a window could have seen.

    Examples
    --------
    >>> shift(0.314), shift(None)
    ('31 %', 'none: no shift of level would have shown')
    """
    return "none: no shift of level would have shown" if value is None else f"{value:.0%}".replace("%", " %")


def moment(at: int) -> str:
    """Say a time.

    Examples
    --------
    >>> moment(1_767_225_600)
    '2026-01-01 00:00'
    """
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def span(start: int, end: int) -> str:
    """Say a window.

    Examples
    --------
    >>> span(0, 3_600)
    '1970-01-01 00:00 to 1970-01-01 01:00 UTC'
    """
    return f"{moment(start)} to {moment(end)} UTC"


def left_out(hours: LeftOut) -> str:
    """Say hours that took no part.

    Examples
    --------
    >>> left_out(LeftOut(0, 3, "current", "incident 7"))
    '3 h from 1970-01-01 00:00 of the current window: incident 7'
    """
    return f"{hours.hours} h from {moment(hours.start)} of the {hours.window} window: {hours.reason}"


def facts(report: DriftReport) -> list[tuple[str, str]]:
    """Say what a report rests on, as pairs of label and text."""
    found = [
        ("severity", report.severity),
        ("decided by", "the drift rule" if report.policy == "rule" else f"policy {report.policy}"),
    ]
    if report.p_value is not None:
        found.append(("p-value", p_value(report.p_value)))
    if report.comparisons:
        first: Comparison = report.comparisons[0]
        found += [
            ("current window", f"{span(first.current_start, first.current_end)}, {first.n_current:,} values"),
            (
                "reference",
                f"{span(first.reference_start, first.reference_end)}, {first.n_reference:,} values, {first.reference}",
            ),
            (
                "smallest shift it could see",
                shift(report.smallest_shift) if first.p_value is not None else "nothing was tested",
            ),
        ]
        if first.effective_n is not None:
            found.append(("independent values", f"the current window is worth {number(round(first.effective_n))}"))
    if report.change_point is not None:
        found.append(("new level since", f"{moment(report.change_point)} UTC"))
    return found


def row(measure: Measure) -> tuple[str, str, str, str, str, str]:
    """Say a measure as cells: name, value, usual or by chance, p-value, severity, note."""
    unit = f" {measure.unit}" if measure.unit and measure.value is not None and measure.unit != "share" else ""
    share = measure.unit == "share" and measure.name not in ("ks",)

    def figure(value: float | None) -> str:
        return f"{value:.1%}".replace("%", " %") if share and value is not None else number(value)

    return (
        name(measure.name),
        figure(measure.value) + unit,
        figure(measure.by_chance),
        p_value(measure.p_value),
        measure.severity if measure.severity != "none" else "",
        measure.note,
    )
