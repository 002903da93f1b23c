"""The control socket: who may command, and how a request becomes a reply. Protocol: docs/supervisor-control.md.

One JSON object a line, one line back. A client that sends garbage, too much, or nothing, or does not read its answer,
loses its connection; the supervisor loses nothing. What a command does is decided by the handler it was built with.
"""

import asyncio
import math
import os
import select
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift.errors import BgpdriftError
from supervisor.control_address import SOCKET_NAME, short_path

__all__ = ["LONGEST_REQUEST", "MOST_CLIENTS", "SOCKET_NAME", "ControlServer", "RefusedError"]

LONGEST_REQUEST = 4096
MOST_CLIENTS = 32
_IDLE_S, _SEND_S, _LOOK_S = 10.0, 5.0, 1.0

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class RefusedError(BgpdriftError):
    """A request that cannot be carried out; the text goes back to the client, and the ``kind`` of reason for programs."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class ControlServer:
    """Listens in the run directory; mode 0600, and only the same user or root is heard."""

    def __init__(self, path: Path, handle: Handler) -> None:
        self._path, self._handle = path, handle
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._clients: dict[
            asyncio.StreamWriter, float
        ] = {}  # since when each is silent; infinite while it is answered

    async def start(self) -> None:
        """Bind; a socket file left by a dead supervisor is replaced, which the instance lock makes safe."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        with short_path(self._path) as name:
            self._path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                listener.bind(name)
            finally:
                os.umask(before)
        self._inode = self._path.stat().st_ino
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LONGEST_REQUEST)

    async def ensure(self) -> None:
        """Bind again if somebody removed or replaced the socket file."""
        try:
            present = self._path.stat().st_ino == self._inode
        except OSError:
            present = False
        if not present:
            if self._server is not None:
                self._server.close()
            self._path.parent.mkdir(parents=True, exist_ok=True)
            await self.start()

    def close(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._clients):
            writer.transport.abort()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not _is_friend(writer) or not self._has_room():
            writer.transport.abort()
            return
        ahead = _read_ahead(reader)
        try:
            self._clients[writer] = self._now()
            while line := await asyncio.wait_for(ahead, _IDLE_S):
                ahead = _read_ahead(reader)
                self._clients[writer] = math.inf
                reply = await self._answer_unless_gone(line, ahead, writer)
                if reply is None:
                    break
                self._clients[writer] = self._now()
                writer.write(msgspec.json.encode(reply) + b"\n")
                await asyncio.wait_for(writer.drain(), _SEND_S)
        except RefusedError as error:
            writer.write(msgspec.json.encode({"ok": False, "error": str(error)}) + b"\n")
        except (TimeoutError, ConnectionError):
            writer.transport.abort()
        except asyncio.CancelledError:  # the supervisor ends; asyncio would report a task that says so
            return
        finally:
            ahead.cancel()
            self._clients.pop(writer, None)
            writer.close()

    def _has_room(self) -> bool:
        """Whether another client is served; the one that has been silent longest makes way for it."""
        if len(self._clients) < MOST_CLIENTS:
            return True
        silent = min(self._clients, key=lambda writer: self._clients[writer])
        if self._clients[silent] == math.inf:
            return False
        self._clients.pop(silent)
        silent.transport.abort()
        return True

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _answer_unless_gone(
        self, line: bytes, ahead: "asyncio.Task[bytes]", writer: asyncio.StreamWriter
    ) -> dict[str, Any] | None:
        """Give the reply; None if the client hung up before: a ``wait`` must not go on for nobody."""
        answer = asyncio.ensure_future(self._answer(line))
        try:
            await asyncio.wait({answer, ahead}, return_when=asyncio.FIRST_COMPLETED)
            while not answer.done():
                if _has_hung_up(writer):
                    return None
                # One that closed only its writing side still reads.
                await asyncio.wait({answer}, timeout=_LOOK_S)
            return answer.result()
        finally:
            answer.cancel()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
            return {"ok": True} | await self._handle(request)
        except msgspec.DecodeError as error:
            return {"ok": False, "error": f"not a request: {error}; expected one JSON object a line"}
        except RefusedError as error:
            return {"ok": False, "error": str(error)} | ({"kind": error.kind} if error.kind else {})


def _read_ahead(reader: asyncio.StreamReader) -> "asyncio.Task[bytes]":
    """Read the next request while the one before is carried out: an end of file says that nobody waits any more."""
    task = asyncio.ensure_future(_line(reader))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


def _has_hung_up(writer: asyncio.StreamWriter) -> bool:
    if writer.transport.is_closing():
        return True
    poll = select.poll()
    poll.register(writer.get_extra_info("socket").fileno(), 0)  # POLLHUP is always told: both directions are shut
    return bool(poll.poll(0))


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:
        raise RefusedError(f"a request has at most {LONGEST_REQUEST} bytes") from None


def _is_friend(writer: asyncio.StreamWriter) -> bool:
    peer = writer.get_extra_info("socket")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return uid in {0, os.geteuid()}
