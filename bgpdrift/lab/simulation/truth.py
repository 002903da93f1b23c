"""Ground truth: what really happened in a simulation, as a value that goes into a JSON file.

Times are epoch seconds, UTC. Totals are those of the records given out so far.
"""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from bgpdrift.lab.simulation.records import ANNOUNCED, WITHDREW, Record

if TYPE_CHECKING:
    from bgpdrift.lab.simulation.engine import Simulation


@dataclass
class IncidentTruth:
    """One incident, or one wave of it, as it was planned.

    Attributes
    ----------
    kind : str
        See `scenario.INCIDENT_KINDS`.
    start, end : float
        First anomalous message at the earliest, last at the latest; recovery begins at the end.
    collectors, peers : list of str
        Who sees it.
    prefixes : list of str
        What it is about; empty where it is the whole table (worm, silence).
    origins : dict
        ``victims`` (AS numbers) and ``culprit`` (AS number or null).
    level : float
        Strength in the kind's own unit.
    wave : int
        Number of the wave, from 1, of an incident that comes in waves; 0 for one that does not.
    """

    kind: str
    start: float
    end: float
    collectors: list[str]
    peers: list[str]
    prefixes: list[str] = field(default_factory=list)
    origins: dict[str, Any] = field(default_factory=lambda: {"victims": [], "culprit": None})
    level: float = 0.0
    wave: int = 0


class Totals:
    """Counts of the records given out."""

    _NAMES = ("frames", "updates", "announced", "withdrawn")

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self.first_ms: int | None = None
        self.last_ms: int | None = None

    def add(self, record: Record) -> None:
        """Count one record."""
        at_ms, _, kind, peer, _, atoms, _, _ = record
        counts = self._counts.get(peer.collector)
        if counts is None:
            counts = self._counts[peer.collector] = [0, 0, 0, 0]
        counts[0] += 1
        if kind == ANNOUNCED:
            counts[1] += 1
            counts[2] += len(atoms[0].prefixes)
        elif kind == WITHDREW:
            counts[1] += 1
            counts[3] += sum([len(atom.prefixes) for atom in atoms])
        if self.first_ms is None:
            self.first_ms = at_ms
        self.last_ms = at_ms

    def as_fields(self) -> dict[str, Any]:
        """Give the sums, and the same by collector."""
        return {
            **{name: sum(counts[i] for counts in self._counts.values()) for i, name in enumerate(self._NAMES)},
            "first": None if self.first_ms is None else self.first_ms / 1000,
            "last": None if self.last_ms is None else self.last_ms / 1000,
            "collectors": {c: dict(zip(self._NAMES, n, strict=True)) for c, n in sorted(self._counts.items())},
        }


def truth_of(simulation: "Simulation") -> dict[str, Any]:
    """Collect the ground truth; incidents are known from the start, totals grow as records are taken.

    Session resets that happen by chance are known once they were given out.
    """
    scenario, world = simulation.scenario, simulation.world
    return {
        "scenario": asdict(scenario),
        "start": scenario.start,
        "end": scenario.end,
        "incidents": [asdict(truth) for truth in simulation.incidents.truth],
        "regimes": [
            {
                "kind": r.kind,
                "value": r.value,
                "start": scenario.start + r.at_s,
                "full": scenario.start + r.at_s + r.ramp_s,
            }
            for r in scenario.regimes
        ],
        "resets": [asdict(reset) for reset in simulation.sessions.truth],
        "beacons": {
            "origin": world.beacons[0].origin,
            "prefixes": [prefix for atom in world.beacons for prefix in atom.prefixes],
            "period_s": 7200,
        },
        "peers": [{"collector": p.collector, "peer": p.address, "asn": p.asn, "family": p.family} for p in world.peers],
        "table": {"prefixes": sum(len(a.prefixes) for a in world.atoms), "atoms": len(world.atoms)},
        "totals": simulation.totals.as_fields(),
    }


def encode_truth(truth: dict[str, Any]) -> bytes:
    """Write ground truth as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(truth), indent=2) + b"\n"
