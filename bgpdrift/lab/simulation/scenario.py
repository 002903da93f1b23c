"""The definition of a simulation: a frozen value with incidents, persistent changes (regimes) and session resets.

Defines kinds, units and limits. `scenario_text` reads scenarios from text; `incidents` and `engine` implement the effects.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from bgpdrift.errors import InputError

INCIDENT_KINDS = {
    "worm": "surge of path exploration and withdrawals over many prefixes, as a worm that overloads routers makes",
    "leak": "many prefixes re-announced through one AS that should not carry them, on longer paths",
    "hijack": "prefixes announced with another origin by some peers",
    "subprefix": "more specific prefixes announced by another origin",
    "outage": "all prefixes behind one provider withdrawn, back at the end",
    "silence": "a collector sends nothing",
    "flapping": "a few prefixes withdrawn and announced again at a high rate",
}
"""Incident kinds with a description."""

REGIME_KINDS = {
    "level": "rate of ordinary updates times this",
    "path": "this many more hops on every path announced from then on",
    "peers": "this many peers a collector more (or, negative, fewer)",
}
"""Regime kinds with a description."""

DEFAULT_START = datetime(2026, 9, 1, tzinfo=UTC).timestamp()
"""A Tuesday, so that a default week has its weekend in the middle."""


@dataclass(frozen=True)
class Incident:
    """One incident. A field that is 0 or empty has the default of its kind.

    Attributes
    ----------
    kind : str
        One of `INCIDENT_KINDS`.
    at_s : float
        Seconds after the start of the scenario.
    duration_s : float
        Seconds from the first to the last anomalous route.
    level : float
        worm: ordinary volume times this at the peak. flapping: withdrawals a prefix a minute. Unused otherwise.
    prefixes : int
        How many prefixes about (hijack, subprefix, outage, flapping); a policy atom is never split.
    share : float
        Share of the table (worm, leak) or of the peers (hijack, subprefix) that takes part, in (0, 1].
    collector : str
        Only peers of this collector see it; empty means all. silence: the collector that sends nothing.
    every_s, wave_s : float
        For an incident in waves: a wave of ``wave_s`` begins every ``every_s`` seconds until ``duration_s`` is over; 0 for none.
    """

    kind: str
    at_s: float
    duration_s: float
    level: float = 0.0
    prefixes: int = 0
    share: float = 0.0
    collector: str = ""
    every_s: float = 0.0
    wave_s: float = 0.0


@dataclass(frozen=True)
class Regime:
    """A persistent change, with which drift detection is measured.

    Attributes
    ----------
    kind : str
        One of `REGIME_KINDS`.
    value : float
        Factor (level), hops (path) or peers a collector (peers).
    at_s : float
        Seconds after the start of the scenario.
    ramp_s : float
        Seconds until a level has its full strength; paths and peers change at once.
    """

    kind: str
    value: float
    at_s: float
    ramp_s: float = 0.0


@dataclass(frozen=True)
class Reset:
    """A session reset: the peer's session goes down, comes back and transfers the whole table.

    Attributes
    ----------
    at_s : float
        Seconds after the start of the scenario.
    collector : str
        Collector of the peer; empty means the first.
    peer : int
        Index of the peer at its collector, from 0.
    down_s : float
        Seconds between down and connected.
    """

    at_s: float
    collector: str = ""
    peer: int = 0
    down_s: float = 40.0


@dataclass(frozen=True)
class Scenario:
    """Everything that a simulation depends on; equal scenarios give equal bytes.

    Attributes
    ----------
    start : float
        Event time of the first frame at the earliest, epoch seconds UTC.
    duration_s : float
        Length in event time, seconds.
    seed : int
        Seed of everything random.
    collectors : tuple of str
        Collectors, e.g. ``rrc00``.
    peers : int
        Peers a collector, IPv4 and IPv6 sessions together.
    prefixes : int
        Prefixes in the world, both families together, about.
    rate : float
        UPDATE messages a minute in calm times, all collectors together, mean over a week.
    daily : float
        Depth of the daily season, 0 to 0.9.
    weekend : float
        Traffic of a weekend day relative to a working day.
    growth_per_year : float
        Relative growth of the rate in a year.
    resets_per_peer_day : float
        Ordinary session resets a peer and day.
    table_at_start : bool
        Sessions come up in the first minute and transfer their tables. RIS Live itself never does.
    incidents, regimes, resets : tuple
        Events of the scenario.
    """

    start: float = DEFAULT_START
    duration_s: float = 86_400.0
    seed: int = 1
    collectors: tuple[str, ...] = ("rrc00", "rrc01")
    peers: int = 12
    prefixes: int = 4_000
    rate: float = 450.0
    daily: float = 0.30
    weekend: float = 0.78
    growth_per_year: float = 0.15
    resets_per_peer_day: float = 0.0
    table_at_start: bool = False
    incidents: tuple[Incident, ...] = ()
    regimes: tuple[Regime, ...] = ()
    resets: tuple[Reset, ...] = ()

    def __post_init__(self) -> None:
        _check(self)

    @property
    def end(self) -> float:
        """Event time at which the scenario is over, epoch seconds UTC."""
        return self.start + self.duration_s


def _check(s: Scenario) -> None:
    """Reject a scenario that cannot be simulated; the error names the value and what is allowed."""
    limits = {
        "start": (0, 4_102_444_800), "duration_s": (1, 3_660 * 86_400), "peers": (1, 500), "prefixes": (50, 1_000_000),
        "rate": (0, 10_000_000), "daily": (0, 0.9), "weekend": (0.05, 5), "growth_per_year": (-0.9, 20),
        "resets_per_peer_day": (0, 1_000), "seed": (0, 2**63 - 1),
    }  # fmt: skip
    for name, (low, high) in limits.items():
        value = getattr(s, name)
        if not (math.isfinite(value) and low <= value <= high):
            raise InputError(f"scenario: {name}: expected {low:g} to {high:g}, found {value:g}")
    if not s.collectors:
        raise InputError("scenario: expected at least one collector, such as rrc00, found none")
    for name in s.collectors:
        if not re.fullmatch(r"[A-Za-z0-9-]{1,40}", name):
            raise InputError(f"scenario: collector {name!r}: expected letters, digits and hyphens, such as rrc00")
    if len(set(s.collectors)) != len(s.collectors):
        raise InputError(f"scenario: a collector is named twice in {', '.join(s.collectors)}")
    for incident in s.incidents:
        _check_incident(s, incident)
    for regime in s.regimes:
        _check_regime(s, regime)
    for reset in s.resets:
        _within(s, f"reset at +{reset.at_s:g} s", reset.at_s)
        _known_collector(s, "reset", reset.collector)
        if not 0 <= reset.peer < s.peers:
            raise InputError(f"reset: peer {reset.peer}: expected 0 to {s.peers - 1}")
        if not 1 <= reset.down_s <= 86_400:
            raise InputError(f"reset: down {reset.down_s:g} s: expected 1 to 86400")


def _check_incident(s: Scenario, incident: Incident) -> None:
    name = f"incident {incident.kind}"
    if incident.kind not in INCIDENT_KINDS:
        raise InputError(f"incident: expected one of {', '.join(INCIDENT_KINDS)}, found {incident.kind!r}")
    _within(s, name, incident.at_s)
    if incident.duration_s < 60:
        raise InputError(f"{name}: duration: expected at least 60 s, found {incident.duration_s:g} s")
    _within(s, f"end of {name}", incident.at_s + incident.duration_s)
    if not 0 <= incident.share <= 1:
        raise InputError(f"{name}: share {incident.share:g}: expected 0 to 1")
    if not 0 <= incident.level <= 100:
        raise InputError(f"{name}: level {incident.level:g}: expected 0 to 100")
    if not 0 <= incident.prefixes <= s.prefixes:
        raise InputError(f"{name}: {incident.prefixes} prefixes: expected 0 to {s.prefixes}")
    if (incident.every_s or incident.wave_s) and not 60 <= incident.wave_s < incident.every_s <= incident.duration_s:
        raise InputError(
            f"{name}: waves of {incident.wave_s:g} s every {incident.every_s:g} s: expected a wave of at least 60 s, "
            f"shorter than `every`, which is at most the {incident.duration_s:g} s it lasts"
        )
    _known_collector(s, name, incident.collector)


def _check_regime(s: Scenario, regime: Regime) -> None:
    name = f"regime {regime.kind}"
    if regime.kind not in REGIME_KINDS:
        raise InputError(f"regime: expected one of {', '.join(REGIME_KINDS)}, found {regime.kind!r}")
    _within(s, name, regime.at_s)
    if not 0 <= regime.ramp_s <= 366 * 86_400:
        raise InputError(f"{name}: ramp {regime.ramp_s:g} s: expected 0 to a year")
    low, high = {"level": (0.01, 100.0), "path": (0.0, 10.0), "peers": (1.0 - s.peers, 200.0)}[regime.kind]
    if not low <= regime.value <= high or (regime.kind != "level" and regime.value != int(regime.value)):
        noun = "a factor" if regime.kind == "level" else "a whole number"
        raise InputError(f"{name}: {regime.value:g}: expected {noun} from {low:g} to {high:g}")


def _within(s: Scenario, name: str, at_s: float) -> None:
    if not 0 <= at_s <= s.duration_s:
        raise InputError(f"{name}: at +{at_s:g} s, which is outside the {s.duration_s:g} s of the scenario")


def _known_collector(s: Scenario, name: str, collector: str) -> None:
    if collector and collector not in s.collectors:
        raise InputError(f"{name}: collector: expected one of {', '.join(s.collectors)}, found {collector!r}")
