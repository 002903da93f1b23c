"""The ground truth of a simulation: typed values, and the JSON file that holds them.

All times are epoch seconds, UTC. `engine` collects the values; this module only defines, counts, writes and reads them.
"""

from dataclasses import dataclass, field

import msgspec

from bgpdrift.lab.simulation.records import ANNOUNCED, WITHDREW, Record
from bgpdrift.lab.simulation.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Origins:
    """AS numbers of an incident: whose routes it affects, and which AS causes it (None where no AS does)."""

    victims: tuple[int, ...] = ()
    culprit: int | None = None


@dataclass(frozen=True, slots=True)
class IncidentTruth:
    """One incident, or one wave of it, as it was planned.

    Attributes
    ----------
    kind : str
        One of `scenario.INCIDENT_KINDS`.
    start, end : float
        The first anomalous message comes at `start` or later, the last before `end`. Recovery begins at `end`.
    collectors, peers : tuple of str
        The collectors and the addresses of the peers that see it.
    prefixes : tuple of str
        Affected prefixes; empty for the kinds that affect the whole table (worm, silence).
    origins : Origins
        Victims and culprit.
    level : float
        Strength in the unit of the kind.
    wave : int
        Number of the wave, from 1, of an incident that comes in waves; otherwise 0.
    """

    kind: str
    start: float
    end: float
    collectors: tuple[str, ...]
    peers: tuple[str, ...]
    prefixes: tuple[str, ...] = ()
    origins: Origins = Origins()
    level: float = 0.0
    wave: int = 0


@dataclass(frozen=True, slots=True)
class ResetTruth:
    """A session that went down and came back.

    Attributes
    ----------
    kind : str
        ``planned`` (of the scenario), ``ordinary`` (random), ``start`` or ``joined``.
    collector, peer : str
        Collector and address of the peer.
    start, up, end : float
        When the session goes down, when the table transfer starts, when the last route is sent.
    """

    kind: str
    collector: str
    peer: str
    start: float
    up: float
    end: float


@dataclass(frozen=True, slots=True)
class RegimeTruth:
    """A persistent change: it begins at `start` and has its full strength at `full`."""

    kind: str
    value: float
    start: float
    full: float


@dataclass(frozen=True, slots=True)
class BeaconTruth:
    """Routing beacons: announced for `period_s` seconds, then withdrawn for as long."""

    origin: int
    prefixes: tuple[str, ...]
    period_s: int


@dataclass(frozen=True, slots=True)
class PeerTruth:
    """A session with a collector; `family` is 4 or 6."""

    collector: str
    peer: str
    asn: int
    family: int


@dataclass(frozen=True, slots=True)
class TableTruth:
    """Size of the routing table in prefixes and in policy atoms."""

    prefixes: int
    atoms: int


@dataclass(slots=True)
class Counts:
    """Frames, UPDATE messages, and the prefixes they announce and withdraw."""

    frames: int = 0
    updates: int = 0
    announced: int = 0
    withdrawn: int = 0


@dataclass(slots=True)
class Totals:
    """Counts of the records that were read from the simulation so far, in total and by collector."""

    frames: int = 0
    updates: int = 0
    announced: int = 0
    withdrawn: int = 0
    first: float | None = None
    last: float | None = None
    collectors: dict[str, Counts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Truth:
    """Everything that happens in a simulation. Totals and random resets cover the records that were read so far."""

    scenario: Scenario
    start: float
    end: float
    incidents: tuple[IncidentTruth, ...]
    regimes: tuple[RegimeTruth, ...]
    resets: tuple[ResetTruth, ...]
    beacons: BeaconTruth
    peers: tuple[PeerTruth, ...]
    table: TableTruth
    totals: Totals


class RecordCounter:
    """Counts records as they are read."""

    def __init__(self) -> None:
        self._counts: dict[str, Counts] = {}
        self._first_ms: int | None = None
        self._last_ms: int | None = None

    def add(self, record: Record) -> None:
        """Count one record."""
        at_ms, _, kind, peer, _, atoms, _, _ = record
        counts = self._counts.get(peer.collector)
        if counts is None:
            counts = self._counts[peer.collector] = Counts()
        counts.frames += 1
        if kind == ANNOUNCED:
            counts.updates += 1
            counts.announced += len(atoms[0].prefixes)
        elif kind == WITHDREW:
            counts.updates += 1
            counts.withdrawn += sum([len(atom.prefixes) for atom in atoms])
        if self._first_ms is None:
            self._first_ms = at_ms
        self._last_ms = at_ms

    def totals(self) -> Totals:
        """Return the totals of the records counted so far."""
        every = self._counts.values()
        return Totals(
            sum(counts.frames for counts in every),
            sum(counts.updates for counts in every),
            sum(counts.announced for counts in every),
            sum(counts.withdrawn for counts in every),
            None if self._first_ms is None else self._first_ms / 1000,
            None if self._last_ms is None else self._last_ms / 1000,
            dict(sorted(self._counts.items())),
        )


def encode_truth(truth: Truth) -> bytes:
    """Write a ground truth as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(truth), indent=2) + b"\n"


def decode_truth(raw: bytes) -> Truth:
    """Read a ground truth that `encode_truth` wrote."""
    return msgspec.json.decode(raw, type=Truth)
