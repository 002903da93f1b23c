"""The mix of rules that fire: with a change, without one, and with one incident."""

import numpy as np
import pytest

from bgpdrift.drift.categories import CategoryHours, measure_categories
from bgpdrift.drift.hours import Hours
from bgpdrift.settings_sections import DriftSettings

SETTINGS = DriftSettings()
NAMES = ("leak", "silence", "storm")
HOUR = 3_600


def days(rates, start, count, seed=0, scatter=0.3):
    """Hourly events of each category, scattered from day to day, with a season."""
    random = np.random.default_rng(seed)
    starts = start + HOUR * np.arange(24 * count)
    season = 1 + 0.5 * np.sin(2 * np.pi * (starts // HOUR % 24) / 24)
    level = np.repeat(np.exp(scatter * random.standard_normal((count, len(rates)))), 24, axis=0)
    return CategoryHours(starts, NAMES, random.poisson(level * season[:, None] * np.asarray(rates)))


def mix(current, reference):
    return measure_categories("rule_mix", current, reference, SETTINGS)


def test_a_change_of_the_mix_is_detected_and_named():
    psi, js = mix(days([2, 1, 8], 7 * 86_400, 1, 1), days([8, 1, 2], 0, 7, 2))
    assert (psi.name, js.name) == ("rule_mix", "rule_mix_js")
    assert psi.p_value < 0.001
    assert psi.severity == "critical"
    assert psi.note.startswith("largest change: storm")


def test_small_p_values_without_drift_are_as_rare_as_they_should_be():
    p_values = [mix(days([8, 1, 2], 7 * 86_400, 1, k), days([8, 1, 2], 0, 7, 1_000 + k))[0].p_value for k in range(60)]
    assert sum(p < 0.05 for p in p_values) <= 6  # 1 in 30 of honest tests exceeds it


def test_an_incident_of_an_hour_does_not_change_the_mix():
    quiet = days([1, 1, 1], 7 * 86_400, 1, 3, 0.0)
    counts = quiet.counts.copy()
    counts[10, 2] += 500
    incident = CategoryHours(quiet.starts, NAMES, counts)
    psi, _ = mix(incident, days([1, 1, 1], 0, 7, 4, 0.0))
    assert psi.value > 0.4
    assert psi.p_value > 0.05
    assert psi.severity == "none"


def test_too_few_events_give_no_value_and_a_note():
    psi, js = mix(days([0.01, 0, 0], 7 * 86_400, 1), days([8, 1, 2], 0, 7))
    assert psi.value is None
    assert js.value is None
    assert psi.note.startswith("too few events: ")


def test_windows_without_events_have_a_note_too():
    nothing = CategoryHours.of_alarms({name: [] for name in NAMES})
    assert (
        mix(nothing, nothing)[0].note
        == "too few events: 0 in the current window and 0 in the reference window, 30 needed"
    )


def test_other_categories_are_refused():
    with pytest.raises(ValueError, match="expected the same categories"):
        mix(CategoryHours.of_alarms({"storm": []}), CategoryHours.of_alarms({"leak": []}))


def test_alarms_of_all_collectors_add_up():
    here = Hours.from_rows([0, 60, HOUR], [1.0, 1.0, 1.0], [True, True, True])
    there = Hours.from_rows([0, 2 * HOUR], [1.0, 1.0], [True, False])
    assert CategoryHours.of_alarms({"storm": [here, there]}).counts[:, 0].tolist() == [3, 1, 0]


def test_the_same_hours_give_the_same_p():
    current, reference = days([2, 1, 8], 7 * 86_400, 1), days([8, 1, 2], 0, 7)
    assert mix(current, reference) == mix(current, reference)
