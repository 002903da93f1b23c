"""Simulated incidents of every kind: how worlds are laid out, and what counts as found."""

import numpy as np
import pytest

from bgpdrift.lab.evaluation.detections import Detections
from bgpdrift.lab.evaluation.evaluation import Evaluation, Row
from bgpdrift.lab.evaluation.incident_kinds import as_fields, as_markdown, as_text
from bgpdrift.lab.evaluation.simulated_worlds import FAINT, PLAIN, SLOT_S, SimulatedIncident, plan, windows_of
from bgpdrift.lab.simulation.scenario import INCIDENT_KINDS, Incident, Scenario


def evaluation(*alarmed: tuple[int, int]) -> Evaluation:
    """Of two hours, alarmed in minutes ``[begin, end)``."""
    starts = 60 * np.arange(120)
    alarms = np.zeros(120, bool)
    for begin, end in alarmed:
        alarms[begin:end] = True
    detections = {"lstm": Detections(starts, np.zeros(120), np.zeros(120), alarms)}
    rows = {"lstm": Row(None), "heuristic": Row(None, unavailable="no data")}
    return Evaluation(rows, detections, starts, np.zeros(120, bool), np.zeros(120), 0)


LEAK = SimulatedIncident("leak", PLAIN, 60 * 60, 90 * 60)


@pytest.mark.parametrize(
    ("alarmed", "minutes"),
    [
        ([(63, 70)], 4.0),
        ([(89, 100)], 30.0),
        ([(90, 100)], None),
        ([(50, 70)], None),
        ([(20, 30), (61, 62)], 2.0),
        ([], None),
    ],
    ids=["soon", "in the last minute", "too late", "was on already", "a second alarm", "never"],
)
def test_an_incident_is_found_by_an_alarm_that_began_in_it(
    alarmed: list[tuple[int, int]], minutes: float | None
) -> None:
    world = as_fields(1, 2880, [LEAK], evaluation(*alarmed))

    assert world["incidents"][0]["first_alarm_minutes"] == {"lstm": minutes}


def test_the_table_counts_worlds_and_says_who_is_missing() -> None:
    worlds = [as_fields(seed, 2880, [LEAK], evaluation(*alarmed)) for seed, alarmed in ((1, [(63, 70)]), (2, []))]
    for world in worlds:
        world["false_alarms_per_day"] = {"lstm": 0.5}

    text, markdown = as_text(worlds), as_markdown(worlds)

    assert "1/2, 4 min" in text
    assert "seed 2\n" in text
    assert "- heuristic: no figures: no data" in text
    assert "| leak | plain | 1/2, 4 min |" in markdown
    assert "| false alarms a day |  | 0.50 |" in markdown


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_kind_happens_once_plain_and_once_faint_and_far_from_the_next(seed: int) -> None:
    scenario, incidents = plan(seed, 2880)

    happened = sorted((incident.kind, incident.strength) for incident in incidents)
    faint = {kind for kind in INCIDENT_KINDS if kind != "silence"}
    assert happened == sorted([(kind, PLAIN) for kind in INCIDENT_KINDS] + [(kind, FAINT) for kind in faint])
    starts = np.array([incident.start for incident in incidents])
    assert (np.diff(starts) >= SLOT_S - 1800).all()
    assert starts[0] >= scenario.start + 2880 * 60
    assert incidents[-1].end < scenario.end


def test_the_order_of_kinds_follows_the_seed() -> None:
    orders = [[incident.kind for incident in plan(seed, 2880)[1]] for seed in (1, 1, 2)]

    assert orders[0] == orders[1] != orders[2]


def test_a_simulated_world_comes_as_labelled_minutes_of_its_collectors() -> None:
    storm = Incident("worm", 1200.0, 600.0, collector="rrc01")
    scenario = Scenario(duration_s=2400.0, prefixes=200, rate=30.0, table_at_start=True, incidents=(storm,))

    first, second = windows_of(scenario)

    assert (first.collector, len(first), second.collector, len(second)) == ("rrc00", 40, "rrc01", 40)
    assert not first.truth.any()
    assert np.flatnonzero(second.truth).tolist() == list(range(20, 30))
    assert second.features["announced"].sum() > 0
