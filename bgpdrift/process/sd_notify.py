"""What a service tells whoever started it: the sd_notify protocol, a datagram of ``KEY=value`` lines.

The same few words are understood by systemd (``Type=notify``) and by our supervisor; without ``$NOTIFY_SOCKET``, as
under PM2 or supervisord, they go nowhere. Decides nothing.

References
----------
sd_notify(3): READY, STATUS, WATCHDOG, STOPPING; a leading ``@`` names an abstract socket.
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

_DEFAULT_PULSE_S = 5.0
DEGRADED_WORD = "X_BGPDRIFT_DEGRADED"
"""Field for what a service that runs cannot do now; empty when it can do all. Other managers ignore ``X_…``."""


class Notifier:
    """Sends state to the manager; never blocks, never fails.

    Words that do not get through (the manager is stopped, its queue full, its socket removed and not yet made anew) go
    along with the next ones, so that a READY is late at worst, never lost.
    """

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        environ = os.environ if env is None else env
        address = environ.get("NOTIFY_SOCKET", "")
        watchdog_us = environ.get("WATCHDOG_USEC", "")
        self.pulse_s = int(watchdog_us) / 4e6 if watchdog_us.isdigit() and int(watchdog_us) else _DEFAULT_PULSE_S
        """Seconds between two signs of progress: a quarter of what the manager allows."""
        self._next_pulse = 0.0
        self._status = self._lacks = ""
        self._owed: dict[str, str] = {}
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket: socket.socket | None = None
        if address:
            with contextlib.suppress(OSError):
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
                self._socket.connect(self._address)

    def send(self, **words: str) -> None:
        """Send words such as ``READY="1"``; a manager that went away or does not read is ignored."""
        if self._socket is None:
            return
        self._owed.update(words)
        text = "\n".join(f"{key}={value.replace(chr(10), ' ')[:1000]}" for key, value in self._owed.items())
        with contextlib.suppress(OSError):
            try:
                self._socket.send(text.encode())
            except BlockingIOError:
                raise  # it does not read
            except OSError:
                self._socket.connect(self._address)  # another one listens there by now
                self._socket.send(text.encode())
            self._owed.clear()

    def ready(self, status: str) -> None:
        """Say that the service does its work from now on."""
        self._status = status
        self.send(READY="1", STATUS=status, MAINPID=str(os.getpid()))

    def status(self, status: str) -> None:
        """Say in one line what the service is at; the same line twice is sent once."""
        if status != self._status:
            self._status = status
            self.send(STATUS=status)

    def lacks(self, what: str) -> None:
        """Say what cannot be done although the service runs; empty when all can again. The same twice is sent once."""
        if what != self._lacks:
            self._lacks = what
            self.send(**{DEGRADED_WORD: what})

    def alive(self) -> None:
        """Say that the working loop went round; call it from that loop only, never from a timer thread.

        May be called a million times a second: it sends every `pulse_s` seconds.
        """
        now = time.monotonic()
        if now >= self._next_pulse:
            self._next_pulse = now + self.pulse_s
            self.send(WATCHDOG="1")

    def stopping(self) -> None:
        """Say that the service ends because it was asked to."""
        self.send(STOPPING="1")

    def close(self) -> None:
        """Let go of the socket; what is sent afterwards goes nowhere."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
