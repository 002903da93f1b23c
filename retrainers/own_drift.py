"""How far a candidate's own scores moved between training and held-out windows: a model that drifts at birth will not last.

Measured on log-spaced histograms with the measures of live drift, against each day of the training and by the day in the
middle: a first day on an empty table, or one day that was odd, is no drift of the model, and neither is a weekend. Decides
what can be compared and no threshold: the gate and ``promote --max-drift`` have those.
"""

from collections.abc import Sequence
from statistics import median

import numpy as np

from bgpdrift.drift import measures
from bgpdrift.drift.histogram import Histogram
from bgpdrift.drift.hours import BoolArray, FloatArray, IntArray

DAY_S = 86_400
LEAST_A_DAY = 360
"""Scores of a day, a quarter of its minutes, from which on it is compared."""
LEAST_DAYS = 3
"""With fewer days there is no middle one: all scores of the training are compared together."""
Scored = tuple[IntArray, FloatArray]
"""Starts of windows, epoch seconds, and their scores."""


def drift_by_day(trained: Sequence[Scored], held_out: Scored, at: int) -> tuple[dict[str, float], str]:
    """Medians, over days of the training, of the divergences of held-out scores from that day's; weekends with weekends.

    Parameters
    ----------
    trained : sequence of Scored
        Out-of-sample scores of the training.
    held_out : Scored
        Of the held-out windows.
    at : int
        Where what was held out begins: days are counted back from there.

    Returns
    -------
    figures : dict
        As of `drift_figures`.
    unlike : str
        Why the two cannot be compared, in words; "" where they can. A weekend after five working days is no drift, nor
        could anybody tell.

    Examples
    --------
    >>> rng, monday = np.random.default_rng(4), 4 * DAY_S
    >>> minutes = monday + 60 * np.arange(4 * 1440)
    >>> scores, today = rng.gamma(2.0, size=len(minutes)), (monday + 4 * DAY_S + 60 * np.arange(1440), rng.gamma(2.0, size=1440))
    >>> odd_first_day = np.where(minutes < monday + DAY_S, 3 * scores, scores)
    >>> drift_by_day([(minutes, odd_first_day)], today, monday + 4 * DAY_S)[0]["drift_psi"] < 0.1
    True
    >>> drift_by_day([(minutes, scores)], (today[0], 3 * today[1]), monday + 4 * DAY_S)[0]["drift_psi"] > 0.8
    True
    >>> drift_by_day([(minutes, scores)], (today[0] + DAY_S, 3 * today[1]), monday + 5 * DAY_S)[1]
    'the held-out hours are a weekend, and the training holds none'
    """
    starts, scores = _together(trained)
    held_starts, current = _together([held_out])
    weekend, held_weekend = _is_weekend(starts), _is_weekend(held_starts)
    counterparts = {kind: int((weekend == kind).sum()) >= LEAST_A_DAY for kind in (False, True)}
    like = np.array([counterparts[bool(kind)] for kind in held_weekend], bool)
    unlike = ""
    if current.size and like.mean() < 0.5:
        unlike = "the held-out hours are a weekend, and the training holds none"
        if not held_weekend.mean() > 0.5:
            unlike = "the held-out hours are working days, and the training holds none"
    else:
        kind = bool(np.median(held_weekend[like])) if like.any() else False
        current = current[held_weekend == kind]
        starts, scores = starts[weekend == kind], scores[weekend == kind]
    day = (at - 60 - starts) // DAY_S
    now = Histogram.of(current.tolist())
    days = [scores[day == number] for number in np.unique(day)]
    found = [drift_figures(Histogram.of(one.tolist()), now) for one in days if len(one) >= LEAST_A_DAY]
    if len(found) < LEAST_DAYS or not current.size:
        return drift_figures(Histogram.of(scores.tolist()), now), unlike
    return {name: round(median(one[name] for one in found), 6) for name in found[0]}, unlike


def _together(parts: Sequence[Scored]) -> Scored:
    starts = np.concatenate([np.zeros(0, np.int64), *(times for times, _ in parts)])
    return starts, np.concatenate([np.zeros(0), *(values for _, values in parts)])


def _is_weekend(starts: IntArray) -> BoolArray:
    return np.isin((starts // DAY_S + 4) % 7, (0, 6))  # the epoch began on a Thursday; 0 is Sunday


def drift_figures(reference: Histogram, current: Histogram) -> dict[str, float]:
    """Divergences of the current histogram from the reference, each 0 where they agree.

    Returns
    -------
    dict
        ``drift_psi`` and ``drift_kl`` in nats, ``drift_js`` in bits (at most 1), ``drift_ks`` the largest difference of
        the distribution functions; empty if one histogram is.

    Examples
    --------
    >>> calm = Histogram.of([0.1 * i for i in range(1, 200)])
    >>> drift_figures(calm, calm)
    {'drift_psi': 0.0, 'drift_kl': 0.0, 'drift_js': 0.0, 'drift_ks': 0.0}
    >>> moved = drift_figures(calm, Histogram.of([0.1 * i + 9.0 for i in range(1, 200)]))
    >>> moved["drift_psi"] > 0.5, 0.4 < moved["drift_ks"] < 0.5
    (True, True)
    """
    if not reference.n or not current.n:
        return {}
    now, before, _ = measures.align_histograms(current, reference)
    groups = measures.group_bins(now, before)
    figures = {
        "drift_psi": measures.psi(*groups),
        "drift_kl": measures.kl(*groups),
        "drift_js": measures.js(*groups),
        "drift_ks": measures.ks(now, before),
    }
    return {name: round(max(value, 0.0), 6) for name, value in figures.items()}
