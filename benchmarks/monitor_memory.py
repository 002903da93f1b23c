"""Memory of the drift monitor over months of event time, and what grows.

``python -m benchmarks.monitor_memory [--days N] [--trace-from N]`` runs the worker of the service in this process, on
windows and scores that are drawn instead of computed. It prints the resident memory each week, and where Python
allocates more than a day after ``--trace-from``. A check reads 35 days of scores, so memory should grow for 35 days.
"""

import argparse
import gc
import json
import os
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bgpdrift import logs
from bgpdrift.clock import FakeClock
from bgpdrift.services import drift_monitor
from bgpdrift.settings import load
from bgpdrift.store import migrate, open_store
from bgpdrift.store.window_columns import FEATURE_NAMES

START = 1_767_571_200
DAY_S, HOUR_S = 86_400, 3_600
MIB = 1 << 20
RETRAIN_EVERY_D = 10
"""Each ten days the scores are those of another version."""
CHECK_EVERY_H = 24


def run(days: int = 70, trace_from: int | None = None) -> list[dict[str, Any]]:
    """Measure the resident memory at the end of each week."""
    rows, process = [], psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"BGPDRIFT_DATA_DIR": folder, "BGPDRIFT_DRIFT__CHECK_EVERY_H": str(CHECK_EVERY_H)}
        logs.configure("error", "json", service="monitor_memory")
        settings, clock, rng = load(), FakeClock(float(START)), np.random.default_rng(1)
        migrate(settings.store_url)
        before: tracemalloc.Snapshot | None = None
        with open_store(settings.store_url, clock=clock) as store:
            worker = drift_monitor.build(settings, clock)
            for day in range(days):
                if day == trace_from:
                    gc.collect()
                    tracemalloc.start()
                for hour in range(24):
                    start = START + day * DAY_S + hour * HOUR_S
                    store.write_windows(_draw_windows(rng, start), None)
                    store.write_scores(_draw_scores(rng, start, str(1 + day // RETRAIN_EVERY_D)), None)
                    clock.advance(seconds=HOUR_S)
                    while worker.step():
                        pass
                if trace_from is not None and day == trace_from + 1:
                    before = tracemalloc.take_snapshot()
                if day % 7 == 6:
                    gc.collect()
                    resident = process.memory_info().rss / MIB
                    size = Path(folder, "bgpdrift.sqlite3").stat().st_size / MIB
                    rows.append({"name": f"resident after {day + 1} days", "value": resident, "unit": "MiB"})
                    print(f"day {day + 1}: {resident:.1f} MiB resident, database {size:.0f} MiB", flush=True)
            if before is not None:
                gc.collect()
                for difference in tracemalloc.take_snapshot().compare_to(before, "lineno")[:15]:
                    print(difference, flush=True)
            worker.close()
    return rows


def _draw_windows(rng: np.random.Generator, start: int) -> list[dict[str, Any]]:
    season = 1.5 + np.sin(start / DAY_S * 2 * np.pi)
    values = rng.poisson(20 * season, size=(60, len(FEATURE_NAMES))).tolist()
    return [
        {"window_start": start + 60 * i, "collector": "rrc00", **dict(zip(FEATURE_NAMES, row, strict=True))}
        for i, row in enumerate(values)
    ]


def _draw_scores(rng: np.random.Generator, start: int, version: str) -> list[dict[str, Any]]:
    rows = []
    for model in ("heuristic", "lstm"):
        scores = rng.gamma(2.0, size=60) * (1.5 + np.sin(start / DAY_S * 2 * np.pi))
        latent = np.tanh(rng.normal(size=(60, 6))).round(4).tolist()
        for i, score in enumerate(scores.tolist()):
            row = {"window_start": start + 60 * i, "collector": "rrc00", "model": model, "model_version": version}
            row |= {"score": score, "p_value": 0.5, "is_alarm": score > 12}
            rows.append(row | ({"embedding": latent[i]} if model == "lstm" else {}))
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=70)
    parser.add_argument("--trace-from", type=int)
    asked = parser.parse_args()
    print(json.dumps(run(asked.days, asked.trace_from)))
