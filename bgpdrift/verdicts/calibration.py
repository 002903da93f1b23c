"""Converts a raw score into a p-value: the probability that a calm minute scores as high.

The bulk is the empirical distribution of clean training scores on a grid of quantiles; a generalised Pareto tail
continues it beyond the 95 % point (`bgpdrift.detectors.tail`). `Calibration.alarm_p` converts a budget of false alarms
into the p-value that the caller compares with; this module decides no alarm. The budget counts alarm episodes. Smoothed
minutes alarm in clusters [1]_, so that a budget of two alarms per day allows more than two alarmed minutes: the extremal
index, which is learned too, gives the ratio.

References
----------
.. [1] M. R. Leadbetter, "Extremes and local dependence in stationary sequences", Z. Wahrscheinlichkeitstheorie 65, 1983.
.. [2] R. L. Smith, I. Weissman, "Estimating the extremal index", J. Royal Statistical Society B 56, 1994: runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import FloatArray
from bgpdrift.detectors.tail import ParetoTail, fit_tail
from bgpdrift.errors import ArtifactError

P_FLOOR = 1e-12
"""Smallest p-value: no training sample supports a smaller one, and −log10 p is at most 12."""
MINUTES_A_DAY = 1440.0
MAX_ALARM_P = 0.01
"""At most one calm minute in a hundred may alarm, however strongly calm minutes cluster."""
MIN_CLEAN_SCORES = 200
TAIL_SHARE = 0.05
CLUSTER_LEVELS = (0.005, 0.01, 0.02, 0.03)
"""Shares of the calm minutes above each level at which clusters are counted; the mean is used, since each count is small."""
QUIET_MIN, DEBOUNCE_K, DEBOUNCE_N = 15, 2, 3
"""Definition of an alarm episode; the defaults of the ensemble and the correlation engine."""
_BULK_POINTS = 200


@dataclass(frozen=True, slots=True)
class Calibration:
    """Maps scores to p-values.

    Attributes
    ----------
    scores : ndarray of float
        Increasing quantiles of the clean scores, up to the start of the tail.
    survival : ndarray of float
        Share of clean scores above each of them, decreasing.
    tail : ParetoTail
        Distribution beyond the last of them.
    n : int
        Number of clean scores it was learned from.
    cluster : float
        Extremal index: debounced alarm episodes per minute beyond a high score, in (0, 1]; 1 means no clustering.
    """

    scores: FloatArray
    survival: FloatArray
    tail: ParetoTail
    n: int
    cluster: float = 1.0

    @classmethod
    def fit(cls, clean_scores: FloatArray, cluster: float = 1.0) -> "Calibration":
        """Learn from the scores of calm windows, at least `MIN_CLEAN_SCORES`.

        Examples
        --------
        >>> calibration = Calibration.fit(np.random.default_rng(3).exponential(1.0, 10_000))
        >>> p = calibration.p_value(np.array([0.0, 1.0, 10.0, 1e9]))
        >>> bool((np.diff(p) <= 0).all() and p[-1] > 0 and abs(p[1] - np.exp(-1)) < 0.02)
        True
        """
        clean = np.sort(clean_scores[np.isfinite(clean_scores)])
        if len(clean) < MIN_CLEAN_SCORES:
            raise ArtifactError(f"calibration: expected at least {MIN_CLEAN_SCORES} clean scores, found {len(clean)}")
        tail = fit_tail(clean, TAIL_SHARE)
        levels = np.linspace(0.0, 1.0 - tail.share, _BULK_POINTS)
        scores, first = np.unique(np.quantile(clean, levels), return_index=True)
        survival = 1.0 - levels[first]
        if scores[-1] < tail.start:
            scores, survival = np.append(scores, tail.start), np.append(survival, tail.share)
        survival[-1] = tail.share  # the bulk ends where the tail starts
        return cls(scores, np.minimum.accumulate(survival), tail, len(clean), cluster)

    def alarm_p(self, false_alarms_per_day: float) -> float:
        """Return the p-value up to which a minute alarms, so that a calm day has the given number of alarm episodes.

        Examples
        --------
        >>> calibration = Calibration.fit(np.random.default_rng(3).exponential(1.0, 10_000), cluster=0.25)
        >>> round(calibration.alarm_p(2.0) * 1440 * 0.25, 9)
        2.0
        """
        return min(alarm_p(false_alarms_per_day) / self.cluster, MAX_ALARM_P)

    def p_value(self, scores: FloatArray) -> FloatArray:
        """Return the probability that a calm minute scores as high: decreasing in the score, in [P_FLOOR, 1]."""
        values = np.asarray(scores, np.float64)
        bulk = np.interp(values, self.scores, self.survival, left=1.0)
        return np.asarray(np.clip(np.where(values > self.tail.start, self.tail.survival(values), bulk), P_FLOOR, 1.0))

    def as_fields(self) -> dict[str, Any]:
        """Return the fields for an artifact's metadata, as JSON values."""
        tail = self.tail
        return {
            "scores": self.scores.tolist(),
            "survival": self.survival.tolist(),
            "tail": {"start": tail.start, "share": tail.share, "scale": tail.scale, "shape": tail.shape},
            "n": self.n,
            "cluster": self.cluster,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Calibration":
        """Read the fields of `as_fields`; raises `ArtifactError` if they are not a calibration."""
        try:
            scores, survival = (np.asarray(fields[name], np.float64) for name in ("scores", "survival"))
            tail = ParetoTail(**{name: float(fields["tail"][name]) for name in ("start", "share", "scale", "shape")})
            n, cluster = int(fields["n"]), float(fields["cluster"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"calibration: unreadable: {error}") from error
        numbers = np.concatenate([scores.ravel(), survival.ravel(), [tail.start, tail.share, tail.scale, tail.shape]])
        if not 0.0 < cluster <= 1.0:
            raise ArtifactError(f"calibration: cluster: expected above 0 and at most 1, found {cluster:g}")
        if scores.ndim != 1 or scores.shape != survival.shape or not len(scores) or not np.isfinite(numbers).all():
            raise ArtifactError("calibration: expected two finite series of equal length, found others")
        if (np.diff(scores) <= 0).any() or (np.diff(survival) > 0).any() or tail.scale <= 0 or tail.shape < 0:
            raise ArtifactError("calibration: expected a monotone mapping, found one that is not")
        return cls(scores, survival, tail, n, cluster)


def extremal_index(series: Sequence[FloatArray]) -> float:
    """Estimate debounced alarm episodes per minute beyond a high score, by the runs estimator [2]_.

    Parameters
    ----------
    series : sequence of ndarray
        Clean scores minute by minute, one array for each stretch of time and group.

    Returns
    -------
    float
        In (0, 1]. Each level counts at least one episode, so that a short sample errs towards fewer alarms.

    Examples
    --------
    >>> noise = np.random.default_rng(2).normal(size=20_000)
    >>> smooth = np.convolve(noise, np.ones(30) / 30, "valid")
    >>> bool(extremal_index([smooth]) < 0.2)
    True
    """
    pooled = np.concatenate([np.asarray(part, np.float64) for part in series])
    ratios = []
    for level in CLUSTER_LEVELS:
        limit = np.quantile(pooled, 1.0 - level)
        minutes = int((pooled > limit).sum())
        count = sum(_count_episodes(np.asarray(part) > limit) for part in series)
        if minutes:
            ratios.append(max(count, 1) / minutes)
    return float(np.clip(np.mean(ratios), 1e-3, 1.0)) if ratios else 1.0


def _count_episodes(beyond: npt.NDArray[np.bool_]) -> int:
    recent = np.convolve(beyond.astype(np.int64), np.ones(DEBOUNCE_N, np.int64))[: len(beyond)]
    rows = np.flatnonzero(beyond & (recent >= DEBOUNCE_K))
    return 1 + int((np.diff(rows) > QUIET_MIN).sum()) if len(rows) else 0


def alarm_p(false_alarms_per_day: float) -> float:
    """Return the p-value up to which a minute alarms, so that a calm day has so many alarms if minutes are independent.

    Examples
    --------
    >>> round(alarm_p(2.0), 6)
    0.001389
    """
    return min(false_alarms_per_day / MINUTES_A_DAY, 1.0)
