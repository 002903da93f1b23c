"""The schedule of drift checks: decides which model is checked next, and at which event time.

A check is due for each interval that is complete in event time and holds scores, in order. Hours without data are not checked,
neither after an outage nor after a clock that jumps a year.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bgpdrift.detector_registry import MODELS
from bgpdrift.drift.constants import HOUR_S
from bgpdrift.monitor.check_inputs import DAY_S
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import DriftState
from bgpdrift.store.database import StateCursor

FIRST_CHECK_AGE_S = 7 * DAY_S
"""Age of the oldest check of a model that was never checked before."""
MAX_SCORE_DELAY_S = 2 * HOUR_S
"""A detector this far behind the windows no longer delays the check of its last hour."""
MAX_CLOCK_STEP_BACK_S = 2 * HOUR_S
"""If event time goes back further, the schedule continues from the new time."""


@dataclass(frozen=True, slots=True)
class DueCheck:
    """A check that is due: its model, its event time, and the state of the check before."""

    model: str
    at: int
    cursor: StateCursor[DriftState] | None


class CheckSchedule:
    """Finds checks that are due.

    Parameters
    ----------
    store : Store
        Hours of scores, and the state of each model.
    check_every_h : int
        Interval of the checks, hours.
    """

    def __init__(self, store: Store, check_every_h: int) -> None:
        self._store, self._interval_s = store, check_every_h * HOUR_S

    def find_due(self, now: int) -> DueCheck | None:
        """Find the oldest check that is due at an event time; None if there is none."""
        due = [check for model in MODELS if (check := self._find_due_of(model, now)) is not None]
        return min(due, key=lambda check: check.at, default=None)

    def find_newest_end(self, model: str) -> int | None:
        """Return the end of the newest hour with scores of a model; None without any in the last day of data."""
        now = self._store.latest_window_start()
        hours = [] if now is None else self._store.hours_with(f"score:{model}", now - DAY_S, now + 60)
        return hours[-1] + HOUR_S if hours else None

    def _find_due_of(self, model: str, now: int) -> DueCheck | None:
        cursor, hour = self._store.read_drift_state(model), now // HOUR_S * HOUR_S
        position = hour - FIRST_CHECK_AGE_S if cursor is None else cursor.position
        if position > now + MAX_CLOCK_STEP_BACK_S:
            position = hour - MAX_SCORE_DELAY_S
        hours = self._store.hours_with(f"score:{model}", position - self._interval_s, now)
        complete = self._find_complete_end(hours, now)
        ends = (-(-(start + HOUR_S) // self._interval_s) * self._interval_s for start in hours)
        at = next((end for end in ends if position < end <= complete), None)
        return None if at is None else DueCheck(model, at, cursor)

    def _find_complete_end(self, hours: Sequence[int], now: int) -> int:
        """Return the event time up to which hours are complete: a later hour has begun, or the detector is behind."""
        newest = max(hours, default=0)
        return min(newest if now - newest < HOUR_S + MAX_SCORE_DELAY_S else newest + self._interval_s, now)
