"""Measures the isolation forest as flat arrays, compared with scikit-learn, which trained it, on the same prepared windows."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest as Trainer

from bgpdrift.detectors.interface import WindowFrame
from bgpdrift.detectors.isolation_forest import IsolationForest, rank
from bgpdrift.store.window_columns import FEATURE_NAMES
from retrainers.fit_isolation_forest import SAMPLES, TREES, clean_rows, fit

WEEK = 10_080


def week(seed: int = 1) -> WindowFrame:
    """A generated week of a calm collector."""
    rng = np.random.default_rng(seed)
    level = rng.lognormal(np.log(200.0), 0.25, WEEK) * (1.0 + 0.3 * np.sin(2 * np.pi * np.arange(WEEK) / 1_440))
    columns = {name: rng.poisson(0.2 * level).astype(float) for name in FEATURE_NAMES}
    return WindowFrame("rrc00", "", 1_788_220_800 + 60 * np.arange(WEEK), columns, {})


def run() -> list[dict[str, Any]]:
    """Time one window and a week of them, from columns to score, and the library on what is already prepared."""
    frame = week()
    detector = IsolationForest.from_content(fit([frame], seed=1))
    rows = clean_rows(detector.preparation, [frame])
    signals = len(detector.preparation.signals)
    trainer = Trainer(n_estimators=TREES, max_samples=SAMPLES, random_state=1, n_jobs=1).fit(rank(rows, signals))
    history = detector.history_minutes
    alone, one = frame.rows(WEEK - 1 - history, WEEK, history), rows[-1:]
    difference = np.abs(detector.score_prepared(rows) + trainer.score_samples(rank(rows, signals))).max()
    ours, whole = _best(lambda: detector.score(alone), 200), _best(lambda: detector.score(frame), 5)
    bare, library = (
        _best(lambda: detector.score_prepared(one), 200),
        _best(lambda: trainer.score_samples(rank(one, signals)), 20),
    )
    return [
        _row("forest, one window", 1e3 * ours, "ms", ours / 2e-3, "bar of 2 ms"),
        _row("forest, 10,080 windows", whole, "s", whole / 1.0, "bar of 1 s"),
        _row("forest, trees alone, one window", 1e3 * bare, "ms", bare / library, "scikit-learn"),
        _row("scikit-learn, one window", 1e3 * library, "ms"),
        _row("forest, largest difference from scikit-learn", float(difference) * 1e15, "1e-15"),
    ]


def _best(work: Callable[[], object], times: int) -> float:
    """Median seconds of a call."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return float(np.median(taken))


def _row(name: str, value: float, unit: str, ratio: float | None = None, ratio_to: str | None = None) -> dict[str, Any]:
    return {"name": name, "value": value, "unit": unit, "ratio": ratio, "ratio_to": ratio_to}
