"""Severities by the tables of the settings."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpdrift.drift.report import SEVERITIES
from bgpdrift.drift.severity import rank_accuracy_drop, rank_factor, rank_p_value, rank_severity
from bgpdrift.settings_sections import DriftSettings

SETTINGS = DriftSettings()


@given(st.floats(0.05, 1), st.floats(0, 100))
def test_a_change_that_is_not_significant_has_no_severity(p_value, psi_excess):
    assert rank_severity(p_value, psi_excess, SETTINGS) == "none"


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 2), st.floats(0, 2))
def test_a_more_certain_or_larger_change_is_never_less_severe(p, other_p, psi, other_psi):
    lesser = rank_severity(max(p, other_p), min(psi, other_psi), SETTINGS)
    greater = rank_severity(min(p, other_p), max(psi, other_psi), SETTINGS)
    assert SEVERITIES.index(lesser) <= SEVERITIES.index(greater)


def test_only_size_makes_a_change_critical():
    assert rank_severity(1e-12, 0.01, SETTINGS) == "high"
    assert rank_severity(0.04, 0.4, SETTINGS) == "critical"


def test_without_a_test_there_is_no_severity():
    assert (
        rank_severity(None, 9.0, SETTINGS)
        == rank_p_value(None, SETTINGS)
        == rank_accuracy_drop(None, SETTINGS)
        == "none"
    )


@pytest.mark.parametrize(("value", "rank"), [(0.19, "none"), (0.2, "medium"), (0.3, "high"), (0.4, "critical")])
def test_a_measure_ranks_by_multiples_of_its_threshold(value, rank):
    assert rank_factor(value, 0.2, SETTINGS) == rank


def test_the_tables_are_settings():
    strict = msgspec.structs.replace(
        SETTINGS, severity_accuracy_drop=[0.01, 0.02, 0.03, 0.04], severity_p=[0.5, 0.2, 0.1]
    )
    assert rank_accuracy_drop(0.03, strict) == "high"
    assert rank_p_value(0.3, strict) == "low"
