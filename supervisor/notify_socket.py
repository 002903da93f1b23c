"""Where a service's sd_notify words arrive: one datagram socket each, and proof of who sent them.

The kernel attaches the sender's pid; words count only from the service's own process group, so that nobody else on the
machine can call a service ready. Decides nothing about what the words mean.
"""

import contextlib
import os
import socket
import struct
from pathlib import Path

from bgpdrift.process.sd_notify import parse_message

_CREDENTIALS = struct.Struct("3i")
_LONGEST_PATH = 100  # sun_path holds 108 bytes
_LONGEST_DATAGRAM = 4096
_MOST_AT_ONCE = 64


class NotifySocket:
    """The receiving end of one service's ``$NOTIFY_SOCKET``."""

    def __init__(self, directory: Path, service: str, run: str) -> None:
        """Bind in ``directory``, or as an abstract name where that path is too long for a Unix socket."""
        path = directory / f"{service}.notify"
        self._path = path if len(os.fsencode(path)) <= _LONGEST_PATH else None
        self.address = str(path) if self._path else f"@bgpdrift-{run}-{service}"
        self._socket = self._bound()

    def fileno(self) -> int:
        """Give the descriptor, for the event loop."""
        return self._socket.fileno()

    def receive(self, group: int | None) -> list[dict[str, str]]:
        """Take what has arrived from process group ``group``; the rest is dropped. Never blocks."""
        messages: list[dict[str, str]] = []
        for _ in range(_MOST_AT_ONCE):
            try:
                data, ancillary, _, _ = self._socket.recvmsg(_LONGEST_DATAGRAM, socket.CMSG_SPACE(_CREDENTIALS.size))
            except OSError:  # nothing more
                break
            if group is not None and _sender_group(ancillary) == group:
                messages.append(parse_message(data))
        return messages

    @property
    def is_missing(self) -> bool:
        """Whether somebody removed the file: nobody who starts now can speak to us."""
        return self._path is not None and not self._path.exists()

    def renew(self) -> None:
        """Bind anew, with another descriptor; who spoke to the old socket finds that it refuses, and connects again.

        Raises
        ------
        OSError
            It cannot be bound; the old one is kept.
        """
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        before, self._socket = self._socket, self._bound()
        before.close()

    def _bound(self) -> socket.socket:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            if self._path is None:
                found.bind("\0" + self.address[1:])
            else:
                self._path.unlink(missing_ok=True)
                found.bind(self.address)
        except OSError:
            found.close()
            raise
        return found

    def close(self) -> None:
        """Close and remove."""
        self._socket.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _sender_group(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
            pid, _, _ = _CREDENTIALS.unpack(data[: _CREDENTIALS.size])
            with contextlib.suppress(OSError):
                return os.getpgid(pid) if pid > 0 else None
    return None
