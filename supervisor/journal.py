"""The supervisor's own log lines and the record of what happened to services.

Same fields and both forms as the services' lines (`bgpdrift.logs`), written by hand: structlog would cost the
supervisor 15 MB and 150 ms. Lines go to the log writer's queue; nothing here waits for a disk.
"""

import time
from collections.abc import Callable

import msgspec

from bgpdrift.clock import Clock

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
OWN_LOG = "supervisor.log"
EVENTS_FILE = "events.ndjson"


class Journal:
    """Writes one line an event."""

    def __init__(
        self, put: Callable[[str, bytes], None], clock: Clock, level: str = "info", form: str = "json"
    ) -> None:
        """``put(file_name, line)`` takes the lines."""
        self._put, self._clock, self._lowest, self._form = put, clock, _LEVELS[level], form

    def adjust(self, level: str, form: str) -> None:
        """Write from this level on, in this form, from now on."""
        self._lowest, self._form = _LEVELS[level], form

    def log(self, level: str, event: str, **fields: object) -> None:
        """Write a log line; the level says who acts: info nobody, warning someone tomorrow, error someone now."""
        if _LEVELS[level] >= self._lowest:
            self._put(OWN_LOG, render(self._clock.now(), level, event, fields, self._form))

    def service_event(self, service: str, event: str, **details: object) -> None:
        """Record what happened to a service, in the columns of the store's ``service_events``."""
        row = {"at": round(self._clock.now(), 3), "service": service, "event": event, "details": details}
        self._put(EVENTS_FILE, msgspec.json.encode(row) + b"\n")


def render(at: float, level: str, event: str, fields: dict[str, object], form: str) -> bytes:
    r"""Make one line.

    Examples
    --------
    >>> render(0.0, "info", "service.ready", {"pid": 7}, "json")
    b'{"service":"supervisor","pid":7,"event":"service.ready","level":"info","at":"1970-01-01T00:00:00.000Z"}\n'
    >>> render(0.0, "info", "service.ready", {"pid": 7}, "console")
    b'1970-01-01T00:00:00.000Z [info] service.ready pid=7\n'
    """
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03d}Z"
    if form == "console":
        pairs = "".join(f" {key}={value}" for key, value in fields.items())
        return f"{stamp} [{level}] {event}{pairs}".replace("\n", " ").encode() + b"\n"
    row: dict[str, object] = {"service": "supervisor", **fields, "event": event, "level": level, "at": stamp}
    return msgspec.json.encode(row) + b"\n"
