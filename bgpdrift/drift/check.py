"""Drift of anybody's scores: times and scores in, a report out. No store, no clock, no model.

Decides which rows are the current window and which the baseline. The decision itself is `bgpdrift.drift.rule`'s.
"""

import numpy as np
from numpy.typing import ArrayLike

from bgpdrift.drift.hours import HOUR_S, Hours, parse_times
from bgpdrift.drift.report import DriftReport
from bgpdrift.drift.rule import compare, decide
from bgpdrift.errors import InputError
from bgpdrift.settings_sections import DriftSettings

DAY_S = 24 * HOUR_S
PRESETS = {"24h/7d": (1, 1, 8), "7d/7d": (7, 7, 14), "7d/30d": (7, 30, 60)}
"""Days of the current window, and days ago at which the baseline ends and begins."""
_SERIES = "scores"


def spans(preset: str, end: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Give current and baseline span of a preset for a check at ``end``, epoch seconds.

    Examples
    --------
    >>> spans("24h/7d", 8 * 86_400)
    ((604800, 691200), (0, 604800))
    """
    current, youngest, oldest = PRESETS[preset]
    return (end - current * DAY_S, end), (end - oldest * DAY_S, end - youngest * DAY_S)


def check_scores(
    timestamps: ArrayLike,
    scores: ArrayLike,
    is_anomaly: ArrayLike | None = None,
    *,
    settings: DriftSettings | None = None,
) -> DriftReport:
    """Check whether the newest scores still look like those before them.

    Parameters
    ----------
    timestamps : array_like, shape (rows,)
        Epoch seconds, UTC, in any order; one row a minute or many.
    scores : array_like of float, shape (rows,)
        Anything whose larger values mean something; finite.
    is_anomaly : array_like of bool, shape (rows,), optional
        Whether the row raised an alarm; gives the measure ``anomaly_rate``.
    settings : DriftSettings, optional
        Preset (a day against the 7 days before), alpha, what matters, policy.

    Returns
    -------
    DriftReport
        Verdict of this one check; ``not_enough_data`` says what is missing and until when. That a drift lasts is for the
        caller to see: check again an hour later.

    Raises
    ------
    InputError
        See `Hours.from_rows`: what is no number is named, not left out.

    Examples
    --------
    >>> rng, minutes = np.random.default_rng(1), 60 * np.arange(8 * 1440)
    >>> calm = rng.gamma(2.0, size=len(minutes))
    >>> check_scores(minutes, calm).verdict
    'none'
    >>> check_scores(minutes, np.where(minutes < 7 * 86_400, calm, 1.5 * calm)).verdict
    'drift'
    """
    settings = settings or DriftSettings()
    times, values = parse_times(timestamps), np.asarray(scores)
    if times.shape != values.shape:
        raise InputError(f"timestamps: {values.size} rows expected, as many as scores, found {times.size}")
    end = (int(times.max() // HOUR_S) + 1) * HOUR_S if times.size else 0
    current, reference = spans(settings.preset, end)
    hours = {_SERIES: Hours.from_rows(times, values, is_anomaly).between(reference[0], end)}
    found = compare(
        hours,
        hours,
        window=settings.preset,
        reference_kind="rolling",
        current_span=current,
        reference_span=reference,
        settings=settings,
        alpha=settings.alpha,
    )
    return decide([found], model="", model_version="", at=end, settings=settings)
