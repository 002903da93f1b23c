"""The control socket: which clients are allowed, and how a request becomes a reply. Protocol: docs/supervisor-control.md.

A request is one JSON object on one line, and so is a reply. A client that sends too much or nothing, or does not read its
reply, loses its connection; the supervisor is not affected. The handler decides what a command does.
"""

import asyncio
import contextlib
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
from supervisor.control_address import short_path

MAX_REQUEST_BYTES = 4096
MAX_CLIENTS = 32
_IDLE_LIMIT_S, _SEND_LIMIT_S, _CHECK_EVERY_S = 10.0, 5.0, 1.0

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


class RefusedError(BgpdriftError):
    """A request that cannot be carried out. The message is for a person, ``kind`` for a program; both go to the client."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.kind = kind


class ControlServer:
    """A socket of mode 0600, for the same user and root.

    Parameters
    ----------
    path : Path
        The socket file.
    handle : callable
        Carries a request out and returns the reply; raises `RefusedError`.
    """

    def __init__(self, path: Path, handle: Handler) -> None:
        self._path, self._handle = path, handle
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._idle_since: dict[asyncio.StreamWriter, float] = {}
        """When each client became idle; infinity while its request is carried out."""

    async def start(self) -> None:
        """Bind. A socket file of a dead supervisor is replaced; the instance lock proves that it is dead.

        Raises
        ------
        OSError
            It cannot be bound; `restore` tries again.
        """
        self._inode = 0
        with short_path(self._path) as name, contextlib.ExitStack() as opened:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
            opened.callback(listener.close)
            self._path.unlink(missing_ok=True)
            before = os.umask(0o177)
            try:
                listener.bind(name)
            finally:
                os.umask(before)
            inode = self._path.stat().st_ino
            self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_REQUEST_BYTES)
            self._inode = inode
            opened.pop_all()

    async def restore(self) -> None:
        """Bind again if the socket file was removed or replaced."""
        try:
            present = self._path.stat().st_ino == self._inode
        except OSError:
            present = False
        if not present:
            if self._server is not None:
                self._server.close()
                self._server = None
            self._path.parent.mkdir(parents=True, exist_ok=True)
            await self.start()

    def close(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._idle_since):
            writer.transport.abort()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not _is_allowed(writer) or not self._has_room():
            writer.transport.abort()
            return
        ahead = _read_ahead(reader)
        try:
            self._idle_since[writer] = self._now()
            while line := await asyncio.wait_for(ahead, _IDLE_LIMIT_S):
                ahead = _read_ahead(reader)
                self._idle_since[writer] = math.inf
                reply = await self._answer_unless_gone(line, ahead, writer)
                if reply is None:
                    break
                self._idle_since[writer] = self._now()
                writer.write(msgspec.json.encode(reply) + b"\n")
                await asyncio.wait_for(writer.drain(), _SEND_LIMIT_S)
        except RefusedError as error:
            writer.write(msgspec.json.encode({"ok": False, "error": str(error)}) + b"\n")
        except (TimeoutError, ConnectionError):
            writer.transport.abort()
        except asyncio.CancelledError:  # the supervisor ends; asyncio would log a cancelled connection as an error
            return
        finally:
            ahead.cancel()
            self._idle_since.pop(writer, None)
            writer.close()

    def _has_room(self) -> bool:
        """Whether another client is served; if there are too many, the one that has been idle longest is disconnected."""
        if len(self._idle_since) < MAX_CLIENTS:
            return True
        idle_longest = min(self._idle_since, key=lambda writer: self._idle_since[writer])
        if self._idle_since[idle_longest] == math.inf:
            return False
        self._idle_since.pop(idle_longest)
        idle_longest.transport.abort()
        return True

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def _answer_unless_gone(
        self, line: bytes, ahead: "asyncio.Task[bytes]", writer: asyncio.StreamWriter
    ) -> dict[str, Any] | None:
        """Return the reply; None if the client has hung up, since a ``wait`` must not continue without a client."""
        answer = asyncio.ensure_future(self._answer(line))
        try:
            await asyncio.wait({answer, ahead}, return_when=asyncio.FIRST_COMPLETED)
            while not answer.done():
                if _has_hung_up(writer):
                    return None
                # A client that closed only its writing side still reads.
                await asyncio.wait({answer}, timeout=_CHECK_EVERY_S)
            return answer.result()
        finally:
            answer.cancel()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(line, type=dict[str, Any])
            return {"ok": True} | await self._handle(request)
        except (msgspec.DecodeError, RecursionError) as error:
            return {"ok": False, "error": f"not a request: {error}; expected one JSON object a line"}
        except RefusedError as error:
            return {"ok": False, "error": str(error)} | ({"kind": error.kind} if error.kind else {})
        except Exception as error:
            # An unexpected exception must not go unnoticed; the loop's handler logs and counts it.
            context = {"message": "reply to a request", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            return {"ok": False, "error": f"the request failed: {error!r}"}


def _read_ahead(reader: asyncio.StreamReader) -> "asyncio.Task[bytes]":
    """Read the next request while the one before is carried out; an end of file shows that the client is gone."""
    task = asyncio.ensure_future(_read_line(reader))
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


def _has_hung_up(writer: asyncio.StreamWriter) -> bool:
    if writer.transport.is_closing():
        return True
    poll = select.poll()
    poll.register(writer.get_extra_info("socket").fileno(), 0)  # POLLHUP is always reported: both directions are shut
    return bool(poll.poll(0))


async def _read_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:
        raise RefusedError(f"a request has at most {MAX_REQUEST_BYTES} bytes") from None


def _is_allowed(writer: asyncio.StreamWriter) -> bool:
    peer = writer.get_extra_info("socket")
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return uid in {0, os.geteuid()}
