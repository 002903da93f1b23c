"""The baseline no detector may lose against: log of the announcements, smoothed over 15 minutes. One line of arithmetic.

It is fitted to nothing; its alarm comes, as a detector's does, from its calibration on clean training minutes and the
same alarm budget. It knows one direction: more than usual.
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
"""Span of the exponentially weighted mean: each minute counts 2 / (span + 1)."""
SETTLING_MIN = 60
"""So long the mean remembers its first minute; those calibrate nothing."""


class AnnouncementsCounter:
    """See the module; has the face of a detector.

    Examples
    --------
    >>> frame = WindowFrame("rrc00", "", 60 * np.arange(3), {"announced": np.array([0.0, 0.0, 1e3])}, {})
    >>> AnnouncementsCounter().score(frame).score.round(2).tolist()
    [0.0, 0.0, 0.86]
    """

    name = NAME
    history_minutes = SETTLING_MIN

    def score(self, windows: WindowFrame) -> Scores:
        """Score every window from ``windows.first`` on; one that is incomplete is left out of the mean."""
        hole = windows.mark(INCOMPLETE) | windows.mark(FEED_GAP) | windows.mark(DROPPED)
        smoothed = smoothed_announcements(windows, hole)[windows.first :]
        count = len(smoothed)
        abstained = tuple("" if known else INCOMPLETE for known in np.isfinite(smoothed))
        nothing: tuple[list[dict[str, object]], ...] = tuple([] for _ in range(count))
        return Scores(windows.to_score, np.nan_to_num(smoothed), abstained, nothing, nothing)


def calibrate(frames: Sequence[WindowFrame]) -> Calibration:
    """Learn from the clean windows of some frames what a smoothed count is worth.

    Raises
    ------
    NotEnoughDataError
        Fewer than 200 of them.
    """
    clean: list[FloatArray] = []
    for frame in frames:
        smoothed = smoothed_announcements(frame, ~frame.clean)
        settled = frame.window_start >= frame.window_start[0] + SETTLING_MIN * MINUTE_S
        clean.append(smoothed[settled & np.isfinite(smoothed)])
    scores = np.concatenate(clean) if clean else np.zeros(0)
    if len(scores) < 200:
        raise NotEnoughDataError(f"{NAME}: {len(scores)} clean windows, 200 expected")
    return Calibration.fit(scores, extremal_index([part for part in clean if len(part)]))


def smoothed_announcements(frame: WindowFrame, hole: BoolArray) -> FloatArray:
    """Exponentially weighted mean of log announcements over the minutes that are there; NaN at those in ``hole``."""
    counts = frame.features.get(ANNOUNCEMENTS, frame.features.get("announced"))
    if counts is None:
        raise InputError(f"{frame.collector}: windows without `announced`")
    weight, mean, smoothed = 2.0 / (SPAN_MIN + 1), np.nan, np.full(len(frame), np.nan)
    for row, value in enumerate(np.log1p(counts).tolist()):
        if not hole[row]:
            mean = value if np.isnan(mean) else mean + weight * (value - mean)
            smoothed[row] = mean
    return smoothed
