"""The client of the control socket, with a limit on every wait."""

import contextlib
import os
import select
import socket
import struct
import time
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift.errors import BgpdriftError, SettingsError
from supervisor.control_address import SOCKET_NAME, short_path
from supervisor.instance_lock import LOCK_NAME, find_holder

APPEAR_S = 1.0
"""Python and the settings take some tenths of a second before a ``start`` takes its lock."""
_RETRY_S = 0.02


class NotRunningError(BgpdriftError):
    """No supervisor runs for this data directory."""


class NoAnswerError(BgpdriftError):
    """A supervisor runs for the data directory but does not answer."""


def connect_also_while_starting(run_dir: Path, limit_s: float, appear_s: float = APPEAR_S) -> "ControlClient | None":
    """Connect to the supervisor, or wait for one that is starting; None if it ended before it listened.

    Parameters
    ----------
    run_dir : Path
        The directory of the socket.
    limit_s : float
        Longest wait for a supervisor that starts; seconds.
    appear_s : float
        Longest wait for a ``start`` that has not taken its lock yet; seconds.

    Raises
    ------
    NotRunningError
        No supervisor runs, and none starts.
    NoAnswerError
        A supervisor runs but does not listen within the limit.
    """
    began, is_starting = time.monotonic(), False
    while True:
        try:
            return ControlClient(run_dir)
        except NotRunningError:
            if is_starting:
                return None
            if time.monotonic() - began > appear_s:
                raise
        except NoAnswerError:
            is_starting = True
            if time.monotonic() - began > limit_s:
                raise
        time.sleep(_RETRY_S)


class ControlClient:
    """One connection to the supervisor of a data directory.

    Parameters
    ----------
    run_dir : Path
        The directory of the socket.
    timeout_s : float
        Longest wait for a reply, unless the request asks for more; seconds.

    Raises
    ------
    NotRunningError
        No supervisor runs.
    NoAnswerError
        A supervisor runs but does not listen.
    """

    def __init__(self, run_dir: Path, timeout_s: float = 5.0) -> None:
        self._timeout_s, self._buffer = timeout_s, b""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(timeout_s)
        try:
            with short_path(run_dir / SOCKET_NAME) as name:
                self._socket.connect(name)
        except OSError as error:
            self._socket.close()
            holder = find_holder(run_dir / LOCK_NAME)
            if holder is None:
                raise NotRunningError(f"not running for {run_dir.parent}") from None
            reason = (
                f"{SOCKET_NAME} is missing: it is starting or stopping, or the socket was removed and is created again soon"
                if isinstance(error, FileNotFoundError)
                else f"{error.strerror}: it is starting or stopping"
            )
            raise NoAnswerError(
                f"{holder} holds {run_dir.parent} but does not listen ({reason}); try again in a few seconds"
            ) from None
        self.pid: int = struct.unpack("3i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

    def __enter__(self) -> "ControlClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, command: str, wait_s: float = 0.0, **arguments: object) -> dict[str, Any]:
        """Send one request and return the reply, for which the supervisor may take ``wait_s`` seconds.

        Raises
        ------
        SettingsError
            The supervisor refused changed settings; the old ones are active.
        BgpdriftError
            The supervisor refused the request; the message states the reason.
        NoAnswerError
            The supervisor took too long or closed the connection.
        """
        try:
            self._socket.settimeout(self._timeout_s + wait_s)
            self._socket.sendall(msgspec.json.encode({"command": command, **arguments}) + b"\n")
            while b"\n" not in self._buffer:
                data = self._socket.recv(65_536)
                if not data:
                    raise NoAnswerError(f"supervisor pid {self.pid} closed the connection")
                self._buffer += data
        except OSError as error:
            raise NoAnswerError(f"supervisor pid {self.pid} does not answer: {error}") from None
        line, _, self._buffer = self._buffer.partition(b"\n")
        reply: dict[str, Any] = msgspec.json.decode(line)
        if not reply.pop("ok"):
            error_type = SettingsError if reply.get("kind") == "settings" else BgpdriftError
            raise error_type(str(reply.get("error")))
        return reply

    def wait_for_end(self, limit_s: float) -> bool:
        """Wait for the end of the supervisor's process; True if it has ended."""
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(self.pid)
            try:
                poll = select.poll()
                poll.register(pidfd, select.POLLIN)
                return bool(poll.poll(int(limit_s * 1000)))
            finally:
                os.close(pidfd)
        return True
