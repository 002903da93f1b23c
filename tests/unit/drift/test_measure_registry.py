"""The registry of measures: one record is enough for a new measure."""

from pathlib import Path

import numpy as np
import pytest

from bgpdrift.commands.drift_text import show_report
from bgpdrift.drift import check_scores
from bgpdrift.drift.measure_registry import MEASURES, DriftMeasure, MeasureValue, find_measure
from bgpdrift.drift.report_json import decode, encode
from bgpdrift.drift.report_page import render_page
from bgpdrift.drift.tested_statistics import Statistic

DOCS = Path(__file__).parents[3] / "docs" / "drift-report.md"


def check_shifted(scores):
    times, values = scores()
    return check_scores(times, np.where(times < times[0] + 7 * 86_400, values, 1.5 * values))


def test_a_described_measure_needs_one_record(scores, monkeypatch, capsys):
    """A toy measure appears in the report, in its JSON form, in the terminal and on the page."""
    toy = DriftMeasure(
        name="total_variation",
        label="total variation",
        meaning="Half the sum of the absolute differences of shares.",
        unit="share",
        is_percentage=True,
        threshold=lambda settings: settings.effect_tail,
        compute=lambda figures: MeasureValue(value=float(np.abs(figures.matched.difference[:-1]).sum() / 2)),
    )
    monkeypatch.setitem(MEASURES, "total_variation", toy)
    report = check_shifted(scores)
    measure = report.measure("total_variation")
    assert measure is not None
    assert 0.05 < measure.value < 1
    assert measure.threshold == 0.25
    assert decode(encode(report)).measure("total_variation") == measure
    show_report(report, "scores.csv")
    shown = f"{measure.value:.1%}".replace("%", " %")
    assert f"total variation {shown}" in " ".join(capsys.readouterr().out.split())
    page = render_page(report, [], title="Drift", written="Test")
    assert "total variation" in page
    assert shown in page


def test_a_tested_measure_needs_one_record(scores, monkeypatch):
    """A toy statistic takes part in the family-wise p-value and can decide."""
    lower_half = Statistic(weights=lambda expected: (np.cumsum(expected) <= 0.5).astype(float))
    toy = DriftMeasure(
        name="lower_half", label="lower half", meaning="Share below the median.", unit="share", statistic=lower_half
    )
    before = check_shifted(scores)
    monkeypatch.setitem(MEASURES, "lower_half", toy)
    report = check_shifted(scores)
    measure = report.measure("lower_half")
    assert measure is not None
    assert measure.p_value < 0.01
    assert measure.by_chance == pytest.approx(0.45, abs=0.05)
    assert measure.effect < 0
    assert report.measure("ks").p_value == pytest.approx(before.measure("ks").p_value)
    assert report.verdict == "drift"


def test_every_measure_is_documented():
    text = DOCS.read_text(encoding="utf-8")
    for name in MEASURES:
        assert f"`{name}" in text, f"docs/drift-report.md has no measure {name}"


def test_every_measure_of_a_report_has_a_record(scores):
    report = check_shifted(scores)
    assert report.measures
    for measure in report.measures:
        record = find_measure(measure.name)
        assert record is not None
        assert record.unit == measure.unit
