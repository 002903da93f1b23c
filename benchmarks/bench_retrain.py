"""Measures the time of a retraining, from the start of the program to the published model, and its memory.

The store holds a week of generated windows of one collector, and for the LSTM also enough windows for 50,000 sequences.
Each run is its own process on two cores, and compares its candidate with the active model like any other run.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

import numpy as np

from bgpdrift.settings import load
from bgpdrift.store import migrate, open_store
from bgpdrift.store.window_columns import FEATURES

WEEK = 10_080
MANY = 62_500
"""Windows of which four fifths, 50,000, teach."""
RUNS = (("heuristic", WEEK, 2.0), ("isolation_forest", WEEK, 5.0), ("lstm", WEEK, 60.0), ("lstm", MANY, 180.0))
"""Model, windows, bar in seconds."""
NEWEST = 1_788_220_800 // 60 * 60
RARE = ("moas_new", "subprefix_new", "visibility_loss", "session_down", "session_up", "bogon", "too_specific")


def run() -> list[dict[str, Any]]:
    """Measure each once; rows of name, value, unit and the ratio to the bar."""
    rows: list[dict[str, Any]] = []
    for model, windows, bar_s in RUNS:
        with tempfile.TemporaryDirectory() as folder:
            env = os.environ | {"BGPDRIFT_DATA_DIR": folder}
            _fill(folder, windows)
            seconds, last = _retrain(model, windows, env)
        what = f"retrain_{model}, {windows:,} windows"
        rows.append(
            {"name": what, "value": seconds, "unit": "s", "ratio_to": f"bar of {bar_s:g} s"}
            | {"ratio": seconds / bar_s}
        )
        rows.append({"name": f"{what}, memory", "value": last["peak_bytes"] / 2**20, "unit": "MiB"})
    return rows


def _retrain(model: str, windows: int, env: dict[str, str]) -> tuple[float, dict[str, Any]]:
    """Run twice, so that there is an active model to compare with; the second run counts."""
    days = -(-windows // 1_440)
    command = [sys.executable, "-m", "retrainers", model, "--json", "--force", "--days", str(days)]
    seconds, last = 0.0, {}
    for _ in range(2 if windows == WEEK else 1):
        begin = time.perf_counter()
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        seconds = time.perf_counter() - begin
        if done.returncode != 0:
            raise RuntimeError(f"{model}: exit {done.returncode}: {done.stdout[-1_000:]} {done.stderr[-2_000:]}")
        last = json.loads(done.stdout.splitlines()[-1])
    return seconds, last


def _fill(folder: str, minutes: int) -> None:
    settings = load(env={"BGPDRIFT_DATA_DIR": folder})
    migrate(settings.store_url)
    columns = _calm(minutes)
    names = [column.name for column in FEATURES]
    kinds = [column.kind for column in FEATURES]
    series = [columns[name].tolist() for name in names]
    start = NEWEST - 60 * minutes
    with open_store(settings.store_url) as store:
        for begin in range(0, minutes, 10_000):
            rows = [
                {"window_start": start + 60 * at, "collector": "rrc00", "peer": ""}
                | {name: kind(values[at]) for name, kind, values in zip(names, kinds, series, strict=True)}
                for at in range(begin, min(begin + 10_000, minutes))
            ]
            store.write_windows(rows, None)


def _calm(minutes: int) -> dict[str, Any]:
    """A collector with a daily season, bursts and nothing wrong."""
    rng = np.random.default_rng(1)
    season = 1.0 + 0.3 * np.sin(2 * np.pi * np.arange(minutes) / 1_440)
    announced = rng.poisson(400.0 * season * rng.lognormal(0.0, 0.25, minutes)).astype(float)
    columns = {column.name: rng.poisson(0.05 * announced).astype(float) for column in FEATURES}
    columns |= {name: np.zeros(minutes) for name in RARE}
    columns["announced"], columns["messages"] = announced, announced * 0.5 + 1.0
    columns["withdrawn"] = rng.poisson(0.1 * announced).astype(float)
    columns["withdrawn_prefixes"] = np.ceil(0.6 * columns["withdrawn"])
    columns["peers"] = rng.binomial(20, 0.9, minutes).astype(float)
    columns["path_length_sum"] = np.round(announced * rng.normal(4.5, 0.1, minutes))
    columns["edit_distance_sum"] = columns["implicit_withdrawal"] * 2.0
    return columns


def main() -> int:
    """Print the rows; 1 if a bar was missed."""
    rows = run()
    for row in rows:
        ratio = f"  {row['ratio']:.2f} × {row['ratio_to']}" if row.get("ratio") is not None else ""
        print(f"{row['name']:<48} {row['value']:>10,.1f} {row['unit']}{ratio}")
    return int(any(row.get("ratio") is not None and row["ratio"] > 1 for row in rows))


if __name__ == "__main__":
    sys.exit(main())
