"""Performance days: turns the labels of each day into figures of performance.

A day is evaluated when it is over, and again when its labels have changed. A fingerprint of the labels is kept with the figures.
Days whose scores have expired keep their figures, because they cannot be computed again. `bgpdrift.verdicts.performance` decides
what a label makes of a vote.
"""

import hashlib
from collections.abc import Sequence

from bgpdrift.clock import Clock
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import PERFORMANCE_CURSOR, PerformanceState
from bgpdrift.store.database import StateCursor
from bgpdrift.store.outcomes import DailyPerformance, Outcome
from bgpdrift.verdicts.performance import daily_rows, day_start_of

INTERVAL_S = 15.0
"""Wall-clock interval between two searches for changed labels."""
END_OF_TIME = 2**62


class PerformanceDays:
    """Evaluates at most one day in each step."""

    def __init__(self, store: Store, clock: Clock, min_labels: int) -> None:
        self._store, self._clock, self._min_labels = store, clock, min_labels
        cursor = store.read_state(PERFORMANCE_CURSOR, PerformanceState)
        self._fingerprints = dict(cursor.state.fingerprints) if cursor else {}
        self._next_at = clock.monotonic()

    def step(self) -> None:
        """Evaluate the oldest day whose labels have changed, if the interval has passed."""
        if self._clock.monotonic() < self._next_at:
            return
        oldest, newest = self._store.oldest_score_start(), self._store.newest_window_start()
        if oldest is None or newest is None:
            self._next_at = self._clock.monotonic() + INTERVAL_S
            return
        first, today = day_start_of(oldest), day_start_of(newest)
        days = group_by_day(self._store.outcomes_between(first, END_OF_TIME), first, today)
        current = {day: compute_fingerprint(labels, self._min_labels) for day, labels in days.items()}
        evaluated = {day: value for day, value in self._fingerprints.items() if day >= first}
        changed = sorted(day for day in current | evaluated if current.get(day) != evaluated.get(day))
        if not changed:
            self._next_at = self._clock.monotonic() + INTERVAL_S
            return
        day = changed[0]
        fingerprints = {**evaluated, day: current.get(day, "")}
        fingerprints = {name: value for name, value in fingerprints.items() if value}
        state = PerformanceState(fingerprints=fingerprints)
        rows = self._build_rows(day, days.get(day, []))
        self._store.replace_performance(day, rows, StateCursor(PERFORMANCE_CURSOR, day, state))
        self._fingerprints = fingerprints

    def _build_rows(self, day: int, labels: Sequence[Outcome]) -> list[DailyPerformance]:
        votes = []
        for label in labels:
            collectors = [label.collector] if label.collector else []
            if label.incident_id is not None and not collectors:
                incident = self._store.incident(label.incident_id)
                collectors = sorted(incident["collectors"]) if incident else []
            counts = self._store.count_votes_between(label.starts_at, label.ends_at, collectors)
            votes.append((label.label, counts))
        return daily_rows(day, votes, self._min_labels)


def group_by_day(labels: Sequence[Outcome], first: int, today: int) -> dict[int, list[Outcome]]:
    """Group labels by the day on which their range begins, for past days whose scores exist.

    Examples
    --------
    >>> day = 86_400
    >>> labels = [Outcome(starts_at=at, ends_at=at + 60, label="missed") for at in (day - 60, day + 60, 3 * day)]
    >>> [(at, len(group)) for at, group in group_by_day(labels, first=day, today=3 * day).items()]
    [(86400, 1)]
    """
    days: dict[int, list[Outcome]] = {}
    for label in labels:
        day = day_start_of(label.starts_at)
        if first <= day < today:
            days.setdefault(day, []).append(label)
    return days


def compute_fingerprint(labels: Sequence[Outcome], min_labels: int) -> str:
    """Return a value that differs for different labels and for a different minimum."""
    names = ("id", "incident_id", "starts_at", "ends_at", "collector", "label")
    rows = sorted(tuple(str(getattr(label, name)) for name in names) for label in labels)
    return hashlib.sha256(repr((min_labels, rows)).encode()).hexdigest()[:16]
