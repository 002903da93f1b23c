"""Decides which changes matter, and computes the smallest shift that a comparison detects.

A significant change that does not matter is reported as immaterial and not acted on. A change matters if KS exceeds its
chance level by `effect_ks`, or if the share of high scores changed by `effect_tail`. The smallest detectable shift states
the sensitivity of a check: it is the smallest relative shift of all scores that would be significant and matter in 80
% of cases. Stability is not required, since a shift of all scores is stable.
"""

import numpy as np

from bgpdrift.drift.constants import BIN_WIDTH, DETECTION_POWER, MAX_SHIFT_BINS, NOMINAL_TAIL_SHARE
from bgpdrift.drift.histogram import middle_of
from bgpdrift.drift.hours import BoolArray, FloatArray
from bgpdrift.drift.null_distribution import NullDistribution
from bgpdrift.drift.season import MatchedWindows
from bgpdrift.settings_sections import DriftSettings


def is_material(ks_excess: FloatArray, tails: FloatArray, expected_tail: float, settings: DriftSettings) -> BoolArray:
    """Whether changes are large enough to act on; shapes (changes,).

    Parameters
    ----------
    ks_excess : ndarray of float
        KS less its mean by chance.
    tails, expected_tail : ndarray of float, float
        Shares above the reference's 95 % point. Where many values are equal, less than 5 % may lie above it. The change
        is then relative to 5 %, because otherwise a few values over a nearly constant reference would always matter.

    Examples
    --------
    >>> is_material(np.array([0.031, 0.01, 0.01]), np.array([0.05, 0.055, 0.065]), 0.05, DriftSettings()).tolist()
    [True, False, True]
    """
    changed = np.abs(tails - expected_tail) / max(expected_tail, NOMINAL_TAIL_SHARE)
    return np.asarray((ks_excess >= settings.effect_ks) | (changed >= settings.effect_tail * (1 - 1e-9)))


def find_smallest_shift(
    matched: MatchedWindows, null: NullDistribution, critical: FloatArray, settings: DriftSettings
) -> float | None:
    """Find the smallest shift upwards that is detected with 80 % power, as a share: 0.3 for 30 %.

    Parameters
    ----------
    critical : ndarray of float, shape (statistics,)
        Sizes above which any of the statistics is significant, as `NullDistribution.family_critical_sizes` gives them.

    Returns
    -------
    float or None
        At least the width of a bin: 0.01, or less where the level of the scores is subtracted before they are counted.
        None if no shift would be detected: every score is 0, or a ten-thousandfold
        is not enough for so few hours.
    """
    basis = null.basis
    ks = basis.index("ks")
    ks_by_chance = float(null.chance_levels()[ks])
    before = _shift_shares(matched, 0)
    tail = basis.weights("tail_95")

    def is_detected(steps: int) -> bool:
        differences = null.noise + (_shift_shares(matched, steps) - before)
        sizes = basis.sizes(differences)
        tails = basis.signed_sizes("tail_95", differences)
        expected = float(tail @ before)
        material = is_material(sizes[:, ks] - ks_by_chance, expected + tails, expected, settings)
        return float(((sizes > critical).any(axis=1) & material).mean()) >= DETECTION_POWER

    low, high = 0, 1
    while not is_detected(high):
        low, high = high, 2 * high
        if high > MAX_SHIFT_BINS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_detected(middle) else (middle, high)
    return float(BIN_WIDTH**high - 1) * _typical_share(matched)


def _typical_share(matched: MatchedWindows) -> float:
    """Size of the mapped median in units of the median score: 1 unless a level is subtracted."""
    if not matched.scaling.offset:
        return 1.0
    half = np.searchsorted(np.cumsum(matched.expected_counts), matched.expected_counts.sum() / 2)
    mapped = middle_of(int(matched.bins[half]))
    score = float(matched.scaling.restore(np.array([mapped]))[0])
    return abs(mapped * matched.scaling.scale / score) if score else 1.0


def _shift_shares(matched: MatchedWindows, steps: int) -> FloatArray:
    """Shares by group of the expected values after each grew by some bins."""
    numbers = matched.bins + steps * np.sign(matched.bins)
    places = np.minimum(np.searchsorted(matched.bins, numbers), len(matched.bins) - 1)
    size = int(matched.groups[-1]) + 1
    moved = np.bincount(matched.groups[places], weights=matched.expected_counts, minlength=size)
    return np.asarray(moved / moved.sum())
