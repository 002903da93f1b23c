"""The part of the drift monitor that turns labels into daily figures of performance.

A day is judged when it is over, and again whenever its labels have changed: a fingerprint of them is kept with the
figures. Days whose scores have expired keep the figures they have, since nobody could make them again. What a label makes
of the votes, `bgpdrift.verdicts.performance` decides.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from bgpdrift.clock import Clock
from bgpdrift.store import Cursor, Store
from bgpdrift.verdicts.performance import daily_rows, day_start_of

CURSOR = "drift_monitor:performance"
LOOK_EVERY_S = 15.0
FAR = 2**62


class LabelledDays:
    """Looks now and then whether labels have changed; judges one day a step."""

    def __init__(self, store: Store, clock: Clock, min_labels: int) -> None:
        self._store, self._clock, self._least = store, clock, min_labels
        cursor = store.read_cursor(CURSOR)
        self._judged: dict[str, str] = dict(cursor.details) if cursor else {}
        self._next_look = clock.monotonic()

    def step(self) -> None:
        """Judge the oldest day whose labels have changed, if it is time to look."""
        if self._clock.monotonic() < self._next_look:
            return
        oldest, newest = self._store.oldest_score_start(), self._store.newest_window_start()
        if oldest is None or newest is None:
            self._next_look = self._clock.monotonic() + LOOK_EVERY_S
            return
        first, today = day_start_of(oldest), day_start_of(newest)
        days = by_day(self._store.outcomes_between(first, FAR), first, today)
        wanted = {str(day): fingerprint(rows, self._least) for day, rows in days.items()}
        known = {day: mark for day, mark in self._judged.items() if int(day) >= first}
        changed = sorted((day for day in wanted | known if wanted.get(day) != known.get(day)), key=int)
        if not changed:
            self._next_look = self._clock.monotonic() + LOOK_EVERY_S
            return
        day = changed[0]
        kept = {**known, day: wanted.get(day, "")}
        self._judged = {name: mark for name, mark in kept.items() if mark}
        rows = self._rows(int(day), days.get(int(day), []))
        self._store.replace_performance(int(day), rows, Cursor(CURSOR, int(day), self._judged))

    def _rows(self, day: int, labels: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        found = []
        for row in labels:
            collectors = [row["collector"]] if row["collector"] else []
            if row["incident_id"] is not None and not collectors:
                incident = self._store.incident(row["incident_id"])
                collectors = sorted(incident["collectors"]) if incident else []
            found.append(
                (str(row["label"]), self._store.count_votes_between(row["starts_at"], row["ends_at"], collectors))
            )
        return daily_rows(day, found, self._least)


def by_day(rows: Sequence[Mapping[str, Any]], first: int, today: int) -> dict[int, list[Mapping[str, Any]]]:
    """Labels by the day their range begins on, of days that are over and whose scores are there.

    Examples
    --------
    >>> day = 86_400
    >>> by_day([{"starts_at": at} for at in (day - 60, day + 60, 3 * day)], first=day, today=3 * day)
    {86400: [{'starts_at': 86460}]}
    """
    days: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        day = day_start_of(int(row["starts_at"]))
        if first <= day < today:
            days.setdefault(day, []).append(row)
    return days


def fingerprint(rows: Sequence[Mapping[str, Any]], min_labels: int) -> str:
    """Tell two sets of labels apart."""
    names = ("id", "incident_id", "starts_at", "ends_at", "collector", "label")
    known = sorted(tuple(str(row[name]) for name in names) for row in rows)
    return hashlib.sha256(repr((min_labels, known)).encode()).hexdigest()[:16]
