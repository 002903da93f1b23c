"""State changes that the demo sees in the store, in event time: incidents, approvals, retraining requests, versions, checks.

`Timeline.update` reads the store and adds each new state once. The acts of the demo decide what the changes mean.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bgpdrift.detector_registry import MODELS
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import DriftState, ProbationState, drift_cursor, probation_cursor

HOUR_S = 3600
LOOK_BACK_S = 40 * 86_400


@dataclass(frozen=True, slots=True)
class StateChange:
    """A new state of something, first seen at event time `at` (epoch seconds)."""

    at: int
    kind: str
    """``incident``, ``approval``, ``request``, ``version``, ``check`` or ``probation``."""
    subject: str
    state: str
    text: str = ""

    def line(self, start: int) -> str:
        """Describe it in one line, with the event time since `start`.

        Examples
        --------
        >>> StateChange(93_600, "version", "lstm 2", "accepted").line(0)
        'day  1 02.00 h  version lstm 2: accepted'
        """
        return f"{self.when(start)}  {self.kind} {self.subject}: {self.state}{'; ' if self.text else ''}{self.text}"

    def when(self, start: int) -> str:
        """Format the event time since `start`, e.g. ``day  1 02.00 h``."""
        return _format_day(self.at - start)


class Timeline:
    """All state changes seen so far.

    Parameters
    ----------
    store : Store
        The store to read.
    start : int
        Event time of day 0.
    on_change : callable
        Called with each new state change.
    """

    def __init__(self, store: Store, start: int, on_change: Callable[[StateChange], None] = lambda _: None) -> None:
        self._store, self._start, self._on_change = store, start, on_change
        self._states: dict[tuple[str, str], str] = {}
        self.changes: list[StateChange] = []

    def update(self, now: int) -> None:
        """Read the store and add what is new."""
        for row in self._store.incidents_between(now - LOOK_BACK_S, now + HOUR_S):
            if row["merged_into"] is None:
                since = _format_day(int(row["started_at"]) - self._start)
                self._add(now, "incident", str(row["id"]), row["state"], f"{row['kind']} since {since}")
        for approval in self._store.approval_requests():
            self._add(now, "approval", str(approval.id), approval.state, f"{approval.kind} {approval.subject}")
        for request in reversed(self._store.retrain_requests()):
            reason = request.refusal_reason or request.reason.summary
            text = f"{request.model} by {request.requested_by}: {reason}"
            self._add(now, "request", str(request.id), request.state, text[:240])
        for version in self._store.model_versions():
            self._add(now, "version", f"{version.model} {version.version}", version.state)
        for model in MODELS:
            if drift := self._store.read_state(drift_cursor(model), DriftState):
                verdict = drift.state.verdict
                state = f"drift {drift.state.severity}" if verdict == "drift" else verdict
                self._add(now, "check", model, state, drift.state.reason[:200])
            if probation := self._store.read_state(probation_cursor(model), ProbationState):
                self._add(now, "probation", model, probation.state.verdict, probation.state.reason[:200])

    def first(self, kind: str, subject: str = "", state: str = "", since: int = 0) -> StateChange | None:
        """Return the first change that `select` gives, or None."""
        return next(iter(self.select(kind, subject, state, since)), None)

    def select(self, kind: str, subject: str = "", state: str = "", since: int = 0) -> list[StateChange]:
        """Return the changes of a kind from event time `since` on; `subject` is a prefix, an empty text matches all."""
        return [
            one
            for one in self.changes
            if one.kind == kind and one.subject.startswith(subject) and state in ("", one.state) and one.at >= since
        ]

    def _add(self, now: int, kind: str, subject: str, state: str, text: str = "") -> None:
        if self._states.get((kind, subject)) == state:
            return
        self._states[kind, subject] = state
        self.changes.append(StateChange(now, kind, subject, state, text))
        self._on_change(self.changes[-1])


def _format_day(seconds: int) -> str:
    hours = seconds / HOUR_S
    return f"day {int(hours // 24):2} {hours % 24:05.2f} h"
