"""Which incidents of a demo count as true, as the change or as false, and which minutes explain a reset."""

from dataclasses import replace

import pytest

from bgpdrift.lab.demo.judge import marks_reset, without_truth
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario import Incident, Regime, Reset, Scenario

START = 600_000
RESET = Reset(77_040.0, "rrc00", 1, 40.0)


@pytest.mark.parametrize(
    ("collector", "minute", "marked", "explains"),
    [
        ("rrc00", 77_040, 1, True),
        ("rrc00", 76_980, 1, False),
        ("rrc00", 77_160, 1, False),
        ("rrc01", 77_040, 1, False),
        ("rrc00", 77_040, 0, False),
    ],
)
def test_a_reset_is_explained_by_a_marked_minute_of_its_own_collector_and_time(collector, minute, marked, explains):
    row = {"collector": collector, "window_start": START + minute, "peer_reset": marked}
    assert marks_reset(row, RESET, START) == explains


def test_a_reset_of_no_named_collector_is_explained_at_any():
    row = {"collector": "rrc01", "window_start": START + 77_040, "peer_reset": 1}
    assert marks_reset(row, replace(RESET, collector=""), START)


def test_an_incident_that_begins_with_the_change_is_neither_true_nor_false():
    scenario = Scenario(
        duration_s=100_000.0,
        prefixes=100,
        incidents=(Incident("worm", 0.0, 600.0),),
        regimes=(Regime("path", 3, 90_000.0),),
    )
    truth = Simulation(scenario).truth()
    incidents = [{"started_at": truth.start + at} for at in (60, 50_000, 90_660)]

    false, with_change = without_truth(incidents, truth)

    assert (false, with_change) == ([incidents[1]], [incidents[2]])
