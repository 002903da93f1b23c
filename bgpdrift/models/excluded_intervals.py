"""Stretches of time that labels and incidents cover, and the windows they exclude from training.

Windows inside incidents (with a margin) and labelled anomalies get the mark `EXCLUDED`. An incident that a person labelled
as a false alarm or a new normal is training data, all of it, also while it is open, so that the next model does not alarm
on it again. `retrainers.span` decides which windows are read.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bgpdrift.detectors.interface import CLEAN_MARKS, EXCLUDED, MINUTE_S, BoolArray, WindowFrame
from bgpdrift.store.outcomes import Outcome
from bgpdrift.store.window_columns import QUALITY_NAMES

ANOMALOUS = frozenset({"true_positive", "missed"})
NORMAL = frozenset({"false_positive", "new_normal"})
QUALITY_MARKS = tuple(name for name in QUALITY_NAMES if name in CLEAN_MARKS)


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time at some collectors.

    Attributes
    ----------
    start, end : int
        ``[start, end)``, epoch seconds.
    collectors : frozenset of str
        Empty means all.
    label : str
        ``incident``, or the label of an outcome.
    incident_id : int or None
        The incident it is or is about; None for a label of a range.
    """

    start: int
    end: int
    collectors: frozenset[str]
    label: str
    incident_id: int | None = None

    def rows(self, frame: WindowFrame, margin_s: float = 0.0) -> BoolArray:
        """Return the windows of a frame that overlap with it."""
        if self.collectors and frame.collector not in self.collectors:
            return np.zeros(len(frame), bool)
        starts = frame.window_start
        return np.asarray((starts + MINUTE_S > self.start - margin_s) & (starts < self.end + margin_s))


def build_label_intervals(outcomes: Iterable[Outcome], incidents: Iterable[Mapping[str, Any]]) -> list[Interval]:
    """Turn labels into intervals; of several labels of one incident the latest counts."""
    collectors = {row["id"]: frozenset(row["collectors"]) for row in incidents}
    latest: dict[Any, Outcome] = {}
    for number, outcome in enumerate(sorted(outcomes, key=lambda outcome: (outcome.labelled_at or 0.0, outcome.id))):
        latest[outcome.incident_id if outcome.incident_id is not None else ("range", number)] = outcome
    return [
        Interval(
            outcome.starts_at,
            outcome.ends_at,
            frozenset({outcome.collector}) if outcome.collector else collectors.get(outcome.incident_id, frozenset()),
            outcome.label,
            outcome.incident_id,
        )
        for outcome in latest.values()
    ]


def build_incident_intervals(
    incidents: Iterable[Mapping[str, Any]], labels: Sequence[Interval], end: int
) -> list[Interval]:
    """Turn incidents into intervals, without those that a person labelled as normal.

    The label applies to the whole incident and to what was merged into it, however long it lasts after the label was
    given. An open incident lasts to ``end``.
    """
    normal = {label.incident_id for label in labels if label.label in NORMAL and label.incident_id is not None}
    intervals = []
    for row in incidents:
        if not {row["id"], row["merged_into"]}.isdisjoint(normal):
            continue
        is_open = row["state"] != "closed" and row["merged_into"] is None
        begin, last = int(row["started_at"]), end if is_open else int(row["last_seen_at"]) + MINUTE_S
        intervals.append(Interval(begin, last, frozenset(row["collectors"]), "incident", int(row["id"])))
    return intervals


def find_excluded_intervals(
    incidents: Sequence[Mapping[str, Any]], outcomes: Iterable[Outcome], end: int
) -> list[Interval]:
    """Find the intervals that may not be used for training: incidents and labelled anomalies.

    Parameters
    ----------
    incidents : sequence of mapping
        Rows of ``incidents``.
    outcomes : iterable of Outcome
        Labels.
    end : int
        Event time to which an open incident lasts.
    """
    labels = build_label_intervals(outcomes, incidents)
    return [
        *build_incident_intervals(incidents, labels, end),
        *(label for label in labels if label.label in ANOMALOUS),
    ]


def mark_excluded(
    frames: Sequence[WindowFrame], incidents: Sequence[Interval], labels: Sequence[Interval], margin_s: float
) -> tuple[list[WindowFrame], dict[str, int]]:
    """Mark the windows that may not be used for training, and count them by reason; the first reason counts.

    Returns
    -------
    frames : list of WindowFrame
        With the mark `EXCLUDED`.
    counts : dict of str to int
        Includes the windows that a quality mark excluded before.
    """
    counts: Counter[str] = Counter()
    marked = []
    for frame in frames:
        anomalous = _overlapping(frame, [label for label in labels if label.label in ANOMALOUS], margin_s)
        incident = _overlapping(frame, incidents, margin_s)
        uncounted = np.ones(len(frame), bool)
        for reason, rows in (
            ("labelled anomaly", anomalous),
            ("incident", incident),
            *((name, frame.mark(name)) for name in QUALITY_MARKS),
        ):
            counts[reason] += int((rows & uncounted).sum())
            uncounted &= ~rows
        quality = {**frame.quality, EXCLUDED: (anomalous | incident).astype(np.float64)}
        marked.append(replace(frame, quality=quality))
    return marked, {reason: count for reason, count in counts.items() if count}


def _overlapping(frame: WindowFrame, intervals: Iterable[Interval], margin_s: float) -> BoolArray:
    rows = np.zeros(len(frame), bool)
    for interval in intervals:
        rows |= interval.rows(frame, margin_s)
    return rows
