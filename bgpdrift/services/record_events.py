"""Copies the supervisor's event file ``logs/events.ndjson`` into the store: ``service_events``, and the alerts that follow.

The supervisor runs this program to its end when there are new events. It loads no database library itself, and no
service may be the only one that can report a crash. Rows and position are written in one transaction, so that each event
is recorded once even if this program is killed. This module decides how the file is read across rotation.
`bgpdrift.monitor.event_alerts` decides which alerts follow.
"""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from bgpdrift import settings
from bgpdrift.errors import BgpdriftError
from bgpdrift.monitor.event_alerts import build_alerts
from bgpdrift.process.parent import follow_parent
from bgpdrift.process.signals import ignore_unknown_signals
from bgpdrift.store import StateCursor, Store, open_store
from bgpdrift.store.cursor_states import EventsFileState
from bgpdrift.store.request_records import ServiceEvent

CURSOR: Final = "supervisor_events"
EVENTS_FILE: Final = "events.ndjson"
MAX_BATCH_EVENTS: Final = 500
MAX_SERVICE_LENGTH: Final = 64
MAX_EVENT_LENGTH: Final = 48


def read_new_events(folder: Path, place: EventsFileState) -> Iterator[tuple[list[ServiceEvent], EventsFileState, int]]:
    """Read in batches the events that were added since a place.

    Parameters
    ----------
    folder : Path
        Folder of the log files.
    place : EventsFileState
        Position from which events are read. If that file no longer exists, all files are read.

    Yields
    ------
    events : list of ServiceEvent
        At most `MAX_BATCH_EVENTS`.
    place : EventsFileState
        Place behind them.
    unreadable : int
        Lines among them that are not events.
    """
    files = [(name, path) for path in _list_oldest_first(folder) if (name := _fingerprint(path))]
    names = [name for name, _ in files]
    begin = names.index(place.file) if place.file in names else 0
    for name, path in files[begin:]:
        offset = place.offset if name == place.file else 0
        with path.open("rb") as file:
            file.seek(offset)
            lines = file.readlines()
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()  # the supervisor is still writing it
        for start in range(0, len(lines), MAX_BATCH_EVENTS):
            batch = lines[start : start + MAX_BATCH_EVENTS]
            offset += sum(map(len, batch))
            events = [event for line in batch if (event := _parse(line)) is not None]
            yield events, EventsFileState(file=name, offset=offset), len(batch) - len(events)


def record(folder: Path, store: Store) -> int:
    """Write the new events into the store; return how many there were."""
    count = 0
    cursor = store.read_state(CURSOR, EventsFileState)
    for events, place, unreadable in read_new_events(folder, cursor.state if cursor else EventsFileState()):
        position = (cursor.position if cursor else 0) + len(events) + unreadable
        after = StateCursor(CURSOR, position, place)
        alerts = [alert for event in events for alert in build_alerts(event)]
        if not store.record_service_events(events, alerts, after, expected=cursor):
            break  # another process records them
        cursor, count = after, count + len(events)
        if unreadable:
            print(f"{unreadable} lines of {folder / EVENTS_FILE} are not events and were skipped", file=sys.stderr)
    return count


def main() -> int:
    """Record once; return 0, or 1 after printing the reason to standard error."""
    follow_parent()
    ignore_unknown_signals()
    try:
        loaded = settings.load()
        with open_store(loaded.store_url, busy_timeout_s=loaded.store.busy_timeout_s) as store:
            record(loaded.logs_path, store)
    except (BgpdriftError, OSError) as error:
        print(f"record_events: {error}", file=sys.stderr)
        return 1
    return 0


def _list_oldest_first(folder: Path) -> list[Path]:
    rotated = [path for path in folder.glob(f"{EVENTS_FILE}.*") if path.suffix[1:].isdigit()]
    return [*sorted(rotated, key=lambda path: -int(path.suffix[1:])), folder / EVENTS_FILE]


def _fingerprint(path: Path) -> str:
    try:
        with path.open("rb") as file:
            first = file.readline()
    except FileNotFoundError:
        return ""
    return hashlib.sha256(first).hexdigest()[:16] if first.endswith(b"\n") else ""


def _parse(line: bytes) -> ServiceEvent | None:
    try:
        event = msgspec.json.decode(line, type=ServiceEvent)
    except msgspec.DecodeError:
        return None
    names = {"service": event.service[:MAX_SERVICE_LENGTH], "event": event.event[:MAX_EVENT_LENGTH]}
    return msgspec.structs.replace(event, id=0, **names)


if __name__ == "__main__":
    sys.exit(main())
