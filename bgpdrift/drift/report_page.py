"""A drift report as one self-contained page for a browser or for paper, without scripts and below 300 KB.

This module decides what the page shows and in which order. `bgpdrift.drift.svg` draws the plots,
`bgpdrift.drift.summary` formats the figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bgpdrift.drift import measures, summary, svg
from bgpdrift.drift.constants import BIN_WIDTH, HOUR_S
from bgpdrift.drift.histogram import Histogram, middle_of
from bgpdrift.drift.hours import FloatArray, Hours, find_scaling
from bgpdrift.drift.measure_registry import format_measure_name
from bgpdrift.drift.report import SEVERITIES, Comparison, DriftReport, Measure
from bgpdrift.drift.scaling import Scaling
from bgpdrift.formatting import escape_lines

PLOT_BINS = 64
MAX_HISTORIES = 48
MAX_BYTES = 300_000
_PLOTTED_QUANTILES = (0.002, 0.998)
"""Quantiles between which distributions are drawn."""
_MIN_LOG_RATIO = 20.0
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""
_SYMBOLS = {"none": "✓", "drift": "▲", "incident": "!", "immaterial": "≈", "held": "‖", "not_enough_data": "…"}


@dataclass(frozen=True, slots=True)
class MeasureHistory:
    """One measure over past checks: times (event time, epoch seconds), values, and the lines to compare them with."""

    name: str
    times: Sequence[int]
    values: Sequence[float]
    threshold: float | None = None
    reference: float | None = None
    severity: str = "none"


def render_page(
    report: DriftReport, hours: Sequence[Hours], histories: Sequence[MeasureHistory] = (), *, title: str, written: str
) -> str:
    """Render the page.

    Parameters
    ----------
    report : DriftReport
        The report.
    hours : sequence of Hours
        Scores of both windows of the first comparison, by collector or file, for the plots; includes the hours left
        out.
    histories : sequence of History
        Measures over past checks; `MAX_HISTORIES` of them are drawn, the most severe first.
    title : str
        Title of the page.
    written : str
        Origin of the page: time and program.

    Returns
    -------
    str
        HTML.
    """
    environment = Environment(
        loader=PackageLoader("bgpdrift.drift", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    first = report.comparisons[0] if report.comparisons else None
    page = environment.get_template("report_page.html").render(
        report=report,
        title=title,
        written=written,
        verdict=summary.VERDICT_LABELS[report.verdict],
        symbol=_SYMBOLS[report.verdict],
        facts=summary.list_facts(report),
        plots=[] if first is None else _draw_plots(first, hours),
        histories=[_draw_history(one) for one in _select_histories(histories)],
        left_over=max(0, len(histories) - MAX_HISTORIES),
        comparisons=[(comparison, _format_cells(comparison.measures)) for comparison in report.comparisons],
        signals=_format_cells(report.signals),
        columns=summary.MEASURE_COLUMNS,
        text=summary,
        format_measure_name=format_measure_name,
    )
    return escape_lines(page)  # markup cannot, but characters that reverse the text can change what is read


def _draw_plots(comparison: Comparison, hours: Sequence[Hours]) -> list[tuple[str, Markup]]:
    """Draw both distributions and the level over both windows; nothing if there are no scores."""
    out = {
        side: {
            start
            for one in comparison.left_out
            if one.window == side
            for start in range(one.start, one.start + one.hours * HOUR_S, HOUR_S)
        }
        for side in ("current", "reference")
    }
    now = _pool(hours, comparison.current_start, comparison.current_end, out["current"])
    before = _pool(hours, comparison.reference_start, comparison.reference_end, out["reference"])
    if not now.n or not before.n:
        return []
    return [
        ("Distribution of the scores", Markup(_draw_distributions(now, before, find_scaling(hours)))),  # noqa: S704 - escaped by svg
        ("Scores hour by hour", Markup(_draw_levels(comparison, hours))),  # noqa: S704
    ]


def _draw_distributions(now: Histogram, before: Histogram, scaling: Scaling) -> str:
    current, reference, middles = measures.align_histograms(now, before)
    bounds = [
        [measures.quantile(counts, middles, share) for share in _PLOTTED_QUANTILES] for counts in (current, reference)
    ]
    low, high = min(bound[0] for bound in bounds), max(bound[1] for bound in bounds)
    is_positive = scaling.offset == 0 and min(*now.counts, *before.counts) >= 0
    logarithmic = high > 0 and (low <= 0 or high / low > _MIN_LOG_RATIO) and is_positive
    if logarithmic and low <= 0:
        low = min(middle_of(number) for number in {*now.counts, *before.counts} if number)
    if high <= low:
        low, high = low - 0.5 * abs(low) - 1e-9, high + 0.5 * abs(high) + 1e-9
        logarithmic = False
    edges = np.geomspace(low, high, PLOT_BINS + 1) if logarithmic else np.linspace(low, high, PLOT_BINS + 1)
    shares = [_shares(histogram, edges) for histogram in (now, before)]
    zero = [histogram.counts.get(0, 0) / histogram.n for histogram in (now, before)]
    note = (
        f"; {zero[0]:.0%} of the current and {zero[1]:.0%} of the reference values are 0"
        if logarithmic and any(zero)
        else ""
    )
    current_median, reference_median = (
        summary.format_number(float(scaling.restore(np.array([measures.quantile(counts, middles, 0.5)]))[0]))
        for counts in (current, reference)
    )
    return svg.draw_distributions(
        scaling.restore(edges).tolist(),
        shares[0],
        shares[1],
        logarithmic=logarithmic,
        title="Distribution of scores",
        description=f"median {current_median} in the current window, {reference_median} in the reference{note}",
    )


def _shares(histogram: Histogram, edges: FloatArray) -> list[float]:
    """Share of the values in each bin of the plot; values are taken as spread evenly over a fine bin."""
    numbers = sorted(histogram.counts)
    middles = np.array([middle_of(number) for number in numbers])
    half = np.abs(middles) * (BIN_WIDTH**0.5 - 1)
    places = np.stack([middles - half, middles + half], axis=1).ravel()
    reached = np.cumsum([histogram.counts[number] for number in numbers])
    below = np.concatenate([[0], reached[:-1]])
    cumulated = np.interp(edges, places, np.stack([below, reached], axis=1).ravel())
    return list(map(float, np.diff(cumulated) / histogram.n))


def _draw_levels(comparison: Comparison, hours: Sequence[Hours]) -> str:
    starts = sorted({int(start) for part in hours for start in part.starts if _is_inside(comparison, int(start))})
    rows = []
    for start in starts:
        pooled = _pool(hours, start, start + 1, set())
        counts, _, middles = measures.align_histograms(pooled, pooled)
        mapped = np.array([measures.quantile(counts, middles, share) for share in (0.1, 0.5, 0.9)])
        rows.append(find_scaling(hours).restore(mapped).tolist())
        low, middle, high = (list(column) for column in zip(*rows, strict=True))
    lowest, highest = summary.format_number(min(middle)), summary.format_number(max(middle))
    logarithmic = min(low) > 0 and max(high) / min(low) > _MIN_LOG_RATIO
    return svg.draw_level(
        starts,
        low,
        middle,
        high,
        current=(comparison.current_start, comparison.current_end),
        left_out=[(one.start, one.start + one.hours * HOUR_S) for one in comparison.left_out],
        change_point=comparison.change_point,
        logarithmic=logarithmic,
        title="Scores hour by hour",
        description=f"{len(starts)} hours; hourly medians from {lowest} to {highest}",
    )


def _is_inside(comparison: Comparison, start: int) -> bool:
    return (
        comparison.current_start <= start < comparison.current_end
        or comparison.reference_start <= start < comparison.reference_end
    )


def _pool(hours: Sequence[Hours], start: int, end: int, out: set[int]) -> Histogram:
    total = Histogram()
    for part in hours:
        total = total + part.between(start, end).exclude(out).pool()
    return total


def _select_histories(histories: Sequence[MeasureHistory]) -> list[MeasureHistory]:
    """Return those with values, the most severe first, at most `MAX_HISTORIES`."""
    with_values = [one for one in histories if len(one.times) and len(one.times) == len(one.values)]
    return sorted(with_values, key=lambda one: -SEVERITIES.index(one.severity))[:MAX_HISTORIES]


def _draw_history(one: MeasureHistory) -> Markup:
    name = format_measure_name(one.name)
    least, most, last = map(summary.format_number, (min(one.values), max(one.values), one.values[-1]))
    description = f"{len(one.times)} checks, last {last}, from {least} to {most}"
    return Markup(  # noqa: S704 - escaped by svg
        svg.draw_history(
            one.times, one.values, threshold=one.threshold, reference=one.reference, title=name, description=description
        )
    )


def _format_cells(measures_of_table: Sequence[Measure]) -> list[Mapping[str, str]]:
    names = ("name", "value", "by_chance", "p_value", "severity", "note")
    return [dict(zip(names, summary.format_measure(measure), strict=True)) for measure in measures_of_table]
