"""Confidence intervals of shares and of their differences, valid also near 0 and 1 and for few trials.

The module needs the standard library only. It decides how many labels are enough to judge a detector by them. The caller
decides which shares are compared and which difference matters.
"""

import math
from collections.abc import Callable

Z95 = 1.959964
"""Two-sided 95 %."""
Z80 = 0.841621
"""One-sided 80 %: the power of `find_smallest_fall`."""
_MAX_Z = 40.0
MIN_LABELS_PER_CLASS = 5
"""Labels of anomalies, and labels of normal time, needed to judge a detector by labels, however many the other class has.

Labels of one class alone measure a recall: by them a detector that always alarms, or never, is always right. With three labels
of a class, all of them right, the 95 % interval of the share still contains 0.5, which a coin reaches.
"""

Interval = Callable[[float], tuple[float, float, float]]
"""Returns a share and its interval at a given z: (share, low, high)."""


def has_enough_labels(anomalous: int, normal: int, min_labels: int) -> bool:
    """Return whether labels are enough for an accuracy, a precision or an F1.

    Parameters
    ----------
    anomalous, normal : int
        Labels of each class.
    min_labels : int
        Labels needed in all (``drift.min_labels``).

    Examples
    --------
    >>> has_enough_labels(12, 8, 20), has_enough_labels(20, 0, 20), has_enough_labels(1, 1, 2)
    (True, False, False)
    """
    return anomalous + normal >= min_labels and min(anomalous, normal) >= MIN_LABELS_PER_CLASS


def wilson_interval(successes: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Return the interval that contains a share, with 95 % confidence by default.

    References
    ----------
    .. [1] E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927.

    Examples
    --------
    >>> [round(bound, 3) for bound in wilson_interval(18, 20)]
    [0.699, 0.972]
    >>> wilson_interval(0, 0)
    (0.0, 1.0)
    """
    if not trials:
        return 0.0, 1.0
    share, square = successes / trials, z * z / trials
    middle = (share + square / 2) / (1 + square)
    half = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def estimate_share(successes: int, trials: int) -> Interval:
    """Return a share with its Wilson interval, for any z.

    Examples
    --------
    >>> [round(bound, 3) for bound in estimate_share(18, 20)(Z95)]
    [0.9, 0.699, 0.972]
    """
    return lambda z: (successes / trials if trials else math.nan, *wilson_interval(successes, trials, z))


def estimate_f1(true_positives: int, wrong: int) -> Interval:
    """Return F1 with an interval: F1 increases with the share of hits among hits and errors, which has a Wilson interval.

    Examples
    --------
    >>> [round(bound, 3) for bound in estimate_f1(8, 4)(Z95)]
    [0.8, 0.562, 0.926]
    """

    def at(z: float) -> tuple[float, float, float]:
        share, low, high = estimate_share(true_positives, true_positives + wrong)(z)
        return 2 * share / (1 + share), 2 * low / (1 + low), 2 * high / (1 + high)

    return at


def estimate_difference(later: Interval, earlier: Interval, z: float = Z95) -> tuple[float, float, float]:
    """Return the fall from an earlier share to a later one, with its interval: Newcombe's hybrid of two intervals.

    Returns
    -------
    drop, low, high : float
        Positive where the later share is lower.

    References
    ----------
    .. [1] R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison of eleven
       methods", Statistics in Medicine 17, 1998; method 10.

    Examples
    --------
    >>> [round(bound, 4) for bound in estimate_difference(estimate_share(48, 80), estimate_share(56, 70))]
    [0.2, 0.0524, 0.3339]
    """
    (now, now_low, now_high), (before, before_low, before_high) = later(z), earlier(z)
    drop = before - now
    return (
        drop,
        drop - math.hypot(before - before_low, now_high - now),
        drop + math.hypot(before_high - before, now - now_low),
    )


def compute_p_value(later: Interval, earlier: Interval) -> float:
    """Return the two-sided p-value of `estimate_difference`: the level at which its interval just reaches 0.

    Examples
    --------
    >>> later, earlier = estimate_share(48, 80), estimate_share(56, 70)
    >>> round(compute_p_value(later, earlier), 3), compute_p_value(later, later)
    (0.008, 1.0)
    """
    low, high = 0.0, _MAX_Z
    for _ in range(50):
        z = (low + high) / 2
        _, least, most = estimate_difference(later, earlier, z)
        low, high = (low, z) if least < 0 < most else (z, high)
    return math.erfc(low / math.sqrt(2))


def find_smallest_fall(before: float, trials: float, trials_before: float, z: float = Z95) -> float:
    """Return the smallest fall of a share that this many trials detect four times in five; at most the share itself.

    Examples
    --------
    >>> round(find_smallest_fall(0.90, 400, 1_200), 2), round(find_smallest_fall(0.90, 20, 100), 2)
    (0.05, 0.24)
    """
    low, high = 0.0, before
    for _ in range(40):
        fall = (low + high) / 2
        low, high = (
            (low, fall) if fall > _detectable_fall(before, before - fall, trials, trials_before, z) else (fall, high)
        )
    return high


def _detectable_fall(before: float, after: float, trials: float, trials_before: float, z: float) -> float:
    """Return the fall that is beyond chance and is detected four times in five."""
    variance_before, variance_after = before * (1 - before), after * (1 - after)
    without_fall = math.sqrt(variance_before / trials + variance_before / trials_before)
    with_fall = math.sqrt(variance_after / trials + variance_before / trials_before)
    return z * without_fall + Z80 * with_fall
