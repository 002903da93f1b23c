"""The isolation forest, scored from flat arrays in numpy: how few random cuts set a minute apart from usual ones.

scikit-learn trains it (`retrainers.fit_isolation_forest`); the score here is its ``-score_samples``, the 2^(−E(h)/c) of
Liu, Ting and Zhou, equal to 1e-6. Before the cuts each prepared value is stretched: exponentially above usual, and below
usual only beyond a dead zone of two spreads. Cuts fall uniformly between the smallest and largest value of a node, so
that the stretch decides what is easily cut off, and a quiet night is not. What a score is worth the calibration decides.

References
----------
.. [1] F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation forest", ICDM 2008.
"""

from typing import Any

import numpy as np

from bgpdrift.detectors.interface import FloatArray, ModelContent, Scores, WindowFrame
from bgpdrift.detectors.prepared import Preparation, Prepared, reasons
from bgpdrift.detectors.splitting import joined, parts_of
from bgpdrift.errors import ArtifactError

NAME = "isolation_forest"
DEAD_ZONE = 2.0
"""Spreads below usual that count as nothing: calm traffic falls to half every night, and a worm's aftermath is calm."""
STRETCH_TOP = 6.0
"""Further from usual than this many spreads (beyond the dead zone) is all the same to the forest."""
TOP_FEATURES = 5
_WINDOWS_AT_ONCE = 2_000
_EULER = 0.5772156649015329


def stretched(z: FloatArray) -> FloatArray:
    """Prepared values as the forest sees them: float32, as scikit-learn's trees compare.

    Examples
    --------
    >>> stretched(np.array([-3.0, -1.0, 0.0, 1.0])).round(3)
    array([-1.718,  0.   ,  0.   ,  1.718], dtype=float32)
    """
    above = np.expm1(np.clip(z, 0.0, STRETCH_TOP))
    below = np.expm1(np.clip(-z - DEAD_ZONE, 0.0, STRETCH_TOP))
    return np.asarray(above - below, np.float32)


def average_path(samples: float) -> float:
    """Mean path length of an unsuccessful search in a binary tree of that many samples, c(n) of [1]_.

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
    """Trees as flat arrays over all nodes of all trees.

    Parameters
    ----------
    preparation : Preparation
        How windows become numbers.
    roots : ndarray of int, shape (n_trees,)
        Node each tree begins at.
    feature : ndarray of int, shape (n_nodes,)
        Channel compared; −1 at a leaf.
    threshold : ndarray of float, shape (n_nodes,)
        Up to it goes left.
    left, right : ndarray of int, shape (n_nodes,)
        Children; a leaf is its own.
    path : ndarray of float, shape (n_nodes,)
        At a leaf: cuts on the way plus the average path of the samples left in it.
    samples : int
        Drawn for each tree.
    depth : int
        Longest way from a root to a leaf.
    explain_above : float
        Score from which on it is worth finding out which signals speak for it.
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
        # One table of children, so that a comparison is an index: row 0 left, row 1 right.
        self._children = np.stack([arrays["left"], arrays["right"]], axis=1).astype(np.int64)
        self._compare = np.maximum(self._feature, 0)
        self._scale, self._depth, self._explain_above = average_path(samples), depth, explain_above

    @classmethod
    def from_content(cls, content: ModelContent) -> "IsolationForest":
        """Build the detector; raises `ArtifactError` for trees that would lead out of their arrays or in circles."""
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
            raise ArtifactError(f"{NAME}: hyper-parameter missing or no number: {error}") from error
        _check_trees(arrays, preparation.channels, samples, depth)
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
        return joined([self._score_part(part) for part in parts_of(windows, self.history_minutes)])

    def score_prepared(self, z: FloatArray) -> FloatArray:
        """Anomaly score of prepared values, shape (n, channels): 0.5 is ordinary, towards 1 stands apart."""
        x = stretched(z)
        found = np.empty(len(x))
        for first in range(0, len(x), _WINDOWS_AT_ONCE):
            found[first : first + _WINDOWS_AT_ONCE] = self._mean_path(x[first : first + _WINDOWS_AT_ONCE])
        return np.asarray(np.exp2(-found / self._scale))

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
        abstained = reasons(frame, prepared)
        silent = np.array([bool(reason) for reason in abstained], bool)
        score = np.zeros(len(abstained))
        top: list[list[dict[str, Any]]] = [[] for _ in abstained]
        if prepared is not None and not silent.all():
            score = np.where(silent, 0.0, self.score_prepared(prepared.z[prepared.row_of]))
            for row in np.flatnonzero(score >= self._explain_above):
                top[row] = self._explain(frame, prepared, int(row), float(score[row]))
        return Scores(frame.to_score, score, abstained, tuple([] for _ in abstained), tuple(top))

    def _explain(self, frame: WindowFrame, prepared: Prepared, row: int, score: float) -> list[dict[str, Any]]:
        """Ask of each signal by how much the score would fall, were that signal usual at every time scale."""
        preparation = self.preparation
        signals = len(preparation.signals)
        z = prepared.z[prepared.row_of[row]]
        without = np.repeat(z[None, :], signals, axis=0)
        scales = z.reshape(-1, signals)
        for index in range(signals):
            without[index, index::signals] = 0.0
        falls = score - self.score_prepared(without)
        found = []
        for index in np.argsort(-falls)[:TOP_FEATURES]:
            if falls[index] <= 0.0:
                break
            channel = int(np.abs(scales[:, index]).argmax()) * signals + int(index)
            signal, minutes = preparation.channel(channel)
            found.append(
                {
                    "feature": signal.name,
                    "usual": preparation.usual(frame, channel),
                    "present": preparation.present(frame, channel, float(z[channel])),
                    "weight": round(float(falls[index]), 4),
                    "minutes": minutes,
                }
            )
        return found


def _check_trees(arrays: dict[str, Any], channels: int, samples: int, depth: int) -> None:
    """Bounds of every index before anything follows one: a wrong child crashes or hangs others' scorers."""
    nodes = len(arrays["feature"]) if arrays["feature"].ndim == 1 else 0
    shapes = [arrays[name].shape for name in ("threshold", "left", "right", "path")]
    if not nodes or any(shape != (nodes,) for shape in shapes) or arrays["roots"].ndim != 1 or not len(arrays["roots"]):
        raise ArtifactError(f"{NAME}: trees of shapes {shapes} for {nodes} nodes")
    if any(arrays[name].dtype.kind not in "iu" for name in ("roots", "feature", "left", "right")):
        raise ArtifactError(f"{NAME}: a tree's indices must be integers")
    for name, low, high in (("roots", 0, nodes), ("left", 0, nodes), ("right", 0, nodes), ("feature", -1, channels)):
        if arrays[name].min() < low or arrays[name].max() >= high:
            raise ArtifactError(f"{NAME}: {name} outside {low} … {high - 1}")
    if not 2 <= samples <= 1_000_000 or not 1 <= depth <= 64:
        raise ArtifactError(f"{NAME}: max_samples {samples} or depth {depth} out of range")
    here, leaf = np.arange(nodes), arrays["feature"] < 0
    own = (arrays["left"] == here) & (arrays["right"] == here)
    deeper = (arrays["left"] > here) & (arrays["right"] > here)
    if not (np.where(leaf, own, deeper)).all():
        raise ArtifactError(f"{NAME}: a leaf must be its own child, and a child must come after its parent")
    if not (np.isfinite(arrays["threshold"]).all() and np.isfinite(arrays["path"]).all()):
        raise ArtifactError(f"{NAME}: NaN or infinity in the trees")
