"""The page of a report: complete, small, readable without colour, safe for any input."""

import dataclasses
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.drift import svg
from bgpdrift.drift.hours import Hours
from bgpdrift.drift.report import DriftReport, LeftOut, Measure
from bgpdrift.drift.report_page import MAX_BYTES, MAX_HISTORIES, MeasureHistory, render_page
from bgpdrift.drift.rule import compare, decide
from bgpdrift.drift.windows import WindowPair
from bgpdrift.settings_sections import DriftSettings

DAY = 86_400
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Wellformed(HTMLParser):
    """Refuses tags that are not nested; keeps text, tags and links."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.words, self.links = [], [], [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.links += [value for name, value in attributes if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def all_of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


SETTINGS = DriftSettings()


def check_drawn(draw, settings=SETTINGS):
    times = 60 * np.arange(8 * 1_440)
    hours = Hours.from_rows(times, draw(np.random.default_rng(2), times))
    pair = WindowPair(
        window="24h/7d",
        reference_kind="rolling",
        current={"rrc00": hours},
        reference={"rrc00": hours},
        current_span=(7 * DAY, 8 * DAY),
        reference_span=(0, 7 * DAY),
        left_out=(LeftOut(2 * DAY, 3, "reference", "incident 7"),),
    )
    comparison = compare(pair, settings)
    signals = [Measure("accuracy", None, unit="share", note="too few labels: 3 in the current window, 20 needed")]
    return decide([comparison], model="lstm", model_version="4", at=8 * DAY, settings=settings, signals=signals), hours


def drifted(random, times):
    return random.gamma(2.0, 1.0, len(times)) * np.where(times >= 7 * DAY, 1.6, 1.0)


def page_of(draw, histories=(), **changes):
    report, hours = check_drawn(draw)
    return render_page(
        dataclasses.replace(report, **changes), [hours], histories, title="lstm", written="Made for a test"
    )


def test_the_page_shows_verdict_reason_smallest_shift_and_hours_left_out():
    report, hours = check_drawn(drifted)
    words = " ".join(Wellformed(render_page(report, [hours], title="Drift of lstm", written="Now")).words)
    assert report.verdict == "drift"
    for words_shown in (
        "DRIFT, ",
        report.reason,
        "smallest detectable shift",
        "3 h from 1970-01-03 00:00",
        "incident 7",
        "too few labels",
    ):
        assert words_shown in words


def test_the_page_fetches_nothing_and_has_no_script():
    page = page_of(drifted)
    assert Wellformed(page).links == []
    assert "<script" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "http" not in page.replace("http-equiv", "")


def test_the_page_fits_a_screen_of_420_pixels():
    """What is wider scrolls inside its own figure; each cell of a table names its column when rows are stacked."""
    page = page_of(drifted)
    style = re.search(r"<style>(.*)</style>", page, re.DOTALL).group(1)
    narrow = re.search(r"@media screen and \(max-width: 560px\) \{(.*?)\n\}", style, re.DOTALL).group(1)
    wide = [rule for rule in re.findall(r"([^{}]+)\{[^{}]*min-width: *(\d+)px", style) if int(rule[1]) > 420 - 2 * 14]

    assert [selector.strip() for selector, _ in wide] == [".wide svg"]
    assert re.search(r"figure \{[^}]*overflow-x: auto", style)
    assert "overflow-wrap: anywhere" in style
    for rule in (
        "dl { grid-template-columns: minmax(0, 1fr)",
        "table, caption, tbody, tr",
        "content: attr(data-label)",
    ):
        assert rule in narrow
    cells = re.findall(r"<td([^>]*)>", page)
    assert cells
    assert all("data-label=" in cell for cell in cells)


def test_every_plot_has_a_title_and_a_description():
    history = MeasureHistory("psi", [0, 3_600], [0.1, 0.2], 0.2)
    plots = [attributes for attributes in Wellformed(page_of(drifted, [history])).all_of("svg") if "role" in attributes]
    assert len(plots) == 3
    for plot in plots:
        assert plot["role"] == "img"
        assert len(plot["aria-label"]) > 20
        assert not re.search(r"nan|inf", plot["aria-label"])


def test_both_distributions_differ_without_colour():
    page = page_of(drifted)
    assert page.count('class="reference" d="M') == 1
    assert "fill: url(#hatch)" in page
    assert 'id="hatch"' in page


DRAWS = {
    "constant": lambda random, times: np.full(len(times), 3.0),
    "all zero": lambda random, times: np.zeros(len(times)),
    "signed": lambda random, times: random.normal(0.0, 1.0, len(times)),
    "negative": lambda random, times: -random.gamma(2.0, 1.0, len(times)),
    "mostly zero": lambda random, times: np.where(
        random.random(len(times)) < 0.9, 0.0, random.gamma(2.0, 1.0, len(times))
    ),
    "heavy tail": lambda random, times: random.pareto(0.5, len(times)),
    "tiny": lambda random, times: 1e-6 * random.gamma(2.0, 1.0, len(times)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_any_scores_can_be_plotted(name):
    page = page_of(DRAWS[name])
    Wellformed(page)
    assert page.count('role="img"') == 2
    assert not re.search(r'[ "ML](nan|inf)[ "L]', page)


def test_a_month_of_hourly_checks_of_a_hundred_measures_stays_below_300_kilobytes():
    random = np.random.default_rng(3)
    times = [3_600 * k for k in range(720)]
    histories = [
        MeasureHistory(f"feature:number_{k}", times, random.random(720).tolist(), 0.2, 0.5) for k in range(100)
    ]
    page = page_of(drifted, histories)
    assert len(page.encode()) < MAX_BYTES
    assert page.count("<figure>") == MAX_HISTORIES
    assert "52 more are not drawn" in page


def test_a_severe_measure_is_drawn_before_many_others():
    calm = [MeasureHistory(f"feature:{k}", [0, 3_600], [0.0, 0.1]) for k in range(60)]
    page = page_of(drifted, [*calm, MeasureHistory("js", [0, 3_600], [0.1, 0.9], severity="high")])
    assert page.index("JS divergence</title>") < page.index("feature: 0</title>")


@given(st.text(max_size=40))
def test_text_is_escaped_on_the_page(text):
    report = DriftReport(
        "lstm", text, 0, "none", "none", text + "<script>alert(1)</script>", signals=(Measure(text, 1.0, note=text),)
    )
    page = render_page(report, [], [MeasureHistory(text, [0], [1.0])], title=text, written=text)
    assert "<script" not in page
    if not re.search(r"[\x00\r]", text):
        Wellformed(page)


def test_a_report_without_enough_data_has_a_page_too():
    report, hours = check_drawn(
        lambda random, times: random.gamma(2.0, 1.0, len(times)), DriftSettings(min_reference_days=30)
    )
    page = render_page(report, [hours], title="lstm", written="Now")
    assert report.verdict == "not_enough_data"
    assert "not enough data" in page
    assert "nothing was tested" in page


def test_the_page_says_that_the_store_no_longer_holds_the_scores():
    report, _ = check_drawn(drifted)
    assert "no longer holds the scores of these windows" in render_page(report, [], title="lstm", written="Now")


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(-1e12, 1e12)), min_size=1, max_size=600))
def test_thinning_keeps_the_last_point_and_the_largest(points):
    times, values = (list(column) for column in zip(*sorted(points), strict=True))
    kept = svg.thin_points(times, values, 50)
    assert len(kept) <= 51
    assert kept[-1] == (times[-1], values[-1])
    assert set(kept) <= set(zip(times, values, strict=True))


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.booleans())
def test_ticks_lie_on_the_axis_and_are_few(low, size, logarithmic):
    low = abs(low) + 1e-9 if logarithmic else low
    axis = svg.Axis(low, low + size, 0.0, 100.0, logarithmic)
    assert len(axis.ticks()) <= 9
    for tick in axis.ticks():
        assert -0.1 <= axis(tick) <= 100.1
