"""Plans the effect of each kind of incident on routes, and its ground truth.

Victims, culprits and peers are drawn when the simulation is made, from a random stream of each incident, so the truth is
known before the first frame. Anomalous routes are announced between the start and the end of an incident; at the end the
routes begin to recover. All waves of an incident have the same victims, culprits and peers; each wave has its own truth.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import NamedTuple

from bgpdrift.lab.simulation import actions as do
from bgpdrift.lab.simulation.actions import Agenda
from bgpdrift.lab.simulation.churn import Churn
from bgpdrift.lab.simulation.scenario import Incident, Scenario
from bgpdrift.lab.simulation.topology import VARIANTS, Path
from bgpdrift.lab.simulation.truth import IncidentTruth, Origins
from bgpdrift.lab.simulation.world import Atom, Peer, World


@dataclass
class Scope:
    """Who sees an incident and what it affects; the planner of its kind completes it."""

    peers: list[Peer]
    prefixes: list[str] = field(default_factory=list)
    victims: list[int] = field(default_factory=list)
    culprit: int | None = None
    level: float = 0.0


class Moment(NamedTuple):
    """One minute of an incident, or of one wave of it, which lasts from ``start`` to ``end`` (milliseconds since the epoch)."""

    rng: random.Random
    minute: int  # since the epoch
    factor: float  # ordinary traffic relative to the base rate
    active: Sequence[Peer]
    agenda: Agenda
    start: int
    end: int


_Plan = Callable[[Moment], None]

_SPREAD_MS = 45_000
"""The routes of one incident change within about this time, as updates propagate."""
_REST_S = 3 * 86_400.0
"""Two incidents with less than this time between them affect different routes: detectors still remember earlier origins."""
_OUTAGE_REST_S = 3_600.0
"""The same for an outage, which changes no origin: a provider that fails takes everything behind it."""
_BEHIND_SHARE = 0.75
"""Share of the peers that reach a prefix through a provider, from which it is behind the provider."""
_MIN_NETWORKS = 5
"""Networks behind a provider whose failure is an outage of the provider, not of one network."""
_MAIN_WAY_SHARE = 0.6
"""Share of the paths through a provider that lead to prefixes behind it."""
_PEERS_SAMPLED = 8
_PROVIDER_CHOICES = 3


class Incidents:
    """All incidents of a scenario."""

    def __init__(self, scenario: Scenario, world: World, churn: Churn) -> None:
        self._scenario, self._world, self._churn = scenario, world, churn
        self.truth: list[IncidentTruth] = []
        self.new_atoms: list[Atom] = []
        self._minutes: list[tuple[int, int, int, _Plan]] = []
        self._taken: list[tuple[float, float, int]] = []
        self._span = (0.0, 0.0)
        makers = {
            "worm": self._worm, "leak": self._leak, "hijack": self._hijack, "subprefix": self._subprefix,
            "outage": self._outage, "silence": self._silence, "flapping": self._flapping,
        }  # fmt: skip
        for number, incident in enumerate(scenario.incidents):
            rng = random.Random(f"{scenario.seed}/incident/{number}")
            self._span = (incident.at_s, incident.at_s + incident.duration_s)
            seers = [
                p for p in world.peers
                if p.position < scenario.peers and incident.collector in ("", p.collector)
            ]  # fmt: skip
            scope = Scope(seers)
            plan = makers[incident.kind](rng, incident, scope)
            for wave, (start, end) in enumerate(_waves(scenario, incident), start=int(incident.every_s > 0)):
                self.truth.append(_truth_of(incident.kind, scope, start, end, wave))
                self._minutes.append((number, start, end, plan))

    def plan(self, minute: int, factor: float, active: Sequence[Peer], agenda: Agenda) -> None:
        """Plan one minute since the epoch of every incident that touches it."""
        for number, start, end, plan in self._minutes:
            if start // 60_000 <= minute <= end // 60_000:
                rng = random.Random(f"{self._scenario.seed}/incident/{number}/{minute}")
                plan(Moment(rng, minute, factor, active, agenda, start, end))

    def _worm(self, _: random.Random, incident: Incident, scope: Scope) -> _Plan:
        level, share = incident.level or 10.0, incident.share or 0.6
        scope.level = level
        names = {p.index for p in scope.peers}
        part = len(scope.peers) / max(1, sum(p.position < self._scenario.peers for p in self._world.peers))

        def plan(now: Moment) -> None:
            middle = min(max(now.minute * 60_000 + 30_000, now.start), now.end)
            rise = max(60_000.0, min(0.08 * (now.end - now.start), 600_000.0))
            # Up within minutes, down over hours: the shape of Slammer.
            age = (middle - now.start) / (now.end - now.start)
            envelope = min(1.0, (middle - now.start + 30_000) / rise) * 0.12 ** max(0.0, (age - 0.3) / 0.7)
            messages = self._scenario.rate * part * now.factor * (level - 1.0) * envelope
            low, high = max(now.start, now.minute * 60_000), min(now.end, now.minute * 60_000 + 60_000)
            peers = [p for p in now.active if p.index in names]
            if high > low and peers:
                self._churn.surge(now.rng, low, high - low, messages * (high - low) / 60_000, share, peers, now.agenda)

        return plan

    def _leak(self, rng: random.Random, incident: Incident, scope: Scope) -> _Plan:
        world, share = self._world, incident.share or 0.4
        cores = world.topology.cores
        leakers = [i for i in world.topology.indices(3) if len(cores[i].providers) > 1]
        leaker = rng.choice(leakers)
        inward, outward = rng.sample(cores[leaker].providers, 2)
        chosen = [a for a in self._free() if rng.random() < share]
        self._take(chosen)
        seers = scope.peers
        listeners = [p for p in seers if rng.random() < 0.85] or seers[:1]
        scope.level = share

        def leaked(peer: Peer, atom: Atom, variant: int) -> Path | None:
            """Up to the leaker from the one provider, and on through the other: the valley."""
            head, tree = world.path_to_core(peer, outward, variant), world.topology.tree(inward, variant)
            middle = tree[atom.providers[0]]
            path = (*head, cores[leaker].asn, *(middle or ()), *(atom.origin,) * (1 + atom.prepend))
            hops = path[: len(path) - atom.prepend]
            return path if middle and len(set(hops)) == len(hops) else None

        routes = [(p, a) for p in listeners for a in chosen if p.family == a.family and leaked(p, a, 0)]
        if not routes:  # a tiny world may offer no loop-free valley: through both providers without the detour
            listeners = seers[:1]
            routes = [(p, a) for p in listeners for a in chosen if p.family == a.family]
        _describe(scope, routes, cores[leaker].asn)

        def path_of(peer: Peer, atom: Atom, variant: int) -> Path:
            fallback = (*world.path_to_core(peer, outward), cores[leaker].asn, atom.origin)
            return leaked(peer, atom, variant) or leaked(peer, atom, 0) or fallback

        def plan(now: Moment) -> None:
            if now.minute == now.start // 60_000:
                for peer, atom in routes:
                    at = _soon(now.rng, now.start, now.end, 3 * _SPREAD_MS)
                    now.agenda.add(at, do.FORCE, peer.index, atom.index, path_of(peer, atom, 0))
            if now.start // 60_000 < now.minute < now.end // 60_000:
                # Overloaded links inside the leak keep routes moving while it lasts.
                for _ in range(int(self._scenario.rate * now.factor * 2.0 * share)):
                    peer, atom = routes[int(now.rng.random() * len(routes))]
                    variant = int(now.rng.random() * VARIANTS)
                    now.agenda.add(
                        now.minute * 60_000 + int(now.rng.random() * 60_000),
                        do.REFORCE, peer.index, atom.index, path_of(peer, atom, variant),
                    )  # fmt: skip
            self._release(now, routes)

        return plan

    def _hijack(self, rng: random.Random, incident: Incident, scope: Scope) -> _Plan:
        wanted = incident.prefixes or max(10, self._scenario.prefixes // 40)
        chosen = self._some(rng, wanted)
        provider, culprit = rng.choice(self._world.topology.indices(3)), self._world.topology.new_asn()
        routes = [
            (p, a, (*self._world.path_to_core(p, provider), culprit))
            for p in self._part(rng, scope.peers, incident.share or 0.6)
            for a in chosen
            if p.family == a.family
        ]
        _describe(scope, [(p, a) for p, a, _ in routes], culprit)
        return self._forced(routes)

    def _subprefix(self, rng: random.Random, incident: Incident, scope: Scope) -> _Plan:
        wanted = incident.prefixes or max(10, self._scenario.prefixes // 40)
        known = {name for atom in self._world.atoms for name in atom.prefixes}
        provider, culprit = rng.choice(self._world.topology.indices(3)), self._world.topology.new_asn()
        victims: set[int] = set()
        atoms: list[Atom] = []
        for atom in rng.sample(self._free(), len(self._free())):
            for name in atom.prefixes:
                net = ip_network(name)
                longest = 24 if net.version == 4 else 48
                if net.prefixlen >= longest:
                    continue
                step = min(longest - net.prefixlen, 4)
                names = tuple(str(n) for n in net.subnets(prefixlen_diff=step) if str(n) not in known)[:4]
                if names:
                    known.update(names)
                    victims.add(atom.origin)
                    atoms.append(self._world.add_atom(culprit, atom.family, names, (provider,)))
            if sum(len(a.prefixes) for a in atoms) >= wanted:
                break
        self.new_atoms += atoms
        routes = [
            (p, a, (*self._world.path_to_core(p, provider), culprit))
            for p in self._part(rng, scope.peers, incident.share or 0.9)
            for a in atoms
            if p.family == a.family
        ]
        _describe(scope, [(p, a) for p, a, _ in routes], culprit)
        scope.victims = sorted(victims)
        return self._forced(routes)

    def _outage(self, rng: random.Random, incident: Incident, scope: Scope) -> _Plan:
        wanted = incident.prefixes or max(10, self._scenario.prefixes // 12)
        behind = self._behind_each_provider(rng, scope.peers)
        sizes = {asn: sum(len(a.prefixes) for a in atoms) for asn, atoms in behind.items()}
        nearest = sorted(sizes, key=lambda asn: (abs(math.log(sizes[asn] / wanted)), asn))
        provider = rng.choice(nearest[:_PROVIDER_CHOICES])
        chosen = behind[provider]
        self._take(chosen)
        routes = [(p, a) for p in scope.peers for a in chosen if p.family == a.family]
        _describe(scope, routes, provider)

        def plan(now: Moment) -> None:
            if now.minute == now.start // 60_000:
                for peer, atom in routes:
                    at = now.start + int(now.rng.expovariate(1 / 10_000))
                    for _ in range(int(now.rng.expovariate(1 / 1.5))):
                        if at < now.end - 30_000:
                            number = int(now.rng.random() * 1_000_000)
                            now.agenda.add(at, do.EXPLORE, peer.index, atom.index, number)
                            at += 1_000 + int(now.rng.random() * 25_000)
                    now.agenda.add(min(at, now.end - 1), do.HOLD, peer.index, atom.index)
            self._release(now, routes)

        return plan

    def _behind_each_provider(self, rng: random.Random, peers: Sequence[Peer]) -> dict[int, list[Atom]]:
        """For each transit AS that is the main way to several networks: the atoms that most peers reach through it."""
        behind: dict[int, list[Atom]] = {}
        paths_through: Counter[int] = Counter()
        paths_behind: Counter[int] = Counter()
        by_family = {family: [p for p in peers if p.family == family] for family in (4, 6)}
        some = {family: rng.sample(of, min(len(of), _PEERS_SAMPLED)) for family, of in by_family.items()}
        for atom in self._free(_OUTAGE_REST_S):
            paths = [set(self._world.paths(peer, atom)[0][:-1]) for peer in some[atom.family]]
            for asn, count in sorted(Counter(asn for path in paths for asn in path if asn != atom.origin).items()):
                paths_through[asn] += count
                if count >= _BEHIND_SHARE * len(paths):
                    behind.setdefault(asn, []).append(atom)
                    paths_behind[asn] += count
        exclusive = {
            asn: atoms
            for asn, atoms in behind.items()
            if len({a.origin for a in atoms}) >= _MIN_NETWORKS
            and paths_behind[asn] >= _MAIN_WAY_SHARE * paths_through[asn]
        }
        return exclusive or behind

    def _silence(self, rng: random.Random, incident: Incident, scope: Scope) -> _Plan:
        collector = incident.collector or rng.choice(self._scenario.collectors)
        scope.peers = [p for p in scope.peers if p.collector == collector]
        first = next(p for p in self._world.peers if p.collector == collector)

        def plan(now: Moment) -> None:
            if now.minute == now.start // 60_000:
                now.agenda.add(now.start, do.MUTE, first.index, argument=True)
            if now.minute == now.end // 60_000:
                now.agenda.add(now.end, do.MUTE, first.index, argument=False)

        return plan

    def _flapping(self, rng: random.Random, incident: Incident, scope: Scope) -> _Plan:
        chosen = self._some(rng, incident.prefixes or 6)
        level = incident.level or 3.0
        group = self._part(rng, scope.peers, incident.share or 0.8)
        _describe(scope, [(p, a) for p in group for a in chosen if p.family == a.family], None)
        scope.level = level

        def plan(now: Moment) -> None:
            low, high = max(now.start, now.minute * 60_000), min(now.end, now.minute * 60_000 + 60_000)
            cycle = 60_000 / level
            for atom in chosen:
                for peer in group:
                    at = low + now.rng.random() * cycle
                    while peer.family == atom.family and at + cycle / 2 < high:
                        now.agenda.add(int(at), do.WITHDRAW, peer.index, atom.index)
                        number = int(now.rng.random() * 1_000)
                        what = do.BACK if now.rng.random() < 0.6 else do.CHANGE
                        now.agenda.add(int(at + cycle / 2), what, peer.index, atom.index, number)
                        at += cycle

        return plan

    def _forced(self, routes: list[tuple[Peer, Atom, Path]]) -> _Plan:
        """Announce each route within a minute or so, keep it until the end, and repeat one now and then."""

        def plan(now: Moment) -> None:
            if now.minute == now.start // 60_000:
                for peer, atom, path in routes:
                    now.agenda.add(
                        _soon(now.rng, now.start, now.end, _SPREAD_MS), do.FORCE, peer.index, atom.index, path
                    )
            if now.start // 60_000 < now.minute < now.end // 60_000:
                for peer, atom, path in routes:
                    if now.rng.random() < 0.05:
                        longer = (*path, path[-1]) if now.rng.random() < 0.5 else path
                        at = now.minute * 60_000 + int(now.rng.random() * 60_000)
                        now.agenda.add(at, do.REFORCE, peer.index, atom.index, longer)
            self._release(now, [(p, a) for p, a, _ in routes])

        return plan

    def _release(self, now: Moment, routes: Sequence[tuple[Peer, Atom]]) -> None:
        if now.minute == now.end // 60_000:
            for peer, atom in routes:
                at = now.end + int(now.rng.expovariate(1 / 20_000))
                now.agenda.add(at, do.RELEASE, peer.index, atom.index)

    def _free(self, rest_s: float = _REST_S) -> list[Atom]:
        """Atoms no other incident of these days holds: two incidents on one route would undo each other."""
        begin, end = self._span
        taken = {atom for since, until, atom in self._taken if since - rest_s < end and begin < until + rest_s}
        return [a for a in self._world.atoms[: self._world.ordinary] if a.index not in taken]

    def _take(self, atoms: Sequence[Atom]) -> None:
        self._taken += [(*self._span, atom.index) for atom in atoms]

    def _some(self, rng: random.Random, prefixes: int) -> list[Atom]:
        chosen: list[Atom] = []
        free = self._free()
        for atom in rng.sample(free, len(free)):
            if atom.family == 4 and not atom.second:
                chosen.append(atom)
                if sum(len(a.prefixes) for a in chosen) >= prefixes:
                    break
        self._take(chosen)
        return chosen

    @staticmethod
    def _part(rng: random.Random, peers: Sequence[Peer], share: float) -> list[Peer]:
        """Choose a share of the peers, at least one that carries IPv4."""
        chosen = [p for p in peers if rng.random() < share]
        return chosen if any(p.family == 4 for p in chosen) else [*chosen, next(p for p in peers if p.family == 4)]


def _describe(scope: Scope, routes: Sequence[tuple[Peer, Atom]], culprit: int | None) -> None:
    """Set the scope to what these routes affect."""
    peers = {peer.index: peer for peer, _ in routes}
    scope.peers = [peers[index] for index in sorted(peers)]
    scope.prefixes = sorted({name for _, atom in routes for name in atom.prefixes})
    scope.victims, scope.culprit = sorted({atom.origin for _, atom in routes}), culprit


def _truth_of(kind: str, scope: Scope, start: int, end: int, wave: int) -> IncidentTruth:
    return IncidentTruth(
        kind,
        start / 1000,
        end / 1000,
        tuple(sorted({peer.collector for peer in scope.peers})),
        tuple(peer.address for peer in scope.peers),
        tuple(scope.prefixes),
        Origins(tuple(scope.victims), scope.culprit),
        scope.level,
        wave,
    )


def _waves(scenario: Scenario, incident: Incident) -> list[tuple[int, int]]:
    """Spans in milliseconds since the epoch: one, or those of an incident that comes in waves."""
    begin = round((scenario.start + incident.at_s) * 1000)
    over = begin + round(incident.duration_s * 1000)
    if not incident.every_s:
        return [(begin, over)]
    wave, every = round(incident.wave_s * 1000), round(incident.every_s * 1000)
    return [(start, min(start + wave, over)) for start in range(begin, over, every) if over - start >= 60_000]


def _soon(rng: random.Random, start: int, end: int, spread: int) -> int:
    """A moment soon after the start, before the end."""
    return min(start + int(rng.random() * min(spread, end - start)), end - 1)
