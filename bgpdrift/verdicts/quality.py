"""Measures the quality of a detector on labelled minutes: ranking, minutes, delay and false alarms, as pure functions.

This module decides what counts as a hit, as late and as a false alarm. The caller provides scores and alarms. Conventions:

- A minute without a vote is the calmest: score ``-inf``, no alarm. Within a labelled span it is a miss.
- An *alarm episode* is a run of alarmed minutes with fewer than 15 quiet minutes between them; missing minutes are quiet.
- An alarm episode that *begins* on an unlabelled minute is a false alarm, even if it continues into a labelled span: the
  operator was alerted before anything had happened. An episode that begins within a span and extends beyond it is not a
  second alarm; its extra minutes lower the precision and count in ``false_minutes_per_day``.
"""

import itertools
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import MINUTE_S, FloatArray, IntArray
from bgpdrift.errors import InputError
from bgpdrift.verdicts.calibration import MINUTES_A_DAY

BoolArray = npt.NDArray[np.bool_]
QUIET_MIN = 15
"""An alarm episode ends after so many quiet minutes, as an incident does in the correlation engine."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Quality figures; None where a figure is undefined (no labelled minute, no alarm, no calm minute).

    Attributes
    ----------
    auc : float or None
        Area under the ROC curve of the scores.
    f1, precision, recall : float or None
        Over minutes, with the alarms as deployed.
    first_alarm_minutes : float or None
        From the start of a labelled span to the end of its first alarmed minute, so at least 1; with several spans, the
        median over those with an alarm (see `spans_alarmed`).
    false_alarms_per_day : float or None
        False alarms per day of unlabelled minutes.
    false_minutes_per_day : float or None
        Alarmed unlabelled minutes per day of unlabelled minutes.
    spans, spans_alarmed : int
        Labelled spans, and those with an alarmed minute.
    false_alarms : int
        Alarm episodes that begin on an unlabelled minute.
    minutes, labelled_minutes, alarmed_minutes : int
        Sample sizes.
    """

    auc: float | None
    f1: float | None
    precision: float | None
    recall: float | None
    first_alarm_minutes: float | None
    false_alarms_per_day: float | None
    false_minutes_per_day: float | None
    spans: int
    spans_alarmed: int
    false_alarms: int
    minutes: int
    labelled_minutes: int
    alarmed_minutes: int

    def as_fields(self) -> dict[str, float | int | None]:
        """Return the figures by name."""
        return asdict(self)


def roc_auc(scores: FloatArray, truth: BoolArray) -> float | None:
    """Return the probability that a labelled minute scores above an unlabelled one; a tie counts one half.

    Parameters
    ----------
    scores : ndarray of float, shape (n,)
        Larger is more unusual; infinities are allowed, NaN is not.
    truth : ndarray of bool, shape (n,)
        Labelled minutes.

    Returns
    -------
    float or None
        None unless there are labelled and unlabelled minutes.

    Raises
    ------
    InputError
        A score is NaN, or the lengths differ.

    Examples
    --------
    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    >>> roc_auc(np.zeros(4), np.array([False, False, True, True]))
    0.5
    """
    values, positive = _aligned(scores, truth)
    n_positive = int(positive.sum())
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return None
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mid_rank = last - (counts - 1) / 2.0  # ranks start at 1; equal scores share the mean of their ranks
    rank_sum = float(mid_rank[inverse][positive].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2.0) / (n_positive * n_negative)


def episodes(window_start: IntArray, alarms: BoolArray, quiet_min: int = QUIET_MIN) -> list[tuple[int, int]]:
    """Join alarmed minutes to alarm episodes.

    Parameters
    ----------
    window_start : ndarray of int, shape (n,)
        Epoch seconds, strictly increasing; minutes may be missing.
    alarms : ndarray of bool, shape (n,)
        Alarmed minutes.
    quiet_min : int
        An episode ends after so many minutes without an alarm.

    Returns
    -------
    list of (int, int)
        First and last row of each episode, both alarmed.

    Examples
    --------
    >>> minutes = np.array([0, 1, 2, 17, 33]) * 60
    >>> episodes(minutes, np.array([False, True, True, True, True]))  # 14 quiet minutes, then 15
    [(1, 3), (4, 4)]
    """
    rows = np.flatnonzero(alarms)
    if not len(rows):
        return []
    quiet = np.diff(np.asarray(window_start)[rows]) // MINUTE_S - 1
    cuts = np.flatnonzero(quiet >= quiet_min) + 1
    edges = [0, *cuts.tolist(), len(rows)]
    return [(int(rows[begin]), int(rows[end - 1])) for begin, end in itertools.pairwise(edges)]


def labelled_spans(truth: BoolArray) -> list[tuple[int, int]]:
    """Return the first and last row of each run of labelled rows; a missing minute has no row and ends no run.

    Examples
    --------
    >>> labelled_spans(np.array([False, True, True, False]))
    [(1, 2)]
    """
    edges = np.diff(np.concatenate([[0], np.asarray(truth, np.int8), [0]]))
    begins, ends = np.flatnonzero(edges > 0), np.flatnonzero(edges < 0) - 1
    return [(int(begin), int(end)) for begin, end in zip(begins, ends, strict=True)]


def figures(window_start: IntArray, scores: FloatArray, alarms: BoolArray, truth: BoolArray) -> Figures:
    """Measure the quality of a detector on labelled minutes.

    Parameters
    ----------
    window_start : ndarray of int, shape (n,)
        Epoch seconds, strictly increasing.
    scores : ndarray of float, shape (n,)
        ``-inf`` where the detector abstained.
    alarms : ndarray of bool, shape (n,)
        With the deployed threshold and debounce.
    truth : ndarray of bool, shape (n,)
        Labelled minutes.

    Examples
    --------
    >>> minutes = 60 * np.arange(100)
    >>> truth = (minutes >= 3000) & (minutes < 3600)
    >>> alarms = (minutes >= 3120) & (minutes < 3720)
    >>> result = figures(minutes, alarms.astype(float), alarms, truth)
    >>> result.precision, result.recall, result.first_alarm_minutes, result.false_alarms_per_day
    (0.8, 0.8, 3.0, 0.0)
    """
    starts, alarmed = np.asarray(window_start, np.int64), np.asarray(alarms, np.bool_)
    _, positive = _aligned(scores, truth)
    if not len(starts) == len(alarmed) == len(positive):
        raise InputError(
            f"quality: expected one alarm and one label per minute, found {len(starts)} minutes, {len(alarmed)} alarms, "
            f"{len(positive)} labels"
        )
    if (np.diff(starts) <= 0).any():
        raise InputError("quality: expected strictly increasing minutes, found a repetition or a step back")
    hits, n_alarms, n_positive = int((alarmed & positive).sum()), int(alarmed.sum()), int(positive.sum())
    calm_days = (len(starts) - n_positive) / MINUTES_A_DAY
    spans = labelled_spans(positive)
    delays = [
        float(starts[begin + first] + MINUTE_S - starts[begin]) / MINUTE_S
        for begin, end in spans
        if (first := _first(alarmed[begin : end + 1])) is not None
    ]
    false_alarms = sum(not positive[begin] for begin, _ in episodes(starts, alarmed))
    return Figures(
        auc=roc_auc(scores, positive),
        f1=2 * hits / (n_alarms + n_positive) if n_positive else None,
        precision=hits / n_alarms if n_alarms and n_positive else None,
        recall=hits / n_positive if n_positive else None,
        first_alarm_minutes=float(np.median(delays)) if delays else None,
        false_alarms_per_day=false_alarms / calm_days if calm_days else None,
        false_minutes_per_day=(n_alarms - hits) / calm_days if calm_days else None,
        spans=len(spans),
        spans_alarmed=len(delays),
        false_alarms=false_alarms,
        minutes=len(starts),
        labelled_minutes=n_positive,
        alarmed_minutes=n_alarms,
    )


def _first(alarmed: BoolArray) -> int | None:
    return int(alarmed.argmax()) if alarmed.any() else None


def _aligned(scores: FloatArray, truth: BoolArray) -> tuple[FloatArray, BoolArray]:
    values, positive = np.asarray(scores, np.float64), np.asarray(truth, np.bool_)
    if values.shape != positive.shape or values.ndim != 1:
        raise InputError(
            f"quality: expected one score per label, found scores of shape {values.shape}, labels of shape {positive.shape}"
        )
    if np.isnan(values).any():
        raise InputError(f"quality: expected numbers (-inf for an abstention), found {int(np.isnan(values).sum())} NaN")
    return values, positive
