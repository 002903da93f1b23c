"""The service ensemble_coordinator: combines the detectors' votes into verdicts."""

from bgpdrift.clock import Clock
from bgpdrift.services import runtime
from bgpdrift.settings import Settings
from bgpdrift.store import open_store
from bgpdrift.verdicts.coordination import EnsembleCoordinator

NAME = "ensemble_coordinator"


def build(settings: Settings, clock: Clock) -> EnsembleCoordinator:
    """Build the worker."""
    store = open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s)
    return EnsembleCoordinator(settings, store, clock)


if __name__ == "__main__":
    runtime.run(NAME, build, lambda settings: settings.detectors.poll_s)
