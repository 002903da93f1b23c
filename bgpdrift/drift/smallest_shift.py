"""How small a change a comparison could have seen: what "no drift" is worth.

Decides the smallest relative shift of level (every score larger by the same share) that would have been called drift, or
immaterial at least, four times in five. Whether it would have been steady is not asked: a shift of level is.
"""

import numpy as np

from bgpdrift.drift.chance import MEASURES, NullDistribution, ShareBasis
from bgpdrift.drift.effect import all_that_matter
from bgpdrift.drift.histogram import WIDTH
from bgpdrift.drift.hours import FloatArray
from bgpdrift.drift.season import Matched
from bgpdrift.settings_sections import DriftSettings

POWER = 0.8
_LARGEST = 463
"""Bins of 1 %: a hundredfold."""


def smallest_shift(
    matched: Matched, yardstick: ShareBasis, chance: NullDistribution, critical: FloatArray, settings: DriftSettings
) -> float | None:
    """Find the smallest shift upwards seen with 80 % power, as a share: 0.3 for 30 %.

    Parameters
    ----------
    critical : ndarray of float, shape (measures,)
        Sizes of the measures from which on any of them is significant, as `NullDistribution.family_critical` gives them.

    Returns
    -------
    float or None
        At least 0.01, the width of a bin. None where nothing would be seen: every score is 0, or a hundredfold is not
        enough for so few hours.
    """
    ks_by_chance = float(chance.by_chance()[MEASURES.index("ks")])
    before = _shares(matched, 0)

    def seen(steps: int) -> bool:
        differences = chance.noise + (_shares(matched, steps) - before)
        sizes = yardstick.sizes(differences)
        tails = yardstick.signed(differences)[:, 1]
        expected = float(yardstick.linear[1] @ before)
        material = all_that_matter(sizes[:, MEASURES.index("ks")] - ks_by_chance, expected + tails, expected, settings)
        return float(((sizes > critical).any(axis=1) & material).mean()) >= POWER

    low, high = 0, 1
    while not seen(high):
        low, high = high, 2 * high
        if high > 2 * _LARGEST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return float(WIDTH**high - 1)


def _shares(matched: Matched, steps: int) -> FloatArray:
    """Shares by group of the expected values once each is larger by some bins."""
    numbers = matched.bins + steps * np.sign(matched.bins)
    places = np.minimum(np.searchsorted(matched.bins, numbers), len(matched.bins) - 1)
    size = int(matched.groups[-1]) + 1
    moved = np.bincount(matched.groups[places], weights=matched.expected_counts, minlength=size)
    return np.asarray(moved / moved.sum())
