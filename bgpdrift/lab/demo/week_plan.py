"""The plan of the week, read from the ground truth: the change, the same incidents before and after it, the storms.

A scenario has a plan if it contains a persistent change, the same incidents before and after it, and storms.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bgpdrift.lab.simulation.truth import IncidentTruth, Truth

HOUR_S = 3600
BEFORE_S = 2 * HOUR_S
"""Quiet time before the first incident that is evaluated too."""
MIN_STORMS = 3
"""At least this many waves of the last incident are storms that poison the history."""
LABEL_AFTER_S = HOUR_S
"""Time after the last storm until its incident is closed and can be labelled."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Event times in epoch seconds.

    Attributes
    ----------
    change_at : int
        When the persistent change happens.
    before, after : tuple of (int, int)
        Spans of equal length with the same incidents: before the change, and when the system must have adapted to it.
    storms_from, storms_to : int
        The poisoned history, up to the moment when it can be labelled.
    end : int
        End of the scenario.
    """

    change_at: int
    before: tuple[int, int]
    after: tuple[int, int]
    storms_from: int
    storms_to: int
    end: int


def plan_of(truth: Truth) -> Plan | None:
    """Read the plan of the week; None for a scenario of another shape."""
    if not truth.regimes:
        return None
    change = int(truth.regimes[0].start)
    storms = _storms(truth.incidents)
    twice = [item for item in truth.incidents if item not in storms and item.wave]
    first = min((int(item.start) for item in twice if item.start < change), default=None)
    again = min((int(item.start) for item in twice if item.start >= change), default=None)
    if first is None or again is None or not storms:
        return None
    storms_from, storms_to = int(storms[0].start), int(storms[-1].end) + LABEL_AFTER_S
    length = min(change - first, storms_from - again) + BEFORE_S
    return Plan(
        change,
        (first - BEFORE_S, first - BEFORE_S + length),
        (again - BEFORE_S, again - BEFORE_S + length),
        storms_from,
        storms_to,
        int(truth.end),
    )


def without_storms(truth: Truth) -> list[IncidentTruth]:
    """Return the incidents that the demo must find one by one: all but the storms, which follow each other every hour."""
    storms = _storms(truth.incidents)
    return [item for item in truth.incidents if item not in storms]


def _storms(incidents: Sequence[IncidentTruth]) -> list[IncidentTruth]:
    """Return the waves of the last incident if there are enough; the waves of an incident are adjacent in a ground truth."""
    last: list[IncidentTruth] = []
    for item in reversed(incidents):
        if not item.wave:
            break
        last.insert(0, item)
        if item.wave == 1:
            break
    return last if len(last) >= MIN_STORMS else []
