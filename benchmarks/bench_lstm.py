"""Measures the time of the LSTM: one window, seven days after an outage, and its training with the calibration.

`run` gives rows for the bench runner; ``python benchmarks/bench_lstm.py`` prints them. Windows are generated.
"""

import sys
import time
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import WindowFrame
from bgpdrift.detectors.lstm import Lstm
from bgpdrift.store.window_columns import FEATURE_NAMES
from retrainers import fit_lstm
from retrainers.training import train

WEEK_MIN = 10_080
MANY = 50_000


def calm(minutes: int, first: int = 0) -> WindowFrame:
    """Windows of one collector with a daily rhythm and nothing wrong."""
    rng = np.random.default_rng(1)
    season = 1.0 + 0.3 * np.sin(2 * np.pi * np.arange(minutes) / 1_440)
    features = {name: rng.poisson(100.0 * season).astype(float) for name in FEATURE_NAMES}
    return WindowFrame("rrc00", "", 60 * np.arange(minutes), features, {}, first)


def run() -> list[dict[str, Any]]:
    """Measure; rows of name, value, unit and the ratio to the bar."""
    begin = time.perf_counter()
    trained = train("lstm", [calm(WEEK_MIN)], history_minutes=360)
    training_s = time.perf_counter() - begin
    begin = time.perf_counter()
    fit_lstm.fit([calm(MANY)])
    many_s = time.perf_counter() - begin
    detector = Lstm.from_content(trained.content)
    history = detector.history_minutes
    frame = calm(history + WEEK_MIN, history)
    one = frame.rows(0, history + 1, history)
    return [
        _row("lstm, one window", 1e3 * _best_s(detector, one, 100), "ms", 2.0),
        _row("lstm, 10,080 windows", _best_s(detector, frame, 3), "s", 2.0),
        _row("lstm, training on 10,080 windows and its calibration", training_s, "s", 60.0),
        _row("lstm, fit on 50,000 sequences", many_s, "s", 180.0),
        _row("lstm, arrays", sum(a.nbytes for a in trained.content.arrays.values()) / 2**20, "MiB", 1.0),
    ]


def _best_s(detector: Lstm, frame: WindowFrame, repeats: int) -> float:
    """Measure several runs and return the shortest, which other processes disturb least."""
    durations = []
    for _ in range(repeats):
        begin = time.perf_counter()
        detector.score(frame)
        durations.append(time.perf_counter() - begin)
    return min(durations)


def _row(name: str, value: float, unit: str, bar: float) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "ratio_to": f"bar of {bar:g} {unit}", "ratio": value / bar}


def main() -> int:
    """Print the rows; 1 if a bar was missed."""
    rows = run()
    for row in rows:
        print(f"{row['name']:<54} {row['value']:>8.2f} {row['unit']:<4} {row['ratio']:.2f} × {row['ratio_to']}")
    return int(any(row["ratio"] > 1 for row in rows))


if __name__ == "__main__":
    sys.exit(main())
