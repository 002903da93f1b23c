"""What one check needs to know, read from store and artifacts: scores, baselines, incidents, labels, features.

Decides what is read and how far back; and remembers what does not change between two checks. What follows from it the pure
parts in `bgpdrift.drift` decide.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bgpdrift.drift import incident_spans, windows
from bgpdrift.drift.hours import HOUR_S, Hours
from bgpdrift.drift.incident_spans import IncidentGroup, Span
from bgpdrift.drift.stored_hours import decode_hours
from bgpdrift.drift.windows import DetectorHours
from bgpdrift.models.reference import reference_of
from bgpdrift.settings import Settings
from bgpdrift.store import Store

DAY_S = 24 * HOUR_S
LOOK_BACK_S = 35 * DAY_S
FAR_BACK_S = 75 * DAY_S
FIRST_S = 21 * DAY_S
"""Time after a version came into force in which a clean week of it is looked for."""
LATEST_S = DAY_S
"""A detector that gave no score for a day has no version in force."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything about one detector at one event time.

    Attributes
    ----------
    model, version : str
        Detector and version in force.
    at : int
        Event time, epoch seconds.
    known : DetectorHours
        Scores and what of them takes part.
    spans : sequence of Span
        Incidents and labelled ranges, as known at ``at``.
    held : IncidentGroup or None
        Incidents that hold a drift back.
    unreadable : int
        Stored hours that could not be read.
    """

    model: str
    version: str
    at: int
    known: DetectorHours
    spans: Sequence[Span]
    held: IncidentGroup | None
    unreadable: int = 0


class DriftFacts:
    """Reads `Facts`; one object a monitor."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store, self._folder = settings, store, settings.artifacts_path
        self._look_back = FAR_BACK_S if settings.drift.preset == "7d/30d" else LOOK_BACK_S
        self._profiles: dict[tuple[str, str], Mapping[str, Hours]] = {}
        self._firsts: dict[tuple[str, str], Mapping[str, Hours]] = {}

    def version_at(self, model: str, at: int) -> str:
        """Version in force in the newest hour before ``at``; "" if the detector gave no score for a day."""
        versions = self._store.series_versions(f"score:{model}", at - LATEST_S, at)
        newest = max((last for _, _, last, _ in versions), default=0)
        # Where two share the newest hour, the one whose row is younger came later.
        return next((version for version, _, last, _ in reversed(versions) if last == newest), "")

    def read(self, model: str, at: int) -> Facts | None:
        """Read all about a detector; None if it gave no score for a day."""
        version = self.version_at(model, at)
        if not version:
            return None
        series, begin = f"score:{model}", at - self._look_back
        live, unreadable = decode_hours(self._store.hours_between(series, version, begin, at))
        spans = self.spans(begin, at)
        held = incident_spans.group_incidents(spans, at, 3600 * self._settings.drift.max_hold_h)
        flagged = {
            hour
            for start, end in self._store.flagged_spans(model, version, begin, at)
            for hour in range(start // HOUR_S * HOUR_S, end, HOUR_S)
        }
        if held is not None:
            # What holds a drift back may be seen, but is no baseline for it.
            flagged |= set(range(held.since // HOUR_S * HOUR_S, at, HOUR_S))
        others = [
            (name, first, last + HOUR_S)
            for name, first, last, _ in self._store.series_versions(series, at - 31 * DAY_S, at)
            if name != version
        ]
        out = incident_spans.list_excluded_hours(spans, held)
        profile = self._profile(model, version)
        enough = windows.has_days(profile, self._settings.drift.min_reference_days)
        first = {} if enough else self._first(model, version, at, out)
        earlier = [self.series(series, name, begin, at) for name, _, _ in others]
        known = DetectorHours(at, live, profile, first, out, frozenset(flagged), others, earlier)
        return Facts(model, version, at, known, spans, held, unreadable)

    def spans(self, begin: int, at: int) -> list[Span]:
        """Incidents and labelled ranges that touch the time looked at."""
        incidents = self._store.incidents_between(begin, at)
        return incident_spans.build_spans(incidents, self._store.outcomes_between(begin, at), at)

    def series(self, name: str, version: str, begin: int, at: int) -> Mapping[str, Hours]:
        """Hours of any series, by collector."""
        return decode_hours(self._store.hours_between(name, version, begin, at))[0]

    def many(
        self, names: Sequence[str], version: str, begin: int, at: int
    ) -> Iterator[tuple[str, Mapping[str, Hours]]]:
        """Hours of several series, by name and collector, one after the other: few are in memory at once."""
        rows = self._store.hours_of_many(names, version, begin, at)
        for name in names:
            if name in rows:
                yield name, decode_hours(rows.pop(name))[0]

    def _profile(self, model: str, version: str) -> Mapping[str, Hours]:
        key = (model, version)
        if key not in self._profiles:
            self._profiles = {k: v for k, v in self._profiles.items() if k[0] != model}
            self._profiles[key] = reference_of(Path(self._folder), model, version)
        return self._profiles[key]

    def _first(self, model: str, version: str, at: int, out: windows.ExcludedHours) -> Mapping[str, Hours]:
        """Hours from a version's first on, as many as hold a clean week; kept once they do."""
        key = (model, version)
        if key in self._firsts:
            return self._firsts[key]
        series = f"score:{model}"
        begins = [first for name, first, _, _ in self._store.series_versions(series, 0, at) if name == version]
        if not begins:
            return {}
        end = min(begins[0] + FIRST_S, at)
        found, _ = decode_hours(self._store.hours_between(series, version, begins[0], end))
        if len(windows.list_hours(windows.exclude_hours(found, out))) >= windows.PINNED_H:
            self._firsts = {k: v for k, v in self._firsts.items() if k[0] != model}
            self._firsts[key] = found
        return found


def incident_row(store: Store, number: int) -> Mapping[str, Any] | None:
    """Read an incident, or the one it was merged into."""
    row = store.incident(number)
    for _ in range(10):
        if row is None or row["merged_into"] is None:
            return row
        row = store.incident(int(row["merged_into"]))
    return row
