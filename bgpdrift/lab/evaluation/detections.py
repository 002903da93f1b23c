"""Minute-by-minute results of a detector and of the ensemble, computed as the services do, without store and clock.

An alarm follows the rule of the services: a p-value within the alarm budget (for the heuristic, also a rule that fires or
nearly fires), then k of the last n minutes. `bgpdrift.verdicts.ensemble.decide` decides for the ensemble. A minute without a
vote has the score ``-inf`` and no alarm; `bgpdrift.verdicts.quality` gives the reason. With several collectors, a minute has the
values of the collector where it is most unusual.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bgpdrift.detectors.interface import PEER_RESET, BoolArray, FloatArray, IntArray, WindowFrame
from bgpdrift.models.detector_output import DetectorOutput
from bgpdrift.verdicts.calibration import P_FLOOR
from bgpdrift.verdicts.ensemble import EnsemblePolicy, Vote, decide, passes_debounce

ENSEMBLE = "ensemble"


@dataclass(frozen=True, slots=True)
class Detections:
    """Results of every minute; all arrays have the shape (n,).

    Attributes
    ----------
    window_start : ndarray of int
        Epoch seconds.
    score : ndarray of float
        Ranks the minutes: a larger score is more unusual, ``-inf`` is a minute without a vote.
    surprisal : ndarray of float
        −log10 p, for the ensemble the combined value; 0 without a vote.
    alarms : ndarray of bool
        Alarms after debounce.
    limit : float
        Surprisal from which a minute counts before debounce; NaN if it depends on the votes.
    """

    window_start: IntArray
    score: FloatArray
    surprisal: FloatArray
    alarms: BoolArray
    limit: float = np.nan

    @property
    def abstained(self) -> int:
        """Number of minutes without a vote."""
        return int(np.isneginf(self.score).sum())


def detect_alone(output: DetectorOutput, policy: EnsemblePolicy) -> Detections:
    """Compute the results of one detector, as if there were no other."""
    starts = output.scores.window_start
    abstains = np.array([bool(reason) for reason in output.scores.abstained], bool)
    return Detections(
        starts,
        np.where(abstains, -np.inf, output.scores.score),
        -np.log10(np.maximum(output.p_values, P_FLOOR)),
        debounce(starts, output.is_alarm, policy),
        float(-np.log10(output.alarm_p)),
    )


def detect_together(
    outputs: Mapping[str, DetectorOutput], absent: Mapping[str, str], frame: WindowFrame, policy: EnsemblePolicy
) -> Detections:
    """Compute the results of the ensemble for the windows of one group that are to be scored.

    Parameters
    ----------
    outputs : mapping of detector to DetectorOutput
        Detectors that could be trained.
    absent : mapping of detector to str
        The other detectors, which abstain, with the reason.
    frame : WindowFrame
        The windows; minutes with a table transfer are marked.
    policy : EnsemblePolicy
        Policy of the ensemble coordinator.
    """
    abstentions = {name: Vote(abstained=reason) for name, reason in absent.items()}
    has_reset = frame.mark(PEER_RESET)[frame.first :]
    verdicts = [
        decide({**{name: out.vote(row) for name, out in outputs.items()}, **abstentions}, policy, bool(has_reset[row]))
        for row in range(len(has_reset))
    ]
    exceeds = np.array([verdict.exceeds for verdict in verdicts], bool)
    has_vote = np.array([bool(verdict.p_values) for verdict in verdicts], bool)
    combined = np.array([verdict.combined for verdict in verdicts], np.float64)
    return Detections(
        frame.to_score,
        np.where(has_vote, combined, -np.inf),
        combined,
        debounce(frame.to_score, exceeds, policy),
    )


def debounce(window_start: IntArray, exceeds: BoolArray, policy: EnsemblePolicy) -> BoolArray:
    """Debounce every minute as the ensemble coordinator does.

    Examples
    --------
    >>> debounce(60 * np.arange(4), np.array([True, False, True, True]), EnsemblePolicy({})).tolist()
    [False, False, True, True]
    """
    minutes = list(zip(np.asarray(window_start).tolist(), np.asarray(exceeds).tolist(), strict=True))
    alarms = [
        passes_debounce(minutes[max(0, row + 1 - policy.debounce_n) : row + 1], start, policy)
        for row, (start, _) in enumerate(minutes)
    ]
    return np.array(alarms, bool)


def merge_groups(groups: Sequence[Detections]) -> Detections:
    """Merge the results of several groups minute by minute: an alarm in one group is an alarm.

    Examples
    --------
    >>> one = Detections(np.array([0, 60]), np.array([1.0, 2.0]), np.zeros(2), np.array([False, True]))
    >>> other = Detections(np.array([60, 120]), np.array([5.0, -np.inf]), np.zeros(2), np.array([False, False]))
    >>> both = merge_groups([one, other])
    >>> both.score.tolist(), both.alarms.tolist()
    ([1.0, 5.0, -inf], [False, True, False])
    """
    starts = np.unique(np.concatenate([group.window_start for group in groups]))
    score, surprisal = np.full(len(starts), -np.inf), np.zeros(len(starts))
    alarms = np.zeros(len(starts), bool)
    for group in groups:
        at = np.searchsorted(starts, group.window_start)
        score[at] = np.maximum(score[at], group.score)
        surprisal[at] = np.maximum(surprisal[at], group.surprisal)
        alarms[at] |= group.alarms
    return Detections(starts, score, surprisal, alarms, min(group.limit for group in groups))
