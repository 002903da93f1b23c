"""Carry ``logs/events.ndjson``, what the supervisor saw, into the store: ``service_events``, and alerts that follow.

A program the supervisor runs to its end when there is news; it loads no database library itself, and no service may be
the only one that can tell of a crash. Rows and position are written in one transaction, so each event is recorded once,
however often this is killed. Decides how the file is read across rotation; what a person is told is `event_notices`.
"""

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from bgpdrift import settings
from bgpdrift.errors import BgpdriftError
from bgpdrift.monitor.event_alerts import notices_of
from bgpdrift.process.parent import follow_parent
from bgpdrift.store import Cursor, Store, open_store

CURSOR: Final = "supervisor_events"
EVENTS_FILE: Final = "events.ndjson"
BATCH: Final = 500


class Event(msgspec.Struct, frozen=True):
    """A line of the file, in the columns of ``service_events``."""

    at: float
    service: str
    event: str
    details: dict[str, Any] = {}


@dataclass(frozen=True)
class Place:
    """How far was read.

    Attributes
    ----------
    file : str
        Names a file by its first line, which its rotation does not change; empty before the first one.
    offset : int
        Bytes of it that were read.
    """

    file: str = ""
    offset: int = 0


def news(folder: Path, place: Place) -> Iterator[tuple[list[Event], Place, int]]:
    """Read what was added since a place, in batches.

    Parameters
    ----------
    folder : Path
        Of the log files.
    place : Place
        Where to begin; if that file is no longer kept, all that is kept is read.

    Yields
    ------
    events : list of Event
        At most `BATCH`.
    place : Place
        Behind them.
    unreadable : int
        Lines among them that are no events.
    """
    files = [(name, path) for path in _oldest_first(folder) if (name := _name_of(path))]
    names = [name for name, _ in files]
    begin = names.index(place.file) if place.file in names else 0
    for name, path in files[begin:]:
        offset = place.offset if name == place.file else 0
        with path.open("rb") as file:
            file.seek(offset)
            lines = file.readlines()
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()  # still being written
        for start in range(0, len(lines), BATCH):
            batch = lines[start : start + BATCH]
            offset += sum(map(len, batch))
            events = [event for line in batch if (event := _event(line)) is not None]
            yield events, Place(name, offset), len(batch) - len(events)


def record(folder: Path, store: Store) -> int:
    """Write the news into the store; gives how many events that were."""
    count = 0
    cursor = store.read_cursor(CURSOR)
    details = dict(cursor.details) if cursor else {}
    for events, place, unreadable in news(folder, Place(details.get("file", ""), details.get("offset", 0))):
        position = (cursor.position if cursor else 0) + len(events) + unreadable
        after = Cursor(CURSOR, position, {"file": place.file, "offset": place.offset})
        rows = [
            {"at": event.at, "service": event.service[:64], "event": event.event[:48], "details": event.details}
            for event in events
        ]
        notices = [notice for row in rows for notice in notices_of(row)]
        if not store.record_service_events(rows, notices, after, expected=cursor):
            break  # another one is at it
        cursor, count = after, count + len(events)
        if unreadable:
            print(f"{unreadable} lines of {folder / EVENTS_FILE} are no events and were left out", file=sys.stderr)
    return count


def main() -> int:
    """Record once; 0, or 1 with one line that says why not."""
    follow_parent()
    try:
        loaded = settings.load()
        with open_store(loaded.store_url, busy_timeout_s=loaded.store.busy_timeout_s) as store:
            record(loaded.logs_path, store)
    except (BgpdriftError, OSError) as error:
        print(f"record_events: {error}", file=sys.stderr)
        return 1
    return 0


def _oldest_first(folder: Path) -> list[Path]:
    rotated = [path for path in folder.glob(f"{EVENTS_FILE}.*") if path.suffix[1:].isdigit()]
    return [*sorted(rotated, key=lambda path: -int(path.suffix[1:])), folder / EVENTS_FILE]


def _name_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            first = file.readline()
    except FileNotFoundError:
        return ""
    return hashlib.sha256(first).hexdigest()[:16] if first.endswith(b"\n") else ""


def _event(line: bytes) -> Event | None:
    try:
        return msgspec.json.decode(line, type=Event)
    except msgspec.DecodeError:
        return None


if __name__ == "__main__":
    sys.exit(main())
