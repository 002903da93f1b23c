"""Ordinary churn: reroutes with path exploration, withdrawals that come back, duplicates, heavy-tailed bursts.

Plans one minute at a time from a random stream of that minute, so that the churn of a minute does not depend on the rest of
the scenario. The shares below were fitted to real captures, see docs/simulated-internet.md.
"""

import math
import random
from collections.abc import Sequence

from bgpdrift.lab.simulation import actions as do
from bgpdrift.lab.simulation.actions import Agenda
from bgpdrift.lab.simulation.world import Peer, Weighted, World

KINDS = ("reroute", "flap", "duplicate")
KIND_WEIGHTS = (0.46, 0.19, 0.45)
"""Relative frequency of each kind of event."""

BURST_SHARE = 0.30
"""Share of all messages that come in bursts."""

_BURST_ALPHA, _BURST_LEAST, _BURST_MOST = 1.2, 0.35, 9.0
"""Pareto sizes of bursts, in calm minutes of the whole feed."""

_KEEPALIVE_SHARE = 0.006
_IPV6_BIAS = 1.5
_PILOT_EVENTS = 1_500
_SENT_SHARE = 0.88
"""Measured share of planned messages that are sent; a change to the current path sends nothing."""


class Churn:
    """Plans ordinary churn among the peers that are active."""

    def __init__(self, seed: int, world: World, rate: float) -> None:
        self._seed, self._world, self._rate = seed, world, rate
        self._atoms = world.by_family
        self._pools: tuple[list[Peer], dict[int, list[Peer]], Weighted] | None = None
        self._per_event = 1.0
        self._whole = 1.0

    def use_peers(self, peers: Sequence[Peer]) -> None:
        """Let only these peers send from now on; the volume grows with their number."""
        families = {f: [p for p in peers if p.family == f] for f in (4, 6)}
        weights = [self._world.peer_weights[p.index] * (_IPV6_BIAS if p.family == 6 else 1.0) for p in peers]
        first = self._pools is None
        self._pools = list(peers), families, Weighted(list(peers), weights)
        # The mean number of messages per event is measured on an agenda that is then discarded.
        pilot, rng = Agenda(), random.Random(f"{self._seed}/pilot")
        for _ in range(_PILOT_EVENTS):
            self._event(rng, 0, pilot)
        self._per_event = _SENT_SHARE * pilot.planned / _PILOT_EVENTS
        if first:
            self._whole = sum(weights)
        self._scale = sum(weights) / self._whole

    def plan(self, minute: int, factor: float, agenda: Agenda) -> None:
        """Plan one minute since the epoch, with ``factor`` times the ordinary churn."""
        rng = random.Random(f"{self._seed}/churn/{minute}")
        expected = self._rate * factor * self._scale
        for _ in range(poisson(rng, expected * (1.0 - BURST_SHARE) / self._per_event)):
            self._event(rng, minute * 60_000, agenda)
        for _ in range(poisson(rng, BURST_SHARE * factor / _mean_burst())):
            size = min(_BURST_LEAST * rng.random() ** (-1.0 / _BURST_ALPHA), _BURST_MOST)
            self._burst(rng, minute * 60_000, size * self._rate * self._scale, agenda)
        for _ in range(poisson(rng, expected * _KEEPALIVE_SHARE)):
            agenda.add(minute * 60_000 + rng.randrange(60_000), do.KEEPALIVE, self._peer(rng).index)

    def surge(
        self,
        rng: random.Random,
        start_ms: int,
        length_ms: int,
        messages: float,
        share: float,
        peers: Sequence[Peer],
        agenda: Agenda,
    ) -> None:
        """Plan up to a minute of a worm's surge: deep exploration and withdrawals over a share of the table."""
        planned, atoms = agenda.planned + messages, self._world.atoms
        limit = max(1, int(self._world.ordinary * share))
        while agenda.planned < planned:
            atom = atoms[int(rng.random() * limit) * 7919 % self._world.ordinary]
            group = [p for p in peers if p.family == atom.family and rng.random() < 0.5]
            at = start_ms + int(rng.random() * length_ms)
            lost = rng.random() < 0.45
            back = at + 30_000 + int(rng.expovariate(1 / 90_000))
            for peer in group:
                moment = at + int(rng.expovariate(1 / 8_000))
                for _ in range(1 + int(rng.expovariate(1 / 1.6))):
                    what = do.EXPLORE if rng.random() < 0.6 else do.CHANGE
                    agenda.add(moment, what, peer.index, atom.index, int(rng.random() * 1_000_000))
                    moment += 1_000 + int(rng.random() * 25_000)
                if lost:
                    agenda.add(moment, do.WITHDRAW, peer.index, atom.index)
                    moment = max(moment, back) + int(rng.random() * 5_000)
                    agenda.add(moment, do.BACK, peer.index, atom.index)
                elif rng.random() < 0.15:
                    agenda.add(moment, do.DUPLICATE, peer.index, atom.index)
                # Convergence ends on the best path, not on one that existed only during exploration.
                agenda.add(moment + 10_000 + int(rng.random() * 60_000), do.BEST, peer.index, atom.index)

    def _peer(self, rng: random.Random) -> Peer:
        assert self._pools is not None, "use_peers comes first"
        peer = self._pools[2].draw(rng.random())
        assert isinstance(peer, Peer)
        return peer

    def _event(self, rng: random.Random, start_ms: int, agenda: Agenda) -> None:
        peer = self._peer(rng)
        assert self._pools is not None
        at = start_ms + int(rng.random() * 60_000)
        atom = self._atoms[peer.family].draw(rng.random())
        assert isinstance(atom, int)
        kind = rng.random() * sum(KIND_WEIGHTS)
        if kind >= KIND_WEIGHTS[0] + KIND_WEIGHTS[1]:
            self._duplicates(rng, at, peer, agenda)
            return
        group = _group(rng, peer, self._pools[1][peer.family])
        if kind < KIND_WEIGHTS[0]:
            self._reroute(rng, at, group, atom, agenda)
        else:
            self._flap(rng, at, group, atom, agenda)

    def _reroute(self, rng: random.Random, at: int, group: list[Peer], atom: int, agenda: Agenda) -> None:
        returns = rng.random() < 0.6
        later = at + 20_000 + int(rng.lognormvariate(4.8, 1.0) * 1_000)
        for peer in group:
            moment = at + int(rng.expovariate(1 / 6_000))
            agenda.add(moment, do.CHANGE, peer.index, atom, int(rng.random() * 1_000))
            what = do.CHANGE
            while rng.random() < 0.35:
                moment += 1_000 + int(rng.random() * 28_000)
                what = do.EXPLORE if rng.random() < 0.4 else do.CHANGE
                agenda.add(moment, what, peer.index, atom, int(rng.random() * 1_000_000))
            if returns or what == do.EXPLORE:
                agenda.add(later + int(rng.expovariate(1 / 6_000)), do.BEST, peer.index, atom)

    def _flap(self, rng: random.Random, at: int, group: list[Peer], atom: int, agenda: Agenda) -> None:
        down_ms = 1_000 + int(rng.lognormvariate(3.6, 1.3) * 1_000)
        for peer in group:
            moment = at + int(rng.expovariate(1 / 6_000))
            while rng.random() < 0.62:
                agenda.add(moment, do.CHANGE, peer.index, atom, int(rng.random() * 1_000))
                moment += 500 + int(rng.random() * 20_000)
            agenda.add(moment, do.WITHDRAW, peer.index, atom)
            if rng.random() < 0.02:
                agenda.add(moment + 200, do.REWITHDRAW, peer.index, atom)
            moment += down_ms + int(rng.expovariate(1 / 4_000))
            if rng.random() < 0.40:
                agenda.add(moment, do.BACK, peer.index, atom)
            else:
                agenda.add(moment, do.CHANGE, peer.index, atom, int(rng.random() * 1_000))
                agenda.add(moment + 30_000 + int(rng.random() * 60_000), do.BEST, peer.index, atom)

    def _duplicates(self, rng: random.Random, at: int, peer: Peer, agenda: Agenda) -> None:
        for _ in range(1 + int(rng.expovariate(1 / 5.0))):
            atom = self._atoms[peer.family].draw(rng.random())
            assert isinstance(atom, int)
            agenda.add(at, do.DUPLICATE, peer.index, atom)
            at += 5 + int(rng.expovariate(1 / 300))

    def _burst(self, rng: random.Random, start_ms: int, messages: float, agenda: Agenda) -> None:
        """Plan a burst: one peer, or a few, change many routes at once, as when a link fails."""
        assert self._pools is not None
        peer = self._peer(rng)
        mates = self._pools[1][peer.family]
        group = [peer] if rng.random() < 0.55 else rng.sample(mates, min(len(mates), rng.randrange(2, 6)))
        at, spread = start_ms + int(rng.random() * 60_000), 1_000 * rng.uniform(3.0, 45.0)
        kind, pick = rng.random(), int(rng.random() * 1_000)
        # Path changes as from a failed link are half of the bursts; the others change only attributes, or lose routes.
        first, second = (
            (do.DUPLICATE, do.DUPLICATE)
            if kind < 0.38
            else (do.WITHDRAW, do.BACK)
            if kind < 0.5
            else (do.CHANGE, do.BEST)
        )
        returns = first == do.WITHDRAW or rng.random() < 0.4
        per_route = len(group) * (1 + returns)
        later = int(30_000 + rng.lognormvariate(4.6, 1.0) * 1_000)
        for _ in range(max(1, round(messages / per_route))):
            atom = self._atoms[peer.family].draw(rng.random())
            assert isinstance(atom, int)
            for member in group:
                moment = at + int(rng.expovariate(1 / spread))
                agenda.add(moment, first, member.index, atom, pick)
                if returns:
                    agenda.add(moment + later, second, member.index, atom)


def poisson(rng: random.Random, mean: float) -> int:
    """Draw from a Poisson distribution; above a mean of 60, from the normal distribution, which is close enough."""
    if mean > 60.0:
        return max(0, round(rng.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def _group(rng: random.Random, peer: Peer, mates: list[Peer]) -> list[Peer]:
    """Choose the peers that see an event: mostly one, sometimes some, rarely nearly all."""
    scope = rng.random()
    if scope < 0.55:
        return [peer]
    share = rng.uniform(0.05, 0.4) if scope < 0.88 else rng.uniform(0.6, 1.0)
    return [mate for mate in mates if rng.random() < share] or [peer]


def _mean_burst() -> float:
    """Mean of the truncated Pareto that burst sizes follow."""
    least, most, alpha = _BURST_LEAST, _BURST_MOST, _BURST_ALPHA
    below = alpha / (alpha - 1.0) * least**alpha * (least ** (1 - alpha) - most ** (1 - alpha))
    return float(below + most * (least / most) ** alpha)
