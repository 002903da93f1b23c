"""What the decision needs to know of the store and the artifact directory, as a file in the state directory.

The drift monitor writes the file every few seconds, so that ``run_all_services.py status`` needs no database library. This
module decides when the file is too old to be used; its readers then read the store themselves.
"""

from pathlib import Path

import msgspec

from bgpdrift.process.durable import replace_file
from bgpdrift.status.snapshot import ApprovalRequest, Incident, Model, ModelEvent

FACTS_FILE = "attention.json"
SCHEMA_VERSION = 1
MAX_AGE_S = 30.0
"""A file older than this is not used: the drift monitor writes it every `WRITE_EVERY_S`."""
WRITE_EVERY_S = 5.0


class Facts(msgspec.Struct, frozen=True):
    """The state of data, models, incidents and requests at one instant."""

    at: float
    """Wall-clock time at which the facts were read."""
    store: str
    """As `bgpdrift.status.snapshot.Monitor.store`."""
    data_from: int | None
    """Event time of the oldest window of the last eight days of data."""
    data_until: int | None
    """Event time of the end of the newest window."""
    data_written_at: float | None
    """Wall-clock time at which the newest window was written."""
    checked_at: float | None
    """Wall-clock time of the newest drift check."""
    models: tuple[Model, ...]
    """Without measures and series in the file."""
    incidents: tuple[Incident, ...]
    """Open ones, newest first."""
    approvals: tuple[ApprovalRequest, ...]
    """Without an answer."""
    history: tuple[ModelEvent, ...]
    """Newest first."""
    warming_until: dict[str, int] = {}
    """As `bgpdrift.status.snapshot.Monitor.warming_until`."""
    collectors: int = 0
    """As `bgpdrift.status.snapshot.Monitor.collectors`."""
    schema_version: int = SCHEMA_VERSION


def write_facts(folder: Path, facts: Facts) -> None:
    """Replace the file in the state directory.

    Raises
    ------
    OSError
        The disk is full or fails; the old file is unchanged and soon too old.
    """
    models = tuple(msgspec.structs.replace(model, measures=(), series=()) for model in facts.models)
    folder.mkdir(parents=True, exist_ok=True)
    with replace_file(folder / FACTS_FILE, sync=False) as file:
        file.write(msgspec.json.encode(msgspec.structs.replace(facts, models=models)))


def read_facts(folder: Path, now: float) -> Facts | None:
    """Read the file; None if there is none, it cannot be read, is of another version, or is not of the last seconds."""
    try:
        facts = msgspec.json.decode((folder / FACTS_FILE).read_bytes(), type=Facts)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    is_fresh = 0.0 <= now - facts.at <= MAX_AGE_S
    return facts if is_fresh and facts.schema_version == SCHEMA_VERSION else None
