"""The service `drift_monitor`: builds the worker of `bgpdrift.monitor` and runs it."""

from bgpdrift.clock import Clock
from bgpdrift.monitor.drift_checks import DriftChecks
from bgpdrift.monitor.model_loop import ModelLoop
from bgpdrift.monitor.monitor_worker import NAME, DriftMonitor
from bgpdrift.monitor.performance_days import PerformanceDays
from bgpdrift.services import runtime
from bgpdrift.settings import Settings
from bgpdrift.status.facts_writer import FactsWriter
from bgpdrift.store import open_store
from bgpdrift.store.retention import Sweeper


def build(settings: Settings, clock: Clock) -> DriftMonitor:
    """Build the worker."""
    store = open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s)
    days = {str(table): kept for table, kept in settings.store.retention_days.items()}
    return DriftMonitor(
        store,
        settings.drift.enabled,
        sweeper=Sweeper(store, days, clock),
        performance=PerformanceDays(store, clock, settings.drift.min_labels),
        checks=DriftChecks(settings, store, clock),
        loop=ModelLoop(settings, store, clock),
        facts=FactsWriter(settings, store, clock),
    )


if __name__ == "__main__":
    runtime.run(NAME, build, lambda settings: settings.drift.poll_s)
