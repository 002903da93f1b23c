"""The control socket: who may command, and how a request becomes a reply. Protocol: docs/operator-guide.md.

One JSON object a line, one line back. A client that sends garbage, too much, or nothing, or does not read its answer,
loses its connection; the supervisor loses nothing. What a command does is decided by the handler it was built with.
"""

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from bgpdrift.errors import BgpdriftError

SOCKET_NAME = "control.sock"
LONGEST_REQUEST = 4096
MOST_CLIENTS = 32
_IDLE_S, _SEND_S = 10.0, 5.0

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class RefusedError(BgpdriftError):
    """A request that cannot be carried out; the text goes back to the client."""


@contextlib.contextmanager
def short_path(path: Path) -> Any:
    """Give a name for ``path`` that fits into a socket address (108 bytes), however deep the directory lies."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


class ControlServer:
    """Listens in the run directory; mode 0600, and only the same user or root is heard."""

    def __init__(self, path: Path, handle: Handler) -> None:
        self._path, self._handle = path, handle
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._clients: set[asyncio.StreamWriter] = set()

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
        for writer in self._clients:
            writer.transport.abort()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not _is_friend(writer) or len(self._clients) >= MOST_CLIENTS:
            writer.transport.abort()
            return
        self._clients.add(writer)
        try:
            while line := await asyncio.wait_for(_line(reader), _IDLE_S):
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await asyncio.wait_for(writer.drain(), _SEND_S)
        except RefusedError as error:
            writer.write(msgspec.json.encode({"ok": False, "error": str(error)}) + b"\n")
        except (TimeoutError, ConnectionError):
            writer.transport.abort()
        except asyncio.CancelledError:  # the supervisor ends; asyncio would report a task that says so
            return
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
            return {"ok": True} | await self._handle(request)
        except msgspec.DecodeError as error:
            return {"ok": False, "error": f"not a request: {error}; expected one JSON object a line"}
        except RefusedError as error:
            return {"ok": False, "error": str(error)}


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:
        raise RefusedError(f"a request has at most {LONGEST_REQUEST} bytes") from None


def _is_friend(writer: asyncio.StreamWriter) -> bool:
    peer = writer.get_extra_info("socket")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return uid in {0, os.geteuid()}
