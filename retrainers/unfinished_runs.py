"""Clean-up after runs that were killed: their events, their stages and the candidate they were writing.

The parent of a killed worker and the next run call it, with the run lock held. Afterwards no partial file looks like a
model and no event looks unfinished. The files decide: a version that became active before the kill stays active, and the
event says so.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bgpdrift.clock import Clock
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.models.paths import candidate_path
from bgpdrift.models.publication import active_version
from bgpdrift.settings import Settings
from bgpdrift.store import Store
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
        Of the system.
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
    for row in store.retrain_events(limit=MAX_EVENTS):
        if row["kind"] != "retrain" or row["finished_at"] is not None:
            continue
        is_active = bool(row["version"]) and active_version(folder, row["model"]) == row["version"]
        if not is_active:
            _remove_candidate(folder, row)
        completed = {
            "finished_at": int(clock.now()),
            "exit_code": int(exit_code),
            "promoted": is_active,
            "notes": f"{notes}; version {row['version']} was active already" if is_active else notes,
        }
        store.finish_retrain_event(int(row["id"]), completed)
        closed.append(int(row["id"]))
        registry.reconcile(str(row["model"]))
    return closed


def _remove_candidate(folder: Path, row: Mapping[str, Any]) -> None:
    if row["version"]:
        with suppress(OSError):
            candidate_path(folder, row["model"], row["version"]).unlink(missing_ok=True)
