"""The store and the model registry for the commands `models`, `promote` and `rollback`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bgpdrift.terminal import echo

if TYPE_CHECKING:
    from bgpdrift.models.model_registry import ModelRegistry
    from bgpdrift.settings import Settings
    from bgpdrift.store import Store


@contextmanager
def open_store_if_available(settings: "Settings") -> "Iterator[Store | None]":
    """Open the store, or print why it is away: a rollback must be possible without the store."""
    from bgpdrift.errors import BgpdriftError
    from bgpdrift.store import open_store

    try:
        store = open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s)
    except BgpdriftError as error:
        echo(f"bgpdrift: the store is not available, nothing is recorded: {error}", err=True)
        yield None
        return
    with store:
        yield store


@contextmanager
def open_registry(settings: "Settings") -> "Iterator[ModelRegistry]":
    """Open the model registry; warnings and errors of the log go to standard error, because the command prints the rest."""
    import sys

    from bgpdrift import logs
    from bgpdrift.clock import SystemClock
    from bgpdrift.models.model_registry import ModelRegistry
    from bgpdrift.models.retention import RetentionPolicy

    form = "console" if sys.stderr.isatty() else settings.logs.form
    logs.configure(
        "error" if settings.logs.level == "error" else "warning", form, service="bgpdrift", stream=sys.stderr
    )
    with open_store_if_available(settings) as store:
        yield ModelRegistry(
            settings.artifacts_path,
            store,
            SystemClock(),
            RetentionPolicy.from_settings(settings),
            history_minutes=settings.detectors.history_minutes,
        )
