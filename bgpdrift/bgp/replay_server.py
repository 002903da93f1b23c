"""A RIS Live server for frames of any source: recordings, MRT files, the simulated Internet.

The server implements the WebSocket protocol of RIS Live: subscriptions with every filter, unsubscribe, acknowledge, ping,
collector list, ``ris_error``. This module decides which client is served from which channel and position; `replay_filter`
matches messages, and `replay_timeline` decides pace and memory.

**Channels.** ``?client=NAME`` identifies a client. A source that can be iterated again (a list, an object with ``__iter__``)
gives every name a channel of its own, from the beginning. A one-shot iterator (a generator, as in the simulation) has one
channel that all clients share at the pace of the slowest; a new name starts with the oldest frame still kept. A client without
a name starts like a new name, and its position is not kept.

**Pauses.** A channel pauses while it has no client. A client that reconnects under its name continues ``rewind_s`` before the
moment it was lost, so that one killed with frames in its buffers loses none; it removes duplicates by ``id``. A second
connection under the same name replaces the first. Frames are sent ``settle_s`` after the last subscription, so that a client
that subscribes to twenty collectors one by one misses none.

A slow reader delays its channel. With ``drop_slow_s``, the server sends it a ``ris_error`` and closes it, as RIS Live does.
"""

import asyncio
import contextlib
import itertools
import math
import time
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from bgpdrift.bgp.messages import collector_name
from bgpdrift.bgp.replay_filter import Subscription, parse_subscription
from bgpdrift.bgp.replay_frame import Frame
from bgpdrift.bgp.replay_timeline import RING_BYTES, Timeline
from bgpdrift.errors import InputError

PATH: Final = "/v1/ws/"

MAX_REMEMBERED_CLIENTS: Final = 1_000
"""Names of clients that left, whose position is remembered; names come from the clients."""
_CHUNK_FRAMES: Final = 512
_CHUNK_BYTES: Final = 262_144
_WRITE_HIGH_BYTES: Final = 1_048_576
_CLOSE_GRACE_S: Final = 5.0


class ReplayServer:
    """Serves frames with the protocol of RIS Live.

    Parameters
    ----------
    source : iterable of Frame
        In time order, re-iterable or one-shot (see the module); may be infinite.
    speed : float or None
        Seconds of event time per second; None sends as fast as the client reads.
    collectors : sequence of str
        Answer to ``request_rrc_list``; if empty, the collectors of the frames sent last.
    rewind_s : float
        A client that reconnects continues so many seconds of wall time earlier.
    ring_bytes : int
        Limit of the frames kept for this.
    settle_s : float
        Time after the last subscription before frames are sent.
    drop_slow_s : float or None
        A client that reads nothing for so long is closed; None waits without limit.
    exit_when_done : bool
        End `serve` at the end of a channel; otherwise the connection stays open without frames.
    on_done : callable, optional
        Called with the number of frames at the end of a channel.
    clock : callable
        Monotonic seconds.

    Examples
    --------
    A server on a free port, until the task is cancelled or `stop` is called::

        server = ReplayServer(frames, speed=60.0)
        url = await server.start("127.0.0.1", 0)     # ws://127.0.0.1:40123/v1/ws/
        await server.serve()
    """

    def __init__(
        self,
        source: Iterable[Frame],
        *,
        speed: float | None = 1.0,
        collectors: Sequence[str] = (),
        rewind_s: float = 5.0,
        ring_bytes: int = RING_BYTES,
        settle_s: float = 0.5,
        drop_slow_s: float | None = None,
        exit_when_done: bool = False,
        on_done: Callable[[int], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._speed, self._rewind_s, self._ring_bytes = source, speed, rewind_s, ring_bytes
        self.collectors, self.settle_s, self.drop_slow_s = list(collectors), settle_s, drop_slow_s
        self._exit_when_done, self._on_done, self.clock = exit_when_done, on_done, clock
        self._is_shared = iter(source) is source
        self._channels: dict[str, _Channel] = {}
        self._unnamed_numbers = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._finished = asyncio.Event()
        self._failure: BaseException | None = None
        self._hold_at = math.inf
        self.frames_sent = 0

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; return the URL of the server (port 0 means a free one).

        Raises
        ------
        InputError
            The address cannot be used.
        """
        try:
            self._server = await ws_create_server(self._accept, host, port, max_frame_size=1_000_000)
        except OSError as error:
            raise InputError(
                f"--listen: expected a usable address, found {host}:{port}: {error.strerror or error}"
            ) from None
        bound = self._server.sockets[0].getsockname()[1]
        return f"ws://{f'[{host}]' if ':' in host else host}:{bound}{PATH}"

    async def serve(self) -> None:
        """Serve until `stop`, or until the end of a channel if requested; errors of the source are raised."""
        try:
            await self._finished.wait()
            if self._failure is not None:
                raise self._failure
        finally:
            await self.close()

    def stop(self) -> None:
        """Let `serve` return."""
        self._finished.set()

    def hold(self, moment: float) -> None:
        """Let frames of the event time `moment` and later wait until the next call."""
        self._hold_at = moment
        for channel in self._channels.values():
            channel.timeline.hold(moment, self.clock())
            channel.changed.set()

    async def close(self) -> None:
        """Close all connections and stop listening."""
        self._finished.set()
        for channel in list(self._channels.values()):
            await channel.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    def _accept(self, request: WSUpgradeRequest) -> WSListener | None:
        raw = request.path
        path, _, query = (raw.decode("latin-1") if isinstance(raw, bytes) else str(raw)).partition("?")
        if path.rstrip("/") != PATH.rstrip("/"):
            return None
        name = urllib.parse.parse_qs(query).get("client", [""])[0]
        # The replacement contains NUL, which no client can send, and is unique for each unnamed client.
        key_name = name or f"\0{next(self._unnamed_numbers)}"
        key = "" if self._is_shared else key_name
        if key not in self._channels:
            timeline = Timeline(iter(self._source), self._speed, self._rewind_s, self._ring_bytes, self._hold_at)
            self._channels[key] = _Channel(self, timeline)
        return _Connection(self, self._channels[key], key_name, has_name=bool(name))

    def drop_unnamed(self, name: str) -> None:
        """Drop the channel of a client without a name, which cannot resume it."""
        channel = self._channels.pop(name, None)
        if channel is not None:
            channel.cancel()

    def report_end(self, frames: int) -> None:
        """Handle the end of a channel after all its clients have received it."""
        if self._on_done is not None:
            self._on_done(frames)
        if self._exit_when_done:
            self._finished.set()

    def report_failure(self, failure: BaseException) -> None:
        """Handle an error of the source."""
        self._failure = failure
        self._finished.set()


class _Channel:
    """A timeline, its clients, and the task that advances it while it has clients."""

    def __init__(self, server: ReplayServer, timeline: Timeline) -> None:
        self.server, self.timeline = server, timeline
        self.clients: dict[str, _Connection] = {}
        self.changed = asyncio.Event()
        self._resume_positions: dict[str, int] = {}  # by client name
        self._has_reported_end = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def join(self, connection: "_Connection") -> None:
        """Add a client at the position where it left; close an older connection of the same name."""
        older = self.clients.get(connection.name)
        if older is not None:
            self.leave(older)
            older.close(WSCloseCode.GOING_AWAY)
        connection.position = self._resume_positions.pop(connection.name, self.timeline.oldest)
        self.clients[connection.name] = connection
        self.changed.set()

    def leave(self, connection: "_Connection") -> None:
        """Remove a client; keep its position, minus the frames that may still be on their way to it."""
        if self.clients.get(connection.name) is connection:
            del self.clients[connection.name]
            if connection.has_name:
                # Frames sent before a stall may be unread too: go back to the start of the stall.
                resume = self.timeline.find_resume_position(min(self.server.clock(), connection.stalled_since))
                self._resume_positions.pop(connection.name, None)
                self._resume_positions[connection.name] = min(connection.position, resume)
                if len(self._resume_positions) > MAX_REMEMBERED_CLIENTS:
                    del self._resume_positions[next(iter(self._resume_positions))]
            else:
                self.server.drop_unnamed(connection.name)
            self.changed.set()

    def collectors(self) -> list[str]:
        recent = self.timeline.read_kept(self.timeline.head - 1000, 1000)
        return sorted({collector_name(frame.message.host) for frame in recent if frame.message is not None})

    def cancel(self) -> None:
        self._task.cancel()

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        for connection in list(self.clients.values()):
            connection.close(WSCloseCode.GOING_AWAY)
            await connection.wait_closed()

    async def _run(self) -> None:
        try:
            is_paused = True
            while True:
                self.changed.clear()
                now = self.server.clock()
                ready = [client for client in self.clients.values() if client.is_settled(now)]
                if not ready:
                    is_paused = True
                    await self._wait(self._settling_s(now))
                    continue
                if is_paused:
                    is_paused = False
                    self.timeline.resume(now)
                pause_s = self._send_next(ready, now)
                for connection in ready:
                    await connection.wait_writable()
                if self.timeline.has_ended and not self._has_reported_end:
                    self._has_reported_end = True
                    self.server.report_end(self.timeline.head)
                await self._wait(pause_s)
        except Exception as error:
            self.server.report_failure(error)

    def _send_next(self, ready: "list[_Connection]", now: float) -> float | None:
        """Send one chunk to every client; return the seconds until the next frame is due (None: never)."""
        head = self.timeline.head
        behind = [client for client in ready if client.position < head]
        for connection in behind:
            frames = self.timeline.read_kept(connection.position, _CHUNK_FRAMES)
            connection.position = max(connection.position, self.timeline.oldest) + len(frames)
            connection.send_frames(frames)
        if behind:
            return 0.0
        frames = self.timeline.advance(now, _CHUNK_FRAMES, _CHUNK_BYTES)
        self.server.frames_sent += len(frames)
        for connection in ready:
            connection.position = self.timeline.head
            connection.send_frames(frames)
        return self.timeline.due_in(now)

    def _settling_s(self, now: float) -> float | None:
        waits = [client.settled_at - now for client in self.clients.values() if client.subscriptions]
        return min(waits, default=None)

    async def _wait(self, seconds: float | None) -> None:
        if seconds is not None and seconds <= 0:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), seconds)


class _Connection(WSListener):
    """One client: its subscriptions and its position in the channel."""

    def __init__(self, server: ReplayServer, channel: _Channel, name: str, *, has_name: bool) -> None:
        self._server, self._channel, self.name, self.has_name = server, channel, name, has_name
        self.subscriptions: list[Subscription] = []
        self.position = 0
        self.settled_at = self.stalled_since = float("inf")
        self._selects_all = False
        self._acknowledge = False
        self._closed = False
        self._transport: WSTransport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._text = bytearray()

    def is_settled(self, now: float) -> bool:
        return bool(self.subscriptions) and now >= self.settled_at

    # Callbacks of picows.

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)
        self._channel.join(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - signature of picows
        self._closed = True
        self._channel.leave(self)
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()
        self.stalled_since = min(self.stalled_since, self._server.clock())

    def resume_writing(self) -> None:
        self._writable.set()
        self.stalled_since = float("inf")

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._text += frame.get_payload_as_memoryview()
            if frame.fin:
                text = bytes(self._text)
                self._text.clear()
                try:
                    self._handle(text)
                except InputError as error:
                    self._send("ris_error", {"message": str(error)})

    # Requests.

    def _handle(self, text: bytes) -> None:
        try:
            request = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"not JSON: {error}") from None
        kind = request.get("type") if isinstance(request, dict) else None
        data = request.get("data") if isinstance(request, dict) else None
        if kind == "ping":
            self._send("pong", None)
        elif kind == "request_rrc_list":
            self._send("ris_rrc_list", self._server.collectors or self._channel.collectors())
        elif kind == "ris_subscribe":
            self._subscribe(data)
        elif kind == "ris_unsubscribe":
            self._unsubscribe(data)
        else:
            raise InputError(
                f"type: expected ris_subscribe, ris_unsubscribe, request_rrc_list or ping in an object, found {kind!r}"
            )

    def _subscribe(self, data: Any) -> None:
        subscription, options = parse_subscription(data)
        if options is not None:
            self._acknowledge = bool(options.acknowledge)
        if subscription not in self.subscriptions:
            self.subscriptions.append(subscription)
        self._selects_all = any(one.is_everything for one in self.subscriptions)
        # A subscription to everything needs no wait for further ones.
        self.settled_at = self._server.clock() + (0.0 if self._selects_all else self._server.settle_s)
        if self._acknowledge:
            requested = {key: value for key, value in (data or {}).items() if key != "socketOptions"}
            granted = {"includeRaw": False, "acknowledge": True}  # raw bytes are not kept
            self._send("ris_subscribe_ok", {"subscription": requested, "socketOptions": granted})
        self._channel.changed.set()

    def _unsubscribe(self, data: Any) -> None:
        subscription, _ = parse_subscription(data)
        if subscription not in self.subscriptions:
            raise InputError("ris_unsubscribe: expected a subscription of this socket, found none that equals it")
        self.subscriptions.remove(subscription)
        self._selects_all = any(one.is_everything for one in self.subscriptions)
        self._channel.changed.set()

    # Answers.

    def _send(self, kind: str, data: Any) -> None:
        if self._transport is not None and not self._closed:
            self._transport.send(WSMsgType.TEXT, msgspec.json.encode({"type": kind, "data": data}))

    def send_frames(self, frames: Sequence[Frame]) -> None:
        """Send the frames that a subscription selects in one write; a system call per frame would halve the rate."""
        if self._transport is None or self._closed:
            return
        selected = frames if self._selects_all else [frame for frame in frames if self._matches(frame)]
        if selected:
            parts = [part for frame in selected for part in (_header(len(frame.text)), frame.text)]
            self._transport.underlying_transport.write(b"".join(parts))

    def _matches(self, frame: Frame) -> bool:
        message = frame.message
        return message is not None and any(one.matches(message) for one in self.subscriptions)

    async def wait_writable(self) -> None:
        """Wait until the client has read enough; close a slow client if `drop_slow_s` is set."""
        if self._writable.is_set():
            return
        try:
            await asyncio.wait_for(self._writable.wait(), self._server.drop_slow_s)
        except TimeoutError:
            self._send("ris_error", {"message": "client is too slow, closing the connection"})
            self.close(WSCloseCode.POLICY_VIOLATION)

    def close(self, code: WSCloseCode) -> None:
        if self._transport is not None and not self._closed:
            self._transport.send_close(code)
            self._transport.disconnect()
            self._closed = True
            self._channel.leave(self)
            # A client that reads nothing would keep the socket open without limit.
            asyncio.get_running_loop().call_later(_CLOSE_GRACE_S, self._transport.disconnect, False)

    async def wait_closed(self) -> None:
        """Wait until all data is sent and the socket is closed."""
        if self._transport is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._transport.wait_disconnected(), _CLOSE_GRACE_S)


def _header(length: int) -> bytes:
    """Build the header of a complete, unmasked text message (RFC 6455, section 5.2)."""
    if length < 126:
        return bytes((0x81, length))
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")
