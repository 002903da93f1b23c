"""The announcement counter, a baseline for every detector: the log of the announcements, smoothed over 15 minutes.

Nothing is fitted. As with a detector, its alarms follow from a calibration on clean training minutes and the alarm budget. Only
high counts are unusual.
"""

from collections.abc import Sequence

import numpy as np

from bgpdrift.detectors.interface import (
    DROPPED,
    FEED_GAP,
    INCOMPLETE,
    MINUTE_S,
    BoolArray,
    FloatArray,
    Scores,
    WindowFrame,
)
from bgpdrift.errors import InputError, NotEnoughDataError
from bgpdrift.lab.labelled_sets.sfu import ANNOUNCEMENTS
from bgpdrift.verdicts.calibration import Calibration, extremal_index

NAME = "announcements_counter"
SPAN_MIN = 15
"""Span of the exponentially weighted mean; each minute has the weight 2 / (span + 1)."""
WARM_UP_MIN = 60
"""The first minute affects the mean for this long; these minutes are left out of the calibration."""


class AnnouncementsCounter:
    """The counter, with the interface of a detector.

    Examples
    --------
    >>> frame = WindowFrame("rrc00", "", 60 * np.arange(3), {"announced": np.array([0.0, 0.0, 1e3])}, {})
    >>> AnnouncementsCounter().score(frame).score.round(2).tolist()
    [0.0, 0.0, 0.86]
    """

    name = NAME
    history_minutes = WARM_UP_MIN

    def score(self, windows: WindowFrame) -> Scores:
        """Score every window from ``windows.first`` on; incomplete windows do not enter the mean."""
        hole = windows.mark(INCOMPLETE) | windows.mark(FEED_GAP) | windows.mark(DROPPED)
        smoothed = smoothed_announcements(windows, hole)[windows.first :]
        count = len(smoothed)
        abstained = tuple("" if known else INCOMPLETE for known in np.isfinite(smoothed))
        nothing: tuple[list[dict[str, object]], ...] = tuple([] for _ in range(count))
        return Scores(windows.to_score, np.nan_to_num(smoothed), abstained, nothing, nothing)


def calibrate(frames: Sequence[WindowFrame]) -> Calibration:
    """Calibrate the smoothed counts on the clean windows of some frames.

    Raises
    ------
    NotEnoughDataError
        There are fewer than 200 clean windows.
    """
    clean: list[FloatArray] = []
    for frame in frames:
        smoothed = smoothed_announcements(frame, ~frame.clean)
        is_warm = frame.window_start >= frame.window_start[0] + WARM_UP_MIN * MINUTE_S
        clean.append(smoothed[is_warm & np.isfinite(smoothed)])
    scores = np.concatenate(clean) if clean else np.zeros(0)
    if len(scores) < 200:
        raise NotEnoughDataError(f"{NAME}: expected 200 clean windows, found {len(scores)}")
    return Calibration.fit(scores, extremal_index([part for part in clean if len(part)]))


def smoothed_announcements(frame: WindowFrame, hole: BoolArray) -> FloatArray:
    """Exponentially weighted mean of the log of announcements over all minutes except those in ``hole``, which are NaN."""
    counts = frame.features.get(ANNOUNCEMENTS, frame.features.get("announced"))
    if counts is None:
        raise InputError(f"{frame.collector}: windows without `announced`")
    weight, mean, smoothed = 2.0 / (SPAN_MIN + 1), np.nan, np.full(len(frame), np.nan)
    for row, value in enumerate(np.log1p(counts).tolist()):
        if not hole[row]:
            mean = value if np.isnan(mean) else mean + weight * (value - mean)
            smoothed[row] = mean
    return smoothed
