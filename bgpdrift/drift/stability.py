"""Whether a change is steady: a few hours of an incident are no new level.

Decides by leaving out the hours that speak most for the change, and as many that speak most against it. What was the doing
of a few hours is gone then, and a lasting change is not. What lasts for longer but is on its way back is no new level either.
"""

from collections.abc import Mapping

import numpy as np

from bgpdrift.drift.chance import MEASURES, NullDistribution, ShareBasis
from bgpdrift.drift.hours import FloatArray, Hours, IntArray
from bgpdrift.drift.levels import compute_hourly_levels
from bgpdrift.drift.season import Matched

_DAY_H = 24
_STEP_H = 4
_CLEAR = 4.0
"""Standard deviations of the difference of two means of 4 reference hours: the highest is the highest of many."""


def direction(measure: str, difference: FloatArray, yardstick: ShareBasis) -> FloatArray:
    """Give the weights of groups along which a measure sees a difference, signed so that it is positive; shape (groups,).

    KS looks below the value where the distribution functions are farthest apart, PSI along the difference itself.
    """
    if measure == "ks":
        cut = int(np.argmax(np.abs(np.cumsum(difference)[:-1]))) if len(difference) > 1 else 0
        found = (np.arange(len(difference)) <= cut).astype(float)
    elif measure == "psi":
        found = difference * yardstick.inverse
    else:
        found = yardstick.linear[MEASURES.index(measure) - 2]
    return np.asarray(found if found @ difference >= 0 else -found)


def compute_stable_p(
    matched: Matched, measure: str, yardstick: ShareBasis, chance: NullDistribution, hours: int
) -> float:
    """P-value of a measure without its most telling hours; 1 where what is left points the other way.

    A mean without its extremes scatters hardly more than one with them, so the null stays what it was.

    Parameters
    ----------
    hours : int
        Left out on either side for each day of current hours: a week may lose as much of each day as a day does.
    """
    each = matched.differences[:, :-1]
    along = direction(measure, each.sum(axis=0), yardstick)
    kept = _without_extremes(each @ along, hours * max(1, round(len(each) / _DAY_H)))
    weight = float(matched.weights[kept].sum())
    left = each[kept].sum(axis=0) / weight
    if left @ along <= 0:
        return 1.0
    p_value = float(chance.p_values(yardstick.sizes(left))[MEASURES.index(measure)])
    return p_value if measure in ("ks", "psi") else p_value / 2  # which way is known, and has been asked


def fading(current: Mapping[str, Hours], before: Mapping[str, Hours]) -> bool:
    """Whether the newest hours are on their way back to what was usual, or there already: the long end of an incident.

    A worm's or a leak's traffic decays for half a day, too long to be the doing of a few hours. Looked at are the medians
    of the newest day by 4 hours, on a logarithmic scale: the latest must have lost some of the highest and go on
    falling, or have lost three quarters, and in either case more than reference hours scatter.
    """
    starts, levels, _ = compute_hourly_levels(current, before, "log")
    first = min((int(hours.starts[0]) for hours in current.values() if len(hours)), default=0)
    past, day = levels[starts < first], levels[starts >= first][-_DAY_H:]
    if len(past) < _DAY_H or len(day) < 3 * _STEP_H:
        return False
    means = _smooth(past)
    usual = float((means[_STEP_H:] - means[:-_STEP_H]).std())
    now = _smooth(day)
    now = now if abs(now.max()) >= abs(now.min()) else -now
    highest, was, latest = float(now.max()), float(now[-1 - _STEP_H // 2]), float(now[-1])
    falling = latest < 0.85 * highest and latest < 0.95 * was
    return (falling or latest < 0.25 * highest) and highest - latest > _CLEAR * usual


def _smooth(levels: FloatArray) -> FloatArray:
    return np.convolve(levels, np.ones(_STEP_H) / _STEP_H, "valid")


def _without_extremes(evidence: FloatArray, hours: int) -> IntArray:
    gone = min(hours, (len(evidence) - 1) // 2)
    order = np.argsort(evidence, kind="stable")
    return np.asarray(np.sort(order[gone : len(order) - gone]), np.int64)
