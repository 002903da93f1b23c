"""The transit ASes and the possible paths between them: a tiered, valley-free graph.

Tier 1 is a full mesh of peers; tiers 2 and 3 buy transit from above and peer among themselves. A path goes up to providers, at
most once sideways, then down to customers (Gao and Rexford, 2001). Link costs have a few variants that are the same for all
peers: variant 0 is the normal state, in the others some links are missing, so that the alternatives of
different peers are consistent. AS numbers are random and stand for no real network.
"""

import heapq
import random
from dataclasses import dataclass

Path = tuple[int, ...]

VARIANTS = 4
"""Link-cost variants, and so trees a peer: variant 0 gives best paths, the rest alternates."""

_UP, _FLAT, _DOWN = 0, 1, 2
_TIER1, _TIER2, _TIER3 = 10, 40, 110


@dataclass(frozen=True)
class Core:
    """A transit AS: its number, tier, and the indices of its providers."""

    asn: int
    tier: int
    providers: tuple[int, ...]


class Topology:
    """The transit graph of one seed."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"{seed}/topology")
        self._asn_rng = random.Random(f"{seed}/asn")
        self._taken: set[int] = {12654}
        self.cores: list[Core] = []
        self._links: list[list[tuple[int, int, tuple[float, ...]]]] = []
        self._trees: dict[tuple[int, int], list[Path | None]] = {}
        for tier, count in ((1, _TIER1), (2, _TIER2), (3, _TIER3)):
            for _ in range(count):
                self._add(rng, tier)
        self._peer_up(rng)

    def new_asn(self) -> int:
        """Draw an unused public AS number; a quarter have four bytes, the others two."""
        while True:
            low, high = (196_609, 216_000) if self._asn_rng.random() < 0.25 else (1_000, 63_000)
            asn = self._asn_rng.randrange(low, high)
            if asn not in self._taken and asn != 23456:  # AS_TRANS
                self._taken.add(asn)
                return asn

    def indices(self, tier: int) -> list[int]:
        """Return the transit ASes of a tier."""
        return [index for index, core in enumerate(self.cores) if core.tier == tier]

    def tree(self, source: int, variant: int) -> list[Path | None]:
        """Return the best valley-free path from one transit AS to each, both ends included.

        Costs about 2 ms, once for each source and variant.
        """
        key = (source, variant)
        if key not in self._trees:
            self._trees[key] = self._shortest(source, variant)
        return self._trees[key]

    def _add(self, rng: random.Random, tier: int) -> None:
        index = len(self.cores)
        above = self.indices(tier - 1) if tier > 1 else []
        if tier == 3 and rng.random() < 0.12:
            above = self.indices(1)
        # A few large providers have most customers: the exponent prefers the front of the list.
        wanted = rng.choices((1, 2, 3), (3, 5, 2))[0] if tier > 1 else 0
        providers: list[int] = []
        while len(providers) < min(wanted, len(above)):
            candidate = above[int(len(above) * rng.random() ** 1.6)]
            if candidate not in providers:
                providers.append(candidate)
        self.cores.append(Core(self.new_asn(), tier, tuple(providers)))
        self._links.append([])
        for provider in providers:
            self._link(rng, index, provider, _UP)

    def _peer_up(self, rng: random.Random) -> None:
        tier1, tier2, tier3 = self.indices(1), self.indices(2), self.indices(3)
        for position, left in enumerate(tier1):
            for right in tier1[position + 1 :]:
                self._link(rng, left, right, _FLAT)
        for members, chance in ((tier2, 0.16), (tier3, 0.015)):
            for position, left in enumerate(members):
                for right in members[position + 1 :]:
                    if rng.random() < chance:
                        self._link(rng, left, right, _FLAT)

    def _link(self, rng: random.Random, left: int, right: int, kind: int) -> None:
        costs = (1.0 + 0.2 * rng.random(), *(1.0 + 3.0 * rng.random() ** 2 for _ in range(VARIANTS - 1)))
        self._links[left].append((right, kind, costs))
        self._links[right].append((left, _DOWN if kind == _UP else kind, costs))

    def _shortest(self, source: int, variant: int) -> list[Path | None]:
        cores, links = self.cores, self._links
        paths: list[Path | None] = [None] * len(cores)
        seen: set[tuple[int, bool]] = set()
        # The node number breaks ties, so that equal costs give the same tree everywhere.
        queue: list[tuple[float, int, bool, Path]] = [(0.0, source, True, (cores[source].asn,))]
        while queue:
            cost, node, climbing, path = heapq.heappop(queue)
            if (node, climbing) in seen or (node, True) in seen:
                continue
            seen.add((node, climbing))
            if paths[node] is None:
                paths[node] = path
            for neighbour, kind, costs in links[node]:
                if climbing or kind == _DOWN:
                    still = climbing and kind == _UP
                    if (neighbour, still) not in seen:
                        step = (cost + costs[variant], neighbour, still, (*path, cores[neighbour].asn))
                        heapq.heappush(queue, step)
        return paths
