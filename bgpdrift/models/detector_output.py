"""What a detector says of some windows as its service would say it, and how two of them are held against each other.

A model that alarms all the time finds every anomaly and is worth nothing: an injected anomaly counts as found only in
minutes in which the same model is quiet without it, and an alarm that does not end counts again every hour. Decides
nothing about a model; the gate and probation do.
"""

import math
from dataclasses import dataclass

import numpy as np

from bgpdrift.detectors.interface import MINUTE_S, BoolArray, Detector, FloatArray, IntArray, Scores, WindowFrame
from bgpdrift.settings import Settings
from bgpdrift.verdicts.calibration import Calibration
from bgpdrift.verdicts.ensemble import Vote
from bgpdrift.verdicts.quality import episodes

EPISODE_MIN = 60
"""An alarm that lasts longer counts once more for every such stretch it begins."""


@dataclass(frozen=True, slots=True)
class DetectorOutput:
    """A detector's opinions on the windows of one group, aligned with them."""

    scores: Scores
    p_values: FloatArray
    is_alarm: BoolArray
    alarm_p: float
    """P-value up to which it alarms."""

    @classmethod
    def of(
        cls, detector: Detector, calibration: Calibration, frame: WindowFrame, settings: Settings
    ) -> "DetectorOutput":
        """Let a detector speak on the windows to be scored, as its service does."""
        scores = detector.score(frame)
        silent = np.array([bool(reason) for reason in scores.abstained], bool)
        p_values = np.where(silent, 1.0, calibration.p_value(scores.score))
        limit = calibration.alarm_p(settings.detectors.false_alarms_per_day)
        heard = np.array([scores.may_alarm(row) for row in range(len(silent))], bool)
        return cls(scores, p_values, heard & (p_values <= limit), limit)

    def vote(self, row: int) -> Vote:
        """What the ensemble hears."""
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
    def spoken(self) -> BoolArray:
        """Where it has an opinion."""
        return np.array([not reason for reason in self.scores.abstained], bool)


class CalmAlarms:
    """In which minutes a model alarms as things are, by group: what an injected anomaly is held against."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], tuple[IntArray, BoolArray]] = {}

    def add(self, frame: WindowFrame, voice: DetectorOutput) -> None:
        """Remember what it says of the windows to be scored of a group."""
        self._known[frame.collector, frame.peer] = (frame.to_score, voice.is_alarm)

    def at(self, frame: WindowFrame) -> BoolArray:
        """Whether it alarms in each of the minutes to be scored of a frame; one never seen is quiet."""
        starts, alarms = self._known.get((frame.collector, frame.peer), (np.zeros(0, np.int64), np.zeros(0, bool)))
        if not len(starts):
            return np.zeros(len(frame.to_score), bool)
        rows = np.minimum(np.searchsorted(starts, frame.to_score), len(starts) - 1)
        return np.asarray((starts[rows] == frame.to_score) & alarms[rows])


def find_new_alarms(voice: DetectorOutput, calm: BoolArray) -> BoolArray:
    """Minutes in which a model alarms with an anomaly, and would be quiet without it."""
    return np.asarray(voice.is_alarm & ~calm)


def count_episodes(window_start: IntArray, alarms: BoolArray) -> int:
    """Count alarm episodes; one that does not end counts once for every hour of it.

    Examples
    --------
    >>> minutes = 60 * np.arange(1_440)
    >>> count_episodes(minutes, minutes == 600), count_episodes(minutes, minutes >= 0)
    (1, 24)
    """
    starts = np.asarray(window_start)
    lengths = (int(starts[last] - starts[first]) // MINUTE_S + 1 for first, last in episodes(starts, alarms))
    return sum(math.ceil(length / EPISODE_MIN) for length in lengths)
