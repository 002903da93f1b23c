"""The other end of the control socket: asks a running supervisor, with a limit on every wait."""

import contextlib
import os
import select
import socket
import struct
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift.errors import BgpdriftError, SettingsError
from supervisor.control_address import SOCKET_NAME, short_path
from supervisor.instance_lock import LOCK_NAME, find_holder


class NotRunningError(BgpdriftError):
    """No supervisor holds this data directory."""


class NoAnswerError(BgpdriftError):
    """A supervisor holds the data directory but does not answer."""


class ControlClient:
    """One connection to the supervisor of a data directory."""

    def __init__(self, run_dir: Path, timeout_s: float = 5.0) -> None:
        """Connect.

        Raises
        ------
        NotRunningError
            There is none.
        NoAnswerError
            There is one, which does not listen.
        """
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
            why = (
                f"{SOCKET_NAME} is missing: it is starting or stopping, or somebody removed the socket, which it makes anew"
                if isinstance(error, FileNotFoundError)
                else f"{error.strerror}: it is starting or stopping"
            )
            raise NoAnswerError(
                f"{holder} holds {run_dir.parent} but does not listen ({why}); try again in a few seconds"
            ) from None
        self.pid: int = struct.unpack("3i", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]

    def __enter__(self) -> "ControlClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, command: str, wait_s: float = 0.0, **arguments: object) -> dict[str, Any]:
        """Send one request and give the reply; the supervisor may take ``wait_s`` seconds for it.

        Raises
        ------
        SettingsError
            It refused changed settings; the old ones are in force.
        BgpdriftError
            It refused; the text says why.
        NoAnswerError
            It took too long or went away.
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
            refusal = SettingsError if reply.get("kind") == "settings" else BgpdriftError
            raise refusal(str(reply.get("error")))
        return reply

    def wait_gone(self, limit_s: float) -> bool:
        """Wait until the supervisor's process has ended; True if it has."""
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(self.pid)
            try:
                poll = select.poll()
                poll.register(pidfd, select.POLLIN)
                return bool(poll.poll(int(limit_s * 1000)))
            finally:
                os.close(pidfd)
        return True
