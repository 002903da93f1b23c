"""Compares real captures (MRT) with the simulated Internet.

``python benchmarks/compare_simulation.py FILE…`` prints a Markdown table of shapes (volume is a setting) of each capture,
of simulations as long as the longest, and of a day with the defaults. All start with an empty routing table.
docs/simulated-internet.md shows the output.
"""

import argparse
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from rapidfuzz.distance import Levenshtein

from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.mrt import read_mrt
from bgpdrift.lab.simulation.engine import Simulation
from bgpdrift.lab.simulation.scenario import Scenario


class _Frame(msgspec.Struct):
    type: str
    data: Message


class Shapes:
    """Counts over messages in time order, with what each (peer, prefix) did last."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.minutes: Counter[int] = Counter()
        self.peers: Counter[str] = Counter()
        self.prefixes: Counter[str] = Counter()
        self.squares = 0
        self._routes: dict[tuple[str, str], tuple[object, object]] = {}
        self.first = self.last = 0.0

    def add(self, message: Message) -> None:
        """Count one message."""
        c, peer = self.counts, message.peer
        if message.type != "UPDATE":
            return
        self.first, self.last = self.first or message.timestamp, message.timestamp
        names = {name for group in message.announcements for name in group.prefixes}
        minute = int(message.timestamp // 60)
        c["messages"] += 1
        self.minutes[minute] += len(names)
        c["with A"] += bool(names)
        c["with one A"] += len(names) == 1
        c["with W"] += bool(message.withdrawals)
        path = message.path
        unique = sum(1 for i, hop in enumerate(path) if not i or path[i - 1] != hop)
        origin = message.origin.upper()
        for name in message.withdrawals:
            key = (peer, name)
            before = self._routes.get(key)
            c["W"] += 1
            c["unknown W" if before is None else "W again" if before[0] is None else "W of A"] += 1
            self._routes[key] = (None, before[0] or before[1] if before else None)
            self._seen(peer, name)
        for name in names:
            key = (peer, name)
            before = self._routes.get(key)
            c["A"] += 1
            c["hops"] += len(path)
            c["unique"] += unique
            self.squares += len(path) ** 2
            c["prepended"] += unique < len(path)
            c[origin] += 1
            if before is None:
                c["new"] += 1
            elif before[0] is None:
                c["readvertised same" if before[1] == path else "readvertised different"] += 1
            elif before[0] == path:
                c["duplicate"] += 1
            else:
                old = before[0]
                assert isinstance(old, tuple)
                c["implicit"] += 1
                c["longer"] += len(path) > len(old)
                c["shorter"] += len(path) < len(old)
                c["origin change"] += path[-1:] != old[-1:]
                c["edits"] += Levenshtein.distance(old, path)
            self._routes[key] = (path, None)
            self._seen(peer, name)

    def _seen(self, peer: str, name: str) -> None:
        self.peers[peer] += 1
        self.prefixes[name] += 1
        self.counts["IPv6"] += ":" in name

    def rows(self) -> dict[str, float]:
        """Return each shape by name."""
        c = self.counts
        a, w, changed = c["A"], c["W"], c["implicit"]
        known = a - c["new"]
        values = [float(self.minutes[m]) for m in range(min(self.minutes) + 1, max(self.minutes))]
        mean = sum(values) / max(1, len(values))
        variance = sum((v - mean) ** 2 for v in values) / max(1, len(values))
        logs = [math.log1p(v) for v in values]
        log_mean = sum(logs) / max(1, len(logs))
        pairs = sum((x - mean) * (y - mean) for x, y in itertools.pairwise(values))
        ordered, prefixes = sorted(values), [n for _, n in self.prefixes.most_common()]
        peers = [n for _, n in self.peers.most_common()]
        long_enough = len(values) >= 30
        nan = math.nan
        return {
            "minutes": (self.last - self.first) / 60,
            "peers": float(len(peers)),
            "A a minute": 60 * a / max(1.0, self.last - self.first),
            "A a minute: sd / mean": math.sqrt(variance) / mean if long_enough else nan,
            "A a minute: sd of log": math.sqrt(sum((x - log_mean) ** 2 for x in logs) / len(logs))
            if long_enough
            else nan,
            "A a minute: p95 / median": ordered[int(0.95 * len(ordered))] / ordered[len(ordered) // 2]
            if long_enough
            else nan,
            "A a minute: autocorrelation, 1 min": pairs / (variance * len(values)) if long_enough else nan,
            "W / (A + W)": w / (a + w),
            "known routes: duplicate": c["duplicate"] / known,
            "known routes: implicit withdrawal": changed / known,
            "known routes: readvertised same": c["readvertised same"] / known,
            "known routes: readvertised different": c["readvertised different"] / known,
            "new / A": c["new"] / a,
            "W of unknown / W": c["unknown W"] / max(1, w),
            "W again / W": c["W again"] / max(1, w),
            "implicit: longer": c["longer"] / changed,
            "implicit: shorter": c["shorter"] / changed,
            "implicit: mean edit distance": c["edits"] / changed,
            "implicit: other origin": c["origin change"] / changed,
            "path length": c["hops"] / a,
            "path length: sd": math.sqrt(self.squares / a - (c["hops"] / a) ** 2),
            "unique path length": c["unique"] / a,
            "prepended / A": c["prepended"] / a,
            "A a message": a / c["with A"],
            "one A / messages with A": c["with one A"] / c["with A"],
            "W a message": w / max(1, c["with W"]),
            "IPv6": c["IPv6"] / (a + w),
            "IGP": c["IGP"] / a,
            "INCOMPLETE": c["INCOMPLETE"] / a,
            "busiest peer × peers": peers[0] / sum(peers) * len(peers),
            "busiest 1 % of prefixes": sum(prefixes[: max(1, len(prefixes) // 100)]) / sum(prefixes),
            "busiest 10 % of prefixes": sum(prefixes[: max(1, len(prefixes) // 10)]) / sum(prefixes),
        }


def shapes_of(messages: Iterable[Message]) -> Shapes:
    """Count over all messages."""
    shapes = Shapes()
    for message in messages:
        shapes.add(message)
    return shapes


def simulated(scenario: Scenario) -> Iterator[Message]:
    """Decode a scenario's frames."""
    decoder = msgspec.json.Decoder(_Frame)
    for frame in Simulation(scenario).frames():
        yield decoder.decode(frame.text).data


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("files", nargs="+", type=Path, help="captures; several given as A+B+C count as one")
    parser.add_argument("--minutes", type=float, default=46.0, help="length of the simulation")
    parser.add_argument("--seeds", type=int, default=3, help="simulations")
    options = parser.parse_args()
    columns: dict[str, dict[str, float]] = {}
    for name in options.files:
        parts = [Path(part) for part in str(name).split("+")]
        columns[parts[0].name.removesuffix(".gz")] = shapes_of(
            itertools.chain.from_iterable(map(read_mrt, parts))
        ).rows()
    for seed in range(1, options.seeds + 1):
        scenario = Scenario(duration_s=60 * options.minutes, seed=seed, peers=18, rate=1200.0)
        columns[f"simulated, seed {seed}"] = shapes_of(simulated(scenario)).rows()
    columns["simulated, a day"] = shapes_of(simulated(Scenario(seed=5))).rows()
    print("| | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for row in next(iter(columns.values())):
        cells = (columns[name][row] for name in columns)
        print(f"| {row} | " + " | ".join("–" if math.isnan(v) else f"{v:.3g}" for v in cells) + " |")


if __name__ == "__main__":
    main()
