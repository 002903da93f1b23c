"""Variants of the isolation forest's input, on labelled worms and on anomalies of few signals.

``python -m benchmarks.forest_trail DIR`` reads Slammer and Code Red I as `bgpdrift evaluate` does and prints the table of
docs/decisions/0005-forest.md. The product contains only the chosen variant.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.table import Table
from sklearn.ensemble import IsolationForest

from bgpdrift.detectors.interface import FloatArray, WindowFrame
from bgpdrift.detectors.isolation_forest import rank, stretch
from bgpdrift.detectors.preparation import Preparation
from bgpdrift.lab.labelled_sets.reading import read_labelled
from bgpdrift.store.window_columns import FEATURE_NAMES
from bgpdrift.terminal import make_console
from bgpdrift.verdicts.quality import roc_auc
from retrainers.fit_isolation_forest import select_counts

TRAIN = 2_880
Inputs = Callable[[FloatArray, int], FloatArray]


def raw_minutes(z: FloatArray, signals: int) -> FloatArray:
    """Unsmoothed minutes without a stretch, the common choice."""
    return z[:, :signals]


def quarter_hours(z: FloatArray, signals: int) -> FloatArray:
    """15-minute means, no stretch."""
    return z[:, 2 * signals : 3 * signals]


def scales(z: FloatArray, signals: int) -> FloatArray:  # noqa: ARG001 - one signature for all
    """All time scales, no stretch."""
    return z


def both_ways(z: FloatArray, signals: int) -> FloatArray:  # noqa: ARG001
    """All time scales, with the same stretch above and below."""
    return np.asarray(np.sign(z) * np.expm1(np.clip(np.abs(z), 0.0, 6.0)))


def dead_zone(z: FloatArray, signals: int) -> FloatArray:  # noqa: ARG001
    """All time scales, stretched above, and below beyond the dead zone."""
    return stretch(z)


INPUTS: dict[str, Inputs] = {
    "raw minutes": raw_minutes,
    "15 min means": quarter_hours,
    "1, 5, 15, 60 min": scales,
    "stretched both ways": both_ways,
    "stretched, dead zone below": dead_zone,
    "largest, second, smallest (chosen)": rank,
}


def calm(seed: int) -> WindowFrame:
    """Two generated days of a calm collector: thirty signals that vary by a quarter."""
    rng = np.random.default_rng(seed)
    level = rng.lognormal(np.log(200.0), 0.25, TRAIN)
    columns = {name: rng.poisson(0.2 * level).astype(float) for name in FEATURE_NAMES}
    return WindowFrame("rrc00", "", 60 * np.arange(TRAIN), columns, {})


def with_storm(frame: WindowFrame, names: tuple[str, ...]) -> tuple[WindowFrame, FloatArray]:
    """Multiply some columns by eight for a hundred minutes."""
    truth = np.zeros(TRAIN)
    truth[2_000:2_100] = 1
    return replace(frame, features={k: v * (1 + 7 * truth * (k in names)) for k, v in frame.features.items()}), truth


def areas(learn: WindowFrame, judge: WindowFrame, truth: FloatArray, inputs: Inputs) -> float:
    """Mean AUC over three seeds."""
    counts = select_counts([learn])
    preparation = Preparation.fit([learn], counts)
    train, test = preparation.prepare(learn), preparation.prepare(judge)
    assert train is not None
    assert test is not None
    x, y = inputs(train.z[60:], len(counts)), inputs(test.z[test.row_of], len(counts))
    found = []
    for seed in range(3):
        forest = IsolationForest(n_estimators=100, max_samples=256, random_state=seed).fit(x)
        found.append(roc_auc(-forest.score_samples(y), truth > 0) or 0.0)
    return float(np.mean(found))


def main(folder: Path) -> None:
    """Print the table."""
    names = ("Slammer", "Code_Red_I")
    table = Table("input of the trees", *names, "one signal x 8", "two signals x 8", box=None)
    worms = []
    for name in names:
        labelled = read_labelled(folder / f"{name}.csv.gz")[0]
        frame = WindowFrame("rrc04", "", labelled.window_start, labelled.features, labelled.quality)
        truth = labelled.truth
        worms.append((frame.rows(0, TRAIN, 0), frame.rows(0, len(frame), TRAIN), truth[TRAIN:].astype(float)))
    few = [with_storm(calm(2), columns) for columns in (("withdrawn",), ("announced", "messages"))]
    for name, inputs in INPUTS.items():
        found = [areas(*worm, inputs) for worm in worms]
        found += [areas(calm(1), frame, truth, inputs) for frame, truth in few]
        table.add_row(name, *(f"{value:.3f}" for value in found))
    make_console().print(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
