"""Upgrades the schema of the store and repairs the artifact directory; it runs to its end before any service starts.

This is a process of its own, so that the supervisor does not load a database library. Without a store no service starts.
A damaged artifact directory stops no service, because each detector falls back to a backup. `bgpdrift.models.recovery`
decides what is repaired after a crash.
"""

import sys

from bgpdrift import settings
from bgpdrift.errors import BgpdriftError, TransientError
from bgpdrift.settings import Settings

EXIT_TEMPORARY = 75
"""The disk is full or the database is locked or cannot be reached: the supervisor tries again."""


def main() -> int:
    """Create or upgrade the store; return 0, or 1 or `EXIT_TEMPORARY` after printing the reason to standard error."""
    from bgpdrift.process.signals import ignore_unknown_signals
    from bgpdrift.store import migrate

    ignore_unknown_signals()
    try:
        loaded = settings.load()
        loaded.data_path.mkdir(parents=True, exist_ok=True)
        migrate(loaded.store_url)
    except BgpdriftError as error:
        print(error, file=sys.stderr)
        return EXIT_TEMPORARY if isinstance(error, TransientError) else 1
    if loaded.artifacts_path.is_dir():
        repair_models(loaded)
    return 0


def repair_models(loaded: Settings) -> None:
    """Repair the artifact directory and record which versions are active; log each repair to standard error."""
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
                store.record_service_event(clock.now(), "prepare_store", "model_recovered", {"repair": line})
            for model in MODELS:
                registry.reconcile(model)
    except BgpdriftError as error:
        logs.get_logger().warning("model.recovery_failed", reason=str(error))


if __name__ == "__main__":
    sys.exit(main())
