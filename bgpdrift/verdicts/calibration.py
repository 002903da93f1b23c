"""What a raw score is worth: the probability that a calm minute scores as high.

The bulk is the empirical distribution of clean training scores on a grid of its quantiles; beyond its 95 % point a
generalised Pareto tail goes on (`bgpdrift.detectors.tail`). Decides no alarm: `alarm_p` turns a budget of false alarms
into the p-value a caller compares with.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import FloatArray
from bgpdrift.detectors.tail import ParetoTail, fit_tail
from bgpdrift.errors import ArtifactError

P_FLOOR = 1e-12
"""Smallest p-value given: no training sample supports more, and −log10 p stays at most 12."""
MINUTES_A_DAY = 1440.0
_BULK_POINTS = 200


@dataclass(frozen=True, slots=True)
class Calibration:
    """Score → p-value.

    Attributes
    ----------
    scores : ndarray of float
        Increasing quantiles of the clean scores, up to the start of the tail.
    survival : ndarray of float
        Share of clean scores above each, decreasing.
    tail : ParetoTail
        Beyond the last of them.
    n : int
        Clean scores it was learned from.
    """

    scores: FloatArray
    survival: FloatArray
    tail: ParetoTail
    n: int

    @classmethod
    def fit(cls, clean_scores: FloatArray) -> "Calibration":
        """Learn from scores of calm windows; at least 200 of them.

        Examples
        --------
        >>> calibration = Calibration.fit(np.random.default_rng(3).exponential(1.0, 10_000))
        >>> p = calibration.p_value(np.array([0.0, 1.0, 10.0, 1e9]))
        >>> bool((np.diff(p) <= 0).all() and p[-1] > 0 and abs(p[1] - np.exp(-1)) < 0.02)
        True
        """
        clean = np.sort(clean_scores[np.isfinite(clean_scores)])
        if len(clean) < 200:
            raise ArtifactError(f"calibration: {len(clean)} clean scores, at least 200 expected")
        tail = fit_tail(clean, 0.05)
        levels = np.linspace(0.0, 1.0 - tail.share, _BULK_POINTS)
        scores, first = np.unique(np.quantile(clean, levels), return_index=True)
        survival = 1.0 - levels[first]
        if scores[-1] < tail.start:
            scores, survival = np.append(scores, tail.start), np.append(survival, tail.share)
        survival[-1] = tail.share  # bulk and tail meet
        return cls(scores, np.minimum.accumulate(survival), tail, len(clean))

    def p_value(self, scores: FloatArray) -> FloatArray:
        """Probability of a calm minute scoring as high: monotone, in [P_FLOOR, 1]."""
        values = np.asarray(scores, np.float64)
        bulk = np.interp(values, self.scores, self.survival, left=1.0)
        return np.asarray(np.clip(np.where(values > self.tail.start, self.tail.survival(values), bulk), P_FLOOR, 1.0))

    def as_fields(self) -> dict[str, Any]:
        """Give it as JSON for an artifact's metadata."""
        tail = self.tail
        return {
            "scores": self.scores.tolist(),
            "survival": self.survival.tolist(),
            "tail": {"start": tail.start, "share": tail.share, "scale": tail.scale, "shape": tail.shape},
            "n": self.n,
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Calibration":
        """Read it back; raises `ArtifactError` for anything that is no calibration."""
        try:
            scores, survival = (np.asarray(fields[name], np.float64) for name in ("scores", "survival"))
            tail = ParetoTail(**{name: float(fields["tail"][name]) for name in ("start", "share", "scale", "shape")})
            n = int(fields["n"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"calibration: unreadable: {error}") from error
        numbers = np.concatenate([scores.ravel(), survival.ravel(), [tail.start, tail.share, tail.scale, tail.shape]])
        if scores.ndim != 1 or scores.shape != survival.shape or not len(scores) or not np.isfinite(numbers).all():
            raise ArtifactError("calibration: two finite series of one length expected")
        if (np.diff(scores) <= 0).any() or (np.diff(survival) > 0).any() or tail.scale <= 0 or tail.shape < 0:
            raise ArtifactError("calibration: not monotone")
        return cls(scores, survival, tail, n)


def alarm_p(false_alarms_per_day: float) -> float:
    """P-value at or below which a minute is an alarm, so that a calm day has that many.

    Examples
    --------
    >>> round(alarm_p(2.0), 6)
    0.001389
    """
    return min(false_alarms_per_day / MINUTES_A_DAY, 1.0)
