"""Performance by labels of operators, and what too few labels mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.drift.accuracy import TOO_FEW, measure_performance, measure_share
from bgpdrift.settings_sections import DriftSettings
from bgpdrift.verdicts.performance import LabelCounts

SETTINGS = DriftSettings()
BEFORE = LabelCounts(450, 50, 450, 50)


def by_name(measures):
    return {measure.name: measure for measure in measures}


@given(st.integers(0, 19), st.integers(0, 19))
def test_too_few_labels_is_never_ok(right, wrong):
    """The measure has no value, no severity and a note, so it does not look like a good detector."""
    found = measure_share("accuracy", (min(right, 19), min(right + wrong, 19)), (90, 100), SETTINGS)

    assert (found.value, found.p_value, found.severity) == (None, None, "none")
    assert found.note.startswith(TOO_FEW)


def test_a_new_version_without_earlier_labels_has_no_fall():
    found = by_name(measure_performance(LabelCounts(20, 0, 15, 5), None, SETTINGS))["accuracy"]

    assert found.value == 0.875
    assert found.severity == "none"
    assert found.note == "too few labels before to compare: 0, 20 needed; now 0.74 to 0.95"


def test_a_fall_from_90_to_85_is_detected_with_400_labels_and_not_with_100():
    many = by_name(measure_performance(LabelCounts(170, 30, 170, 30), BEFORE, SETTINGS))["accuracy"]
    few = by_name(measure_performance(LabelCounts(43, 7, 42, 8), BEFORE, SETTINGS))["accuracy"]

    assert (many.value, many.severity) == (0.85, "medium")
    assert many.p_value == pytest.approx(0.008, abs=0.001)
    assert (few.value, few.severity) == (0.85, "none")
    assert few.note == "no fall beyond chance; a fall of 0.10 would have been detected"


def test_a_detector_that_misses_more_and_alarms_less_falls_in_recall_and_not_in_precision():
    found = by_name(measure_performance(LabelCounts(100, 10, 490, 100), BEFORE, SETTINGS))

    assert found["recall"].severity == found["class:anomaly"].severity == "critical"
    assert found["class:normal"].severity == found["precision"].severity == "none"
    assert found["f1"].effect == pytest.approx(200 / 310 - 0.9)
    assert found["f1"].severity == "critical"


def test_an_improvement_has_no_severity():
    found = by_name(measure_performance(LabelCounts(500, 0, 500, 0), BEFORE, SETTINGS))

    assert all(measure.severity == "none" and measure.effect > 0 for measure in found.values())


def test_the_measures_have_the_names_of_reports():
    assert list(by_name(measure_performance(BEFORE, BEFORE, SETTINGS))) == [
        "accuracy",
        "precision",
        "recall",
        "f1",
        "class:anomaly",
        "class:normal",
    ]


def test_labels_of_one_class_give_its_share_and_no_accuracy():
    """A detector that always alarms is right about every anomaly."""
    found = by_name(measure_performance(LabelCounts(40, 2, 0, 0), BEFORE, SETTINGS))

    assert found["recall"].value == found["class:anomaly"].value == 1.0
    for name in ("accuracy", "precision", "f1"):
        assert (found[name].value, found[name].severity) == (None, "none")
        assert found[name].note == (
            "too few labels: 40 anomalous and 2 normal in the current window, at least 5 of each class needed"
        )


def test_an_accuracy_is_not_compared_with_one_of_a_single_class():
    found = by_name(measure_performance(LabelCounts(20, 10, 20, 10), LabelCounts(40, 2, 0, 0), SETTINGS))

    assert found["accuracy"].value == pytest.approx(2 / 3)
    assert found["accuracy"].severity == "none"
    assert found["accuracy"].note.startswith("too few labels before to compare")
