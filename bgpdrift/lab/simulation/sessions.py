"""Plans session resets with their table transfers, beacons, and peers that join and leave.

Planned resets come from the scenario; ordinary ones are random.
"""

import random
from collections.abc import Sequence

from bgpdrift.lab.simulation import actions as do
from bgpdrift.lab.simulation.actions import Agenda
from bgpdrift.lab.simulation.churn import poisson
from bgpdrift.lab.simulation.scenario import Scenario
from bgpdrift.lab.simulation.truth import ResetTruth
from bgpdrift.lab.simulation.world import Peer, World

_ROUTES_PER_SECOND = 400
BEACON_PERIOD_S = 7_200


class Sessions:
    """Plans resets, joins and leaves of peers."""

    def __init__(self, scenario: Scenario, world: World) -> None:
        self._scenario, self._world = scenario, world
        self.truth: list[ResetTruth] = []
        self.active = [p for p in world.peers if p.position < scenario.peers]
        self._absent_until: dict[int, int] = {}

    def plan(self, minute: int, agenda: Agenda) -> bool:
        """Plan one minute; true if the set of active peers changed."""
        scenario = self._scenario
        start, since = minute * 60_000, minute * 60.0 - scenario.start
        rng = random.Random(f"{scenario.seed}/sessions/{minute}")
        for reset in scenario.resets:
            if since <= reset.at_s < since + 60.0:
                collector = reset.collector or scenario.collectors[0]
                peer = next(p for p in self._world.peers if p.collector == collector and p.position == reset.peer)
                self._reset(rng, "planned", peer, round((scenario.start + reset.at_s) * 1000), reset.down_s, agenda)
        if since >= 0:
            for _ in range(poisson(rng, len(self.active) * scenario.resets_per_peer_day / 1440.0)):
                at = start + int(rng.random() * 60_000)
                self._reset(rng, "ordinary", rng.choice(self.active), at, 5.0 + rng.expovariate(1 / 60.0), agenda)
        if scenario.table_at_start and since <= 0.0 < since + 60.0:
            for peer in self.active:
                self._come_up(rng, "start", peer, round(scenario.start * 1000) + int(rng.random() * 20_000), agenda)
        return self._follow_regimes(rng, start, since, agenda)

    def _follow_regimes(self, rng: random.Random, start: int, since: float, agenda: Agenda) -> bool:
        wanted = self._scenario.peers + sum(
            int(r.value) for r in self._scenario.regimes if r.kind == "peers" and since + 60.0 > r.at_s
        )
        before = {p.index for p in self.active}
        active = [p for p in self._world.peers if p.position < wanted]
        after = {p.index for p in active}
        for peer in self._world.peers:
            at = start + int(rng.random() * 50_000)
            if peer.index in before - after:
                agenda.add(at, do.STATE, peer.index, argument="down")
            elif peer.index in after - before:
                self._come_up(rng, "joined", peer, at, agenda)
        self.active = active
        return before != after

    def _reset(self, rng: random.Random, kind: str, peer: Peer, at: int, down_s: float, agenda: Agenda) -> None:
        if at < self._absent_until.get(peer.index, 0):
            return  # the last reset is not over
        if rng.random() < 0.5:
            agenda.add(at, do.NOTIFICATION, peer.index, argument=(4, 0) if rng.random() < 0.5 else (6, 2))
        agenda.add(at, do.STATE, peer.index, argument="down")
        self._come_up(rng, kind, peer, at + int(down_s * 1_000), agenda, went_down=at)

    def _come_up(
        self, rng: random.Random, kind: str, peer: Peer, at: int, agenda: Agenda, went_down: int | None = None
    ) -> None:
        agenda.add(at, do.STATE, peer.index, argument="connected")
        agenda.add(at + 20, do.OPEN, peer.index, argument="sent")
        agenda.add(at + 60, do.OPEN, peer.index, argument="received")
        up = at + 500
        agenda.add(up, do.STATE, peer.index, argument="up")
        atoms = [a.index for a in self._world.atoms if a.family == peer.family]
        rng.shuffle(atoms)
        moment = float(up + 50)
        for atom in atoms:
            agenda.add(int(moment), do.TRANSFER, peer.index, atom)
            moment += rng.expovariate(_ROUTES_PER_SECOND / 1_000)
        self._absent_until[peer.index] = int(moment) + 1
        begin = at if went_down is None else went_down
        self.truth.append(
            ResetTruth(kind, peer.collector, peer.address, begin / 1000, up / 1000, int(moment + 1) / 1000)
        )


def beacon_is_up(epoch_s: float) -> bool:
    """Return whether the beacons are announced: from 0, 4, 8 … h to 2, 6, 10 … h UTC.

    Examples
    --------
    >>> beacon_is_up(3600.0), beacon_is_up(3 * 3600.0)
    (True, False)
    """
    return int(epoch_s // BEACON_PERIOD_S) % 2 == 0


class Beacons:
    """Plans beacons as RIPE NCC has them: announced and withdrawn in turn, at even UTC hours."""

    def __init__(self, seed: int, world: World) -> None:
        self._seed, self._world = seed, world

    def plan(self, minute: int, peers: Sequence[Peer], agenda: Agenda) -> None:
        """Plan the minute if it begins an even hour."""
        if minute * 60 % BEACON_PERIOD_S:
            return
        rng = random.Random(f"{self._seed}/beacons/{minute}")
        for atom in self._world.beacons:
            begin = minute * 60_000 + int(rng.random() * 2_000)
            for peer in peers:
                if peer.family != atom.family:
                    continue
                at = begin + int(rng.expovariate(1 / 4_000))
                if beacon_is_up(minute * 60.0):
                    agenda.add(at, do.CHANGE, peer.index, atom.index, int(rng.random() * 1_000))
                    agenda.add(at + 5_000 + int(rng.random() * 25_000), do.BEST, peer.index, atom.index)
                    continue
                # Peers explore longer and longer paths before they withdraw.
                for _ in range(int(rng.expovariate(1 / 2.0))):
                    what = do.CHANGE if rng.random() < 0.6 else do.EXPLORE
                    agenda.add(at, what, peer.index, atom.index, int(rng.random() * 1_000_000))
                    at += 2_000 + int(rng.random() * 28_000)
                agenda.add(at, do.WITHDRAW, peer.index, atom.index)
