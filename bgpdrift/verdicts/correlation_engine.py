"""Reads verdicts from the store, correlates them, and writes the incidents.

The position, the collectors' clocks and the incident changes are written in one transaction. After a crash the engine
reads the incidents that may still change and continues from the position. `bgpdrift.verdicts.correlation` decides which
verdicts belong together.
"""

from bgpdrift import logs
from bgpdrift.errors import TransientError
from bgpdrift.settings import Settings
from bgpdrift.store import StateCursor, Store
from bgpdrift.store.cursor_states import CorrelationState
from bgpdrift.verdicts.correlation import CorrelationPolicy, Correlator, incident_horizon

CURSOR = "correlation_engine"
VERDICTS_PER_STEP = 1_000


class CorrelationEngine:
    """Worker of the correlation engine."""

    def __init__(self, settings: Settings, store: Store) -> None:
        correlation = settings.correlation
        self._store, self._log = store, logs.get_logger()
        self._policy = CorrelationPolicy(
            link_minutes=correlation.link_minutes,
            quiet_minutes=correlation.quiet_minutes,
            reopen_minutes=correlation.reopen_minutes,
        )
        self._n_opened = self._n_closed = 0
        self._position, self._correlator = self._recover()

    def step(self) -> bool:
        """Correlate the next verdicts; True if more are waiting."""
        verdicts = self._store.verdicts_after(self._position, VERDICTS_PER_STEP)
        if not verdicts:
            return False
        changes = self._correlator.add(verdicts)
        position = int(verdicts[-1]["id"])
        try:
            self._store.apply_incidents(
                changes, StateCursor(CURSOR, position, CorrelationState(clocks=self._correlator.clock_fields))
            )
        except TransientError:
            # The changes are in memory but not in the store: start again from the store.
            self._position, self._correlator = self._recover()
            raise
        self._position = position
        for row in changes.inserts:
            self._n_opened += 1
            self._log.warning("incident.opened", id=row["id"], kind=row["kind"], summary=row["summary"])
        for event in changes.events:
            if event["kind"] == "closed":
                self._n_closed += 1
                self._log.info("incident.closed", id=event["incident_id"], at=event["at"])
        return len(verdicts) == VERDICTS_PER_STEP

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
