"""Signals: each has a severity only if something is wrong, and a note."""

import pytest

from bgpdrift.drift import signals
from bgpdrift.drift.histogram import Histogram
from bgpdrift.drift.report import Comparison, Measure
from bgpdrift.settings_sections import DriftSettings

SETTINGS = DriftSettings()


def compared(verdict, p_value, psi):
    measures = () if psi is None else (Measure("psi", psi, by_chance=0.01, effect=psi - 0.01),)
    return Comparison("24h/7d", "rolling", 0, 1, 0, 1, 9, 9, verdict, p_value, measures, reason="Because.")


@pytest.mark.parametrize(
    ("verdict", "severity", "note"),
    [
        ("drift", "critical", "drift"),
        ("incident", "none", "incident"),
        ("immaterial", "none", "immaterial"),
        ("none", "none", ""),
    ],
)
def test_a_feature_has_a_severity_only_with_the_verdict_drift(verdict, severity, note):
    found = signals.summarize_comparison("feature:flaps", compared(verdict, 1e-5, 0.6), SETTINGS)
    assert (found.value, found.severity, found.note) == (0.6, severity, note)


def test_a_feature_without_enough_data_says_what_is_missing():
    found = signals.summarize_comparison("feature:flaps", compared("not_enough_data", None, None), SETTINGS)
    assert (found.value, found.note) == (None, "Because.")


def test_a_latent_coordinate_that_moved_has_a_larger_divergence():
    calm = Histogram.of([i / 1000 - 0.5 for i in range(1000)])
    moved = Histogram.of([i / 1000 - 0.3 for i in range(1000)])
    comparison = compared("drift", 1e-5, 0.6)
    same, other = (signals.measure_embedding("embedding:0", now, calm, comparison, SETTINGS) for now in (calm, moved))
    assert same.value == 0
    assert other.value > 0.4
    assert other.unit == "nats"
    assert signals.measure_embedding("embedding:0", Histogram(), calm, comparison, SETTINGS).value is None


def test_only_a_very_small_or_large_volume_has_a_severity():
    assert signals.measure_volume(1_440, 24, 10_080, 168).severity == "none"
    assert signals.measure_volume(0, 24, 10_080, 168).severity == "low"
    assert signals.measure_volume(3_000, 24, 10_080, 168).severity == "low"
    assert signals.measure_volume(3_000, 24, 0, 168).value is None


def test_one_odd_day_does_not_change_the_growth():
    assert signals.measure_growth([100, 101, 900, 99, 100, 101]).severity == "none"
    assert signals.measure_growth([100, 85, 72, 61, 52]).value == pytest.approx(-0.15, abs=0.01)
    assert signals.measure_growth([100, 85, 72, 61, 52]).note.startswith("halves in")


def test_days_without_data_give_no_growth():
    assert signals.measure_growth([0, 0, 0, 100]).value is None


def test_a_young_model_and_a_short_lag_have_no_severity():
    assert signals.measure_age(0, 86_400).severity == signals.measure_lag(1_000, 1_090.0).severity == "none"


def test_a_clock_behind_the_events_gives_no_negative_figures():
    assert signals.measure_lag(2_000, 1_000.0).value == signals.measure_age(2_000, 1_000).value == 0
