"""The simulation: plans each minute, applies the actions and gives the records of the collectors and the ground truth.

Everything follows from the scenario. Minutes are planned in time order, each from its own random stream, so equal scenarios give
equal records.
"""

from collections.abc import Iterator

from bgpdrift.bgp.replay_frame import Frame
from bgpdrift.lab.simulation import actions as do
from bgpdrift.lab.simulation.actions import Action, Agenda
from bgpdrift.lab.simulation.churn import Churn
from bgpdrift.lab.simulation.frames import FrameWriter
from bgpdrift.lab.simulation.incidents import Incidents
from bgpdrift.lab.simulation.records import ANNOUNCED, SESSION, WITHDREW, Record
from bgpdrift.lab.simulation.scenario import Scenario
from bgpdrift.lab.simulation.season import Season
from bgpdrift.lab.simulation.sessions import BEACON_PERIOD_S, Beacons, Sessions, beacon_is_up
from bgpdrift.lab.simulation.tables import NOTHING, Tables
from bgpdrift.lab.simulation.truth import BeaconTruth, PeerTruth, RecordCounter, RegimeTruth, TableTruth, Truth
from bgpdrift.lab.simulation.world import Peer, World

_WARM_MINUTES = 15
"""Minutes of churn before the scenario, so that its first minutes contain the effects of earlier ones."""


_OF_SESSIONS = frozenset({do.STATE, do.OPEN, do.NOTIFICATION, do.KEEPALIVE, do.MUTE})
_WITHDRAWN_TOGETHER = 20


class Simulation:
    """A seeded simulation. It can be read once; create another for a second pass.

    Examples
    --------
    >>> frames = Simulation(Scenario(duration_s=60, prefixes=100)).frames()
    >>> next(frames).text[:33]
    b'{"type":"ris_message","data":{"ti'
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        extra = max(0, sum(max(0, int(r.value)) for r in scenario.regimes if r.kind == "peers"))
        self.world = World(scenario.seed, scenario.collectors, scenario.peers, scenario.prefixes, extra)
        self._counter = RecordCounter()
        self._sessions = Sessions(scenario, self.world)
        self._churn = Churn(scenario.seed, self.world, scenario.rate)
        self._churn.use_peers(self._sessions.active)
        self._incidents = Incidents(scenario, self.world, self._churn)
        self._tables = Tables(self.world)
        for atom in self._incidents.new_atoms:
            self._tables.clear(atom)
        if not beacon_is_up(scenario.start - 60 * _WARM_MINUTES):
            for atom in self.world.beacons:
                self._tables.clear(atom)
        peers = self.world.peers
        self._down = {p.index for p in peers} - {p.index for p in self._sessions.active}
        if scenario.table_at_start:
            self._down = {p.index for p in peers}
        self._muted: set[str] = set()
        self._count = 0

    def frames(self) -> Iterator[Frame]:
        """Return the RIS Live frames, in time order."""
        return FrameWriter().frames(self.records())

    def records(self) -> Iterator[Record]:
        """Return the records of the collectors, in time order."""
        scenario = self.scenario
        agenda, season, beacons = Agenda(), Season(scenario), Beacons(scenario.seed, self.world)
        add = self._counter.add
        begin, end = round(scenario.start * 1000), round(scenario.end * 1000)
        for minute in range(begin // 60_000 - _WARM_MINUTES, -(-end // 60_000)):
            if self._sessions.plan(minute, agenda):
                self._churn.use_peers(self._sessions.active)
            since = minute * 60.0 - scenario.start
            self._stretch(since)
            factor = season.factor(minute * 60.0)
            self._churn.plan(minute, factor, agenda)
            beacons.plan(minute, self._sessions.active, agenda)
            self._incidents.plan(minute, factor, self._sessions.active, agenda)
            for record in self._carry_out(agenda.take(minute)):
                if begin <= record[0] < end:
                    add(record)
                    yield record

    def truth(self) -> Truth:
        """Return the ground truth.

        Incidents are complete from the start. Totals and random session resets grow as records are read.
        """
        scenario, world = self.scenario, self.world
        return Truth(
            scenario=scenario,
            start=scenario.start,
            end=scenario.end,
            incidents=tuple(self._incidents.truth),
            regimes=tuple(
                RegimeTruth(r.kind, r.value, scenario.start + r.at_s, scenario.start + r.at_s + r.ramp_s)
                for r in scenario.regimes
            ),
            resets=tuple(self._sessions.truth),
            beacons=BeaconTruth(
                world.beacons[0].origin,
                tuple(prefix for atom in world.beacons for prefix in atom.prefixes),
                BEACON_PERIOD_S,
            ),
            peers=tuple(PeerTruth(p.collector, p.address, p.asn, p.family) for p in world.peers),
            table=TableTruth(sum(len(a.prefixes) for a in world.atoms), len(world.atoms)),
            totals=self._counter.totals(),
        )

    def _stretch(self, since: float) -> None:
        hops = sum(int(r.value) for r in self.scenario.regimes if r.kind == "path" and since >= r.at_s)
        if hops != len(self._tables.stretch):
            self._tables.stretch = tuple(core.asn for core in self.world.topology.cores[:hops])

    def _carry_out(self, actions: list[Action]) -> list[Record]:
        peers, atoms, apply = self.world.peers, self.world.atoms, self._tables.apply
        down, muted = self._down, self._muted
        records: list[Record] = []
        append, count = records.append, self._count
        for at_ms, order, what, peer_index, atom_index, argument in actions:
            peer = peers[peer_index]
            if what in _OF_SESSIONS:
                if self._session(what, peer, argument):
                    count += 1
                    append((at_ms, count, SESSION, peer, (), (), what, argument))
                continue
            atom = atoms[atom_index]
            path = apply(what, peer, atom, argument)
            if path is NOTHING or peer_index in down or (muted and peer.collector in muted):
                continue
            if path:
                count += 1
                # A duplicate keeps its path; only its communities change.
                number = order if what == do.DUPLICATE else atom_index
                append((at_ms, count, ANNOUNCED, peer, path, (atom,), what, number))
                continue
            if records:
                # Withdrawals need no attributes, so routers pack simultaneous ones into one message.
                last = records[-1]
                if last[2] == WITHDREW and last[0] == at_ms and last[3] is peer and len(last[5]) < _WITHDRAWN_TOGETHER:
                    records[-1] = (at_ms, last[1], WITHDREW, peer, (), (*last[5], atom), what, 0)
                    continue
            count += 1
            append((at_ms, count, WITHDREW, peer, (), (atom,), what, 0))
        self._count = count
        return records

    def _session(self, what: int, peer: Peer, argument: object) -> bool:
        """Update the state of a session, and return whether the collector records the message."""
        collector, peer_index = peer.collector, peer.index
        if what == do.MUTE:
            (self._muted.add if argument else self._muted.discard)(collector)
            return False
        was_down = peer_index in self._down
        if what == do.STATE:
            if argument == "down":
                self._down.add(peer_index)
            elif argument == "up":
                self._down.discard(peer_index)
        if collector in self._muted:
            return False
        return what not in (do.KEEPALIVE, do.NOTIFICATION) or not was_down
