"""The affine map from scores to the values that are counted in bins, so that no verdict depends on unit or offset. Pure.

Bins are 1 % wide and mirrored around 0. They resolve scores whose spread is about as large as the scores themselves,
and those are counted as they are. Others are mapped first: tiny or huge ones are divided by their typical size, and
scores that vary little around a level far from 0 have that level subtracted. A map is decided once for a series, from
its reference, and belongs to its hours; hours with different maps cannot be added.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bgpdrift.drift.constants import MIN_MAGNITUDE
from bgpdrift.drift.histogram import MAX_MAGNITUDE, bins_of

_Floats = NDArray[np.float64]
MAX_BIN_SHARE = 0.05
"""Share of the scores that different values in one bin may hold: as much as one group of the reference."""
MIN_TYPICAL = 100 * MIN_MAGNITUDE
"""Size from which scores are far enough from the bin of 0."""
MAX_TYPICAL = 1e100
"""Size up to which the square of a score is a number."""
MAPPED_MEDIAN = 2.0
"""Where the median lies after the level is subtracted, in spreads: most values are positive, and a bin of 1 % is narrow."""
_LARGE = 1e300
"""Size from which a difference of two scores may overflow."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """The map ``(score - offset) / scale``.

    Examples
    --------
    >>> scaling = Scaling(990.0, 0.5)
    >>> scaling.apply(np.array([991.0])).tolist(), scaling.restore(np.array([2.0])).tolist(), IDENTITY.is_identity
    ([2.0], [991.0], True)
    """

    offset: float = 0.0
    scale: float = 1.0

    @property
    def is_identity(self) -> bool:
        """Whether scores are counted as they are."""
        return self.offset == 0 and self.scale == 1

    def apply(self, scores: _Floats) -> _Floats:
        """Map scores; what would be no number any more is the largest number that has a bin."""
        if self.is_identity:
            return scores
        with np.errstate(over="ignore"):
            if max(float(np.abs(scores).max(initial=0.0)), abs(self.offset)) > _LARGE:
                mapped = (scores / 4 - self.offset / 4) / (self.scale / 4)
            else:
                mapped = (scores - self.offset) / self.scale
        return np.clip(mapped, -MAX_MAGNITUDE, MAX_MAGNITUDE)

    def restore(self, mapped: _Floats) -> _Floats:
        """Return the scores of mapped values."""
        if self.is_identity:
            return mapped
        with np.errstate(over="ignore"):
            return np.asarray(self.offset + self.scale * mapped, float)


IDENTITY = Scaling()


def choose_scaling(reference: _Floats, current: _Floats) -> Scaling:
    """Choose the map of a series from the scores of its windows.

    Parameters
    ----------
    reference, current : ndarray of float
        Finite scores. Level and unit are those of the reference. The current scores count only for whether bins tell
        them from the reference, for example from a constant.

    Returns
    -------
    Scaling
        The first of these whose bins resolve both windows: none, division by the typical size, subtraction of the
        level. If none does, the one that comes nearest.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> scores = rng.gamma(2.0, size=1_000)
    >>> choose_scaling(scores, scores).is_identity
    True
    >>> choose_scaling(1e-12 * scores, 1e-12 * scores).offset
    0.0
    >>> choose_scaling(1_000 + scores, 1_000 + scores).offset > 990
    True
    """
    reference, current = (reference, current) if len(reference) else (current, current)
    current = current if len(current) else reference
    if not len(reference):
        return IDENTITY
    is_ordinary = _is_ordinary(reference)
    if is_ordinary and _fullest_share(reference, current) <= MAX_BIN_SHARE:
        return IDENTITY
    both = np.concatenate([reference, current])
    weights = np.repeat([0.5 / len(reference), 0.5 / len(current)], [len(reference), len(current)])
    order = np.argsort(both, kind="stable")
    both, weights = both[order], weights[order]
    if is_ordinary and _blurred_share(IDENTITY.apply(both), weights)[0] <= MAX_BIN_SHARE:
        return IDENTITY
    candidates = [_divide(reference)]
    share, blurred = _blurred_share(candidates[0].apply(both), weights)
    for values in (reference, both, both[blurred]):
        if share <= MAX_BIN_SHARE:
            break
        candidates.append(_subtract(values))
        share, blurred = _blurred_share(candidates[-1].apply(both), weights)
    return min(candidates, key=lambda scaling: max(MAX_BIN_SHARE, _blurred_share(scaling.apply(both), weights)[0]))


def _is_ordinary(scores: _Floats) -> bool:
    sizes = np.abs(scores[scores != 0])
    if not len(sizes):
        return True
    return bool(_quantile(sizes, 0.05) >= MIN_TYPICAL and sizes.max() <= MAX_TYPICAL)


def _fullest_share(reference: _Floats, current: _Floats) -> float:
    """Share of both windows in the fullest bin: a bound of the blurred share for which nothing is sorted."""
    numbers = [bins_of(reference), bins_of(current)]
    first = min(int(part.min()) for part in numbers)
    size = max(int(part.max()) for part in numbers) - first + 1
    shares = [np.bincount(part - first, minlength=size) / len(part) for part in numbers]
    return float((shares[0] + shares[1]).max() / 2)


def _blurred_share(mapped: _Floats, weights: _Floats) -> tuple[float, NDArray[np.intp]]:
    """Largest share that different values in one bin hold, without the most frequent one, and where they are."""
    begins = np.flatnonzero(np.diff(mapped, prepend=-np.inf))
    bins = bins_of(mapped)[begins]
    each = np.add.reduceat(weights, begins)
    firsts = np.flatnonzero(np.diff(bins, prepend=bins[0] - 1))
    shares = np.add.reduceat(each, firsts) - np.maximum.reduceat(each, firsts)
    worst = int(np.argmax(shares))
    ends = np.append(begins[firsts[1:]], len(mapped))
    return float(shares[worst]), np.arange(begins[firsts[worst]], ends[worst])


def _divide(scores: _Floats) -> Scaling:
    """Map that divides by the typical size."""
    sizes = np.abs(scores[scores != 0])
    return Scaling(0.0, _quantile(sizes, 0.5)) if len(sizes) else IDENTITY


def _subtract(scores: _Floats) -> Scaling:
    """Map that subtracts the level and divides by the spread; a value that most scores have is at 0."""
    level = _quantile(scores, 0.5)
    for low, high in ((0.25, 0.75), (0.05, 0.95), (0.0, 1.0)):
        spread = _quantile(scores, high) / 4 - _quantile(scores, low) / 4
        if spread > 0:
            scale = min(4 * spread, _LARGE)
            return Scaling(level if low == 0 else level - MAPPED_MEDIAN * scale, scale)
    return Scaling(level, abs(level)) if level else IDENTITY


def _quantile(values: _Floats, share: float) -> float:
    """Quantile that is one of the values, so that it scales exactly as they do."""
    place = round(share * (len(values) - 1))
    return float(np.partition(values, place)[place])
