"""Batches of windows: how many windows a detector takes at once, and which rows of ``scores`` they become. Pure.

A new model takes over between two batches, so a swap waits for the current batch. A batch has a fixed cost before its first
window (the history is read, a transaction is committed) and a cost for each window. Both are estimated separately: a size that
follows the total cost would shrink to one window where the fixed cost is high, and would then pay it for each window.

An alarm is a p-value within the alarm budget of a window that allows an alarm. A window with an abstention gets score 0,
p-value 1 and the reason.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import FloatArray, Scores
from bgpdrift.errors import ArtifactError

TARGET_S = 0.010
MIN_WINDOWS, MAX_WINDOWS, FIRST_WINDOWS = 1, 256, 16
EMBEDDING_DIGITS = 5
_DECAY = 0.8
"""Weight of an earlier batch after each later one."""
_MIN_SPREAD = 0.01
"""Relative variance of the batch sizes from which both costs can be estimated."""
_MAX_FIXED_SHARE = 0.9
"""Largest share of the mean duration that is attributed to the fixed cost."""


class BatchSize:
    """Adapts the number of windows to the measured duration of batches.

    Parameters
    ----------
    target_s : float
        Duration of a batch, seconds. If the fixed cost alone is longer, the windows may take as long again.
    max_windows : int
        Upper limit, which bounds the memory.

    Examples
    --------
    >>> size = BatchSize(target_s=0.010, max_windows=256)
    >>> size.windows
    16
    >>> for _ in range(20): size.add_batch(size.windows, 0.002 + 0.0005 * size.windows)
    >>> size.windows
    16
    >>> for _ in range(20): size.add_batch(size.windows, 0.0002 * size.windows)
    >>> size.windows
    50
    >>> high_fixed_cost = BatchSize(target_s=0.010, max_windows=256)
    >>> for _ in range(20): high_fixed_cost.add_batch(high_fixed_cost.windows, 0.015 + 0.0005 * high_fixed_cost.windows)
    >>> 28 <= high_fixed_cost.windows <= 30
    True
    """

    def __init__(self, target_s: float = TARGET_S, max_windows: int = MAX_WINDOWS) -> None:
        self._target_s, self._max_windows = target_s, max_windows
        self.windows = min(FIRST_WINDOWS, max_windows)
        # Exponentially weighted sums over batches: count, windows n, seconds s, n * n, n * s.
        self._count = self._n = self._s = self._nn = self._ns = self._fixed_s = 0.0

    def add_batch(self, windows: int, seconds: float) -> None:
        """Add the duration of a batch, full or not."""
        self._count = _DECAY * self._count + 1
        self._n = _DECAY * self._n + windows
        self._s = _DECAY * self._s + seconds
        self._nn = _DECAY * self._nn + windows * windows
        self._ns = _DECAY * self._ns + windows * seconds
        fixed_s, window_s = self._estimate_costs()
        fitting = int(max(self._target_s - fixed_s, fixed_s) / max(window_s, 1e-6) + 1e-6)
        self.windows = max(MIN_WINDOWS, min(fitting, 2 * self.windows, self._max_windows))

    def _estimate_costs(self) -> tuple[float, float]:
        """Estimate the fixed cost and the cost of a window by least squares; equal sizes keep the last fixed cost."""
        mean_n, mean_s = self._n / self._count, self._s / self._count
        variance = self._nn / self._count - mean_n**2
        slope = (self._ns / self._count - mean_n * mean_s) / variance if variance > _MIN_SPREAD * mean_n**2 else 0.0
        if slope > 0:
            self._fixed_s = max(mean_s - slope * mean_n, 0.0)
        self._fixed_s = min(self._fixed_s, _MAX_FIXED_SHARE * mean_s)
        return self._fixed_s, max(slope, (mean_s - self._fixed_s) / max(mean_n, 1.0))


def build_score_rows(
    scores: Scores,
    p_values: FloatArray,
    is_new: npt.NDArray[np.bool_],
    *,
    group: tuple[str, str],
    model: str,
    version: str,
    alarm_p: float,
    scored_at: float,
) -> list[dict[str, Any]]:
    """Build the rows of one group.

    Parameters
    ----------
    scores : Scores
        Scores of the group.
    p_values : ndarray of float
        Calibrated p-values of the scores.
    is_new : ndarray of bool
        Windows that get a row.
    group : tuple of str
        Collector and peer.
    model, version : str
        Detector and version that scored.
    alarm_p : float
        Largest p-value that is an alarm.
    scored_at : float
        Wall clock, epoch seconds.

    Raises
    ------
    ArtifactError
        A score is NaN or infinite, which is a defect of the model.
    """
    has_vote = np.array([not reason for reason in scores.abstained], bool)
    if not np.isfinite(scores.score[has_vote]).all() or not np.isfinite(p_values[has_vote]).all():
        raise ArtifactError(f"{model} {version}: a score of a live window is NaN or infinite")
    rows = []
    for i in np.flatnonzero(is_new).tolist():
        votes = bool(has_vote[i])
        row: dict[str, Any] = {
            "window_start": int(scores.window_start[i]),
            "collector": group[0],
            "peer": group[1],
            "model": model,
            "model_version": version,
            "score": float(scores.score[i]) if votes else 0.0,
            "p_value": float(p_values[i]) if votes else 1.0,
            "is_alarm": scores.may_alarm(i) and bool(p_values[i] <= alarm_p),
            "abstained": scores.abstained[i],
            "rules_fired": scores.rules_fired[i],
            "top_features": scores.top_features[i],
            "alarm_p": alarm_p,
            "scored_at": scored_at,
        }
        if scores.embedding is not None and votes:
            row["embedding"] = [round(value, EMBEDDING_DIGITS) for value in scores.embedding[i].tolist()]
        rows.append(row)
    return rows
