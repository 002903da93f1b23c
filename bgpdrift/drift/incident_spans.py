"""Incidents and labelled ranges as spans of time: which of them hold a drift, and which hours take no part in a check.

A drift is held by an open incident, or by closed incidents that follow one another so closely that hardly an hour
between them is clean. A persistent change often has this form, because the baseline of the detectors adapts
to it and later leaves it again. Hours of other incidents are excluded. Hours of incidents that a person labelled a false
positive or the new normal count like any other. `bgpdrift.drift.incident_hold` decides what a held drift becomes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bgpdrift.drift.constants import (
    CROWDED_SHARE,
    HOUR_S,
    MAX_BRIEF_PAUSE_S,
    MAX_GROUP_PAUSE_S,
    MIN_CLOSED_INCIDENTS,
)
from bgpdrift.store.outcomes import Outcome

NORMAL_LABELS = frozenset({"false_positive", "new_normal"})
ANOMALOUS_LABELS = frozenset({"true_positive", "missed"})


@dataclass(frozen=True, slots=True)
class Span:
    """An incident, or a range that a person labelled.

    Attributes
    ----------
    number : int
        Id of the incident; 0 for a labelled range.
    start, end : int
        Event time, end exclusive. The end of an open incident is the time of the check.
    is_open : bool
        Whether the incident is open.
    collectors : frozenset of str
        Empty means all.
    label : str
        Label of a person, or of an approval request that expired; "" for none.
    """

    number: int
    start: int
    end: int
    is_open: bool = False
    collectors: frozenset[str] = frozenset()
    label: str = ""

    @property
    def hours(self) -> range:
        """Starts of the hours that the span touches."""
        return range(self.start // HOUR_S * HOUR_S, self.end, HOUR_S)


@dataclass(frozen=True, slots=True)
class IncidentGroup:
    """Undecided incidents that together hold a drift.

    Attributes
    ----------
    number : int
        Id of the incident that represents the group: the first open one if there is one, otherwise the newest.
    since, end : int
        Event time of the first minute of the first incident; end of the last, exclusive.
    numbers : frozenset of int
        Ids of all incidents in the group.
    """

    number: int
    since: int
    end: int
    numbers: frozenset[int]


def build_spans(incidents: Iterable[Mapping[str, Any]], labels: Sequence[Outcome], at: int) -> list[Span]:
    """Combine incidents and labels as they were known at ``at``.

    Parameters
    ----------
    incidents : iterable of mapping
        Rows of ``incidents``.
    labels : sequence of Outcome
        A label that names an incident applies to it. A label that names none applies to its range
        of time and to every incident inside it.
    at : int
        Event time. What began later is ignored, and what closed later still counts as open.
    """
    label_of_incident = {label.incident_id: label.label for label in labels if label.incident_id is not None}
    ranges = [label for label in labels if label.incident_id is None]
    spans = []
    for row in incidents:
        start = int(row["started_at"])
        if start >= at or row["merged_into"] is not None:
            continue
        is_open = row["state"] != "closed" or int(row["closed_at"] or 0) > at
        end = at if is_open else min(int(row["last_seen_at"]) + 60, at)
        label = label_of_incident.get(row["id"], "")
        normal = [r for r in ranges if r.label in NORMAL_LABELS and r.starts_at <= start and end <= r.ends_at]
        if not label and normal:
            label = normal[-1].label
        spans.append(Span(int(row["id"]), start, end, is_open, frozenset(row["collectors"]), label))
    for missed in ranges:
        if missed.label in ANOMALOUS_LABELS and missed.starts_at < at:
            where = frozenset({missed.collector}) if missed.collector else frozenset[str]()
            spans.append(Span(0, missed.starts_at, min(missed.ends_at, at), False, where, missed.label))
    return sorted(spans, key=lambda span: (span.start, span.number))


def group_incidents(spans: Sequence[Span], at: int, old_s: float) -> IncidentGroup | None:
    """Find the incidents that hold a drift now; None if there are none.

    Parameters
    ----------
    spans : sequence of Span
        In order of their start.
    at : int
        Event time.
    old_s : float
        Age, seconds, from which a crowded group of closed incidents holds a drift as an open incident does.

    Examples
    --------
    >>> hour = 3600
    >>> group_incidents([Span(1, 0, 5 * hour, True)], 5 * hour, 12 * hour).number
    1
    >>> group_incidents([Span(1, 0, hour)], 2 * hour, 12 * hour) is None
    True
    >>> waves = [Span(n, 2 * n * hour, (2 * n + 1) * hour) for n in range(10)]
    >>> group_incidents(waves, 20 * hour, 12 * hour)
    IncidentGroup(number=9, since=0, end=68400, numbers=frozenset({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}))
    """
    undecided = [span for span in spans if span.number >= 0 and not span.label]
    chain: list[Span] = []
    begin = at
    for span in sorted(undecided, key=lambda span: (span.end, span.number), reverse=True):
        if begin - span.end > min(MAX_GROUP_PAUSE_S, max(MAX_BRIEF_PAUSE_S, span.end - span.start)):
            break
        chain.append(span)
        begin = min(begin, span.start)
    if not chain:
        return None
    still_open = [span for span in chain if span.is_open]
    is_crowded = len({hour for span in chain for hour in span.hours}) * HOUR_S >= CROWDED_SHARE * (at - begin)
    if not still_open and not (len(chain) >= MIN_CLOSED_INCIDENTS and is_crowded and at - begin >= old_s):
        return None
    first = min(still_open, key=lambda span: (span.start, span.number)) if still_open else chain[0]
    return IncidentGroup(first.number, begin, max(span.end for span in chain), frozenset(span.number for span in chain))


def list_excluded_hours(spans: Sequence[Span], group: IncidentGroup | None) -> dict[str, dict[int, str]]:
    """List the hours that take no part, with the reason, by collector ("" is every collector).

    Hours of the group that holds a drift take part, because otherwise the drift itself would be invisible.

    Examples
    --------
    >>> spans = [Span(3, 7000, 7300, collectors=frozenset({"rrc00"})), Span(4, 0, 60, label="new_normal")]
    >>> list_excluded_hours(spans, None)
    {'rrc00': {3600: 'incident 3', 7200: 'incident 3'}}
    """
    excluded: dict[str, dict[int, str]] = {}
    for span in spans:
        if span.label in NORMAL_LABELS or (not span.label and group is not None and span.number in group.numbers):
            continue
        reason = f"incident {span.number}" if span.number else "labelled anomaly"
        for collector in span.collectors or {""}:
            hours = excluded.setdefault(collector, {})
            for hour in span.hours:
                hours.setdefault(hour, reason)
    return excluded
