"""The receiving end of a service's ``$NOTIFY_SOCKET``.

The kernel attaches the pid of the sender to a datagram. A message counts only if it comes from the service's own process
group, so that no other program on the machine can report a service as ready.
"""

import contextlib
import os
import socket
import struct
from pathlib import Path

from bgpdrift.process.sd_notify import parse_message

_CREDENTIALS = struct.Struct("3i")
_MAX_PATH_BYTES = 100  # sun_path holds 108 bytes
_MAX_DATAGRAM_BYTES = 4096
_MAX_MESSAGES_PER_CALL = 64


class NotifySocket:
    """A datagram socket in the run directory, or an abstract one where that path is too long for a Unix socket."""

    def __init__(self, directory: Path, service: str, run: str) -> None:
        path = directory / f"{service}.notify"
        self._path = path if len(os.fsencode(path)) <= _MAX_PATH_BYTES else None
        self.address = str(path) if self._path else f"@bgpdrift-{run}-{service}"
        try:
            self._socket = self._bind()
        except OSError:
            if self._path is None:
                raise
            # A full or read-only disk must not stop the supervisor from starting.
            self._path, self.address = None, f"@bgpdrift-{run}-{service}"
            self._socket = self._bind()

    def fileno(self) -> int:
        """Return the descriptor, for the event loop."""
        return self._socket.fileno()

    def receive(self, group: int | None) -> list[dict[str, str]]:
        """Return the messages of process group ``group`` that have arrived and drop all others; never blocks."""
        messages: list[dict[str, str]] = []
        for _ in range(_MAX_MESSAGES_PER_CALL):
            try:
                data, ancillary, _, _ = self._socket.recvmsg(_MAX_DATAGRAM_BYTES, socket.CMSG_SPACE(_CREDENTIALS.size))
            except OSError:  # no more datagrams
                break
            if group is not None and _read_sender_group(ancillary) == group:
                messages.append(parse_message(data))
        return messages

    @property
    def is_missing(self) -> bool:
        """Whether the socket file was removed, so that a new process could not connect."""
        return self._path is not None and not self._path.exists()

    def rebind(self) -> None:
        """Bind again, with another descriptor; senders to the old socket get an error and connect again.

        Raises
        ------
        OSError
            The socket cannot be bound; the old one stays.
        """
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        before, self._socket = self._socket, self._bind()
        before.close()

    def close(self) -> None:
        """Close and remove the socket."""
        self._socket.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def _bind(self) -> socket.socket:
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            if self._path is None:
                bound.bind("\0" + self.address[1:])
            else:
                self._path.unlink(missing_ok=True)
                bound.bind(self.address)
        except OSError:
            bound.close()
            raise
        return bound


def _read_sender_group(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid, _, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
            with contextlib.suppress(OSError):
                return os.getpgid(pid) if pid > 0 else None
    return None
