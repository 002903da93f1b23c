"""The correlation engine: verdicts in, incidents out; the position, the collectors' clocks and the changes in one transaction.

After a kill it reads back the incidents that may still change and goes on as if nothing had been. What belongs
together, `bgpdrift.verdicts.correlation` decides.
"""

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.errors import TransientError
from bgpdrift.services import runtime
from bgpdrift.settings import Settings
from bgpdrift.store import Cursor, Store, open_store
from bgpdrift.verdicts.correlation import CorrelationPolicy, Correlator

NAME = "correlation_engine"
VERDICTS_A_STEP = 1_000


class CorrelationEngine:
    """Worker."""

    def __init__(self, settings: Settings, store: Store) -> None:
        correlation = settings.correlation
        self._store, self._log = store, logs.get_logger()
        self._policy = CorrelationPolicy(
            correlation.link_minutes, correlation.quiet_minutes, correlation.reopen_minutes
        )
        self._opened = self._closed = 0
        self._position, self._correlator = self._recovered()

    def step(self) -> bool:
        """Correlate the next verdicts; True if more are waiting."""
        verdicts = self._store.verdicts_after(self._position, VERDICTS_A_STEP)
        if not verdicts:
            return False
        changes = self._correlator.take(verdicts)
        position = int(verdicts[-1]["id"])
        try:
            self._store.apply_incidents(changes, Cursor(NAME, position, {"clocks": self._correlator.clock_fields}))
        except TransientError:
            self._position, self._correlator = (
                self._recovered()
            )  # what was taken in memory was not written: forget it and read again
            raise
        self._position = position
        for row in changes.inserts:
            self._opened += 1
            self._log.warning("incident.opened", id=row["id"], kind=row["kind"], summary=row["summary"])
        for event in changes.events:
            if event["kind"] == "closed":
                self._closed += 1
                self._log.info("incident.closed", id=event["incident_id"], at=event["at"])
        return len(verdicts) == VERDICTS_A_STEP

    def status(self) -> str:
        """Incidents open and seen."""
        return f"{self._correlator.open_count} open incidents; {self._opened} opened, {self._closed} closed"

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    def _recovered(self) -> tuple[int, Correlator]:
        cursor = self._store.read_cursor(NAME)
        clocks = {str(name): int(at) for name, at in (cursor.details.get("clocks", {}) if cursor else {}).items()}
        # As far back as the correlator itself remembers, or a restart would forget what may still reopen.
        slowest, newest = min(clocks.values(), default=0), max(clocks.values(), default=0)
        horizon = max(slowest, newest - 86_400) - 60 * (self._policy.reopen_minutes + self._policy.link_minutes)
        recent = [*self._store.open_incidents(), *self._store.incidents_closed_since(horizon)]
        correlator = Correlator(self._policy, recent, clocks, self._store.next_incident_id())
        return (cursor.position if cursor else 0), correlator


def build(settings: Settings, clock: Clock) -> CorrelationEngine:  # noqa: ARG001 - it lives in event time only
    """Make the worker."""
    return CorrelationEngine(settings, open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s))


if __name__ == "__main__":
    runtime.run(NAME, build, lambda settings: settings.detectors.poll_s)
