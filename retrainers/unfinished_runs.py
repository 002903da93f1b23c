"""Clean-up after runs that were killed: their events, their stages and the candidate they were writing.

The parent of a killed worker and the next run call it, with the run lock held. Afterwards no partial file looks like a
model and no event looks unfinished. The files decide: a version that became active before the kill stays active, and the
event records it.
"""

from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from bgpdrift.clock import Clock
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.paths import candidate_path
from bgpdrift.models.publication import active_version
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.model_records import RetrainEvent
from retrainers.exits import Exit

MAX_EVENTS = 20
"""Newest events that are checked."""
KILLED_NOTE = "the run ended without a result: it was killed, or the machine stopped"


def close_unfinished_runs(
    settings: Settings, store: Store, clock: Clock, exit_code: int = Exit.INTERNAL, notes: str = KILLED_NOTE
) -> list[int]:
    """Complete the events of killed runs and remove their files.

    Parameters
    ----------
    settings, store, clock
        Settings, store and clock of the system.
    exit_code, notes
        Written into the events.

    Returns
    -------
    list of int
        Events that were completed.
    """
    folder, closed = settings.artifacts_path, []
    registry = ModelRegistry(folder, store, clock, history_minutes=settings.detectors.history_minutes)
    registry.recover()
    for event in store.retrain_events(limit=MAX_EVENTS):
        if event.kind != "retrain" or event.finished_at is not None:
            continue
        is_active = bool(event.version) and active_version(folder, event.model) == event.version
        if not is_active:
            _remove_candidate(folder, event)
        completed = replace(
            event,
            finished_at=int(clock.now()),
            promoted=is_active,
            exit_code=int(exit_code),
            notes=f"{notes}; version {event.version} was active already" if is_active else notes,
        )
        closed.append(store.record_retrain_event(completed))
        registry.reconcile(event.model)
    return closed


def _remove_candidate(folder: Path, event: RetrainEvent) -> None:
    if event.version:
        with suppress(OSError):
            candidate_path(folder, event.model, event.version).unlink(missing_ok=True)
