"""The supervisor's own log, and the record of service events.

Fields and both forms are those of the services' logs (`bgpdrift.logs`), but structlog is not used: it would cost the
supervisor 15 MB and 150 ms. Lines go to the queue of the log writer, so that nothing here waits for a disk.
"""

import time
from collections.abc import Callable

import msgspec

from bgpdrift.clock import Clock

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
OWN_LOG = "supervisor.log"
EVENTS_FILE = "events.ndjson"


class Journal:
    """Writes one line for each event.

    Parameters
    ----------
    put : callable
        Takes the name of a file and a line.
    clock : Clock
        Wall time.
    level : str
        Lowest level written.
    form : str
        ``json`` or ``console``.
    """

    def __init__(
        self, put: Callable[[str, bytes], None], clock: Clock, level: str = "info", form: str = "json"
    ) -> None:
        self._put, self._clock = put, clock
        self.configure(level, form)

    def configure(self, level: str, form: str) -> None:
        """Apply a level and a form from now on."""
        self._min_level, self._form = _LEVELS[level], form

    def log(self, level: str, event: str, **fields: object) -> None:
        """Write a log line. The level: info needs no action, warning a person tomorrow, error a person now."""
        if _LEVELS[level] >= self._min_level:
            self._put(OWN_LOG, format_line(self._clock.now(), level, event, fields, self._form))

    def record_service_event(self, service: str, event: str, **details: object) -> None:
        """Record an event of a service, in the columns of the store's ``service_events``."""
        row = {"at": round(self._clock.now(), 3), "service": service, "event": event, "details": details}
        self._put(EVENTS_FILE, msgspec.json.encode(row) + b"\n")


def format_line(at: float, level: str, event: str, fields: dict[str, object], form: str) -> bytes:
    r"""Format one line of the log.

    Examples
    --------
    >>> format_line(0.0, "info", "service.ready", {"pid": 7}, "json")
    b'{"service":"supervisor","pid":7,"event":"service.ready","level":"info","at":"1970-01-01T00:00:00.000Z"}\n'
    >>> format_line(0.0, "info", "service.ready", {"pid": 7}, "console")
    b'1970-01-01T00:00:00.000Z [info] service.ready pid=7\n'
    """
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03d}Z"
    if form == "console":
        pairs = "".join(f" {key}={value}" for key, value in fields.items())
        return f"{stamp} [{level}] {event}{pairs}".replace("\n", " ").encode() + b"\n"
    row: dict[str, object] = {"service": "supervisor", **fields, "event": event, "level": level, "at": stamp}
    return msgspec.json.encode(row) + b"\n"
