"""The training span: the newest days of windows in the store, where they begin, and which part is held out.

The span ends with the newest window, in event time. It begins ``days`` before, or at the latest level change if that is later:
seven days of which six are from before a change would train the old level. `bgpdrift.models.excluded_intervals` decides which
windows are excluded. They stay in their frames: as gaps for training and held-out frames, and as they are for labels.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bgpdrift.detectors.interface import EXCLUDED, INCOMPLETE, MINUTE_S, IntArray, WindowFrame
from bgpdrift.errors import NotEnoughDataError
from bgpdrift.formatting import format_time
from bgpdrift.models.excluded_intervals import (
    QUALITY_MARKS,
    Interval,
    build_incident_intervals,
    build_label_intervals,
    mark_excluded,
)
from bgpdrift.models.metadata import SpanRecord
from bgpdrift.monitor.first_training import HOURS_A_DAY, MIN_MINUTES_OF_HOUR, describe_hours
from bgpdrift.monitor.safeguards import DAY_S, earliest_training_time
from bgpdrift.store import Store
from bgpdrift.store.window_columns import FEATURE_NAMES

_COLUMNS = ("window_start", *FEATURE_NAMES, *QUALITY_MARKS)


@dataclass(frozen=True, slots=True)
class Span:
    """A training span as it was read.

    Attributes
    ----------
    frames : tuple of WindowFrame
        One per collector and peer, with all windows and their marks.
    labels : tuple of Interval
        Outcomes within the span.
    start, end : int
        Epoch seconds.
    cut : int
        Windows before it train the model, windows from it on judge the model.
    excluded : mapping of str to int
        Windows that may not be used for training, by reason.
    notes : tuple of str
        How the span was shortened, for people.
    change_point : int or None
        The level change at which the span begins, if it begins at one.
    """

    frames: tuple[WindowFrame, ...]
    labels: tuple[Interval, ...]
    start: int
    end: int
    cut: int
    excluded: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    change_point: int | None = None

    @property
    def clean_windows(self) -> int:
        """Windows that may be used for training or judging."""
        return sum(int(frame.clean.sum()) for frame in self.frames)

    def training_frames(self) -> list[WindowFrame]:
        """Return the frames up to the cut. Excluded windows are gaps, so that smoothed columns do not contain them."""
        cuts = [int(np.searchsorted(frame.window_start, self.cut)) for frame in self.frames]
        return [_with_gaps(frame.rows(0, cut, 0)) for frame, cut in zip(self.frames, cuts, strict=True) if cut]

    def held_out_frames(self, history_minutes: int) -> list[WindowFrame]:
        """Return the frames from the cut on, with the history before it that a detector needs, and the same gaps."""
        frames = []
        for frame in self.frames:
            cut = int(np.searchsorted(frame.window_start, self.cut))
            begin = int(np.searchsorted(frame.window_start, self.cut - history_minutes * MINUTE_S))
            if cut < len(frame):
                frames.append(_with_gaps(frame.rows(begin, len(frame), cut - begin)))
        return frames

    def as_record(self) -> SpanRecord:
        """Return what was read, for the metadata and the log."""
        return SpanRecord(
            start=self.start,
            end=self.end,
            held_out_from=self.cut,
            windows=sum(len(frame) for frame in self.frames),
            clean_windows=self.clean_windows,
            groups=len(self.frames),
            excluded=dict(self.excluded),
            labels=dict(Counter(label.label for label in self.labels)),
            notes=list(self.notes),
            change_point=self.change_point,
        )


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
    """Read the newest days of windows, or those since a change within them, and mark the excluded ones.

    Parameters
    ----------
    store : Store
        Store with the windows.
    days : int
        Length of the span.
    held_out_share : float
        Newest share of the clean windows, which judges.
    margin_s : float
        Time before and after an incident that is excluded too.
    min_windows : int
        Clean windows required for training.
    max_windows : int
        Windows read at most.
    change_point : int, optional
        The latest known level change, epoch seconds.

    Raises
    ------
    NotEnoughDataError
        Fewer than ``min_windows`` clean windows before the held-out ones, or too few since the change.
    """
    newest = store.newest_window_start()
    if newest is None:
        raise NotEnoughDataError("the store holds no windows yet")
    end = newest + MINUTE_S
    begin = find_span_start(end, days, change_point, held_out_share)
    span_change = change_point if change_point is not None and begin == change_point else None
    groups, start, notes = choose_groups(store.window_groups(begin, end), begin, end, max_windows)
    if span_change is not None:
        notes = (f"begins at the level change at {format_time(span_change)} UTC", *notes)
    frames = [frame for key in groups if len(frame := _read_frame(store, *key, start, end))]
    start = min(int(frame.window_start[0]) for frame in frames)
    incidents = store.incidents_between(start, end)
    labels = build_label_intervals(store.outcomes_between(start, end), incidents)
    marked, excluded = mark_excluded(frames, build_incident_intervals(incidents, labels, end), labels, margin_s)
    clean = sum(int(frame.clean.sum()) for frame in marked)
    training = int(clean * (1.0 - held_out_share))
    if training < min_windows:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in excluded.items()) or "none"
        raise NotEnoughDataError(
            f"{clean:,} clean windows in the last {days} days of data, {training:,} of them for training; "
            f"at least {min_windows:,} required (excluded: {reasons})",
            not_before=_estimate_ready_at(end, min_windows - training, len(frames), held_out_share),
        )
    cut = _find_cut(marked, held_out_share)
    notes = (*notes, *_note_unseen_hours(marked, cut))
    return Span(tuple(marked), tuple(labels), start, end, cut, excluded, notes, span_change)


def find_span_start(end: int, days: int, change_point: int | None, held_out_share: float) -> int:
    """Find where the span begins that ends at ``end``, epoch seconds.

    The windows since a change must cover a whole day of training, so that they contain every hour of the day, and the
    held-out part.

    Raises
    ------
    NotEnoughDataError
        The change is too recent; the error states when there are enough windows.

    Examples
    --------
    >>> find_span_start(10 * DAY_S, 7, 8 * DAY_S, 0.2) // DAY_S, find_span_start(10 * DAY_S, 7, 2 * DAY_S, 0.2) // DAY_S
    (8, 3)
    >>> find_span_start(10 * DAY_S, 7, 9 * DAY_S, 0.2)
    Traceback (most recent call last):
    bgpdrift.errors.NotEnoughDataError: 24 of 30 hours since the level change at 1970-01-10 00:00 UTC; training needs a
    whole day, available at 1970-01-11 06:00 UTC
    """
    start = end - days * DAY_S
    if change_point is None or change_point <= start:
        return start
    ready_at = earliest_training_time(change_point, held_out_share)
    if end < ready_at:
        hours, required = max(end - change_point, 0) / 3600, (ready_at - change_point) / 3600
        raise NotEnoughDataError(
            f"{hours:.0f} of {required:.0f} hours since the level change at {format_time(change_point)} UTC; training "
            f"needs a whole day, available at {format_time(ready_at)} UTC",
            not_before=ready_at,
        )
    return change_point


def latest_change_point(requested: int | None, active: int | None) -> int | None:
    """Return the later of the request's level change and the one that the active model was trained after.

    Examples
    --------
    >>> latest_change_point(100, 50), latest_change_point(None, 50), latest_change_point(None, None)
    (100, 50, None)
    """
    return max((point for point in (requested, active) if point is not None and point > 0), default=None)


def choose_groups(
    counts: Sequence[tuple[str, str, int]], start: int, end: int, max_windows: int
) -> tuple[list[tuple[str, str]], int, tuple[str, ...]]:
    """Choose the groups to read and the start of the span, within a number of windows.

    Peers are left out first; only if the collectors alone have too many windows does the span begin later.

    Parameters
    ----------
    counts : sequence of (str, str, int)
        Collector, peer ("" for the whole collector), windows.
    start, end : int
        The span, epoch seconds.
    max_windows : int
        Windows read at most.

    Returns
    -------
    groups, start, notes
        Pairs of collector and peer, epoch seconds, and what was left out, for people.

    Examples
    --------
    >>> choose_groups([("rrc00", "", 100), ("rrc00", "192.0.2.1", 90)], 0, 6_000, 150)
    ([('rrc00', '')], 0, ('1 of 1 peers not read: more than 150 windows',))
    >>> choose_groups([("rrc00", "", 100)], 0, 6_000, 50)[1]
    3000
    """
    collectors: list[tuple[str, str]] = [(name, peer) for name, peer, _ in counts if not peer]
    total = sum(count for _, peer, count in counts if not peer)
    if total > max_windows:
        later = end - (end - start) * max_windows // total // MINUTE_S * MINUTE_S
        note = f"span shortened by {(later - start) // MINUTE_S:,} minutes: more than {max_windows:,} windows"
        return collectors, later, (note,)
    groups, peers = list(collectors), [entry for entry in counts if entry[1]]
    for name, peer, count in peers:
        if total + count > max_windows:
            break
        groups.append((name, peer))
        total += count
    unread = len(peers) - (len(groups) - len(collectors))
    notes = (f"{unread} of {len(peers)} peers not read: more than {max_windows:,} windows",) if unread else ()
    return groups, start, notes


def _with_gaps(frame: WindowFrame) -> WindowFrame:
    gaps = frame.mark(INCOMPLETE) | frame.mark(EXCLUDED)
    return replace(frame, quality={**frame.quality, INCOMPLETE: gaps.astype(np.float64)})


def _estimate_ready_at(end: int, missing: int, groups: int, held_out_share: float) -> int:
    """Estimate when there are ``missing`` more windows, if every group continues; at least an hour after ``end``."""
    minutes = missing / ((1.0 - held_out_share) * max(groups, 1))
    return end + max(3_600, int(minutes) * MINUTE_S)


def _find_cut(frames: Sequence[WindowFrame], held_out_share: float) -> int:
    """Find where the newest share of the clean windows begins, on a whole minute."""
    starts: IntArray = np.sort(np.concatenate([frame.window_start[frame.clean] for frame in frames]))
    return int(starts[min(len(starts) - 1, round(len(starts) * (1.0 - held_out_share)))])


def _note_unseen_hours(frames: Sequence[WindowFrame], cut: int) -> Iterator[str]:
    """Note the hours of the day of which no collector has enough clean windows to train on."""
    seen: set[int] = set()
    for frame in frames:
        starts = frame.window_start[frame.clean & (frame.window_start < cut)]
        counts = np.bincount(starts // 3_600 % HOURS_A_DAY, minlength=HOURS_A_DAY)
        seen |= set(np.flatnonzero(counts >= MIN_MINUTES_OF_HOUR).tolist())
    unseen = [hour for hour in range(HOURS_A_DAY) if hour not in seen]
    if unseen:
        yield f"no training data {describe_hours(unseen)} UTC: the model may raise false alarms at these hours"


def _read_frame(store: Store, collector: str, peer: str, start: int, end: int) -> WindowFrame:
    rows = store.window_columns(_COLUMNS, collector, peer, start, end)
    values = np.array(rows, np.float64).reshape(len(rows), len(_COLUMNS)).T.copy()
    columns = dict(zip(_COLUMNS, values, strict=True))
    starts = columns.pop("window_start").astype(np.int64)
    marks = {name: columns.pop(name) for name in QUALITY_MARKS}
    return WindowFrame(collector, peer, starts, columns, marks)
