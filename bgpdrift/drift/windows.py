"""Selects the hours that a check compares: a current window, a rolling reference and a pinned reference.

The newest hours are compared with the newest clean week of the same version before them. A young version borrows the
reference hours of its artifact. The last 1, 3 and 7 days are also compared with the pinned reference: the hours when
the version became active. Hours of incidents, hours called drift and hours of other versions take no part.
`bgpdrift.drift.rule` decides the verdict.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bgpdrift.drift.constants import DAY_H, HOUR_S, PINNED_REFERENCE_H
from bgpdrift.drift.hours import Hours, IntArray, merge_hours
from bgpdrift.drift.report import LeftOut, ReferenceKind
from bgpdrift.settings_sections import DriftSettings, WindowPresetName

Series = Mapping[str, Hours]
"""Hours by collector."""
ExcludedHours = Mapping[str, Mapping[int, str]]
"""Reason by hour by collector; collector "" is all of them."""
TimeSpan = tuple[int, int]
"""Epoch seconds: start and exclusive end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPreset:
    """One choice of windows.

    Attributes
    ----------
    current_h : int
        Hours of the current window.
    gap_h : int
        Hours between the end of the rolling reference and the current window.
    reference_h : int
        Hours that the rolling reference holds at most.
    current_text, reference_text : str
        Both windows in words.
    """

    current_h: int
    gap_h: int
    reference_h: int
    current_text: str
    reference_text: str

    @property
    def span_h(self) -> int:
        """Hours from the start of the reference to the end of the current window."""
        return self.current_h + self.gap_h + self.reference_h


PRESETS: Mapping[WindowPresetName, WindowPreset] = {
    "24h/7d": WindowPreset(
        current_h=24, gap_h=0, reference_h=168, current_text="the last 24 h", reference_text="the 7 days before"
    ),
    "7d/7d": WindowPreset(
        current_h=168, gap_h=0, reference_h=168, current_text="the last 7 days", reference_text="the 7 days before"
    ),
    "7d/30d": WindowPreset(
        current_h=168,
        gap_h=720 - 168,
        reference_h=720,
        current_text="the last 7 days",
        reference_text="the days 30 to 60 ago",
    ),
}


def split_windows(preset: WindowPresetName, end: int) -> tuple[TimeSpan, TimeSpan]:
    """Return the spans of the current window and of the reference for a check at ``end``, epoch seconds.

    Examples
    --------
    >>> split_windows("24h/7d", 8 * 86_400)
    ((604800, 691200), (0, 604800))
    """
    shape = PRESETS[preset]
    current_start = end - shape.current_h * HOUR_S
    reference_end = current_start - shape.gap_h * HOUR_S
    return (current_start, end), (reference_end - shape.reference_h * HOUR_S, reference_end)


def describe_windows(window: str) -> tuple[str, str]:
    """Describe the current window and the reference of a comparison in words.

    Examples
    --------
    >>> describe_windows("24h/7d"), describe_windows("72h/pinned"), describe_windows("14h/7d")
    (('the last 24 h', 'the 7 days before'), ('the last 72 h', 'the pinned reference'), ('the last 14 h', 'the 7 days
    before'))
    """
    current, _, reference = window.partition("/")
    preset = next((shape for name, shape in PRESETS.items() if name == window), None)
    if preset is not None:
        return preset.current_text, preset.reference_text
    if current.endswith("h") and current[:-1].isdigit():
        return f"the last {current[:-1]} h", "the pinned reference" if reference == "pinned" else "the 7 days before"
    return f"the {current} window", "the reference"


@dataclass(frozen=True, slots=True)
class DetectorHours:
    """The scores of one detector that are available to a check.

    Attributes
    ----------
    at : int
        Event time, epoch seconds: end of the newest hour.
    live : mapping of str to Hours
        Scores of the active version.
    profile : mapping of str to Hours
        Reference hours of its artifact; {} if there are none.
    first : mapping of str to Hours
        Live hours from when the version became active, if they are the pinned reference or complete it.
    out : mapping
        Hours that take no part.
    flagged : collection of int
        Hours that were called drift; never part of a rolling reference.
    others : sequence of (version, start, end)
        Other versions of the detector that scored recently.
    earlier : sequence of mapping of str to Hours
        The scores of these versions, one mapping per version. They are no reference, but they show how much days
        differ.
    """

    at: int
    live: Series
    profile: Series = field(default_factory=dict)
    first: Series = field(default_factory=dict)
    out: ExcludedHours = field(default_factory=dict)
    flagged: Collection[int] = frozenset()
    others: Sequence[tuple[str, int, int]] = ()
    earlier: Sequence[Series] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowPair:
    """The input of `bgpdrift.drift.rule.compare`; see its parameters."""

    window: str
    reference_kind: ReferenceKind
    current: Series
    reference: Series
    current_span: TimeSpan
    reference_span: TimeSpan
    recent: Series = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()


def pair_rolling(scores: DetectorHours, preset: WindowPresetName, current_h: int | None = None) -> WindowPair:
    """Pair the newest hours with the newest clean hours before them.

    Parameters
    ----------
    preset : str
        Name of a `WindowPreset`, and of the window in the report.
    current_h : int, optional
        Another length of the current window.
    """
    shape = PRESETS[preset]
    hours = current_h or shape.current_h
    start = scores.at - hours * HOUR_S
    flagged = {"": dict.fromkeys(scores.flagged, "flagged as drift")}
    live = {name: part.between(0, start - shape.gap_h * HOUR_S) for name, part in scores.live.items()}
    clean = exclude_hours(exclude_hours(live, scores.out), flagged)
    profile = {name: part.between(0, start) for name, part in scores.profile.items()}
    reference = take_newest(merge_series(profile, clean), shape.reference_h)
    span = find_span(reference, start)
    left_out = (
        *describe_excluded(scores.live, scores.out, "current", start, scores.at),
        *describe_excluded(scores.live, scores.out, "reference", span[0], start),
        *describe_excluded(scores.live, flagged, "reference", span[0], start),
        *describe_other_versions(scores, start),
    )
    name = preset if current_h is None else f"{hours}h/7d"
    return _build_pair(scores, name, "rolling", reference, start, span, left_out)


def pair_pinned(scores: DetectorHours, hours: int, min_current_h: int, min_reference_days: int) -> WindowPair | None:
    """Pair the newest hours with the pinned reference, from when the version became active.

    A version trained on the hours after a change brings few hours with it. The first hours that it scored then complete
    them to a week.

    Parameters
    ----------
    hours, min_current_h : int
        Length of the current window, and the hours that it must hold.
    min_reference_days : int
        Days that the reference must hold.

    Returns
    -------
    WindowPair or None
        None while there is no such reference outside the window, or while the window is less than half full: a shorter
        window then holds the same hours.
    """
    start = scores.at - hours * HOUR_S
    reference = scores.profile
    if not has_days(reference, min_reference_days):
        first = exclude_hours(scores.first, scores.out)
        if reference:
            first = merge_series(reference, {name: part.between(0, start) for name, part in first.items()})
        reference = take_oldest(first, PINNED_REFERENCE_H)
        is_long_enough = has_days(reference, min_reference_days if scores.profile else PINNED_REFERENCE_H // DAY_H)
        if not is_long_enough or find_span(reference, start)[1] > start:
            return None
    left_out = (
        *describe_excluded(scores.live, scores.out, "current", start, scores.at),
        *describe_other_versions(scores, start),
    )
    pair = _build_pair(scores, f"{hours}h/pinned", "pinned", reference, start, find_span(reference, start), left_out)
    return pair if len(list_hours(pair.current)) >= max(min_current_h, hours // 2) else None


def pair_windows(scores: DetectorHours, settings: DriftSettings, current_h: int | None = None) -> list[WindowPair]:
    """Return all comparisons of one check, the rolling one first."""
    pairs = [pair_rolling(scores, settings.preset, current_h)]
    for hours in dict.fromkeys(settings.pinned_windows_h):
        pair = pair_pinned(scores, hours, settings.min_current_h, settings.min_reference_days)
        if pair is not None:
            pairs.append(pair)
    return pairs


def collect_history(scores: DetectorHours) -> list[dict[str, Hours]]:
    """Return all clean hours by version, those of the active version last; they show how much days differ.

    Hours called drift are included, since a change of level is one difference of many.
    """
    active = merge_series({name: part.between(0, scores.at) for name, part in scores.profile.items()}, scores.live)
    return [exclude_hours(series, scores.out) for series in (*scores.earlier, active)]


def exclude_hours(series: Series, excluded: ExcludedHours) -> dict[str, Hours]:
    """Exclude hours, each at its collector.

    Examples
    --------
    >>> hours = Hours.from_rows([0, 3600, 7200], [1.0, 2.0, 3.0])
    >>> left = exclude_hours({"a": hours, "b": hours}, {"": {0: "x"}, "b": {7200: "y"}})
    >>> left["a"].starts.tolist(), left["b"].starts.tolist()
    ([3600, 7200], [3600])
    """
    everywhere = excluded.get("", {})
    return {name: part.exclude([*everywhere, *excluded.get(name, {})]) for name, part in series.items()}


def merge_series(older: Series, newer: Series) -> dict[str, Hours]:
    """Merge two series; an hour that both have is taken from the newer one."""
    merged = {}
    for name in sorted({*older, *newer}):
        parts = [part[name] for part in (newer, older) if name in part and len(part[name])]
        if len(parts) == 2:
            parts[1] = parts[1].exclude(parts[0].starts.tolist())
        merged[name] = merge_hours(parts) if parts else Hours.empty()
    return merged


def has_days(series: Series, days: int) -> bool:
    """Whether a series holds at least as many hours as that many days."""
    return len(list_hours(series)) >= DAY_H * days


def take_newest(series: Series, hours: int) -> dict[str, Hours]:
    """Keep the newest distinct hours, over all collectors."""
    starts = list_hours(series)
    return _cut(series, int(starts[-hours]) if len(starts) > hours else None, None)


def take_oldest(series: Series, hours: int) -> dict[str, Hours]:
    """Keep the oldest distinct hours, over all collectors."""
    starts = list_hours(series)
    return _cut(series, None, int(starts[hours]) if len(starts) > hours else None)


def list_hours(series: Series) -> IntArray:
    """List the distinct hours that hold values, rising."""
    filled = [part.starts[part.n > 0] for part in series.values()]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *filled]))


def find_span(series: Series, otherwise: int) -> TimeSpan:
    """Return the first hour and the end of the last one; an empty span at ``otherwise`` if there is none."""
    starts = list_hours(series)
    return (int(starts[0]), int(starts[-1]) + HOUR_S) if len(starts) else (otherwise, otherwise)


def describe_excluded(series: Series, excluded: ExcludedHours, window: str, start: int, end: int) -> list[LeftOut]:
    """List the hours in ``[start, end)`` that hold values but are excluded, with the reason, as few spans as possible.

    Examples
    --------
    >>> hours = Hours.from_rows([0, 3600, 7200, 10800], [1.0] * 4)
    >>> excluded = {"": dict.fromkeys([0, 3600], "incident 3"), "a": {10800: "incident 4"}}
    >>> spans = describe_excluded({"a": hours}, excluded, "current", 0, 14400)
    >>> [(span.start, span.hours, span.reason) for span in spans]
    [(0, 2, 'incident 3'), (10800, 1, 'incident 4')]
    """
    present = set(list_hours(series).tolist())
    reasons: dict[int, str] = {}
    for hours in excluded.values():
        for hour, reason in hours.items():
            if start <= hour < end and hour in present:
                reasons.setdefault(hour, reason)
    spans: list[LeftOut] = []
    for hour in sorted(reasons):
        last = spans[-1] if spans else None
        if last is not None and last.reason == reasons[hour] and last.start + last.hours * HOUR_S == hour:
            spans[-1] = LeftOut(last.start, last.hours + 1, window, last.reason)
        else:
            spans.append(LeftOut(hour, 1, window, reasons[hour]))
    return spans


def describe_other_versions(scores: DetectorHours, start: int) -> list[LeftOut]:
    """List the hours of the current window that another version scored."""
    spans = []
    for version, first, end in scores.others:
        begin, stop = max(first, start), min(end, scores.at)
        if stop > begin:
            spans.append(LeftOut(begin, (stop - begin) // HOUR_S, "current", f"scored by version {version}"))
    return spans


def _build_pair(
    scores: DetectorHours,
    window: str,
    kind: ReferenceKind,
    reference: Series,
    start: int,
    span: TimeSpan,
    left_out: Iterable[LeftOut],
) -> WindowPair:
    current = {name: part.between(start, scores.at) for name, part in scores.live.items()}
    recent = {name: part.between(span[1], start) for name, part in scores.live.items()}
    return WindowPair(
        window=window,
        reference_kind=kind,
        current=exclude_hours(current, scores.out),
        reference=reference,
        current_span=(start, scores.at),
        reference_span=span,
        recent=exclude_hours(recent, scores.out),
        left_out=tuple(left_out),
    )


def _cut(series: Series, start: int | None, end: int | None) -> dict[str, Hours]:
    return {
        name: part.between(0 if start is None else start, 2**62 if end is None else end)
        for name, part in series.items()
    }
