"""Weeks and months of event time in minutes: windows → scores → verdicts → incidents → drift → retraining → probation.

``python -m benchmarks.simulated_life SCENARIO …`` runs the named scenarios (all by default). It prints each state change with its
event time, then every limit with the result; exit 1 if one is missed. ``--dir`` keeps the data directories.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.life_demo import demo
from benchmarks.life_scenarios import SCENARIOS as OTHERS
from benchmarks.life_scenarios import Bar, Lived
from benchmarks.life_system import Tell, living
from benchmarks.life_world import world_of
from bgpdrift.lab.demo.timeline import Timeline

SCENARIOS = {"demo": demo, **OTHERS}


def live_through(name: str, folder: Path, tell: Tell = print) -> list[Bar]:
    """Live through a scenario in a folder; its bars."""
    wanted = SCENARIOS[name]()
    tell(f"{name}: {wanted.what}")
    world = world_of(wanted.scenario, tell)
    folder.mkdir(parents=True)
    begun = time.perf_counter()
    with living(folder / "data", world.start, wanted.changes, folder / "services.ndjson") as life:
        timeline = Timeline(life.store, world.start, lambda one: tell(one.line(world.start)))
        lived = Lived(life, timeline, world)
        for now, rows in world.hours():
            life.live(now, rows)
            if now == lived.day(wanted.train_d):
                for model, result in life.train().items():
                    tell(f"trained {model}: {result['outcome']} ({result['reason']})")
            if wanted.act is not None:
                wanted.act(lived, now)
            timeline.update(now)
        wall = time.perf_counter() - begun
        days, services = wanted.scenario.duration_s / 86_400, sum(life.seconds.values())
        spent = ", ".join(f"{worker} {seconds:.0f} s" for worker, seconds in life.seconds.items())
        tell(f"{days:g} days in {wall:.0f} s: services {services:.0f} s ({spent}), training {life.training_s:.0f} s")
        return wanted.judge(lived)


def run() -> list[dict[str, Any]]:
    """Live through all of them; rows as other benchmarks give them."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in SCENARIOS:
            for bar in live_through(name, Path(folder) / name, lambda line: print(line, file=sys.stderr)):
                if isinstance(bar.value, int | float):
                    verdict = "" if bar.passed else "MISSED"
                    rows.append({"name": f"{name}: {bar.what}", "value": bar.value, "unit": verdict})
    return rows


def main() -> int:
    """Live through the scenarios named on the command line."""
    parser = argparse.ArgumentParser(description="Weeks of simulated life in minutes.")
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--dir", type=Path, help="keep data directories here (must not hold them yet)")
    asked = parser.parse_args()
    unknown = [name for name in asked.scenarios if name not in SCENARIOS]
    if unknown:
        parser.error(f"no scenario {', '.join(unknown)}; expected some of {', '.join(SCENARIOS)}")
    missed = 0
    with tempfile.TemporaryDirectory() as temporary:
        for name in asked.scenarios or SCENARIOS:
            bars = live_through(name, (asked.dir or Path(temporary)) / name)
            for bar in bars:
                print(
                    f"  {'ok    ' if bar.passed else 'MISSED'}  {bar.what}: {'-' if bar.value is None else bar.value}"
                )
            missed += sum(not bar.passed for bar in bars)
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
