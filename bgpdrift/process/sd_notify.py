"""The sd_notify protocol: datagrams of ``KEY=value`` lines by which a service reports its state to its manager.

systemd (``Type=notify``) and the supervisor understand them. Without ``$NOTIFY_SOCKET``, as under PM2 or supervisord,
no message is sent.

References
----------
sd_notify(3): READY, RELOADING, STATUS, WATCHDOG, EXTEND_TIMEOUT_USEC, STOPPING; a leading ``@`` names an abstract socket.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

DEGRADED_FIELD = "X_BGPDRIFT_DEGRADED"
"""The reason why a running service cannot do all of its work; empty when it can. Other managers ignore ``X_…``."""
START_EXTENSION_S = 30.0
"""A service that works through a large state at its start is given so much time after each report of progress."""
MAX_VALUE_CHARS = 1000
_DEFAULT_PULSE_S = 5.0


def encode_message(fields: Mapping[str, str]) -> bytes:
    r"""Encode the fields of one datagram; a value is cut to one line of `MAX_VALUE_CHARS`.

    Examples
    --------
    >>> encode_message({"READY": "1", "STATUS": "line one\nline two"})
    b'READY=1\nSTATUS=line one line two'
    """
    lines = (f"{key}={value.replace(chr(10), ' ')[:MAX_VALUE_CHARS]}" for key, value in fields.items())
    return "\n".join(lines).encode()


def parse_message(data: bytes) -> dict[str, str]:
    r"""Decode the fields of one datagram; lines of another form are skipped.

    Examples
    --------
    >>> parse_message(b"READY=1\nSTATUS=all = well\ngarbage")
    {'READY': '1', 'STATUS': 'all = well'}
    """
    pairs = (line.partition("=") for line in data.decode("utf-8", "replace").split("\n"))
    return {key: value for key, separator, value in pairs if separator and key}


class Notifier:
    """Sends the state of this process to its manager; never blocks and never fails.

    A field that cannot be sent, because the manager is stopped, its queue is full or its socket was removed, is sent with
    the next message. A READY can be late but not lost.

    Parameters
    ----------
    env : mapping, optional
        The environment that names the socket; default this process's.
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        environ = os.environ if env is None else env
        address = environ.get("NOTIFY_SOCKET", "")
        watchdog_us = environ.get("WATCHDOG_USEC", "")
        self.pulse_s = int(watchdog_us) / 4e6 if watchdog_us.isdigit() and int(watchdog_us) else _DEFAULT_PULSE_S
        """Seconds between two reports of progress: a quarter of what the manager allows."""
        self._next_pulse = self._next_extension = 0.0
        self._is_ready = False
        self._status = self._degraded = ""
        self._pending_fields: dict[str, str] = {}
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address:
            with contextlib.suppress(OSError):
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
                self._socket.connect(self._address)

    def send(self, **fields: str) -> None:
        """Send fields such as ``READY="1"``, with those that could not be sent before."""
        if self._socket is None:
            return
        self._pending_fields.update(fields)
        data = encode_message(self._pending_fields)
        with contextlib.suppress(OSError):
            try:
                self._socket.send(data)
            except BlockingIOError:
                raise  # the manager's queue is full
            except OSError:
                self._socket.connect(self._address)  # the manager has bound a new socket
                self._socket.send(data)
            self._pending_fields.clear()

    def report_ready(self, status: str) -> None:
        """Report that the service works."""
        self._status, self._is_ready = status, True
        self.send(READY="1", STATUS=status, MAINPID=str(os.getpid()))

    def report_status(self, status: str) -> None:
        """Report in one line what the service does; an unchanged line is not sent again."""
        if status != self._status:
            self._status = status
            self.send(STATUS=status)

    def report_degraded(self, reason: str) -> None:
        """Report why part of the work cannot be done, or "" when all of it can; an unchanged reason is not sent again."""
        if reason != self._degraded:
            self._degraded = reason
            self.send(**{DEGRADED_FIELD: reason})

    def report_progress(self) -> None:
        """Report that the working loop runs. Call it from that loop only, never from a timer thread.

        It may be called as often as needed: a message is sent every `pulse_s` seconds.
        """
        now = time.monotonic()
        if now >= self._next_pulse:
            self._next_pulse = now + self.pulse_s
            self.send(WATCHDOG="1")

    def extend_start(self) -> None:
        """Request `START_EXTENSION_S` from now on to become ready; nothing is sent afterwards. It may be called often."""
        now = time.monotonic()
        if not self._is_ready and now >= self._next_extension:
            self._next_extension = now + self.pulse_s
            self.send(EXTEND_TIMEOUT_USEC=str(int(START_EXTENSION_S * 1e6)))

    def report_stopping(self) -> None:
        """Report that the service ends on request."""
        self.send(STOPPING="1")

    def close(self) -> None:
        """Close the socket; later messages go nowhere."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
