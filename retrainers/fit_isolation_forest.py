"""How the isolation forest is trained: scikit-learn grows the trees, this file lays them out as flat arrays."""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.ensemble import IsolationForest as Trainer

from bgpdrift.detectors.interface import FloatArray, ModelContent, WindowFrame
from bgpdrift.detectors.isolation_forest import DEAD_ZONE, NAME, STRETCH_TOP, IsolationForest, average_path, ranked
from bgpdrift.detectors.prepared import Preparation, reasons
from bgpdrift.detectors.signals import Signal, available
from bgpdrift.errors import NotEnoughDataError

TREES = 100
SAMPLES = 256
"""As in Liu et al.: more hides anomalies behind one another and costs, fewer makes the score coarse."""
_PATHS = np.array([average_path(n) for n in range(SAMPLES + 1)])
EXPLAIN_SHARE = 0.02
"""Share of the training minutes that are unusual enough to be explained."""


def no_progress(phase: str, share: float) -> None:
    """Tell nobody."""


def clean_rows(preparation: Preparation, frames: Sequence[WindowFrame]) -> FloatArray:
    """Prepared values of all clean windows the preparation knows, shape (n, channels)."""
    found = []
    for frame in frames:
        prepared = preparation.prepare(frame, training=True)
        if prepared is not None:
            keep = frame.clean[frame.first :] & np.array([not reason for reason in reasons(frame, prepared)])
            found.append(prepared.z[prepared.row_of][keep])
    return np.concatenate(found) if found else np.zeros((0, preparation.channels))


def counts_of(frames: Sequence[WindowFrame]) -> tuple[Signal, ...]:
    """Choose what the forest looks at: how much of everything. Mixes and path lengths are other detectors' affair.

    It takes every signal for as telling as any other: the slow wander of mean path lengths costs it 0.02 of its AUC on
    labelled worms, and the longest path of a minute, which is no amount, as much again.
    """
    columns = set.intersection(*(set(frame.features) for frame in frames)) if frames else set()
    return tuple(signal for signal in available(columns) if signal.form == "count" and not signal.name.endswith("_max"))


def fit(
    frames: Sequence[WindowFrame],
    *,
    history_minutes: int = 0,  # noqa: ARG001 - its time scales are fixed
    seed: int = 0,
    progress: Callable[[str, float], None] = no_progress,
    draft: bool = False,  # noqa: ARG001 - a smaller forest would score otherwise
    shared: object = None,  # noqa: ARG001 - fits on parts of the frames have nothing in common
) -> ModelContent:
    """Grow a forest on the clean windows of some frames."""
    preparation = Preparation.fit(frames, counts_of(frames))
    progress("prepare", 0.3)
    rows = clean_rows(preparation, frames)
    if len(rows) < SAMPLES:
        raise NotEnoughDataError(f"{NAME}: {len(rows)} clean windows, {SAMPLES} expected")
    trainer = Trainer(n_estimators=TREES, max_samples=SAMPLES, random_state=seed, n_jobs=1)
    trainer.fit(ranked(rows, len(preparation.signals)))
    progress("fit", 0.8)
    arrays, depth = flattened(trainer)
    parameters = {
        **preparation.as_parameters(),
        "trees": TREES,
        "max_samples": SAMPLES,
        "depth": depth,
        "seed": seed,
        "dead_zone": DEAD_ZONE,
        "stretch_top": STRETCH_TOP,
        "explain_above": 1.0,
    }
    content = ModelContent(NAME, preparation.feature_names, {**preparation.as_arrays(), **arrays}, parameters)
    scores = IsolationForest.from_content(content).score_prepared(rows)
    parameters["explain_above"] = float(np.quantile(scores, 1.0 - EXPLAIN_SHARE))
    return content


def flattened(trainer: Trainer) -> tuple[dict[str, FloatArray], int]:
    """Lay the trees of a trained forest end to end; gives the arrays and the longest way to a leaf."""
    parts: dict[str, list[FloatArray]] = {name: [] for name in ("feature", "threshold", "left", "right", "path")}
    roots, offset, deepest = [], 0, 0
    for estimator, columns in zip(trainer.estimators_, trainer.estimators_features_, strict=True):
        tree = estimator.tree_
        count = tree.node_count
        here = np.arange(count)
        leaf = tree.children_left < 0
        depth, level = np.zeros(count), np.zeros(1, np.int64)
        for below in range(1, count):
            parents = level[~leaf[level]]
            if not len(parents):
                break
            level = np.concatenate([tree.children_left[parents], tree.children_right[parents]])
            depth[level] = below
        rest = _PATHS[tree.n_node_samples]
        roots.append(offset)
        parts["feature"].append(np.where(leaf, -1, columns[np.maximum(tree.feature, 0)]))
        parts["threshold"].append(np.where(leaf, 0.0, tree.threshold))
        parts["left"].append(offset + np.where(leaf, here, tree.children_left))
        parts["right"].append(offset + np.where(leaf, here, tree.children_right))
        parts["path"].append(np.where(leaf, depth + rest, 0.0))
        deepest, offset = max(deepest, int(depth.max())), offset + count
    kinds = {"feature": np.int16, "threshold": np.float64, "left": np.int32, "right": np.int32, "path": np.float64}
    arrays = {name: np.concatenate(values).astype(kinds[name]) for name, values in parts.items()}
    return {"roots": np.array(roots, np.int32), **arrays}, max(deepest, 1)
