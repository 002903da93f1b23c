"""What a model may learn from: the newest days in the store, without what was wrong in them.

Event time: the span ends with the newest window, not with the clock. Windows inside incidents (with a margin) and
labelled anomalies get the mark `EXCLUDED`; those with a quality mark carry it already. They stay in their frame, as
holes for those who learn and judge, and as they are for what people labelled. An incident that a person called a false
alarm or a new normal is training data, all of it, also while it goes on: that is how a detector learns not to cry again.
Decides what is left out and says so; where a span begins after a change `retrainers.after_change` decides, what is done
with it, others.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from sqlalchemy import select

from bgpdrift.detectors.interface import CLEAN_MARKS, EXCLUDED, INCOMPLETE, MINUTE_S, BoolArray, IntArray, WindowFrame
from bgpdrift.errors import NotEnoughDataError
from bgpdrift.formatting import format_time
from bgpdrift.store import Store
from bgpdrift.store.schema import outcomes as outcomes_table
from bgpdrift.store.window_columns import FEATURE_NAMES, QUALITY_NAMES
from retrainers.after_change import span_start

ANOMALOUS = frozenset({"true_positive", "missed"})
NORMAL = frozenset({"false_positive", "new_normal"})
_MARKS = tuple(name for name in QUALITY_NAMES if name in CLEAN_MARKS)
_COLUMNS = ("window_start", *FEATURE_NAMES, *_MARKS)


@dataclass(frozen=True, slots=True)
class Interval:
    """Some time at some collectors.

    Attributes
    ----------
    start, end : int
        ``[start, end)``, epoch seconds.
    collectors : frozenset of str
        Empty means all.
    label : str
        ``incident``, or the label of an outcome.
    incident_id : int or None
        Which incident it is or is about; None for a label of a range.
    """

    start: int
    end: int
    collectors: frozenset[str]
    label: str
    incident_id: int | None = None

    def rows(self, frame: WindowFrame, margin_s: float = 0.0) -> BoolArray:
        """Windows of a frame that it touches."""
        if self.collectors and frame.collector not in self.collectors:
            return np.zeros(len(frame), bool)
        starts = frame.window_start
        return np.asarray((starts + MINUTE_S > self.start - margin_s) & (starts < self.end + margin_s))


@dataclass(frozen=True, slots=True)
class Span:
    """A training span as it was read.

    Attributes
    ----------
    frames : tuple of WindowFrame
        One a (collector, peer), every window that was there, with its marks.
    labels : tuple of Interval
        Outcomes within the span.
    start, end : int
        Epoch seconds.
    cut : int
        From here on windows judge, before it they teach.
    left_out : mapping of str to int
        Windows that may not teach, by reason; the first reason counts.
    notes : tuple of str
        What else a person should know of how it was read.
    change_point : int or None
        Where the level changed, if the span begins there.
    """

    frames: tuple[WindowFrame, ...]
    labels: tuple[Interval, ...]
    start: int
    end: int
    cut: int
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    change_point: int | None = None

    @property
    def windows(self) -> int:
        """All that were read."""
        return sum(len(frame) for frame in self.frames)

    @property
    def clean_windows(self) -> int:
        """Those nothing speaks against."""
        return sum(int(frame.clean.sum()) for frame in self.frames)

    def teaching(self) -> list[WindowFrame]:
        """Frames up to the cut; what may not teach is a hole, so that not even its echo in smoothed minutes does."""
        cuts = [int(np.searchsorted(frame.window_start, self.cut)) for frame in self.frames]
        return [_with_holes(frame.rows(0, cut, 0)) for frame, cut in zip(self.frames, cuts, strict=True) if cut]

    def judging(self, history_minutes: int) -> list[WindowFrame]:
        """Frames from the cut on, with the history before it that a detector needs; holes as in `teaching`."""
        found = []
        for frame in self.frames:
            cut = int(np.searchsorted(frame.window_start, self.cut))
            begin = int(np.searchsorted(frame.window_start, self.cut - history_minutes * MINUTE_S))
            if cut < len(frame):
                found.append(_with_holes(frame.rows(begin, len(frame), cut - begin)))
        return found

    def as_fields(self) -> dict[str, Any]:
        """Give what was read as JSON."""
        return {
            "from": self.start,
            "to": self.end,
            "held_out_from": self.cut,
            "windows": self.windows,
            "clean_windows": self.clean_windows,
            "groups": len(self.frames),
            "left_out": dict(self.left_out),
            "labels": dict(Counter(label.label for label in self.labels)),
            "notes": list(self.notes),
            "change_point": self.change_point,
        }


def read_span(
    store: Store,
    *,
    days: int,
    held_out_share: float,
    margin_s: float,
    min_windows: int,
    max_windows: int,
    change_point: int | None = None,
) -> Span:
    """Read the newest days of windows, or what followed a change within them, and mark what may not teach.

    Raises
    ------
    NotEnoughDataError
        Fewer than ``min_windows`` clean windows before those that are held out, or too little since the change.
    """
    newest = store.newest_window_start()
    if newest is None:
        raise NotEnoughDataError("the store holds no windows yet")
    end = newest + MINUTE_S
    begin = span_start(end, days, change_point, held_out_share)
    changed = change_point if change_point is not None and begin == change_point else None
    groups, start, notes = chosen(store.window_groups(begin, end), begin, end, max_windows)
    if changed is not None:
        notes = (f"from the change of level at {format_time(changed)} UTC on", *notes)
    frames = [frame for key in groups if len(frame := _read(store, *key, start, end))]
    start = min(int(frame.window_start[0]) for frame in frames)
    incidents = store.incidents_between(start, end)
    labels = labelled(_outcomes(store, start, end), incidents)
    marked, left_out = mark(frames, closed_in(incidents, labels, end), labels, margin_s)
    clean = sum(int(frame.clean.sum()) for frame in marked)
    teaching = int(clean * (1.0 - held_out_share))
    if teaching < min_windows:
        why = ", ".join(f"{count:,} {reason}" for reason, count in left_out.items()) or "nothing left out"
        raise NotEnoughDataError(
            f"{clean:,} clean windows in the last {days} days of data, {teaching:,} of them to learn from; "
            f"at least {min_windows:,} expected ({why})",
            not_before=_enough_at(end, min_windows - teaching, len(frames), held_out_share),
        )
    return Span(tuple(marked), tuple(labels), start, end, _cut(marked, held_out_share), left_out, notes, changed)


def chosen(
    counted: Sequence[tuple[str, str, int]], start: int, end: int, most: int
) -> tuple[list[tuple[str, str]], int, tuple[str, ...]]:
    """Say which groups to read from when on, within a number of windows: peers go first, then time is cut.

    Examples
    --------
    >>> chosen([("rrc00", "", 100), ("rrc00", "192.0.2.1", 90)], 0, 6_000, 150)
    ([('rrc00', '')], 0, ('1 of 1 peers left out: more than 150 windows',))
    >>> chosen([("rrc00", "", 100)], 0, 6_000, 50)[1]
    3000
    """
    collectors: list[tuple[str, str]] = [(name, peer) for name, peer, _ in counted if not peer]
    total = sum(count for _, peer, count in counted if not peer)
    if total > most:
        later = end - (end - start) * most // total // MINUTE_S * MINUTE_S
        return (
            collectors,
            later,
            (f"span shortened by {(later - start) // MINUTE_S:,} minutes: more than {most:,} windows",),
        )
    groups, peers = list(collectors), [entry for entry in counted if entry[1]]
    for name, peer, count in peers:
        if total + count > most:
            break
        groups.append((name, peer))
        total += count
    left = len(peers) - (len(groups) - len(collectors))
    notes = (f"{left} of {len(peers)} peers left out: more than {most:,} windows",) if left else ()
    return groups, start, notes


def labelled(rows: Iterable[Mapping[str, Any]], incidents: Iterable[Mapping[str, Any]]) -> list[Interval]:
    """Outcomes as intervals; of several labels of one incident the last one given counts."""
    places = {row["id"]: frozenset(row["collectors"]) for row in incidents}
    last: dict[Any, Mapping[str, Any]] = {}
    for number, row in enumerate(sorted(rows, key=lambda row: (float(row["labelled_at"]), int(row["id"])))):
        last[row["incident_id"] if row["incident_id"] is not None else ("range", number)] = row
    return [
        Interval(
            int(row["starts_at"]),
            int(row["ends_at"]),
            frozenset({row["collector"]}) if row["collector"] else places.get(row["incident_id"], frozenset()),
            str(row["label"]),
            None if row["incident_id"] is None else int(row["incident_id"]),
        )
        for row in last.values()
    ]


def closed_in(incidents: Iterable[Mapping[str, Any]], labels: Sequence[Interval], end: int) -> list[Interval]:
    """Incidents as intervals; one that is still open lasts to the end.

    Without those that somebody called normal: the label holds for the whole incident, and for what was merged into it,
    however long it goes on after the label was given.
    """
    normal = {label.incident_id for label in labels if label.label in NORMAL and label.incident_id is not None}
    found = []
    for row in incidents:
        if not {row["id"], row["merged_into"]}.isdisjoint(normal):
            continue
        is_open = row["state"] != "closed" and row["merged_into"] is None
        begin, last = int(row["started_at"]), end if is_open else int(row["last_seen_at"]) + MINUTE_S
        found.append(Interval(begin, last, frozenset(row["collectors"]), "incident", int(row["id"])))
    return found


def mark(
    frames: Sequence[WindowFrame], incidents: Sequence[Interval], labels: Sequence[Interval], margin_s: float
) -> tuple[list[WindowFrame], dict[str, int]]:
    """Put the mark `EXCLUDED` on windows that may not teach, and count them and those marked before by reason."""
    counts: Counter[str] = Counter()
    marked = []
    for frame in frames:
        anomalous = _touched(frame, [label for label in labels if label.label in ANOMALOUS], margin_s)
        incident = _touched(frame, incidents, margin_s)
        left = np.ones(len(frame), bool)
        for reason, rows in (
            ("labelled anomaly", anomalous),
            ("incident", incident),
            *((name, frame.mark(name)) for name in _MARKS),
        ):
            counts[reason] += int((rows & left).sum())
            left &= ~rows
        quality = {**frame.quality, EXCLUDED: (anomalous | incident).astype(np.float64)}
        marked.append(replace(frame, quality=quality))
    return marked, {reason: count for reason, count in counts.items() if count}


def _with_holes(frame: WindowFrame) -> WindowFrame:
    holes = frame.mark(INCOMPLETE) | frame.mark(EXCLUDED)
    return replace(frame, quality={**frame.quality, INCOMPLETE: holes.astype(np.float64)})


def _touched(frame: WindowFrame, intervals: Iterable[Interval], margin_s: float) -> BoolArray:
    rows = np.zeros(len(frame), bool)
    for interval in intervals:
        rows |= interval.rows(frame, margin_s)
    return rows


def _enough_at(end: int, missing: int, groups: int, held_out_share: float) -> int:
    """When as many more windows will be there, if every group goes on; at least an hour from now."""
    minutes = missing / ((1.0 - held_out_share) * max(groups, 1))
    return end + max(3_600, int(minutes) * MINUTE_S)


def _cut(frames: Sequence[WindowFrame], held_out_share: float) -> int:
    """Where the newest share of the clean windows begins; on a whole minute."""
    starts: IntArray = np.sort(np.concatenate([frame.window_start[frame.clean] for frame in frames]))
    return int(starts[min(len(starts) - 1, round(len(starts) * (1.0 - held_out_share)))])


def _read(store: Store, collector: str, peer: str, start: int, end: int) -> WindowFrame:
    rows = store.window_columns(_COLUMNS, collector, peer, start, end)
    values = np.array(rows, np.float64).reshape(len(rows), len(_COLUMNS)).T.copy()
    columns = dict(zip(_COLUMNS, values, strict=True))
    starts = columns.pop("window_start").astype(np.int64)
    marks = {name: columns.pop(name) for name in _MARKS}
    return WindowFrame(collector, peer, starts, columns, marks)


def _outcomes(store: Store, start: int, end: int) -> list[dict[str, Any]]:
    table = outcomes_table
    return store.rows(select(table).where(table.c.starts_at < end, table.c.ends_at > start))
