"""What the commands that move models share: the store if it can be had, and log lines beside the answer, not in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bgpdrift.models.model_registry import ModelRegistry
    from bgpdrift.settings import Settings
    from bgpdrift.store import Store


@contextmanager
def open_records(settings: "Settings") -> "Iterator[Store | None]":
    """Open the store, or say that nothing is recorded: a person at night must be able to go back without it."""
    from bgpdrift.errors import BgpdriftError
    from bgpdrift.store import open_store

    try:
        store = open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s)
    except BgpdriftError as error:
        click.echo(f"bgpdrift: without the store: {error}", err=True)
        yield None
        return
    with store:
        yield store


@contextmanager
def open_registry(settings: "Settings") -> "Iterator[ModelRegistry]":
    """Make what moves models, with the settings in force."""
    import sys

    from bgpdrift import logs
    from bgpdrift.clock import SystemClock
    from bgpdrift.models.model_registry import ModelRegistry
    from bgpdrift.models.retention import RetentionPolicy

    form = "console" if sys.stderr.isatty() else settings.logs.form
    logs.configure(settings.logs.level, form, service="bgpdrift", stream=sys.stderr)
    keep = RetentionPolicy(settings.models.keep_backups, settings.models.keep_candidates, settings.models.keep_rejected)
    with open_records(settings) as store:
        history = settings.detectors.history_minutes
        yield ModelRegistry(settings.artifacts_path, store, SystemClock(), keep, history_minutes=history)
