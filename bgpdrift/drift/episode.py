"""Incidents that belong together in time, and which hours of them take part in a check. Pure.

Decides what holds a drift back: an incident that is open, or closed ones that follow one another so closely that hardly an
hour between them is clean (a lasting change often looks so: the detectors' own usual catches up, and loses it again). Hours of
other incidents are left out; those a person called a false alarm or a new normal are hours like any other. Whether it is an
attack or the new normal, `bgpdrift.drift.incident_hold` asks.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HOUR_S = 3600
NEAR_S = 6 * HOUR_S
"""Incidents further apart are no episode."""
BRIEF_S = 2 * HOUR_S
"""Nor are those further apart than this and than the earlier one lasted: it was another."""
SEVERAL = 3
"""So many closed ones at least: one, or two, that are over are over."""
CROWDED = 0.5
"""Share of an episode's hours in incidents from which on closed ones are looked at like an open one."""
NORMAL = frozenset({"false_positive", "new_normal"})
ANOMALOUS = frozenset({"true_positive", "missed"})


@dataclass(frozen=True, slots=True)
class Span:
    """An incident, or a range that somebody labelled.

    Attributes
    ----------
    number : int
        Id of the incident; 0 for a range.
    start, end : int
        Event time, end exclusive; of an open incident the end is the time of the check.
    is_open : bool
        Not closed.
    collectors : frozenset of str
        Empty means all.
    label : str
        What a person (or silence) said it was; "" for nothing.
    """

    number: int
    start: int
    end: int
    is_open: bool = False
    collectors: frozenset[str] = frozenset()
    label: str = ""

    @property
    def hours(self) -> range:
        """Starts of the hours it touches."""
        return range(self.start // HOUR_S * HOUR_S, self.end, HOUR_S)


@dataclass(frozen=True, slots=True)
class Episode:
    """Undecided incidents that hold a drift back.

    Attributes
    ----------
    number : int
        Id of the incident that stands for all: an open one if there is one, else the newest.
    since, end : int
        Event time of the first minute of the first; end of the last, exclusive.
    numbers : frozenset of int
        All of them.
    """

    number: int
    since: int
    end: int
    numbers: frozenset[int]


def spans_of(incidents: Iterable[Mapping[str, Any]], labels: Sequence[Mapping[str, Any]], at: int) -> list[Span]:
    """Put incidents and labels together as they were known at ``at``.

    Parameters
    ----------
    incidents : iterable of mapping
        Rows of ``incidents``.
    labels : sequence of mapping
        Rows of ``outcomes``. One that names an incident is about it; one that does not is a range, and says the same of every
        incident inside it.
    at : int
        Event time; what began later is not there yet, and what closed later is still open.
    """
    of_incident = {row["incident_id"]: str(row["label"]) for row in labels if row["incident_id"] is not None}
    ranges = [row for row in labels if row["incident_id"] is None]
    found = []
    for row in incidents:
        start = int(row["started_at"])
        if start >= at or row["merged_into"] is not None:
            continue
        is_open = row["state"] != "closed" or int(row["closed_at"] or 0) > at
        end = at if is_open else min(int(row["last_seen_at"]) + 60, at)
        label = of_incident.get(row["id"], "")
        normal = [r for r in ranges if r["label"] in NORMAL and r["starts_at"] <= start and end <= r["ends_at"]]
        if not label and normal:
            label = str(normal[-1]["label"])
        found.append(Span(int(row["id"]), start, end, is_open, frozenset(row["collectors"]), label))
    for row in ranges:
        if row["label"] in ANOMALOUS and row["starts_at"] < at:
            where = frozenset({str(row["collector"])}) if row["collector"] else frozenset[str]()
            found.append(Span(0, int(row["starts_at"]), min(int(row["ends_at"]), at), False, where, str(row["label"])))
    return sorted(found, key=lambda span: (span.start, span.number))


def episode_of(spans: Sequence[Span], at: int, old_s: float) -> Episode | None:
    """Find what holds a drift back now; None if nothing does.

    Parameters
    ----------
    spans : sequence of Span
        In order of their start.
    at : int
        Event time.
    old_s : float
        Age from which on closed incidents that crowd are looked at like an open one.

    Examples
    --------
    >>> hour = 3600
    >>> episode_of([Span(1, 0, 5 * hour, True)], 5 * hour, 12 * hour).number
    1
    >>> episode_of([Span(1, 0, hour)], 2 * hour, 12 * hour) is None
    True
    >>> waves = [Span(n, 2 * n * hour, (2 * n + 1) * hour) for n in range(10)]
    >>> episode_of(waves, 20 * hour, 12 * hour)
    Episode(number=9, since=0, end=68400, numbers=frozenset({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}))
    """
    undecided = [span for span in spans if span.number >= 0 and not span.label]
    chain: list[Span] = []
    begin = at
    for span in sorted(undecided, key=lambda span: (span.end, span.number), reverse=True):
        if begin - span.end > min(NEAR_S, max(BRIEF_S, span.end - span.start)):
            break
        chain.append(span)
        begin = min(begin, span.start)
    if not chain:
        return None
    still = [span for span in chain if span.is_open]
    crowded = len({hour for span in chain for hour in span.hours}) * HOUR_S >= CROWDED * (at - begin)
    if not still and not (len(chain) >= SEVERAL and crowded and at - begin >= old_s):
        return None
    stands = min(still, key=lambda span: (span.start, span.number)) if still else chain[0]
    return Episode(stands.number, begin, max(span.end for span in chain), frozenset(span.number for span in chain))


def left_out(spans: Sequence[Span], held: Episode | None) -> dict[str, dict[int, str]]:
    """Say which hours take no part, with the reason, by collector ("" is every collector).

    Hours of an episode that holds a drift back take part: how else should one see what it would be drift of.

    Examples
    --------
    >>> left_out([Span(3, 7000, 7300, collectors=frozenset({"rrc00"})), Span(4, 0, 60, label="new_normal")], None)
    {'rrc00': {3600: 'incident 3', 7200: 'incident 3'}}
    """
    found: dict[str, dict[int, str]] = {}
    for span in spans:
        if span.label in NORMAL or (not span.label and held is not None and span.number in held.numbers):
            continue
        reason = f"incident {span.number}" if span.number else "labelled anomaly"
        for collector in span.collectors or {""}:
            hours = found.setdefault(collector, {})
            for hour in span.hours:
                hours.setdefault(hour, reason)
    return found
