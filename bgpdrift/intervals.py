"""Intervals of shares and of their differences, also right near 0 and 1 and for few trials.

Decides nothing: what a share is of, and from when on a difference counts, others say. Standard library only.
"""

import math
from collections.abc import Callable

Z95 = 1.959964
"""Two-sided 95 %."""
Z80 = 0.841621
"""One-sided 80 %: four times in five."""
_MOST_Z = 40.0

Interval = Callable[[float], tuple[float, float, float]]
"""A share with its interval at a given z: (share, low, high)."""


def wilson_interval(successes: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Interval that holds a share with 95 % confidence.

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


def share_of(successes: int, trials: int) -> Interval:
    """Give a share with its Wilson interval, for any z.

    Examples
    --------
    >>> [round(bound, 3) for bound in share_of(18, 20)(Z95)]
    [0.9, 0.699, 0.972]
    """
    return lambda z: (successes / trials if trials else math.nan, *wilson_interval(successes, trials, z))


def f1_of(true_positives: int, wrong: int) -> Interval:
    """Give F1 with an interval: it rises with the share of hits among hits and errors, whose interval is Wilson's.

    Examples
    --------
    >>> [round(bound, 3) for bound in f1_of(8, 4)(Z95)]
    [0.8, 0.562, 0.926]
    """

    def at(z: float) -> tuple[float, float, float]:
        share, low, high = share_of(true_positives, true_positives + wrong)(z)
        return 2 * share / (1 + share), 2 * low / (1 + low), 2 * high / (1 + high)

    return at


def difference(later: Interval, earlier: Interval, z: float = Z95) -> tuple[float, float, float]:
    """How much a share fell from an earlier to a later one, with its interval: Newcombe's hybrid of two intervals.

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
    >>> [round(bound, 4) for bound in difference(share_of(48, 80), share_of(56, 70))]
    [0.2, 0.0524, 0.3339]
    """
    (now, now_low, now_high), (before, before_low, before_high) = later(z), earlier(z)
    drop = before - now
    return (
        drop,
        drop - math.hypot(before - before_low, now_high - now),
        drop + math.hypot(before_high - before, now - now_low),
    )


def p_value_of(later: Interval, earlier: Interval) -> float:
    """Two-sided p-value that belongs to the interval of `difference`: the level at which it just reaches 0.

    Examples
    --------
    >>> round(p_value_of(share_of(48, 80), share_of(56, 70)), 3), p_value_of(share_of(5, 10), share_of(5, 10))
    (0.008, 1.0)
    """
    low, high = 0.0, _MOST_Z
    for _ in range(50):
        z = (low + high) / 2
        _, least, most = difference(later, earlier, z)
        low, high = (low, z) if least < 0 < most else (z, high)
    return math.erfc(low / math.sqrt(2))


def trials_needed(before: float, after: float, trials_before: float = math.inf, z: float = Z95) -> int:
    """Trials from which on a fall of a share is seen four times in five, beside so many trials before it.

    Raises
    ------
    ValueError
        No number of trials shows it: there were too few before.

    Examples
    --------
    >>> trials_needed(0.90, 0.85), trials_needed(0.90, 0.85, 1_200)
    (316, 414)
    """
    if before - after <= _visible(before, after, math.inf, trials_before, z):
        raise ValueError(f"{trials_before:g} trials before are too few to see a fall from {before} to {after}")
    low, high = 0, 1
    while before - after < _visible(before, after, high, trials_before, z):
        low, high = high, 2 * high
    while high - low > 1:
        trials = (low + high) // 2
        low, high = (
            (trials, high) if before - after < _visible(before, after, trials, trials_before, z) else (low, trials)
        )
    return high


def smallest_fall(before: float, trials: float, trials_before: float, z: float = Z95) -> float:
    """Smallest fall of a share that so many trials would have shown four times in five; at most the share itself.

    Examples
    --------
    >>> round(smallest_fall(0.90, 400, 1_200), 2), round(smallest_fall(0.90, 20, 100), 2)
    (0.05, 0.24)
    """
    low, high = 0.0, before
    for _ in range(40):
        fall = (low + high) / 2
        low, high = (low, fall) if fall > _visible(before, before - fall, trials, trials_before, z) else (fall, high)
    return high


def _visible(before: float, after: float, trials: float, trials_before: float, z: float) -> float:
    """Fall that must be exceeded: as far as chance goes without a fall, and with it four times in five."""
    usual, later = before * (1 - before), after * (1 - after)
    without = math.sqrt(usual / trials + usual / trials_before)
    return z * without + Z80 * math.sqrt(later / trials + usual / trials_before)
