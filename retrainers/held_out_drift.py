"""Measures how far a candidate's scores on held-out windows differ from its training scores.

A model whose scores drift before it is published would soon drift in use. The scores are compared in log-spaced
histograms, in the scaling that the training scores decide, with the measures of the live drift check, day by day of the
training; the figure is the median over the days.
Therefore neither one unusual day nor a weekend counts as drift. The gate and ``promote --max-drift`` have the
thresholds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from bgpdrift.drift import measures
from bgpdrift.drift.histogram import Histogram
from bgpdrift.drift.hours import BoolArray, FloatArray, IntArray
from bgpdrift.drift.scaling import choose_scaling

DAY_S = 86_400
MIN_SCORES_PER_DAY = 360
"""A day with fewer scores, a quarter of its minutes, is not compared."""
MIN_DAYS = 3
"""With fewer days, all training scores are compared together."""
Scored = tuple[IntArray, FloatArray]
"""Starts of windows, epoch seconds, and their scores."""


@dataclass(frozen=True, slots=True)
class HeldOutDrift:
    """The drift figures by name, as in `EvaluationMetrics`; {} if there is nothing to compare."""

    figures: dict[str, float]
    incomparable: str = ""
    """Why the figures are not evidence of drift; "" if they are."""


def measure_held_out_drift(trained: Sequence[Scored], held_out: Scored, cut: int) -> HeldOutDrift:
    """Measure the drift of the held-out scores against each day of the training; weekends against weekends.

    Parameters
    ----------
    trained : sequence of Scored
        Out-of-sample scores of the training.
    held_out : Scored
        Scores of the held-out windows.
    cut : int
        Where the held-out windows begin, epoch seconds. Days are counted back from there.

    Examples
    --------
    >>> rng, monday = np.random.default_rng(4), 4 * DAY_S
    >>> minutes = monday + 60 * np.arange(4 * 1440)
    >>> scores, today = rng.gamma(2.0, size=len(minutes)), (monday + 4 * DAY_S + 60 * np.arange(1440), rng.gamma(2.0, size=1440))
    >>> odd_first_day = np.where(minutes < monday + DAY_S, 3 * scores, scores)
    >>> measure_held_out_drift([(minutes, odd_first_day)], today, monday + 4 * DAY_S).figures["drift_psi"] < 0.1
    True
    >>> measure_held_out_drift([(minutes, scores)], (today[0], 3 * today[1]), monday + 4 * DAY_S).figures["drift_psi"] > 0.8
    True
    >>> measure_held_out_drift([(minutes, scores)], (today[0] + DAY_S, 3 * today[1]), monday + 5 * DAY_S).incomparable
    'the held-out hours are a weekend, and the training has none'
    """
    starts, scores = _concatenate(trained)
    held_starts, current = _concatenate([held_out])
    weekend, held_weekend = _is_weekend(starts), _is_weekend(held_starts)
    has_counterpart = {kind: int((weekend == kind).sum()) >= MIN_SCORES_PER_DAY for kind in (False, True)}
    comparable = np.array([has_counterpart[bool(kind)] for kind in held_weekend], bool)
    incomparable = ""
    if current.size and comparable.mean() < 0.5:
        days = "a weekend" if held_weekend.mean() > 0.5 else "working days"
        incomparable = f"the held-out hours are {days}, and the training has none"
    else:
        kind = bool(np.median(held_weekend[comparable])) if comparable.any() else False
        current = current[held_weekend == kind]
        starts, scores = starts[weekend == kind], scores[weekend == kind]
    day_number = (cut - 60 - starts) // DAY_S
    scaling = choose_scaling(scores, current)
    scores, current = scaling.apply(scores), scaling.apply(current)
    now = Histogram.of(current.tolist())
    days_scores = [scores[day_number == number] for number in np.unique(day_number)]
    by_day = [
        compute_drift_figures(Histogram.of(day.tolist()), now) for day in days_scores if len(day) >= MIN_SCORES_PER_DAY
    ]
    if len(by_day) < MIN_DAYS or not current.size:
        return HeldOutDrift(compute_drift_figures(Histogram.of(scores.tolist()), now), incomparable)
    figures = {name: round(median(one[name] for one in by_day), 6) for name in by_day[0]}
    return HeldOutDrift(figures, incomparable)


def _concatenate(parts: Sequence[Scored]) -> Scored:
    starts = np.concatenate([np.zeros(0, np.int64), *(times for times, _ in parts)])
    return starts, np.concatenate([np.zeros(0), *(values for _, values in parts)])


def _is_weekend(starts: IntArray) -> BoolArray:
    return np.isin((starts // DAY_S + 4) % 7, (0, 6))  # the epoch began on a Thursday; 0 is Sunday


def compute_drift_figures(reference: Histogram, current: Histogram) -> dict[str, float]:
    """Compute the divergences of the current histogram from the reference, each 0 where they agree.

    Returns
    -------
    dict
        ``drift_psi`` and ``drift_kl`` in nats, ``drift_js`` in bits (at most 1), ``drift_ks`` the largest difference of
        the distribution functions; empty if one histogram is.

    Examples
    --------
    >>> calm = Histogram.of([0.1 * i for i in range(1, 200)])
    >>> compute_drift_figures(calm, calm)
    {'drift_psi': 0.0, 'drift_kl': 0.0, 'drift_js': 0.0, 'drift_ks': 0.0}
    >>> moved = compute_drift_figures(calm, Histogram.of([0.1 * i + 9.0 for i in range(1, 200)]))
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
