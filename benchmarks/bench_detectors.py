"""Measures the time of scoring: one new window, many windows after an outage, and the share of the store.

`run` gives rows for the bench runner; ``python benchmarks/bench_detectors.py`` prints them. Windows are generated.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import WindowFrame
from bgpdrift.models.loading import ModelSource, builder
from bgpdrift.store.window_columns import FEATURE_NAMES
from bgpdrift.verdicts.ensemble import EnsemblePolicy, Vote, decide

BAR_ONE_WINDOW_MS = 2.0


def _frame(minutes: int) -> WindowFrame:
    rng = np.random.default_rng(1)
    features = {name: rng.poisson(100.0, minutes).astype(float) for name in FEATURE_NAMES}
    return WindowFrame("rrc00", "", 60 * np.arange(minutes), features, {}, 0)


def _best_s(work: Callable[[], object], repeats: int) -> float:
    """Measure several runs and return the shortest, which other processes disturb least."""
    durations = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        durations.append(time.perf_counter() - begin)
    return min(durations)


def run() -> list[dict[str, Any]]:
    """Measure; rows of name, value, unit and, where there is a bar, the ratio to it."""
    loaded = ModelSource(Path("/nonexistent"), "heuristic", builder("heuristic", 360)).try_load().loaded
    assert loaded is not None
    detector = loaded.detector
    history = detector.history_minutes
    one, many = (
        _frame(history + 1).rows(0, history + 1, history),
        _frame(history + 2_000).rows(0, history + 2_000, history),
    )
    one_ms = 1e3 * _best_s(lambda: detector.score(one), 50)
    many_s = _best_s(lambda: detector.score(many), 3)
    vote = Vote(1e-3, True)
    votes = {"heuristic": vote, "lstm": vote, "isolation_forest": vote}
    policy = EnsemblePolicy({"lstm": 0.4, "isolation_forest": 0.3, "heuristic": 0.3})
    verdict_s = _best_s(lambda: [decide(votes, policy) for _ in range(1_000)], 5) / 1_000
    bar = "bar of 2 ms"
    return [
        {
            "name": "heuristic, one window",
            "value": one_ms,
            "unit": "ms",
            "ratio_to": bar,
            "ratio": one_ms / BAR_ONE_WINDOW_MS,
        },
        {"name": "heuristic, catching up", "value": 2_000 / many_s, "unit": "windows/s", "ratio_to": "", "ratio": None},
        {"name": "ensemble, pure", "value": 1 / verdict_s, "unit": "verdicts/s", "ratio_to": "", "ratio": None},
    ]


def main() -> int:
    """Print the rows; 1 if a bar was missed."""
    rows = run()
    for row in rows:
        ratio = f"  {row['ratio']:.2f} × {row['ratio_to']}" if row["ratio"] is not None else ""
        print(f"{row['name']:<28} {row['value']:>12,.2f} {row['unit']}{ratio}")
    return int(any(row["ratio"] is not None and row["ratio"] > 1 for row in rows))


if __name__ == "__main__":
    sys.exit(main())
