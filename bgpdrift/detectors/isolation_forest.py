"""The isolation forest, scored from flat arrays in numpy: how few random cuts set a minute apart from usual ones.

scikit-learn trains it (`retrainers.fit_isolation_forest`); the score here is its ``-score_samples``, the 2^(−E(h)/c) of
Liu, Ting and Zhou [1]_, equal to 1e-6. Two steps come before the cuts, both measured (docs/decisions/0005-forest.md):

- Each prepared value is stretched: exponentially above usual, and below usual only beyond a dead zone of three spreads. Cuts
  fall uniformly between the smallest and largest value of a node, so that the stretch decides what is easily cut off, and
  a quiet night is not.
- Of each time scale the trees see the largest, the second largest and the smallest stretched value, whichever signals
  they are of. A forest over all signals does not see an anomaly of two among thirty: hardly a cut meets one of them.

Which signals spoke is asked afterwards, of minutes that stand apart. What a score is worth the calibration decides.

References
----------
.. [1] F. T. Liu, K. M. Ting, Z.-H. Zhou, "Isolation forest", ICDM 2008.
"""

from typing import Any

import numpy as np

from bgpdrift.detectors.interface import FloatArray, IntArray, ModelContent, Scores, WindowFrame
from bgpdrift.detectors.preparation import SCALES_MIN
from bgpdrift.detectors.prepared import Preparation, Prepared, reasons
from bgpdrift.detectors.splitting import joined, parts_of
from bgpdrift.errors import ArtifactError

NAME = "isolation_forest"
DEAD_ZONE = 3.0
"""Spreads below usual that count as nothing: calm traffic falls to half every night, and a worm's aftermath is calm."""
STRETCH_TOP = 6.0
"""Further from usual than this many spreads (beyond the dead zone) is all the same to the forest."""
RANKS = 3
"""Largest, second largest, smallest."""
TOP_FEATURES = 5
_WINDOWS_AT_ONCE = 2_000
_EXPLAINED_AT_ONCE = 50
_EULER = 0.5772156649015329


def stretched(z: FloatArray) -> FloatArray:
    """Prepared values as the forest sees them: float32, as scikit-learn's trees compare.

    Examples
    --------
    >>> stretched(np.array([-4.0, -2.0, 0.0, 1.0])).round(3)
    array([-1.718,  0.   ,  0.   ,  1.718], dtype=float32)
    """
    above = np.expm1(np.clip(z, 0.0, STRETCH_TOP))
    below = np.expm1(np.clip(-z - DEAD_ZONE, 0.0, STRETCH_TOP))
    return np.asarray(above - below, np.float32)


def ranked(z: FloatArray, signals: int) -> FloatArray:
    """What the trees see of prepared values, shape (n, scales · signals): (n, 3 · scales), float32.

    Examples
    --------
    >>> ranked(np.array([[0.0, 1.0, -4.0, 2.0, 0.0, 0.0]]), signals=3).round(2)
    array([[ 1.72,  0.  , -1.72,  6.39,  0.  ,  0.  ]], dtype=float32)
    """
    x = stretched(z).reshape(len(z), -1, signals)
    ordered = np.sort(x, axis=2)
    return np.stack([ordered[:, :, -1], ordered[:, :, -min(2, signals)], ordered[:, :, 0]], axis=2).reshape(len(z), -1)


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
        Column of `ranked` compared; −1 at a leaf.
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
        return joined([self._score_part(part) for part in parts_of(windows, self.history_minutes)])

    def score_prepared(self, z: FloatArray) -> FloatArray:
        """Anomaly score of prepared values, shape (n, channels): 0.5 is ordinary, towards 1 stands apart."""
        x = ranked(z, len(self.preparation.signals))
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
            rows = np.flatnonzero(score >= self._explain_above)
            for first in range(0, len(rows), _EXPLAINED_AT_ONCE):
                some = rows[first : first + _EXPLAINED_AT_ONCE]
                for row, found in zip(some, self._explained(frame, prepared, some, score[some]), strict=True):
                    top[row] = found
        return Scores(frame.to_score, score, abstained, tuple([] for _ in abstained), tuple(top))

    def _explained(
        self, frame: WindowFrame, prepared: Prepared, rows: IntArray, score: FloatArray
    ) -> list[list[dict[str, Any]]]:
        """Ask of each signal by how much the score would fall, were that signal usual at every time scale."""
        signals = len(self.preparation.signals)
        z = prepared.z[prepared.row_of[rows]].reshape(len(rows), -1, signals)
        without = np.repeat(z[:, None], signals, axis=1)
        every = np.arange(signals)
        without[:, every, :, every] = 0.0
        falls = score[:, None] - self.score_prepared(without.reshape(len(rows) * signals, -1)).reshape(-1, signals)
        return [self._named(frame, z[at], falls[at]) for at in range(len(rows))]

    def _named(self, frame: WindowFrame, z: FloatArray, falls: FloatArray) -> list[dict[str, Any]]:
        """Name the signals whose absence lets the score fall most; of each the time scale furthest from usual."""
        preparation, found = self.preparation, []
        for index in np.argsort(-falls)[:TOP_FEATURES].tolist():
            if falls[index] <= 0.0:
                break
            scale = int(np.abs(z[:, index]).argmax())
            channel = scale * len(falls) + index
            signal, minutes = preparation.channel(channel)
            found.append(
                {
                    "feature": signal.name,
                    "usual": preparation.usual(frame, channel),
                    "present": preparation.present(frame, channel, float(z[scale, index])),
                    "weight": round(float(falls[index]), 4),
                    "minutes": minutes,
                }
            )
        return found


def _check_trees(arrays: dict[str, Any], columns: int, samples: int, depth: int) -> None:
    """Bounds of every index before anything follows one: a wrong child crashes or hangs others' scorers."""
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
    here, leaf = np.arange(nodes), arrays["feature"] < 0
    own = (arrays["left"] == here) & (arrays["right"] == here)
    deeper = (arrays["left"] > here) & (arrays["right"] > here)
    if not (np.where(leaf, own, deeper)).all():
        raise ArtifactError(f"{NAME}: a leaf must be its own child, and a child must come after its parent")
    if not (np.isfinite(arrays["threshold"]).all() and np.isfinite(arrays["path"]).all()):
        raise ArtifactError(f"{NAME}: NaN or infinity in the trees")


def build(content: ModelContent, *, history_minutes: int) -> IsolationForest:  # noqa: ARG001 - its time scales are fixed
    """Build the detector, as the registry asks for it."""
    return IsolationForest.from_content(content)
