"""The page on a report: complete, small, readable without colour, safe whatever it is given."""

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
from bgpdrift.drift.report_page import MOST_BYTES, MOST_HISTORIES, History, render
from bgpdrift.drift.rule import compare, decide
from bgpdrift.settings_sections import DriftSettings

DAY = 86_400
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Wellformed(HTMLParser):
    """Refuses tags that do not fit together; keeps text, tags and ids."""

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


USUAL = DriftSettings()


def checked(draw, settings=USUAL):
    times = 60 * np.arange(8 * 1_440)
    hours = Hours.from_rows(times, draw(np.random.default_rng(2), times))
    comparison = compare(
        {"rrc00": hours},
        {"rrc00": hours},
        window="24h/7d",
        reference_kind="rolling",
        current_span=(7 * DAY, 8 * DAY),
        reference_span=(0, 7 * DAY),
        settings=settings,
        alpha=settings.alpha,
        left_out=[LeftOut(2 * DAY, 3, "reference", "incident 7")],
    )
    signals = [Measure("accuracy", None, unit="share", note="too few labels: 3 in the current window, 20 needed")]
    return decide([comparison], model="lstm", model_version="4", at=8 * DAY, settings=settings, signals=signals), hours


def drifted(random, times):
    return random.gamma(2.0, 1.0, len(times)) * np.where(times >= 7 * DAY, 1.6, 1.0)


def page_of(draw, histories=(), **changes):
    report, hours = checked(draw)
    return render(dataclasses.replace(report, **changes), [hours], histories, title="lstm", written="Made for a test")


def test_the_page_says_verdict_reason_smallest_shift_and_hours_left_out():
    report, hours = checked(drifted)
    words = " ".join(Wellformed(render(report, [hours], title="Drift of lstm", written="Now")).words)
    assert report.verdict == "drift"
    for said in (
        "DRIFT, ",
        report.reason,
        "smallest shift it could see",
        "3 h from 1970-01-03 00:00",
        "incident 7",
        "too few labels",
    ):
        assert said in words


def test_nothing_is_fetched_and_nothing_runs():
    page = page_of(drifted)
    assert Wellformed(page).links == []
    assert "<script" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "http" not in page.replace("http-equiv", "")


def test_every_plot_has_a_name_and_words_for_those_who_do_not_see_it():
    history = History("psi", [0, 3_600], [0.1, 0.2], 0.2)
    plots = [attributes for attributes in Wellformed(page_of(drifted, [history])).all_of("svg") if "role" in attributes]
    assert len(plots) == 3
    for plot in plots:
        assert plot["role"] == "img"
        assert len(plot["aria-label"]) > 20
        assert not re.search(r"nan|inf", plot["aria-label"])


def test_both_distributions_are_drawn_so_that_they_differ_without_colour():
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
def test_any_scores_can_be_drawn(name):
    page = page_of(DRAWS[name])
    Wellformed(page)
    assert page.count('role="img"') == 2
    assert not re.search(r'[ "ML](nan|inf)[ "L]', page)


def test_a_month_of_hourly_checks_of_a_hundred_measures_stays_below_300_kilobytes():
    random = np.random.default_rng(3)
    times = [3_600 * k for k in range(720)]
    histories = [History(f"feature:number_{k}", times, random.random(720).tolist(), 0.2, 0.5) for k in range(100)]
    page = page_of(drifted, histories)
    assert len(page.encode()) < MOST_BYTES
    assert page.count("<figure>") == MOST_HISTORIES
    assert "52 more without a finding are not drawn" in page


def test_a_measure_with_a_finding_is_drawn_before_many_without():
    calm = [History(f"feature:{k}", [0, 3_600], [0.0, 0.1]) for k in range(60)]
    page = page_of(drifted, [*calm, History("js", [0, 3_600], [0.1, 0.9], severity="high")])
    assert page.index("JS divergence</title>") < page.index("feature: 0</title>")


@given(st.text(max_size=40))
def test_no_text_breaks_out_of_the_page(text):
    report = DriftReport(
        "lstm", text, 0, "none", "none", text + "<script>alert(1)</script>", signals=(Measure(text, 1.0, note=text),)
    )
    page = render(report, [], [History(text, [0], [1.0])], title=text, written=text)
    assert "<script" not in page
    if not re.search(r"[\x00\r]", text):
        Wellformed(page)


def test_too_little_data_makes_a_page_too():
    report, hours = checked(
        lambda random, times: random.gamma(2.0, 1.0, len(times)), DriftSettings(min_reference_days=30)
    )
    page = render(report, [hours], title="lstm", written="Now")
    assert report.verdict == "not_enough_data"
    assert "not enough data" in page
    assert "nothing was tested" in page


def test_hours_that_left_the_store_are_not_drawn_and_said_so():
    report, _ = checked(drifted)
    assert "no scores of these windows to draw any more" in render(report, [], title="lstm", written="Now")


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(-1e12, 1e12)), min_size=1, max_size=600))
def test_thinning_keeps_the_last_point_and_the_largest(points):
    times, values = (list(column) for column in zip(*sorted(points), strict=True))
    kept = svg.thinned(times, values, 50)
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
