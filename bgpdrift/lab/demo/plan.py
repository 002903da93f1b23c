"""When what happens in a demo, read from the ground truth: the change, the same incidents on both sides of it, the storms.

A scenario without a regime, or without the same incidents again after it, has no such plan: the demo then only trains and
judges what was found. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bgpdrift.lab.simulation.truth import IncidentTruth, Truth

HOUR_S = 3600
BEFORE_S = 2 * HOUR_S
"""Quiet time judged before the first of the incidents."""
LEAST_STORMS = 3
"""So many waves of one incident at the end are storms meant to poison the history."""
LABELLED_S = HOUR_S
"""After the last storm: its incident is closed by then, and can be called something."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Event times in epoch seconds.

    Attributes
    ----------
    change_at : int
        From here on the world is another.
    before, after : tuple of (int, int)
        Equally long spans with the same incidents, before the change and when all should be well again.
    storms_from, storms_to : int
        The poisoned history; the latter with the time to label it.
    end : int
        Of the scenario.
    """

    change_at: int
    before: tuple[int, int]
    after: tuple[int, int]
    storms_from: int
    storms_to: int
    end: int


def plan_of(truth: Truth) -> Plan | None:
    """Read the plan; None if the scenario tells another story."""
    if not truth.regimes:
        return None
    change = int(truth.regimes[0].start)
    storms = _storms(truth.incidents)
    twice = [item for item in truth.incidents if item not in storms and item.wave]
    first = min((int(item.start) for item in twice if item.start < change), default=None)
    again = min((int(item.start) for item in twice if item.start >= change), default=None)
    if first is None or again is None or not storms:
        return None
    storms_from, storms_to = int(storms[0].start), int(storms[-1].end) + LABELLED_S
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
    """Give the incidents that a demo must find one by one; storms that follow each other hourly are one long night."""
    storms = _storms(truth.incidents)
    return [item for item in truth.incidents if item not in storms]


def _storms(incidents: Sequence[IncidentTruth]) -> list[IncidentTruth]:
    """Waves of the last incident of the scenario, if they are many; waves stand together in a ground truth."""
    last: list[IncidentTruth] = []
    for item in reversed(incidents):
        if not item.wave:
            break
        last.insert(0, item)
        if item.wave == 1:
            break
    return last if len(last) >= LEAST_STORMS else []
