"""Bring the store's schema up to date and the artifact directory in order; run to its end before any service starts.

A process of its own, so that the supervisor never loads a database library. Decides nothing: what is put right after a
crash stands in `bgpdrift.models.recovery`. Without a store nothing starts; a disorder of models stops no service, since
each falls back by itself.
"""

import sys

from bgpdrift import settings
from bgpdrift.errors import BgpdriftError
from bgpdrift.settings import Settings


def main() -> int:
    """Create or upgrade the store; 0, or 1 with one line that says why not."""
    from bgpdrift.store import migrate

    try:
        loaded = settings.load()
        loaded.data_path.mkdir(parents=True, exist_ok=True)
        migrate(loaded.store_url)
    except BgpdriftError as error:
        print(error, file=sys.stderr)
        return 1
    if loaded.artifacts_path.is_dir():
        put_models_right(loaded)
    return 0


def put_models_right(loaded: Settings) -> None:
    """Recover the artifact directory and record which versions the files show in force; says on stderr what it did."""
    from bgpdrift import logs
    from bgpdrift.clock import SystemClock
    from bgpdrift.detector_registry import MODELS
    from bgpdrift.models.model_registry import ModelRegistry
    from bgpdrift.store import open_store

    logs.configure(loaded.logs.level, loaded.logs.form, service="prepare_store", stream=sys.stderr)
    try:
        with open_store(loaded.store_url, busy_timeout_s=loaded.store.busy_timeout_s) as store:
            history = loaded.detectors.history_minutes
            clock = SystemClock()
            registry = ModelRegistry(loaded.artifacts_path, store, clock, history_minutes=history)
            for line in registry.recover():
                store.record_service_event(clock.now(), "prepare_store", "model_recovered", {"what": line})
            for model in MODELS:
                registry.reconcile(model)
    except BgpdriftError as error:
        logs.get_logger().warning("model.recovery_failed", reason=str(error))


if __name__ == "__main__":
    sys.exit(main())
