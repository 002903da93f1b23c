"""Which hours a check compares with which: rolling and pinned, without incidents, flagged hours and other versions. Pure.

Decides the windows of drift.md: the newest hours against the newest clean week of the same version before them (a young
version borrows the hours of its artifact), and the last 1, 3 and 7 days against what was usual when the version came into
force. What they say `bgpdrift.drift.rule` decides.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from bgpdrift.drift.hours import HOUR_S, Hours, IntArray, merge_hours
from bgpdrift.drift.report import LeftOut
from bgpdrift.settings_sections import DriftSettings

DAY_S = 24 * HOUR_S
Series = Mapping[str, Hours]
"""Hours by collector."""
ExcludedHours = Mapping[str, Mapping[int, str]]
"""Reason by hour by collector; collector "" is all of them."""


@dataclass(frozen=True, slots=True)
class Preset:
    """Hours of the current window; hours ago at which the rolling baseline must have ended; most hours it holds."""

    current_h: int
    gap_h: int
    baseline_h: int


PRESETS: Mapping[str, Preset] = {
    "24h/7d": Preset(24, 0, 168),
    "7d/7d": Preset(168, 0, 168),
    "7d/30d": Preset(168, 720 - 168, 720),
}
PINNED_H = 168
"""Clean hours a version without hours in its artifact is pinned to: the first it lived."""


@dataclass(frozen=True, slots=True)
class DetectorHours:
    """What is known of one detector's scores at a check.

    Attributes
    ----------
    at : int
        Event time, epoch seconds: end of the newest hour.
    live : mapping of str to Hours
        Scores of the version in force.
    profile : mapping of str to Hours
        Hours of its artifact; {} where it has none.
    first : mapping of str to Hours
        Live hours from when the version came into force on, where they are the pinned reference or fill it up.
    out : mapping
        Hours that take no part.
    flagged : collection of int
        Hours that were called drift: never part of a rolling baseline.
    others : sequence of (version, start, end)
        Other versions of the detector that scored lately.
    earlier : sequence of mapping of str to Hours
        Their scores, each version by itself: no baseline, but they tell how much days differ.
    """

    at: int
    live: Series
    profile: Series = field(default_factory=dict)
    first: Series = field(default_factory=dict)
    out: ExcludedHours = field(default_factory=dict)
    flagged: Collection[int] = frozenset()
    others: Sequence[tuple[str, int, int]] = ()
    earlier: Sequence[Series] = ()


@dataclass(frozen=True, slots=True)
class WindowPair:
    """What `bgpdrift.drift.rule.compare` is handed."""

    window: str
    kind: Literal["rolling", "pinned"]
    current: Series
    reference: Series
    current_span: tuple[int, int]
    reference_span: tuple[int, int]
    recent: Series
    left_out: tuple[LeftOut, ...]


def pair_rolling(known: DetectorHours, preset: str, current_h: int | None = None) -> WindowPair:
    """WindowPair the newest hours with the newest clean ones before them.

    Parameters
    ----------
    preset : str
        Name of a `Preset`, and of the window in the report.
    current_h : int, optional
        Another length of the current window.
    """
    shape = PRESETS[preset]
    hours = current_h or shape.current_h
    start = known.at - hours * HOUR_S
    flagged = {"": dict.fromkeys(known.flagged, "flagged as drift")}
    live = {name: part.between(0, start - shape.gap_h * HOUR_S) for name, part in known.live.items()}
    clean = exclude_hours(exclude_hours(live, known.out), flagged)
    profile = {name: part.between(0, start) for name, part in known.profile.items()}
    reference = take_newest(merge_series(profile, clean), shape.baseline_h)
    span = find_span(reference, start)
    said = (
        *describe_excluded(known.live, known.out, "current", start, known.at),
        *describe_excluded(known.live, known.out, "reference", span[0], start),
        *describe_excluded(known.live, flagged, "reference", span[0], start),
        *describe_other_versions(known, start),
    )
    name = preset if current_h is None else f"{hours}h/7d"
    return _pair(known, name, "rolling", reference, start, span, said)


def pair_pinned(known: DetectorHours, hours: int, least_h: int, least_days: int) -> WindowPair | None:
    """WindowPair the newest hours with what was usual when the version came into force.

    A version trained on what followed a change brings few hours with it: the first it lived fill them up to a week.

    Parameters
    ----------
    hours, least_h : int
        Of the current window: how many, and how many must be there.
    least_days : int
        Days a reference must hold.

    Returns
    -------
    WindowPair or None
        None while there is no such reference outside the window, or the window is not half full: the shorter one says it all.
    """
    start = known.at - hours * HOUR_S
    reference = known.profile
    if not has_days(reference, least_days):
        lived = exclude_hours(known.first, known.out)
        if reference:
            lived = merge_series(reference, {name: part.between(0, start) for name, part in lived.items()})
        reference = take_oldest(lived, PINNED_H)
        enough = has_days(reference, least_days if known.profile else PINNED_H // 24)
        if not enough or find_span(reference, start)[1] > start:
            return None
    span = find_span(reference, start)
    pair = _pair(
        known,
        f"{hours}h/pinned",
        "pinned",
        reference,
        start,
        span,
        (*describe_excluded(known.live, known.out, "current", start, known.at), *describe_other_versions(known, start)),
    )
    return pair if len(list_hours(pair.current)) >= max(least_h, hours // 2) else None


def pair_windows(known: DetectorHours, settings: DriftSettings, current_h: int | None = None) -> list[WindowPair]:
    """All comparisons of one check, the rolling one first."""
    found = [pair_rolling(known, settings.preset, current_h)]
    for hours in dict.fromkeys(settings.pinned_windows_h):
        pair = pair_pinned(known, hours, settings.min_current_h, settings.min_reference_days)
        if pair is not None:
            found.append(pair)
    return found


def collect_history(known: DetectorHours) -> list[dict[str, Hours]]:
    """All clean hours there are, by version, that in force last: what tells how much days differ.

    Hours called drift are among them: a level that changed is one difference of many.
    """
    active = merge_series({name: part.between(0, known.at) for name, part in known.profile.items()}, known.live)
    return [exclude_hours(series, known.out) for series in (*known.earlier, active)]


def exclude_hours(series: Series, out: ExcludedHours) -> dict[str, Hours]:
    """Leave hours out, each at its collector.

    Examples
    --------
    >>> hours = Hours.from_rows([0, 3600, 7200], [1.0, 2.0, 3.0])
    >>> left = exclude_hours({"a": hours, "b": hours}, {"": {0: "x"}, "b": {7200: "y"}})
    >>> left["a"].starts.tolist(), left["b"].starts.tolist()
    ([3600, 7200], [3600])
    """
    everywhere = out.get("", {})
    return {name: part.without([*everywhere, *out.get(name, {})]) for name, part in series.items()}


def merge_series(older: Series, newer: Series) -> dict[str, Hours]:
    """Put two series together; an hour both have is the newer one's."""
    found = {}
    for name in sorted({*older, *newer}):
        parts = [part[name] for part in (newer, older) if name in part and len(part[name])]
        if len(parts) == 2:
            parts[1] = parts[1].without(parts[0].starts.tolist())
        found[name] = merge_hours(parts) if parts else Hours.empty()
    return found


def has_days(series: Series, days: int) -> bool:
    """Whether there are as many hours as that many days have."""
    return len(list_hours(series)) >= 24 * days


def take_newest(series: Series, hours: int) -> dict[str, Hours]:
    """Keep the newest distinct hours, over all collectors."""
    starts = list_hours(series)
    return _from(series, int(starts[-hours]) if len(starts) > hours else None, None)


def take_oldest(series: Series, hours: int) -> dict[str, Hours]:
    """Keep the oldest distinct hours, over all collectors."""
    starts = list_hours(series)
    return _from(series, None, int(starts[hours]) if len(starts) > hours else None)


def list_hours(series: Series) -> IntArray:
    """Distinct hours that hold anything, rising."""
    filled = [part.starts[part.n > 0] for part in series.values()]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *filled]))


def find_span(series: Series, otherwise: int) -> tuple[int, int]:
    """First hour and end of the last one; an empty span where there is none."""
    starts = list_hours(series)
    return (int(starts[0]), int(starts[-1]) + HOUR_S) if len(starts) else (otherwise, otherwise)


def describe_excluded(series: Series, out: ExcludedHours, window: str, start: int, end: int) -> list[LeftOut]:
    """Say which hours of ``[start, end)`` that were there are left out, and why, as few spans as can be.

    Examples
    --------
    >>> hours = Hours.from_rows([0, 3600, 7200, 10800], [1.0] * 4)
    >>> out = {"": dict.fromkeys([0, 3600], "incident 3"), "a": {10800: "incident 4"}}
    >>> [(found.start, found.hours, found.reason) for found in describe_excluded({"a": hours}, out, "current", 0, 14400)]
    [(0, 2, 'incident 3'), (10800, 1, 'incident 4')]
    """
    there = set(list_hours(series).tolist())
    reasons: dict[int, str] = {}
    for hours in out.values():
        for hour, reason in hours.items():
            if start <= hour < end and hour in there:
                reasons.setdefault(hour, reason)
    found: list[LeftOut] = []
    for hour in sorted(reasons):
        last = found[-1] if found else None
        if last is not None and last.reason == reasons[hour] and last.start + last.hours * HOUR_S == hour:
            found[-1] = LeftOut(last.start, last.hours + 1, window, last.reason)
        else:
            found.append(LeftOut(hour, 1, window, reasons[hour]))
    return found


def describe_other_versions(known: DetectorHours, start: int) -> list[LeftOut]:
    """Say which hours of the current window another version scored."""
    found = []
    for version, first, end in known.others:
        begin, stop = max(first, start), min(end, known.at)
        if stop > begin:
            found.append(LeftOut(begin, (stop - begin) // HOUR_S, "current", f"scored by version {version}"))
    return found


def _pair(
    known: DetectorHours,
    window: str,
    kind: Literal["rolling", "pinned"],
    reference: Series,
    start: int,
    span: tuple[int, int],
    said: Iterable[LeftOut],
) -> WindowPair:
    current = exclude_hours({name: part.between(start, known.at) for name, part in known.live.items()}, known.out)
    recent = exclude_hours({name: part.between(span[1], start) for name, part in known.live.items()}, known.out)
    return WindowPair(window, kind, current, reference, (start, known.at), span, recent, tuple(said))


def _from(series: Series, start: int | None, end: int | None) -> dict[str, Hours]:
    return {
        name: part.between(0 if start is None else start, 2**62 if end is None else end)
        for name, part in series.items()
    }
