"""The service correlation_engine: groups verdicts into incidents."""

from bgpdrift.clock import Clock
from bgpdrift.services import runtime
from bgpdrift.settings import Settings
from bgpdrift.store import open_store
from bgpdrift.verdicts.correlation_engine import CorrelationEngine

NAME = "correlation_engine"


def build(settings: Settings, clock: Clock) -> CorrelationEngine:
    """Build the worker."""
    store = open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s)
    return CorrelationEngine(settings, store, clock)


if __name__ == "__main__":
    runtime.run(NAME, build, lambda settings: settings.detectors.poll_s)
