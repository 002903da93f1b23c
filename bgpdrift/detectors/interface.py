"""The interface of every detector: a pure function from the windows of one group to scores.

A detector knows its learned content and nothing else: no clock, no file, no store. The services read windows and write
scores. `bgpdrift.verdicts.calibration` turns a score into a p-value.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bgpdrift.store.window_columns import FEATURE_NAMES, QUALITY_NAMES

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

MINUTE_S = 60
WARMING, INCOMPLETE, FEED_GAP = "warming", "incomplete", "feed_gap"
"""Reasons for which a detector may abstain on a window; "" means that it does not abstain."""
PEER_RESET = "peer_reset"
"""A table transfer. The rules that it explains are reported and raise no alarm."""
UNKNOWN_COLLECTOR = "unknown_collector"
"""The model was not trained on this collector or peer and has no baseline for it."""
DROPPED = "dropped"
EXCLUDED = "excluded"
"""Mark that a trainer sets on windows inside incidents and labelled anomalies; never a column of the store."""
CLEAN_MARKS = (INCOMPLETE, FEED_GAP, DROPPED, PEER_RESET, WARMING, EXCLUDED)
"""Marks that keep a window out of training and out of calibration."""


@dataclass(frozen=True, slots=True)
class WindowFrame:
    """Windows of one (collector, peer) in time order. The first rows are history; the rest are to be scored.

    Attributes
    ----------
    collector, peer : str
        The group; an empty peer means the whole collector.
    window_start : ndarray of int, shape (n,)
        Epoch seconds, strictly increasing, multiples of 60. Minutes may be missing.
    features : mapping of str to ndarray of float, shape (n,)
        By column name. A data source may have only some of the columns: a rule that needs another column abstains, and
        a model that was trained on another column refuses the frame.
    quality : mapping of str to ndarray of float, shape (n,)
        Quality marks; an absent mark counts as 0.
    first : int
        Rows before this index are history and get no score.
    """

    collector: str
    peer: str
    window_start: IntArray
    features: Mapping[str, FloatArray]
    quality: Mapping[str, FloatArray]
    first: int = 0

    def __len__(self) -> int:
        return len(self.window_start)

    @property
    def to_score(self) -> IntArray:
        """Start of every window that is to be scored."""
        return self.window_start[self.first :]

    def mark(self, name: str) -> BoolArray:
        """Rows on which a quality mark is set."""
        values = self.quality.get(name)
        return np.zeros(len(self), bool) if values is None else values > 0

    @property
    def clean(self) -> BoolArray:
        """Rows that no mark keeps out of training."""
        return np.asarray(~np.logical_or.reduce([self.mark(name) for name in CLEAN_MARKS]))

    def rows(self, begin: int, end: int, first: int) -> "WindowFrame":
        """Cut out rows; ``first`` counts within the cut."""
        return WindowFrame(
            self.collector,
            self.peer,
            self.window_start[begin:end],
            {name: values[begin:end] for name, values in self.features.items()},
            {name: values[begin:end] for name, values in self.quality.items()},
            first,
        )

    def split_at_gaps(self, history_minutes: int) -> "list[WindowFrame]":
        """Split at gaps longer than a detector's history, and drop the parts without a window to score.

        Two separate years then need no grid of all the minutes between them.

        Examples
        --------
        >>> starts = np.array([0, 60, 1_000_000])
        >>> [len(part) for part in WindowFrame("rrc00", "", starts, {}, {}).split_at_gaps(240)]
        [2, 1]
        """
        if not len(self):
            return []
        gaps = np.flatnonzero(np.diff(self.window_start) > history_minutes * MINUTE_S) + 1
        edges = [0, *gaps.tolist(), len(self)]
        return [
            self.rows(begin, end, max(self.first - begin, 0))
            for begin, end in itertools.pairwise(edges)
            if end > self.first
        ]


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of the windows of a frame, aligned with `WindowFrame.to_score`.

    Attributes
    ----------
    window_start : ndarray of int, shape (n,)
        Epoch seconds.
    score : ndarray of float, shape (n,)
        Larger is more unusual. Comparable only within one model version. 0 where the detector abstains.
    abstained : tuple of str
        Reason for which the detector abstains; "" where it does not.
    rules_fired : tuple of list of dict
        ``{"rule", "value", "threshold", "baseline", "minutes", "unit", "sufficient", "meaning"}``, strongest first. A
        rule that a quality mark explains also has ``"explained_by"`` and counts for nothing.
    top_features : tuple of list of dict
        ``{"feature", "baseline", "present", "weight"}`` of the features that contribute most, also below an alarm.
    embedding : ndarray of float, shape (n, k), or None
        The latent vector of each window, of detectors that have one; 0 where the detector abstains.
    actionable : ndarray of bool, shape (n,), or None
        Windows that may be alarms. Other windows are no alarms, however rare their score. None means all.
    """

    window_start: IntArray
    score: FloatArray
    abstained: tuple[str, ...]
    rules_fired: tuple[list[dict[str, Any]], ...]
    top_features: tuple[list[dict[str, Any]], ...]
    embedding: FloatArray | None = None
    actionable: BoolArray | None = None

    def may_alarm(self, row: int) -> bool:
        """Whether a window, counted from the first one to score, can be an alarm."""
        return not self.abstained[row] and (self.actionable is None or bool(self.actionable[row]))

    @classmethod
    def join(cls, parts: "Sequence[Scores]") -> "Scores":
        """Join the scores of consecutive parts of a frame."""
        embeddings = [part.embedding for part in parts if part.embedding is not None]
        actionable = [part.actionable for part in parts if part.actionable is not None]
        return cls(
            np.concatenate([part.window_start for part in parts]) if parts else np.zeros(0, np.int64),
            np.concatenate([part.score for part in parts]) if parts else np.zeros(0),
            tuple(reason for part in parts for reason in part.abstained),
            tuple(fired for part in parts for fired in part.rules_fired),
            tuple(top for part in parts for top in part.top_features),
            np.concatenate(embeddings) if embeddings and len(embeddings) == len(parts) else None,
            np.concatenate(actionable) if actionable and len(actionable) == len(parts) else None,
        )


class Detector(Protocol):
    """The forward pass of a model."""

    @property
    def name(self) -> str:
        """Name of the model, as in `bgpdrift.detector_registry`."""
        ...

    @property
    def history_minutes(self) -> int:
        """Minutes before a window that its score may depend on; older windows never matter."""
        ...

    def score(self, windows: WindowFrame) -> Scores:
        """Score every window from ``windows.first`` on; the batch in which a window comes does not matter."""
        ...


@dataclass(frozen=True, slots=True)
class ModelContent:
    """What a trainer learned, independent of its file format; `bgpdrift.models.artifact` makes it a file.

    Attributes
    ----------
    model : str
        Name of the detector.
    feature_names : tuple of str
        Columns that the model reads, in the order of its arrays.
    arrays : mapping of str to ndarray
        Learned numbers.
    hyper_parameters : mapping
        Values that were chosen rather than learned; JSON.
    """

    model: str
    feature_names: tuple[str, ...]
    arrays: Mapping[str, npt.NDArray[Any]]
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)


def frame_from_rows(rows: Sequence[Mapping[str, Any]], first: int = 0) -> WindowFrame:
    """Turn window rows of one group, in any order, into a frame.

    Parameters
    ----------
    rows : sequence of mapping
        Rows as the store returns them. The last row of a minute counts. A column that the first row lacks is absent.
    first : int
        Number of the earliest rows that are history.

    Examples
    --------
    >>> frame = frame_from_rows([{"window_start": 60, "collector": "rrc00", "peer": "", "messages": 3, "feed_gap": 1}])
    >>> frame.features["messages"], frame.mark("feed_gap")
    (array([3.]), array([ True]))
    """
    ordered = sorted(rows, key=lambda row: int(row["window_start"]))
    sample: Mapping[str, Any] = ordered[0] if ordered else {}

    def column(name: str) -> FloatArray:
        return np.fromiter((row[name] for row in ordered), np.float64, len(ordered))

    starts = np.fromiter((row["window_start"] for row in ordered), np.int64, len(ordered))
    frame = WindowFrame(
        str(sample.get("collector", "")),
        str(sample.get("peer", "")),
        starts,
        {name: column(name) for name in FEATURE_NAMES if name in sample},
        {name: column(name) for name in QUALITY_NAMES if name in sample},
        first,
    )
    last_of_minute = np.append(starts[1:] != starts[:-1], True) if len(starts) else np.zeros(0, bool)
    if last_of_minute.all():
        return frame
    keep = np.flatnonzero(last_of_minute)
    return WindowFrame(
        frame.collector,
        frame.peer,
        starts[keep],
        {name: values[keep] for name, values in frame.features.items()},
        {name: values[keep] for name, values in frame.quality.items()},
        int(np.searchsorted(keep, first)),
    )
