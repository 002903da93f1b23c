"""The output of a detector on some windows, as its service would produce it, and the alarms that injected anomalies cause.

A model that alarms all the time would find every anomaly. Therefore an injected anomaly counts as found only in minutes in which
the same model raises no alarm without it, and an alarm that does not end counts again every hour. The gate and probation
judge the counts.
"""

import math
from dataclasses import dataclass

import numpy as np

from bgpdrift.detectors.interface import MINUTE_S, BoolArray, Detector, FloatArray, IntArray, Scores, WindowFrame
from bgpdrift.settings import Settings
from bgpdrift.verdicts.calibration import Calibration
from bgpdrift.verdicts.ensemble import Vote
from bgpdrift.verdicts.quality import episodes

EPISODE_MINUTES = 60
"""A longer alarm episode counts once for every such stretch that it begins."""


@dataclass(frozen=True, slots=True)
class DetectorOutput:
    """Scores, p-values and alarms of one detector on the rows to score of one frame."""

    scores: Scores
    p_values: FloatArray
    is_alarm: BoolArray
    alarm_p: float
    """Largest p-value that is an alarm."""

    @classmethod
    def of(
        cls, detector: Detector, calibration: Calibration, frame: WindowFrame, settings: Settings
    ) -> "DetectorOutput":
        """Score the rows of a frame, as the detector's service does."""
        scores = detector.score(frame)
        abstains = np.array([bool(reason) for reason in scores.abstained], bool)
        p_values = np.where(abstains, 1.0, calibration.p_value(scores.score))
        alarm_p = calibration.alarm_p(settings.detectors.false_alarms_per_day)
        may_alarm = np.array([scores.may_alarm(row) for row in range(len(abstains))], bool)
        return cls(scores, p_values, may_alarm & (p_values <= alarm_p), alarm_p)

    def vote(self, row: int) -> Vote:
        """Return the vote of one row for the ensemble."""
        scores = self.scores
        return Vote(
            float(self.p_values[row]),
            bool(self.is_alarm[row]),
            scores.abstained[row],
            rules_fired=scores.rules_fired[row],
            top_features=scores.top_features[row],
            alarm_p=self.alarm_p,
        )

    @property
    def has_vote(self) -> BoolArray:
        """Rows in which the detector does not abstain."""
        return np.array([not reason for reason in self.scores.abstained], bool)


class CalmAlarms:
    """The minutes in which a model alarms without injected anomalies, by group."""

    def __init__(self) -> None:
        self._alarms: dict[tuple[str, str], tuple[IntArray, BoolArray]] = {}

    def add(self, frame: WindowFrame, output: DetectorOutput) -> None:
        """Keep the alarms of the rows to score of a group."""
        self._alarms[frame.collector, frame.peer] = (frame.to_score, output.is_alarm)

    def at(self, frame: WindowFrame) -> BoolArray:
        """Return for each row to score of a frame whether the model alarms in that minute; False for unknown minutes."""
        starts, alarms = self._alarms.get((frame.collector, frame.peer), (np.zeros(0, np.int64), np.zeros(0, bool)))
        if not len(starts):
            return np.zeros(len(frame.to_score), bool)
        rows = np.minimum(np.searchsorted(starts, frame.to_score), len(starts) - 1)
        return np.asarray((starts[rows] == frame.to_score) & alarms[rows])


def find_new_alarms(output: DetectorOutput, calm: BoolArray) -> BoolArray:
    """Find the minutes in which a model alarms with an anomaly and does not alarm without it."""
    return np.asarray(output.is_alarm & ~calm)


def count_episodes(window_start: IntArray, alarms: BoolArray) -> int:
    """Count alarm episodes; a long one counts once for every hour of it.

    Examples
    --------
    >>> minutes = 60 * np.arange(1_440)
    >>> count_episodes(minutes, minutes == 600), count_episodes(minutes, minutes >= 0)
    (1, 24)
    """
    starts = np.asarray(window_start)
    lengths = (int(starts[last] - starts[first]) // MINUTE_S + 1 for first, last in episodes(starts, alarms))
    return sum(math.ceil(length / EPISODE_MINUTES) for length in lengths)
