"""What labels say of a detector, and what they cannot say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.drift.accuracy import TOO_FEW, measure_performance, measure_share
from bgpdrift.settings_sections import DriftSettings
from bgpdrift.verdicts.performance import LabelCounts

USUAL = DriftSettings()
BEFORE = LabelCounts(450, 50, 450, 50)


def by_name(measures):
    return {measure.name: measure for measure in measures}


@given(st.integers(0, 19), st.integers(0, 19))
def test_too_few_labels_is_never_ok(right, wrong):
    """No value, no rank, and a note that says so: nobody can take it for a detector that does well."""
    found = measure_share("accuracy", (min(right, 19), min(right + wrong, 19)), (90, 100), USUAL)

    assert (found.value, found.p_value, found.severity) == (None, None, "none")
    assert found.note.startswith(TOO_FEW)


def test_a_new_version_without_labels_before_it_is_not_judged_to_have_fallen():
    found = by_name(measure_performance(LabelCounts(20, 0, 15, 5), None, USUAL))["accuracy"]

    assert found.value == 0.875
    assert found.severity == "none"
    assert found.note == "too few labels before to compare: 0, 20 needed; now 0.74 to 0.95"


def test_a_fall_from_90_to_85_shows_with_400_labels_and_not_with_100():
    many = by_name(measure_performance(LabelCounts(170, 30, 170, 30), BEFORE, USUAL))["accuracy"]
    few = by_name(measure_performance(LabelCounts(43, 7, 42, 8), BEFORE, USUAL))["accuracy"]

    assert (many.value, many.severity) == (0.85, "medium")
    assert many.p_value == pytest.approx(0.008, abs=0.001)
    assert (few.value, few.severity) == (0.85, "none")
    assert few.note == "no fall beyond chance; a fall of 0.10 would have been detected"


def test_a_detector_that_misses_more_and_alarms_less_falls_in_recall_and_not_in_precision():
    found = by_name(measure_performance(LabelCounts(100, 10, 490, 100), BEFORE, USUAL))

    assert found["recall"].severity == found["class:anomaly"].severity == "critical"
    assert found["class:normal"].severity == found["precision"].severity == "none"
    assert found["f1"].effect == pytest.approx(200 / 310 - 0.9)
    assert found["f1"].severity == "critical"


def test_getting_better_has_no_rank():
    found = by_name(measure_performance(LabelCounts(500, 0, 500, 0), BEFORE, USUAL))

    assert all(measure.severity == "none" and measure.effect > 0 for measure in found.values())


def test_the_names_are_those_of_reports():
    assert list(by_name(measure_performance(BEFORE, BEFORE, USUAL))) == [
        "accuracy",
        "precision",
        "recall",
        "f1",
        "class:anomaly",
        "class:normal",
    ]
