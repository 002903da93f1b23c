"""Whether a change matters: significant but immaterial is written down, not acted on.

Decides with two figures: how far KS lies above what chance gives it, and how much the share of high scores changed.
"""

import numpy as np

from bgpdrift.drift.hours import BoolArray, FloatArray
from bgpdrift.settings_sections import DriftSettings

NOMINAL_TAIL = 0.05


def matters(ks_excess: float, tail: float, expected_tail: float, settings: DriftSettings) -> bool:
    """Say whether a change is large enough to act on.

    Parameters
    ----------
    ks_excess : float
        KS less its mean by chance.
    tail, expected_tail : float
        Shares above the reference's 95 % point. Where many values are equal, less than 5 % may lie above it; a change is
        then measured against 5 %, or a few values over a nearly constant reference would always matter.

    Examples
    --------
    >>> usual = DriftSettings()
    >>> matters(0.031, 0.05, 0.05, usual), matters(0.01, 0.055, 0.05, usual), matters(0.01, 0.065, 0.05, usual)
    (True, False, True)
    """
    return bool(all_that_matter(np.array([ks_excess]), np.array([tail]), expected_tail, settings)[0])


def all_that_matter(
    ks_excess: FloatArray, tails: FloatArray, expected_tail: float, settings: DriftSettings
) -> BoolArray:
    """Say the same of many changes at once; shapes (changes,)."""
    changed = np.abs(tails - expected_tail) / max(expected_tail, NOMINAL_TAIL)
    return np.asarray((ks_excess >= settings.effect_ks) | (changed >= settings.effect_tail * (1 - 1e-9)))
