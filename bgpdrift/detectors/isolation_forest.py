"""The isolation forest, scored from flat arrays in numpy: how few random cuts isolate a minute from the others.

scikit-learn trains the forest (`retrainers.fit_isolation_forest`). The score is its ``-score_samples``, the 2^(−E(h)/c) of
Liu, Ting and Zhou [1]_, equal to 1e-6. Two steps precede the cuts; both are measured (docs/decisions/0005-forest.md):

- Each prepared value is stretched: exponentially above the baseline, and below it only beyond a dead zone of three spreads.
  Cuts are uniform between the smallest and the largest value of a node, so that the stretch decides which values are
  isolated easily, and a quiet night is not among them.
- From each time scale the trees receive the largest, the second largest and the smallest stretched value, whichever
  signals they belong to. A forest over all signals does not find an anomaly in two of thirty: few cuts meet one of them.

The contribution of each signal is computed afterwards, for minutes with a high score. The calibration turns a score into a
p-value.

References
----------
.. [1] F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation forest", ICDM 2008.
"""

from typing import Any

import numpy as np

from bgpdrift.detectors.interface import FloatArray, IntArray, ModelContent, Scores, WindowFrame
from bgpdrift.detectors.preparation import Preparation, Prepared, list_abstentions
from bgpdrift.detectors.smoothing import SCALES_MIN
from bgpdrift.errors import ArtifactError

NAME = "isolation_forest"
DEAD_ZONE = 3.0
"""Spreads below the baseline that count as 0: calm traffic falls to half every night, and is low after a worm."""
MAX_STRETCH_SPREADS = 6.0
"""Larger distances from the baseline (beyond the dead zone) are cut to this many spreads."""
RANKS = 3
"""Values of each time scale: largest, second largest, smallest."""
TOP_FEATURES = 5
_WINDOWS_AT_ONCE = 2_000
_EXPLAINED_AT_ONCE = 50
_EULER = 0.5772156649015329


def stretch(z: FloatArray) -> FloatArray:
    """Stretch prepared values; float32, since scikit-learn's trees compare float32.

    Examples
    --------
    >>> stretch(np.array([-4.0, -2.0, 0.0, 1.0])).round(3)
    array([-1.718,  0.   ,  0.   ,  1.718], dtype=float32)
    """
    above = np.expm1(np.clip(z, 0.0, MAX_STRETCH_SPREADS))
    below = np.expm1(np.clip(-z - DEAD_ZONE, 0.0, MAX_STRETCH_SPREADS))
    return np.asarray(above - below, np.float32)


def rank(z: FloatArray, signals: int) -> FloatArray:
    """Compute the input of the trees from prepared values of shape (n, scales · signals).

    Returns
    -------
    ndarray of float32, shape (n, 3 · scales)

    Examples
    --------
    >>> rank(np.array([[0.0, 1.0, -4.0, 2.0, 0.0, 0.0]]), signals=3).round(2)
    array([[ 1.72,  0.  , -1.72,  6.39,  0.  ,  0.  ]], dtype=float32)
    """
    x = stretch(z).reshape(len(z), -1, signals)
    ordered = np.sort(x, axis=2)
    return np.stack([ordered[:, :, -1], ordered[:, :, -min(2, signals)], ordered[:, :, 0]], axis=2).reshape(len(z), -1)


def average_path(samples: float) -> float:
    """Mean path length of an unsuccessful search in a binary tree with so many samples, c(n) of [1]_.

    Examples
    --------
    >>> average_path(1), average_path(2), round(average_path(256), 3)
    (0.0, 1.0, 10.245)
    """
    if samples <= 1:
        return 0.0
    if samples <= 2:
        return 1.0
    return float(2.0 * (np.log(samples - 1.0) + _EULER) - 2.0 * (samples - 1.0) / samples)


class IsolationForest:
    """The forest as flat arrays over all nodes of all trees.

    Parameters
    ----------
    preparation : Preparation
        Prepares the windows.
    roots : ndarray of int, shape (n_trees,)
        First node of each tree.
    feature : ndarray of int, shape (n_nodes,)
        Column of `rank` that the node compares; −1 at a leaf.
    threshold : ndarray of float, shape (n_nodes,)
        A value up to the threshold leads to the left child.
    left, right : ndarray of int, shape (n_nodes,)
        Children; a leaf is its own child.
    path : ndarray of float, shape (n_nodes,)
        At a leaf: the cuts on the path to it plus the average path of the samples left in it.
    samples : int
        Samples drawn for each tree.
    depth : int
        Length of the longest path from a root to a leaf.
    explain_above : float
        Score from which the contribution of each signal is computed.
    """

    def __init__(
        self,
        preparation: Preparation,
        arrays: dict[str, Any],
        samples: int,
        depth: int,
        explain_above: float,
    ) -> None:
        self.preparation = preparation
        self._roots, self._feature = arrays["roots"].astype(np.int64), arrays["feature"].astype(np.int64)
        self._threshold, self._path = arrays["threshold"].astype(np.float64), arrays["path"].astype(np.float64)
        # One table of children, so that the result of a comparison is an index: column 0 left, column 1 right.
        self._children = np.stack([arrays["left"], arrays["right"]], axis=1).astype(np.int64)
        self._compare = np.maximum(self._feature, 0)
        self._scale, self._depth, self._explain_above = average_path(samples), depth, explain_above

    @classmethod
    def from_content(cls, content: ModelContent) -> "IsolationForest":
        """Build the detector; raises `ArtifactError` for trees that lead out of their arrays or contain a cycle."""
        preparation = Preparation.from_content(content.arrays, content.hyper_parameters, NAME)
        names = ("roots", "feature", "threshold", "left", "right", "path")
        missing = [name for name in names if name not in content.arrays]
        if missing:
            raise ArtifactError(f"{NAME}: no array {', '.join(missing)}")
        arrays = {name: np.asarray(content.arrays[name]) for name in names}
        try:
            samples, depth = int(content.hyper_parameters["max_samples"]), int(content.hyper_parameters["depth"])
            explain_above = float(content.hyper_parameters["explain_above"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{NAME}: a hyper-parameter is missing or no number: {error}") from error
        _check_trees(arrays, RANKS * len(SCALES_MIN), samples, depth)
        return cls(preparation, arrays, samples, depth, explain_above)

    @property
    def name(self) -> str:
        """``isolation_forest``."""
        return NAME

    @property
    def history_minutes(self) -> int:
        """Minutes before a window that its score depends on."""
        return self.preparation.history_minutes

    def score(self, windows: WindowFrame) -> Scores:
        """Score every window from ``windows.first`` on."""
        return Scores.join([self._score_part(part) for part in windows.split_at_gaps(self.history_minutes)])

    def score_prepared(self, z: FloatArray) -> FloatArray:
        """Score prepared values of shape (n, channels): 0.5 is ordinary, values towards 1 are isolated."""
        x = rank(z, len(self.preparation.signals))
        path = np.empty(len(x))
        for first in range(0, len(x), _WINDOWS_AT_ONCE):
            path[first : first + _WINDOWS_AT_ONCE] = self._mean_path(x[first : first + _WINDOWS_AT_ONCE])
        return np.asarray(np.exp2(-path / self._scale))

    def _mean_path(self, x: FloatArray) -> FloatArray:
        at = np.broadcast_to(self._roots, (len(x), len(self._roots)))
        base = (np.arange(len(x)) * x.shape[1])[:, None]
        flat = np.ascontiguousarray(x).ravel()
        for _ in range(self._depth):
            goes_right = flat[base + self._compare[at]] > self._threshold[at]
            at = self._children[at, goes_right.view(np.int8)]
        return np.asarray(self._path[at].mean(axis=1))

    def _score_part(self, frame: WindowFrame) -> Scores:
        prepared = self.preparation.prepare(frame)
        abstained = list_abstentions(frame, prepared)
        abstains = np.array([bool(reason) for reason in abstained], bool)
        score = np.zeros(len(abstained))
        top: list[list[dict[str, Any]]] = [[] for _ in abstained]
        if prepared is not None and not abstains.all():
            score = np.where(abstains, 0.0, self.score_prepared(prepared.z[prepared.row_of]))
            rows = np.flatnonzero(score >= self._explain_above)
            for first in range(0, len(rows), _EXPLAINED_AT_ONCE):
                batch = rows[first : first + _EXPLAINED_AT_ONCE]
                for row, features in zip(batch, self._explain(frame, prepared, batch, score[batch]), strict=True):
                    top[row] = features
        return Scores(frame.to_score, score, abstained, tuple([] for _ in abstained), tuple(top))

    def _explain(
        self, frame: WindowFrame, prepared: Prepared, rows: IntArray, score: FloatArray
    ) -> list[list[dict[str, Any]]]:
        """Compute by how much the score falls if a signal is set to its baseline at every time scale."""
        signals = len(self.preparation.signals)
        z = prepared.z[prepared.row_of[rows]].reshape(len(rows), -1, signals)
        without = np.repeat(z[:, None], signals, axis=1)
        every = np.arange(signals)
        without[:, every, :, every] = 0.0
        falls = score[:, None] - self.score_prepared(without.reshape(len(rows) * signals, -1)).reshape(-1, signals)
        return [self._top_features(frame, z[at], falls[at]) for at in range(len(rows))]

    def _top_features(self, frame: WindowFrame, z: FloatArray, falls: FloatArray) -> list[dict[str, Any]]:
        """List the signals whose contribution is largest, each at the time scale furthest from its baseline."""
        preparation, features = self.preparation, []
        for index in np.argsort(-falls)[:TOP_FEATURES].tolist():
            if falls[index] <= 0.0:
                break
            scale = int(np.abs(z[:, index]).argmax())
            channel = scale * len(falls) + index
            signal, minutes = preparation.channel(channel)
            features.append(
                {
                    "feature": signal.name,
                    "baseline": preparation.baseline_value(frame, channel),
                    "present": preparation.present_value(frame, channel, float(z[scale, index])),
                    "weight": round(float(falls[index]), 4),
                    "minutes": minutes,
                }
            )
        return features


def _check_trees(arrays: dict[str, Any], columns: int, samples: int, depth: int) -> None:
    """Check the bounds of every index before it is used: a wrong child would crash or hang the detector."""
    nodes = len(arrays["feature"]) if arrays["feature"].ndim == 1 else 0
    shapes = [arrays[name].shape for name in ("threshold", "left", "right", "path")]
    if not nodes or any(shape != (nodes,) for shape in shapes) or arrays["roots"].ndim != 1 or not len(arrays["roots"]):
        raise ArtifactError(f"{NAME}: trees of shapes {shapes} for {nodes} nodes")
    if any(arrays[name].dtype.kind not in "iu" for name in ("roots", "feature", "left", "right")):
        raise ArtifactError(f"{NAME}: a tree's indices must be integers")
    for name, low, high in (("roots", 0, nodes), ("left", 0, nodes), ("right", 0, nodes), ("feature", -1, columns)):
        if arrays[name].min() < low or arrays[name].max() >= high:
            raise ArtifactError(f"{NAME}: {name} outside {low} … {high - 1}")
    if not 2 <= samples <= 1_000_000 or not 1 <= depth <= 64:
        raise ArtifactError(f"{NAME}: max_samples {samples} or depth {depth} out of range")
    node, is_leaf = np.arange(nodes), arrays["feature"] < 0
    is_own_child = (arrays["left"] == node) & (arrays["right"] == node)
    has_later_children = (arrays["left"] > node) & (arrays["right"] > node)
    if not np.where(is_leaf, is_own_child, has_later_children).all():
        raise ArtifactError(f"{NAME}: a leaf must be its own child, and a child must come after its parent")
    if not (np.isfinite(arrays["threshold"]).all() and np.isfinite(arrays["path"]).all()):
        raise ArtifactError(f"{NAME}: NaN or infinity in the trees")


def build(content: ModelContent, *, history_minutes: int) -> IsolationForest:  # noqa: ARG001 - its time scales are fixed
    """Build the detector; the registry names this function."""
    return IsolationForest.from_content(content)
