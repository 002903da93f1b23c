"""Reads verdicts from the store, correlates them, and writes the incidents.

The position, the collectors' clocks, the incident changes and the alerts about them are written in one transaction. After
a crash the engine reads the incidents that may still change and continues from the position. Verdicts change the incidents
in memory while they are correlated. The changes are therefore kept until the store has accepted them; until then no further
verdict is read. `bgpdrift.verdicts.correlation` decides which verdicts belong together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.settings import Settings
from bgpdrift.store import IncidentChanges, StateCursor, Store
from bgpdrift.store.cursor_states import CorrelationState
from bgpdrift.store.request_records import Alert
from bgpdrift.verdicts.correlation import CorrelationPolicy, Correlator, incident_horizon
from bgpdrift.verdicts.incident_alerts import build_incident_alerts

CURSOR = "correlation_engine"
VERDICTS_PER_STEP = 1_000


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step writes."""

    changes: IncidentChanges
    alerts: Sequence[Alert]
    cursor: StateCursor[CorrelationState]
    """Position behind the last verdict that was read."""


class CorrelationEngine:
    """Worker of the correlation engine."""

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        correlation = settings.correlation
        self._store, self._clock, self._log = store, clock, logs.get_logger()
        self._policy = CorrelationPolicy(
            link_minutes=correlation.link_minutes,
            quiet_minutes=correlation.quiet_minutes,
            reopen_minutes=correlation.reopen_minutes,
        )
        self._n_opened = self._n_closed = 0
        self._batch: Batch | None = None  # in memory, but not in the store
        self._position, self._correlator = self._recover()

    def step(self) -> bool:
        """Correlate the next verdicts; True if more are waiting."""
        self._commit()  # the changes that the store refused in the last step
        verdicts = self._store.verdicts_after(self._position, VERDICTS_PER_STEP)
        if not verdicts:
            return False
        changes = self._correlator.add(verdicts)
        state = CorrelationState(clocks=self._correlator.clock_fields)
        alerts = build_incident_alerts(changes, self._clock.now())
        self._batch = Batch(changes, alerts, StateCursor(CURSOR, int(verdicts[-1]["id"]), state))
        self._commit()
        return len(verdicts) == VERDICTS_PER_STEP

    def _commit(self) -> None:
        """Write the changes that are in memory but not in the store."""
        if self._batch is None:
            return
        changes, cursor = self._batch.changes, self._batch.cursor
        self._store.apply_incidents(changes, cursor, self._batch.alerts)
        self._position, self._batch = cursor.position, None
        for row in changes.inserts:
            self._n_opened += 1
            self._log.warning("incident.opened", id=row["id"], kind=row["kind"], summary=row["summary"])
        for event in changes.events:
            if event["kind"] == "closed":
                self._n_closed += 1
                self._log.info("incident.closed", id=event["incident_id"], at=event["at"])

    def status(self) -> str:
        """Number of incidents open now, and opened and closed since the start."""
        return f"{self._correlator.open_count} open incidents; {self._n_opened} opened, {self._n_closed} closed"

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _recover(self) -> tuple[int, Correlator]:
        """Read the position and the incidents that may still change."""
        cursor = self._store.read_state(CURSOR, CorrelationState)
        clocks = cursor.state.clocks if cursor else {}
        closed = self._store.incidents_closed_since(incident_horizon(clocks, self._policy))
        correlator = Correlator(
            self._policy,
            recent=[*self._store.open_incidents(), *closed],
            clocks=clocks,
            next_id=self._store.next_incident_id(),
        )
        return (cursor.position if cursor else 0), correlator
