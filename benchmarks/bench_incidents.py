"""Measures whether incidents name who and what, rightly, on simulated worlds, against the bars of docs/quality.md.

``python -m benchmarks.bench_incidents --seeds 10`` prints the table of docs/quality.md, and each incident with ``--verbose``.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from bgpdrift.lab.evaluation.incident_naming import KIND_OF, Naming, World, measure_world, plan_world

SEEDS = 10
BARS = {
    "culprit right, hijacks": 0.95,
    "culprit right, leaks": 0.95,
    "culprit right, outages": 0.90,
    "named prefixes affected": 0.95,
    "five named where five are affected": 0.95,
    "kind right": 0.95,
}
"""Least share for each figure."""
_HIJACKS = ("hijack", "subprefix")
_NAMED = (*_HIJACKS, "leak", "outage")
"""Kinds that affect certain prefixes; a worm and a silence affect the whole table."""


def measure(seed: int, kinds: Sequence[str] = tuple(KIND_OF)) -> World:
    """Measure the world of one seed."""
    return measure_world(plan_world(seed, kinds))


def shares(namings: Sequence[Naming]) -> dict[str, tuple[int, int]]:
    """Return for each bar how many of how many are right; an incident that was not found is wrong."""
    named = [naming for naming in namings if naming.kind in _NAMED]

    def culprits(*kinds: str) -> tuple[int, int]:
        own = [naming for naming in namings if naming.kind in kinds]
        return sum(bool(naming.culprit_right) for naming in own), len(own)

    return {
        "culprit right, hijacks": culprits(*_HIJACKS),
        "culprit right, leaks": culprits("leak"),
        "culprit right, outages": culprits("outage"),
        "named prefixes affected": (sum(n.right for n in named), sum(n.named for n in named)),
        "five named where five are affected": (sum(n.names_enough for n in named), len(named)),
        "kind right": (sum(naming.kind_right for naming in namings), len(namings)),
    }


def table(namings: Sequence[Naming]) -> Iterator[str]:
    """Write the table of docs/quality.md."""
    yield "| kind | found | kind right | culprit right | named prefixes affected |"
    yield "|---|---:|---:|---:|---:|"
    for kind in KIND_OF:
        own = [naming for naming in namings if naming.kind == kind]
        judged = [naming for naming in own if naming.culprit_right is not None]
        culprit = f"{sum(bool(n.culprit_right) for n in judged)}/{len(judged)}" if kind in _NAMED else "–"
        prefixes = f"{sum(n.right for n in own)}/{sum(n.named for n in own)}" if any(n.affected for n in own) else "–"
        found, right = sum(n.found for n in own), sum(n.kind_right for n in own)
        yield f"| {kind} | {found}/{len(own)} | {right}/{len(own)} | {culprit} | {prefixes} |"


def run() -> list[dict[str, Any]]:
    """Measure; each row is ``{"name", "value", "unit", "ratio_to", "ratio"}``."""
    namings = [naming for seed in range(1, SEEDS + 1) for naming in measure(seed).namings]
    rows = []
    for name, (right, total) in shares(namings).items():
        share = right / max(total, 1)
        rows.append({"name": name, "value": 100 * share, "unit": "%", "ratio_to": "bar", "ratio": share / BARS[name]})
    return rows


def main() -> None:
    """Print the table and the bars; exit 1 if a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=SEEDS, help="worlds, with seeds from 1 on")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--kinds", nargs="+", choices=KIND_OF, default=list(KIND_OF), help="kinds of incidents in each world"
    )
    parser.add_argument("--verbose", action="store_true", help="print the summary of each incident")
    options = parser.parse_args()
    seeds = range(1, options.seeds + 1)
    if options.jobs > 1:
        with ProcessPoolExecutor(options.jobs) as pool:
            worlds = list(pool.map(measure, seeds, [options.kinds] * len(seeds)))
    else:
        worlds = [measure(seed, options.kinds) for seed in seeds]
    for seed, world in zip(seeds, worlds, strict=True):
        for naming in world.namings if options.verbose else ():
            print(f"{seed} {naming.kind}: {naming.summary or 'not found'}", file=sys.stderr)
        for summary in world.others if options.verbose else ():
            print(f"{seed} other: {summary}", file=sys.stderr)
    namings = [naming for world in worlds for naming in world.namings]
    print("\n".join(table(namings)))
    missed = False
    for name, (right, total) in shares(namings).items():
        share = right / max(total, 1)
        missed |= share < BARS[name]
        print(f"{name}: {right} of {total}, {100 * share:.1f} % (bar {100 * BARS[name]:.0f} %)")
    print(f"incidents at other times: {sum(len(world.others) for world in worlds)} in {len(worlds)} worlds")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
