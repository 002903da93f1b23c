"""Inputs of a drift check, read from the store and the model files: scores, references, incidents, labels, features.

This module decides what is read and how far back, and caches what does not change between two checks. `bgpdrift.drift` decides
what follows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bgpdrift.drift import incident_spans, windows
from bgpdrift.drift.constants import HOUR_S, PINNED_REFERENCE_H
from bgpdrift.drift.hours import Hours
from bgpdrift.drift.incident_spans import IncidentGroup, Span
from bgpdrift.drift.scaling import IDENTITY
from bgpdrift.drift.stored_hours import (
    StoredSeries,
    choose_stored_scaling,
    decode_hours,
    decode_values,
    scale_series,
)
from bgpdrift.drift.windows import DetectorHours
from bgpdrift.models.reference import read_reference_hours
from bgpdrift.settings import Settings
from bgpdrift.store import Store

DAY_S = 24 * HOUR_S
HISTORY_S = 35 * DAY_S
LONG_HISTORY_S = 75 * DAY_S
"""History of the preset ``7d/30d``."""
OTHER_VERSIONS_S = 31 * DAY_S
FIRST_WEEK_SEARCH_S = 21 * DAY_S
"""Time after a version became active in which its first clean week is searched."""
MAX_SCORE_AGE_S = DAY_S
"""A detector without a score for this long has no active version."""


@dataclass(frozen=True, slots=True)
class CheckInputs:
    """Inputs of the check of one detector at one event time.

    Attributes
    ----------
    model, version : str
        Detector and active version.
    at : int
        Event time, epoch seconds.
    hours : DetectorHours
        Scores, and which of them take part.
    spans : sequence of Span
        Incidents and labelled ranges, as known at ``at``.
    incidents : IncidentGroup or None
        Incidents that hold a drift.
    unreadable_hours : int
        Stored hours that could not be decoded.
    """

    model: str
    version: str
    at: int
    hours: DetectorHours
    spans: Sequence[Span]
    incidents: IncidentGroup | None
    unreadable_hours: int = 0


class CheckInputReader:
    """Reads inputs; one object for each monitor."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store, self._folder = settings, store, settings.artifacts_path
        self._history_s = LONG_HISTORY_S if settings.drift.preset == "7d/30d" else HISTORY_S
        self._profiles: dict[tuple[str, str], StoredSeries] = {}
        self._first_weeks: dict[tuple[str, str], StoredSeries] = {}

    def find_version(self, model: str, at: int) -> str:
        """Return the version that scored the newest hour before ``at``; "" without a score in the last day."""
        versions = self._store.series_versions(f"score:{model}", at - MAX_SCORE_AGE_S, at)
        newest = max((last for _, _, last, _ in versions), default=0)
        # If two versions share the newest hour, the one whose row was written later is the newer one.
        return next((version for version, _, last, _ in reversed(versions) if last == newest), "")

    def read(self, model: str, at: int) -> CheckInputs | None:
        """Read the inputs of a detector; None without a score in the last day."""
        version = self.find_version(model, at)
        if not version:
            return None
        series, begin = f"score:{model}", at - self._history_s
        live, unreadable = decode_values(self._store.hours_between(series, version, begin, at))
        spans = self._read_spans(begin, at)
        incidents = incident_spans.group_incidents(spans, at, HOUR_S * self._settings.drift.max_hold_h)
        flagged = {
            hour
            for start, end in self._store.flagged_spans(model, version, begin, at)
            for hour in range(start // HOUR_S * HOUR_S, end, HOUR_S)
        }
        if incidents is not None:
            # The hours of open incidents are part of the current window, but of no reference.
            flagged |= set(range(incidents.since // HOUR_S * HOUR_S, at, HOUR_S))
        others = [
            (name, first, last + HOUR_S)
            for name, first, last, _ in self._store.series_versions(series, at - OTHER_VERSIONS_S, at)
            if name != version
        ]
        excluded = incident_spans.list_excluded_hours(spans, incidents)
        profile = self._read_profile(model, version)
        is_complete = windows.has_days(scale_series(profile, IDENTITY), self._settings.drift.min_reference_days)
        first_week = {} if is_complete else self._read_first_week(model, version, at, excluded)
        scaling = choose_stored_scaling(
            (profile, {name: hours.between(0, begin) for name, hours in first_week.items()}, live),
            windows.split_windows(self._settings.drift.preset, at)[0][0],
        )
        hours = DetectorHours(
            at,
            scale_series(live, scaling),
            scale_series(profile, scaling),
            scale_series(first_week, scaling),
            excluded,
            frozenset(flagged),
            others,
            [self._read_earlier(series, name, begin, at) for name, _, _ in others],
        )
        return CheckInputs(model, version, at, hours, spans, incidents, unreadable)

    def read_series(self, name: str, version: str, begin: int, at: int) -> Mapping[str, Hours]:
        """Read the hours of one series other than scores, by collector."""
        return decode_hours(self._store.hours_between(name, version, begin, at))[0]

    def read_many_series(
        self, names: Sequence[str], version: str, begin: int, at: int
    ) -> Iterator[tuple[str, Mapping[str, Hours]]]:
        """Read the hours of several series other than scores, decoded one after the other to keep few in memory."""
        rows = self._store.hours_of_many(names, version, begin, at)
        for name in names:
            if name in rows:
                yield name, decode_hours(rows.pop(name))[0]

    def _read_earlier(self, series: str, version: str, begin: int, at: int) -> Mapping[str, Hours]:
        """Read the scores of another version, in a scaling of their own: they are compared with each other only."""
        found, _ = decode_values(self._store.hours_between(series, version, begin, at))
        return scale_series(found, choose_stored_scaling([found], at))

    def _read_spans(self, begin: int, at: int) -> list[Span]:
        incidents = self._store.incidents_between(begin, at)
        return incident_spans.build_spans(incidents, self._store.outcomes_between(begin, at), at)

    def _read_profile(self, model: str, version: str) -> StoredSeries:
        """Read the reference hours of the model file."""
        key = (model, version)
        if key not in self._profiles:
            self._profiles = {k: v for k, v in self._profiles.items() if k[0] != model}
            self._profiles[key] = read_reference_hours(self._folder, model, version)
        return self._profiles[key]

    def _read_first_week(self, model: str, version: str, at: int, excluded: windows.ExcludedHours) -> StoredSeries:
        """Read the first hours of a version; they are cached once they hold a clean week."""
        key = (model, version)
        if key in self._first_weeks:
            return self._first_weeks[key]
        series = f"score:{model}"
        begins = [first for name, first, _, _ in self._store.series_versions(series, 0, at) if name == version]
        if not begins:
            return {}
        end = min(begins[0] + FIRST_WEEK_SEARCH_S, at)
        hours, _ = decode_values(self._store.hours_between(series, version, begins[0], end))
        clean = windows.exclude_hours(scale_series(hours, IDENTITY), excluded)
        if len(windows.list_hours(clean)) >= PINNED_REFERENCE_H:
            self._first_weeks = {k: v for k, v in self._first_weeks.items() if k[0] != model}
            self._first_weeks[key] = hours
        return hours
