"""Training of the isolation forest: scikit-learn grows the trees, and they become flat arrays."""

from collections.abc import Callable, Sequence

import numpy as np
from sklearn.ensemble import IsolationForest as Trainer

from bgpdrift.detectors.interface import FloatArray, ModelContent, WindowFrame
from bgpdrift.detectors.isolation_forest import (
    DEAD_ZONE,
    MAX_STRETCH_SPREADS,
    NAME,
    IsolationForest,
    average_path,
    rank,
)
from bgpdrift.detectors.preparation import Preparation, list_abstentions
from bgpdrift.detectors.signals import Signal, available_signals
from bgpdrift.errors import NotEnoughDataError

TREES = 100
SAMPLES = 256
"""As in Liu et al.: more samples mask anomalies and cost time, fewer make the score coarse."""
_PATHS = np.array([average_path(n) for n in range(SAMPLES + 1)])
EXPLAINED_SHARE = 0.02
"""Share of the training minutes with the highest scores; from their lowest score on, the top features are listed."""


def clean_rows(preparation: Preparation, frames: Sequence[WindowFrame]) -> FloatArray:
    """Prepared values of all clean windows of known groups, shape (n, channels)."""
    rows = []
    for frame in frames:
        prepared = preparation.prepare(frame, training=True)
        if prepared is not None:
            keep = frame.clean[frame.first :] & np.array([not reason for reason in list_abstentions(frame, prepared)])
            rows.append(prepared.z[prepared.row_of][keep])
    return np.concatenate(rows) if rows else np.zeros((0, preparation.channels))


def select_counts(frames: Sequence[WindowFrame]) -> tuple[Signal, ...]:
    """Select the counts among the signals; means, ratios and maxima are left to the other detectors.

    A forest gives every signal the same weight. The slow variation of mean path lengths costs 0.02 of its AUC on labelled
    worms, and the longest path of a minute as much again.
    """
    columns = set.intersection(*(set(frame.features) for frame in frames)) if frames else set()
    return tuple(
        signal for signal in available_signals(columns) if signal.form == "count" and not signal.name.endswith("_max")
    )


def fit(
    frames: Sequence[WindowFrame],
    *,
    history_minutes: int = 0,  # noqa: ARG001 - its time scales are fixed
    seed: int = 0,
    progress: Callable[[str, float], None] = lambda *_: None,
    draft: bool = False,  # noqa: ARG001 - a smaller forest has other scores
    shared: object = None,  # noqa: ARG001 - the fits of a run share nothing
) -> ModelContent:
    """Grow a forest on the clean windows of some frames; see `retrainers.training.Trainer`."""
    preparation = Preparation.fit(frames, select_counts(frames))
    progress("prepare", 0.3)
    rows = clean_rows(preparation, frames)
    if len(rows) < SAMPLES:
        raise NotEnoughDataError(f"{NAME}: expected {SAMPLES} clean windows, found {len(rows)}")
    trainer = Trainer(n_estimators=TREES, max_samples=SAMPLES, random_state=seed, n_jobs=1)
    trainer.fit(rank(rows, len(preparation.signals)))
    progress("fit", 0.8)
    arrays, depth = flatten(trainer)
    parameters = {
        **preparation.as_parameters(),
        "trees": TREES,
        "max_samples": SAMPLES,
        "depth": depth,
        "seed": seed,
        "dead_zone": DEAD_ZONE,
        "max_stretch_spreads": MAX_STRETCH_SPREADS,
        "explain_above": 1.0,
    }
    content = ModelContent(NAME, preparation.feature_names, {**preparation.as_arrays(), **arrays}, parameters)
    scores = IsolationForest.from_content(content).score_prepared(rows)
    parameters["explain_above"] = float(np.quantile(scores, 1.0 - EXPLAINED_SHARE))
    return content


def flatten(trainer: Trainer) -> tuple[dict[str, FloatArray], int]:
    """Concatenate the trees of a trained forest; return the arrays and the length of the longest path to a leaf."""
    parts: dict[str, list[FloatArray]] = {name: [] for name in ("feature", "threshold", "left", "right", "path")}
    roots, offset, deepest = [], 0, 0
    for estimator, columns in zip(trainer.estimators_, trainer.estimators_features_, strict=True):
        tree = estimator.tree_
        count = tree.node_count
        node = np.arange(count)
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
        parts["left"].append(offset + np.where(leaf, node, tree.children_left))
        parts["right"].append(offset + np.where(leaf, node, tree.children_right))
        parts["path"].append(np.where(leaf, depth + rest, 0.0))
        deepest, offset = max(deepest, int(depth.max())), offset + count
    kinds = {"feature": np.int16, "threshold": np.float64, "left": np.int32, "right": np.int32, "path": np.float64}
    arrays = {name: np.concatenate(values).astype(kinds[name]) for name, values in parts.items()}
    return {"roots": np.array(roots, np.int32), **arrays}, max(deepest, 1)
