"""A drift check of any scores: times and scores in, a report out; no store, no clock, no model.

This module decides which rows are the current window and which the reference. `bgpdrift.drift.rule` decides the
verdict.
"""

import numpy as np
from numpy.typing import ArrayLike

from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.hours import Hours, parse_times, require_finite, require_numbers
from bgpdrift.drift.report import DriftReport
from bgpdrift.drift.rule import compare, decide
from bgpdrift.drift.scaling import choose_scaling
from bgpdrift.drift.stray_rows import find_stray_start
from bgpdrift.drift.windows import WindowPair, split_windows
from bgpdrift.errors import InputError
from bgpdrift.formatting import format_time
from bgpdrift.settings_sections import DriftSettings

_SERIES = "scores"


def check_scores(
    timestamps: ArrayLike,
    scores: ArrayLike,
    is_anomaly: ArrayLike | None = None,
    *,
    settings: DriftSettings | None = None,
) -> DriftReport:
    """Check whether the newest scores are distributed like those before them.

    Parameters
    ----------
    timestamps : array_like, shape (rows,)
        Epoch seconds, UTC, in any order; one row a minute or many.
    scores : array_like of float, shape (rows,)
        Any values with an order; finite.
    is_anomaly : array_like of bool, shape (rows,), optional
        Whether the row raised an alarm; gives the measure ``anomaly_rate``.
    settings : DriftSettings, optional
        Preset (by default a day against the 7 days before), alpha, effect, policy.

    Returns
    -------
    DriftReport
        Verdict of this one check. With ``not_enough_data`` the reason names what is missing and when it exists at the
        earliest. To see whether a drift persists, check again an hour later.

    Raises
    ------
    InputError
        See `Hours.from_rows`: values that are not finite are refused, not skipped. So is a row far behind all others,
        which would decide where the current window ends.

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
        raise InputError(f"timestamps: expected {values.size} rows, as many as scores, found {times.size}")
    require_numbers(values)
    require_finite("score", values)
    starts, n = np.unique((times // HOUR_S).astype(np.int64) * HOUR_S, return_counts=True)
    stray = find_stray_start(starts, n)
    if stray is not None:
        row = int(np.flatnonzero(times >= stray)[0])
        raise InputError(f"row {row}: expected a time near the others, found {format_time(float(times[row]))} UTC")
    end = int(starts[-1]) + HOUR_S if times.size else 0
    current, reference = split_windows(settings.preset, end)
    now, before = ((start <= times) & (times < stop) for start, stop in (current, reference))
    scaling = choose_scaling(values[before].astype(float), values[now].astype(float))
    series = {_SERIES: Hours.from_rows(times, values, is_anomaly, scaling).between(reference[0], end)}
    pair = WindowPair(
        window=settings.preset,
        reference_kind="rolling",
        current=series,
        reference=series,
        current_span=current,
        reference_span=reference,
    )
    return decide([compare(pair, settings)], model="", model_version="", at=end, settings=settings)
