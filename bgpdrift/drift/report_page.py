"""A drift report as one page for a browser or for paper: everything in it, nothing fetched, no script, below 300 KB.

Decides what the page shows and in which order. How a plot looks `bgpdrift.drift.svg` decides, how a figure is said
`bgpdrift.drift.summary`; where report, hours and history come from, the caller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bgpdrift.drift import measures, svg
from bgpdrift.drift import summary as said
from bgpdrift.drift.histogram import WIDTH, Histogram, middle_of
from bgpdrift.drift.hours import HOUR_S, Hours
from bgpdrift.drift.report import SEVERITIES, Comparison, DriftReport, Measure

PLOT_BINS = 64
MOST_HISTORIES = 48
MOST_BYTES = 300_000
_SHOWN = (0.002, 0.998)
"""Quantiles between which distributions are drawn."""
_LOG_FROM = 20.0
"""A range of values of which the largest is so many times the smallest is drawn on a logarithmic axis."""
_SYMBOLS = {"none": "✓", "drift": "▲", "incident": "!", "immaterial": "≈", "held": "‖", "not_enough_data": "…"}


@dataclass(frozen=True, slots=True)
class History:
    """One measure over past checks: times (event time, epoch seconds), values, and the lines to hold them against."""

    name: str
    times: Sequence[int]
    values: Sequence[float]
    threshold: float | None = None
    usual: float | None = None
    severity: str = "none"


def render(
    report: DriftReport, hours: Sequence[Hours], histories: Sequence[History] = (), *, title: str, written: str
) -> str:
    """Make the page.

    Parameters
    ----------
    report : DriftReport
        What was found.
    hours : sequence of Hours
        Scores of both windows of the first comparison, by collector or file, for the plots; hours it left out included.
    histories : sequence of History
        Of as many measures as there are; the worst and the first `MOST_HISTORIES` are drawn.
    title : str
        What was checked.
    written : str
        When and by what the page was made.

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
    return environment.get_template("report_page.html").render(
        report=report,
        title=title,
        written=written,
        verdict=said.VERDICT_LABELS[report.verdict],
        symbol=_SYMBOLS[report.verdict],
        facts=said.facts(report),
        plots=[] if first is None else _plots(first, hours),
        histories=[_history(one) for one in _chosen(histories)],
        left_over=max(0, len(histories) - MOST_HISTORIES),
        comparisons=[(comparison, _cells(comparison.measures)) for comparison in report.comparisons],
        signals=_cells(report.signals),
        said=said,
    )


def _plots(comparison: Comparison, hours: Sequence[Hours]) -> list[tuple[str, Markup]]:
    """Draw both distributions and the level over both windows; nothing where there are no scores."""
    out = {
        side: {
            start
            for one in comparison.left_out
            if one.window == side
            for start in range(one.start, one.start + one.hours * HOUR_S, HOUR_S)
        }
        for side in ("current", "reference")
    }
    now = _pooled(hours, comparison.current_start, comparison.current_end, out["current"])
    before = _pooled(hours, comparison.reference_start, comparison.reference_end, out["reference"])
    if not now.n or not before.n:
        return []
    return [
        ("How scores are distributed", Markup(_distribution_plot(now, before))),  # noqa: S704 - made and escaped by svg
        ("Scores hour by hour", Markup(_level_plot(comparison, hours))),  # noqa: S704
    ]


def _distribution_plot(now: Histogram, before: Histogram) -> str:
    current, reference, middles = measures.align_histograms(now, before)
    bounds = [[measures.quantile(counts, middles, share) for share in _SHOWN] for counts in (current, reference)]
    low, high = min(bound[0] for bound in bounds), max(bound[1] for bound in bounds)
    logarithmic = high > 0 and (low <= 0 or high / low > _LOG_FROM) and min(*now.counts, *before.counts) >= 0
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
    medians = [measures.quantile(counts, middles, 0.5) for counts in (current, reference)]
    return svg.distributions(
        edges.tolist(),
        shares[0],
        shares[1],
        logarithmic=logarithmic,
        title="Distribution of scores",
        description=f"median {said.number(medians[0])} in the current window, {said.number(medians[1])} in the reference{note}",
    )


def _shares(histogram: Histogram, edges: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[float]:
    """Share of the values in each bin of the plot; fine bins are taken as filled evenly."""
    numbers = sorted(histogram.counts)
    middles = np.array([middle_of(number) for number in numbers])
    half = np.abs(middles) * (WIDTH**0.5 - 1)
    places = np.stack([middles - half, middles + half], axis=1).ravel()
    reached = np.cumsum([histogram.counts[number] for number in numbers])
    below = np.concatenate([[0], reached[:-1]])
    cumulated = np.interp(edges, places, np.stack([below, reached], axis=1).ravel())
    return list(map(float, np.diff(cumulated) / histogram.n))


def _level_plot(comparison: Comparison, hours: Sequence[Hours]) -> str:
    starts = sorted({int(start) for part in hours for start in part.starts if _inside(comparison, int(start))})
    rows = []
    for start in starts:
        pooled = _pooled(hours, start, start + 1, set())
        counts, _, middles = measures.align_histograms(pooled, pooled)
        rows.append([measures.quantile(counts, middles, share) for share in (0.1, 0.5, 0.9)])
    low, middle, high = (list(column) for column in zip(*rows, strict=True))
    logarithmic = min(low) > 0 and max(high) / min(low) > _LOG_FROM
    return svg.level(
        starts,
        low,
        middle,
        high,
        current=(comparison.current_start, comparison.current_end),
        left_out=[(one.start, one.start + one.hours * HOUR_S) for one in comparison.left_out],
        change_point=comparison.change_point,
        logarithmic=logarithmic,
        title="Scores hour by hour",
        description=f"{len(starts)} hours; hourly medians from {said.number(min(middle))} to {said.number(max(middle))}",
    )


def _inside(comparison: Comparison, start: int) -> bool:
    return (
        comparison.current_start <= start < comparison.current_end
        or comparison.reference_start <= start < comparison.reference_end
    )


def _pooled(hours: Sequence[Hours], start: int, end: int, out: set[int]) -> Histogram:
    total = Histogram()
    for part in hours:
        total = total + part.between(start, end).without(out).pool()
    return total


def _chosen(histories: Sequence[History]) -> list[History]:
    """Those with a rank first; then in their order."""
    with_values = [one for one in histories if len(one.times) and len(one.times) == len(one.values)]
    return sorted(with_values, key=lambda one: -SEVERITIES.index(one.severity))[:MOST_HISTORIES]


def _history(one: History) -> Markup:
    name, (least, most, last) = (
        said.name(one.name),
        map(said.number, (min(one.values), max(one.values), one.values[-1])),
    )
    description = f"{len(one.times)} checks, last {last}, from {least} to {most}"
    return Markup(  # noqa: S704 - made and escaped by svg
        svg.measure(
            one.times, one.values, threshold=one.threshold, usual=one.usual, title=name, description=description
        )
    )


def _cells(found: Sequence[Measure]) -> list[Mapping[str, str]]:
    names = ("name", "value", "usual", "p_value", "severity", "note")
    return [dict(zip(names, said.row(measure), strict=True)) for measure in found]
