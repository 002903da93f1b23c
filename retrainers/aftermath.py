"""What is put right after runs that did not end by themselves: their events, their stages, the candidate in the making.

Called with the run lock held, by the parent of a worker that was killed and by the next run, so that a killed retrainer
leaves nothing anybody could take for a model, and no event that seems to go on for ever. The file is the truth: what had
come into force before the kill is in force, and is recorded as that.
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

EVENTS_LOOKED_AT = 20
WITHOUT_A_WORD = "ended without a word: killed, or the machine went down"


def tidy(
    settings: Settings, store: Store, clock: Clock, exit_code: int = Exit.INTERNAL, notes: str = WITHOUT_A_WORD
) -> list[int]:
    """Finish what unfinished runs left.

    Parameters
    ----------
    settings, store, clock
        Of the system.
    exit_code, notes
        What is written into their events.

    Returns
    -------
    list of int
        Events that were closed.
    """
    folder, closed = settings.artifacts_path, []
    registry = ModelRegistry(folder, store, clock, history_minutes=settings.detectors.history_minutes)
    registry.recover()
    for row in store.retrain_events(limit=EVENTS_LOOKED_AT):
        if row["kind"] != "retrain" or row["finished_at"] is not None:
            continue
        active = bool(row["version"]) and active_version(folder, row["model"]) == row["version"]
        if not active:
            _remove_candidate(folder, row)
        closing = {
            "finished_at": int(clock.now()),
            "exit_code": int(exit_code),
            "promoted": active,
            "notes": f"{notes}; version {row['version']} had come into force" if active else notes,
        }
        store.finish_retrain_event(int(row["id"]), closing)
        closed.append(int(row["id"]))
        registry.reconcile(str(row["model"]))
    return closed


def _remove_candidate(folder: Path, row: Mapping[str, Any]) -> None:
    if row["version"]:
        with suppress(OSError):
            candidate_path(folder, row["model"], row["version"]).unlink(missing_ok=True)
