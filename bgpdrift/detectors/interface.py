"""What every detector is: a pure function from a group's windows to scores. Names and shapes only.

A detector knows its learned content and nothing else: no clock, no file, no store. Where windows come from and where
scores go is the services' affair; what a score is worth (its p-value) is `bgpdrift.verdicts.calibration`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bgpdrift.store.window_columns import FEATURE_NAMES, QUALITY_NAMES

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MINUTE_S = 60
WARMING, INCOMPLETE, FEED_GAP = "warming", "incomplete", "feed_gap"
"""Reasons a detector may give for having no opinion on a window; "" means it has one."""
PEER_RESET = "peer_reset"
"""A table transfer: what it explains is reported with the rules, and is no alarm."""
UNKNOWN_COLLECTOR = "unknown_collector"
"""The model was not trained on this collector or peer and cannot know what is usual there."""
DROPPED = "dropped"
EXCLUDED = "excluded"
"""Mark that a trainer sets on windows inside incidents and labelled anomalies; never a column of the store."""
CLEAN_MARKS = (INCOMPLETE, FEED_GAP, DROPPED, PEER_RESET, WARMING, EXCLUDED)
"""Marks that keep a window out of training and out of calibration."""


@dataclass(frozen=True, slots=True)
class WindowFrame:
    """Windows of one (collector, peer) in time order; the first rows are history, the rest are to be scored.

    Attributes
    ----------
    collector, peer : str
        The group; peer "" is the whole collector.
    window_start : ndarray of int, shape (n,)
        Epoch seconds, strictly increasing, multiples of 60. Minutes may be missing.
    features : mapping of str to ndarray of float, shape (n,)
        By column name. A data source may know only some of the columns: rules that need another abstain, and a model
        that was trained on another refuses.
    quality : mapping of str to ndarray of float, shape (n,)
        Quality marks; one that is absent counts as 0.
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

    def mark(self, name: str) -> npt.NDArray[np.bool_]:
        """Where a quality mark is set."""
        values = self.quality.get(name)
        return np.zeros(len(self), bool) if values is None else values > 0

    @property
    def clean(self) -> npt.NDArray[np.bool_]:
        """Where no mark keeps the window out of training."""
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


@dataclass(frozen=True, slots=True)
class Scores:
    """One opinion a window, aligned with `WindowFrame.to_score`.

    Attributes
    ----------
    window_start : ndarray of int
        Epoch seconds.
    score : ndarray of float
        Larger is more unusual; comparable only within one model version. 0 where the detector abstains.
    abstained : tuple of str
        Why there is no opinion; "" where there is one.
    rules_fired : tuple of list of dict
        ``{"rule", "value", "threshold", "usual", "minutes", "sufficient", "meaning"}``, strongest first, and
        ``"explained_by"`` on those that count for nothing because a quality mark explains them.
    top_features : tuple of list of dict
        ``{"feature", "usual", "present", "weight"}``: what spoke most for "unusual", also below an alarm.
    embedding : ndarray of float, shape (n, k), or None
        The model's own short description of each window, of detectors that have one; 0 where it abstains.
    actionable : ndarray of bool, shape (n,), or None
        Where there is something to act on; elsewhere a minute is no alarm, however rare its score. None is everywhere.
    """

    window_start: IntArray
    score: FloatArray
    abstained: tuple[str, ...]
    rules_fired: tuple[list[dict[str, Any]], ...]
    top_features: tuple[list[dict[str, Any]], ...]
    embedding: FloatArray | None = None
    actionable: npt.NDArray[np.bool_] | None = None

    def may_alarm(self, row: int) -> bool:
        """Whether a window, counted from the first to be scored, can be an alarm at all."""
        return not self.abstained[row] and (self.actionable is None or bool(self.actionable[row]))


class Detector(Protocol):
    """A model's forward pass."""

    @property
    def name(self) -> str:
        """``heuristic``, ``isolation_forest`` or ``lstm``."""
        ...

    @property
    def history_minutes(self) -> int:
        """Minutes before a window that its score may depend on; older ones never matter."""
        ...

    def score(self, windows: WindowFrame) -> Scores:
        """Score every window from ``windows.first`` on; the same whatever the batch it comes in."""
        ...


@dataclass(frozen=True, slots=True)
class ModelContent:
    """What a detector learned, without where it is kept: `bgpdrift.models.artifact` makes it a file.

    Attributes
    ----------
    model : str
        Name of the detector.
    feature_names : tuple of str
        Columns it reads, in the order its arrays mean.
    arrays : mapping of str to ndarray
        Learned numbers.
    hyper_parameters : mapping
        What was chosen rather than learned; JSON.
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
        As the store gives them; a minute that comes twice keeps its last row. Columns absent from the first row are absent.
    first : int
        How many of the earliest rows are history.

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
