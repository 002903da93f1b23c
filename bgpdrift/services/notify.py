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
from collections.abc import Mapping


class Notifier:
    """Sends state to the manager; never blocks, never fails."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        address = (os.environ if env is None else env).get("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        if address:
            with contextlib.suppress(OSError):
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
                self._socket.connect("\0" + address[1:] if address.startswith("@") else address)

    def send(self, **words: str) -> None:
        """Send words such as ``READY="1"``; a manager that went away or does not read is ignored."""
        if self._socket is not None:
            text = "\n".join(f"{key}={value.replace(chr(10), ' ')}" for key, value in words.items())
            with contextlib.suppress(OSError):
                self._socket.send(text.encode())

    def ready(self, status: str) -> None:
        """Say that the service does its work from now on."""
        self.send(READY="1", STATUS=status, MAINPID=str(os.getpid()))

    def status(self, status: str) -> None:
        """Say in one line what the service is at."""
        self.send(STATUS=status)

    def alive(self) -> None:
        """Say that the working loop went round; call it from that loop only, never from a timer thread."""
        self.send(WATCHDOG="1")

    def stopping(self) -> None:
        """Say that the service ends because it was asked to."""
        self.send(STOPPING="1")
