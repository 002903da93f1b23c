"""Simulated worlds for the evaluation: calm days to train on, then every kind of incident, plain and faint, one at a time.

This module decides strength and distance. Incidents begin four hours apart, so that values smoothed over an hour are calm
again before the next one. Their order is random, so that no kind has an advantage from its place.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.ris_frames import FrameDecoder
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.lab.labelled_sets.lines import read_windows
from bgpdrift.lab.labelled_sets.windows import LabelledWindows
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario import INCIDENT_KINDS, Incident, Scenario
from bgpdrift.settings import WindowSettings

PLAIN, FAINT = "plain", "faint"
COLLECTORS = ("rrc00", "rrc01")
RATE, PREFIXES, PEERS = 240.0, 2_000, 10
SLOT_S, LENGTH_S = 4 * 3600, 30 * 60
_FAINT: dict[str, dict[str, float]] = {
    "worm": {"level": 3.0},
    "leak": {"share": 0.1},
    "hijack": {"prefixes": 8},
    "subprefix": {"prefixes": 8},
    "outage": {"prefixes": 30},
    "flapping": {"prefixes": 2},
}
"""Strengths at which a kind is hard to find. Silence has no faint form."""


@dataclass(frozen=True, slots=True)
class SimulatedIncident:
    """One incident of a world: kind, strength and ``[start, end)`` in epoch seconds."""

    kind: str
    strength: str
    start: int
    end: int


def plan(seed: int, train_minutes: int) -> tuple[Scenario, tuple[SimulatedIncident, ...]]:
    """Return the scenario of a world and its incidents.

    Examples
    --------
    >>> scenario, incidents = plan(1, 2880)
    >>> sorted({incident.kind for incident in incidents}) == sorted(INCIDENT_KINDS), len(incidents)
    (True, 13)
    """
    rng = random.Random(f"kinds/{seed}")
    chosen = [(kind, PLAIN) for kind in INCIDENT_KINDS] + [(kind, FAINT) for kind in _FAINT]
    rng.shuffle(chosen)
    incidents, planned = [], []
    begin = Scenario().start
    for position, (kind, strength) in enumerate(chosen):
        # In whole minutes, anywhere in the second half hour of its slot.
        at_s = train_minutes * 60 + position * SLOT_S + 60 * rng.randrange(30, 60)
        extra = _FAINT[kind] if strength == FAINT else {}
        incidents.append(
            Incident(
                kind,
                float(at_s),
                float(LENGTH_S),
                level=extra.get("level", 0.0),
                prefixes=int(extra.get("prefixes", 0)),
                share=extra.get("share", 0.0),
                collector=COLLECTORS[0] if kind == "silence" else "",
            )
        )
        planned.append(SimulatedIncident(kind, strength, int(begin) + at_s, int(begin) + at_s + LENGTH_S))
    duration = float(train_minutes * 60 + len(chosen) * SLOT_S)
    scenario = Scenario(
        start=begin,
        duration_s=duration,
        seed=seed,
        collectors=COLLECTORS,
        peers=PEERS,
        prefixes=PREFIXES,
        rate=RATE,
        table_at_start=True,
        incidents=tuple(incidents),
    )
    return scenario, tuple(planned)


def windows_of(scenario: Scenario) -> list[LabelledWindows]:
    """Simulate a world and give its windows, labelled with its incidents."""
    simulation = Simulation(scenario)
    aggregator = Aggregator(WindowSettings())
    rows = aggregator.add(_messages(simulation))
    return read_windows([*rows, *aggregator.flush()], simulation.truth().incidents)


def _messages(simulation: Simulation) -> Iterator[Message]:
    decoder = FrameDecoder()
    for frame in simulation.frames():
        decoded = decoder.decode_line(frame.text)
        if isinstance(decoded, Message):
            yield decoded
