"""What a detector, and the ensemble of three, says of every minute: as the services would, without store and clock.

Alarms are those of the services: a p-value within the alarm budget (of the heuristic also a rule that fired or is about
to), then k of the last n minutes. The ensemble's are `bgpdrift.verdicts.ensemble.decide`'s. A detector without a vote
on a minute scores ``-inf`` and raises no alarm there (`bgpdrift.verdicts.quality` says why). Several groups (collectors)
are judged as the operator sees them: a minute is as unusual as at the collector where it is most unusual.
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
class Judged:
    """Minute by minute what was said; arrays of shape (n,).

    Attributes
    ----------
    window_start : ndarray of int
        Epoch seconds.
    score : ndarray of float
        Larger is more unusual, ``-inf`` without a vote: the ranking.
    surprisal : ndarray of float
        −log10 p, of the ensemble the combined one; 0 without a vote.
    alarms : ndarray of bool
        After debounce.
    limit : float
        Surprisal from which a minute counts as alarmed before debounce; NaN where it depends on who votes.
    """

    window_start: IntArray
    score: FloatArray
    surprisal: FloatArray
    alarms: BoolArray
    limit: float = np.nan

    @property
    def abstained(self) -> int:
        """Minutes without a vote."""
        return int(np.isneginf(self.score).sum())


def judge_alone(voice: DetectorOutput, policy: EnsemblePolicy) -> Judged:
    """A detector as if nobody else were there."""
    starts = voice.scores.window_start
    silent = np.array([bool(reason) for reason in voice.scores.abstained], bool)
    return Judged(
        starts,
        np.where(silent, -np.inf, voice.scores.score),
        -np.log10(np.maximum(voice.p_values, P_FLOOR)),
        k_of_n(starts, voice.is_alarm, policy),
        float(-np.log10(voice.alarm_p)),
    )


def judge_together(
    voices: Mapping[str, DetectorOutput], absent: Mapping[str, str], frame: WindowFrame, policy: EnsemblePolicy
) -> Judged:
    """The ensemble's verdicts on the windows to be scored of one group.

    Parameters
    ----------
    voices : mapping of detector to DetectorOutput
        Those that could be trained.
    absent : mapping of detector to str
        The others, and why: they abstain.
    frame : WindowFrame
        For the minutes with a table transfer.
    policy : EnsemblePolicy
        As the service has it.
    """
    silent = {name: Vote(abstained=reason) for name, reason in absent.items()}
    reset = frame.mark(PEER_RESET)[frame.first :]
    verdicts = [
        decide({**{name: voice.vote(row) for name, voice in voices.items()}, **silent}, policy, bool(reset[row]))
        for row in range(len(reset))
    ]
    exceeds = np.array([verdict.exceeds for verdict in verdicts], bool)
    heard = np.array([bool(verdict.p_values) for verdict in verdicts], bool)
    combined = np.array([verdict.combined for verdict in verdicts], np.float64)
    return Judged(
        frame.to_score,
        np.where(heard, combined, -np.inf),
        combined,
        k_of_n(frame.to_score, exceeds, policy),
    )


def k_of_n(window_start: IntArray, exceeds: BoolArray, policy: EnsemblePolicy) -> BoolArray:
    """Debounce every minute as the ensemble's service does.

    Examples
    --------
    >>> k_of_n(60 * np.arange(4), np.array([True, False, True, True]), EnsemblePolicy({})).tolist()
    [False, False, True, True]
    """
    minutes = list(zip(np.asarray(window_start).tolist(), np.asarray(exceeds).tolist(), strict=True))
    found = [
        passes_debounce(minutes[max(0, row + 1 - policy.debounce_n) : row + 1], start, policy)
        for row, (start, _) in enumerate(minutes)
    ]
    return np.array(found, bool)


def joined(groups: Sequence[Judged]) -> Judged:
    """Several groups as one, minute by minute: an alarm at one of them is an alarm.

    Examples
    --------
    >>> one = Judged(np.array([0, 60]), np.array([1.0, 2.0]), np.zeros(2), np.array([False, True]))
    >>> other = Judged(np.array([60, 120]), np.array([5.0, -np.inf]), np.zeros(2), np.array([False, False]))
    >>> both = joined([one, other])
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
    return Judged(starts, score, surprisal, alarms, min(group.limit for group in groups))
