"""A RIS Live server for frames from anywhere: recordings, MRT files, the simulated Internet.

Speaks RIS Live's WebSocket protocol (subscriptions with every filter, unsubscribe, acknowledge, ping, collector list,
``ris_error``). Decides who is served from which tape and position; matching is `replay_filter`'s, pace and memory
`replay_timeline`'s.

**Whose tape.** A client is known by ``?client=NAME``. A source that can be iterated again (a list, an object with
``__iter__``) gives every name a tape of its own, from the beginning. A one-shot iterator (a generator: the simulation)
is one tape that all clients share, paced by the slowest; a new name starts with the oldest frame still kept. Clients
without a name are strangers: they start like a new name, and nothing is kept for them.

**A tape waits while nobody listens to it.** A client that comes back under its name goes on ``rewind_s`` before the moment
it was lost, so that one killed with frames in its buffers loses none; it removes the repeated ones by their ``id``.
A second connection under the same name takes over from the first. Delivery starts ``settle_s`` after the last
subscription, so that a client that subscribes to twenty collectors one by one misses none of them.

A slow reader holds its tape up; with ``drop_slow_s`` it is told so in a ``ris_error`` and closed, as RIS Live does.
"""

import asyncio
import contextlib
import itertools
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

_CHUNK_FRAMES: Final = 512
_CHUNK_BYTES: Final = 262_144
_WRITE_HIGH_BYTES: Final = 1_048_576
_CLOSE_GRACE_S: Final = 5.0


class ReplayServer:
    """Serves frames as RIS Live does.

    Parameters
    ----------
    source : iterable of Frame
        In time order. Re-iterable or one-shot: see the module. An infinite one is fine.
    speed : float or None
        Seconds of event time a second; None sends as fast as the client reads.
    collectors : sequence of str
        What ``request_rrc_list`` answers; left empty, those of the frames sent lately.
    rewind_s : float
        How far back a client that comes back is set, in seconds of wall time.
    settle_s : float
        Quiet after the last subscription before frames are sent.
    drop_slow_s : float or None
        A reader that takes nothing for this long is closed; None waits for ever.
    exit_when_done : bool
        End `serve` when a tape has reached its end; otherwise the connection stays open and silent.
    on_done : callable, optional
        Called with the number of frames when a tape has reached its end.
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
        self._shared = iter(source) is source
        self._tapes: dict[str, _Tape] = {}
        self._strangers = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._finished = asyncio.Event()
        self._failure: BaseException | None = None
        self.frames_sent = 0

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Listen; return the URL to connect to (port 0 takes a free one).

        Raises
        ------
        InputError
            The address cannot be listened on.
        """
        try:
            self._server = await ws_create_server(self._accept, host, port, max_frame_size=1_000_000)
        except OSError as error:
            raise InputError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
        bound = self._server.sockets[0].getsockname()[1]
        return f"ws://{f'[{host}]' if ':' in host else host}:{bound}{PATH}"

    async def serve(self) -> None:
        """Serve until `stop`, or the end of a tape where that was asked for; an error of the source comes out here."""
        try:
            await self._finished.wait()
            if self._failure is not None:
                raise self._failure
        finally:
            await self.close()

    def stop(self) -> None:
        """Let `serve` return."""
        self._finished.set()

    async def close(self) -> None:
        """Close all connections and stop listening."""
        self._finished.set()
        for tape in list(self._tapes.values()):
            await tape.close()
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
        known = bool(name)
        # A name that no client can send: each stranger is another.
        name = name or f"\0{next(self._strangers)}"
        key = "" if self._shared else name
        if key not in self._tapes:
            timeline = Timeline(iter(self._source), self._speed, self._rewind_s, self._ring_bytes)
            self._tapes[key] = _Tape(self, timeline)
        return _Connection(self, self._tapes[key], name, known)

    def forget_stranger(self, name: str) -> None:
        """Drop the tape of a client without a name, which cannot come back to it."""
        tape = self._tapes.pop(name, None)
        if tape is not None:
            tape.cancel()

    def tape_ended(self, frames: int) -> None:
        """Take note that a tape has reached its end and everybody has it."""
        if self._on_done is not None:
            self._on_done(frames)
        if self._exit_when_done:
            self._finished.set()

    def tape_failed(self, failure: BaseException) -> None:
        """Take note that the source cannot go on."""
        self._failure = failure
        self._finished.set()


class _Tape:
    """A timeline, those who listen to it, and the task that moves it on while somebody does."""

    def __init__(self, server: ReplayServer, timeline: Timeline) -> None:
        self.server, self.timeline = server, timeline
        self.listeners: dict[str, _Connection] = {}
        self.changed = asyncio.Event()
        self._left_at: dict[str, int] = {}  # position to go on from, by client name
        self._told_end = False
        self._task = asyncio.get_running_loop().create_task(self._run())

    def join(self, connection: "_Connection") -> None:
        """Set a client to where it left, closing an older connection of the same name."""
        older = self.listeners.get(connection.name)
        if older is not None:
            self.leave(older)
            older.close(WSCloseCode.GOING_AWAY)
        connection.position = self._left_at.pop(connection.name, self.timeline.oldest)
        self.listeners[connection.name] = connection
        self.changed.set()

    def leave(self, connection: "_Connection") -> None:
        """Remember how far a client got, less what may still have been under way to it."""
        if self.listeners.get(connection.name) is connection:
            del self.listeners[connection.name]
            if connection.known:
                # What was sent before a stall may not have been read either: count from its beginning.
                rewound = self.timeline.rewound(min(self.server.clock(), connection.stalled_since))
                self._left_at[connection.name] = min(connection.position, rewound)
            else:
                self.server.forget_stranger(connection.name)
            self.changed.set()

    def collectors(self) -> list[str]:
        recent = self.timeline.kept(self.timeline.head - 1000, 1000)
        return sorted({collector_name(frame.message.host) for frame in recent if frame.message is not None})

    def cancel(self) -> None:
        self._task.cancel()

    async def close(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        for connection in list(self.listeners.values()):
            connection.close(WSCloseCode.GOING_AWAY)
            await connection.gone()

    async def _run(self) -> None:
        try:
            waiting = True
            while True:
                self.changed.clear()
                now = self.server.clock()
                ready = [one for one in self.listeners.values() if one.is_settled(now)]
                if not ready:
                    waiting = True
                    await self._wait(self._settling_s(now))
                    continue
                if waiting:
                    waiting = False
                    self.timeline.resume(now)
                pause_s = self._move(ready, now)
                for connection in ready:
                    await connection.drained()
                if self.timeline.ended and not self._told_end:
                    self._told_end = True
                    self.server.tape_ended(self.timeline.head)
                await self._wait(pause_s)
        except Exception as error:
            self.server.tape_failed(error)

    def _move(self, ready: "list[_Connection]", now: float) -> float | None:
        """Send one chunk to everybody; return how long nothing is due then (None: for ever)."""
        head = self.timeline.head
        behind = [one for one in ready if one.position < head]
        for connection in behind:
            frames = self.timeline.kept(connection.position, _CHUNK_FRAMES)
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
        waits = [one.settled_at - now for one in self.listeners.values() if one.subscriptions]
        return min(waits, default=None)

    async def _wait(self, seconds: float | None) -> None:
        if seconds is not None and seconds <= 0:
            await asyncio.sleep(0)
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.changed.wait(), seconds)


class _Connection(WSListener):
    """One client: its subscriptions, and how far on its tape it is."""

    def __init__(self, server: ReplayServer, tape: _Tape, name: str, known: bool) -> None:
        self._server, self._tape, self.name, self.known = server, tape, name, known
        self.subscriptions: list[Subscription] = []
        self.position = 0
        self.settled_at = self.stalled_since = float("inf")
        self._wants_all = False
        self._acknowledge = False
        self._closed = False
        self._transport: WSTransport | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._text = bytearray()

    def is_settled(self, now: float) -> bool:
        return bool(self.subscriptions) and now >= self.settled_at

    # picows calls these.

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        transport.underlying_transport.set_write_buffer_limits(high=_WRITE_HIGH_BYTES)
        self._tape.join(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - picows' signature
        self._closed = True
        self._tape.leave(self)
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
                    self._say("ris_error", {"message": str(error)})

    # What a client may ask.

    def _handle(self, text: bytes) -> None:
        try:
            request = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"not JSON: {error}") from None
        kind = request.get("type") if isinstance(request, dict) else None
        data = request.get("data") if isinstance(request, dict) else None
        if kind == "ping":
            self._say("pong", None)
        elif kind == "request_rrc_list":
            self._say("ris_rrc_list", self._server.collectors or self._tape.collectors())
        elif kind == "ris_subscribe":
            self._subscribe(data)
        elif kind == "ris_unsubscribe":
            self._unsubscribe(data)
        else:
            raise InputError(
                f"type {kind!r}: expected ris_subscribe, ris_unsubscribe, request_rrc_list or ping in an object"
            )

    def _subscribe(self, data: Any) -> None:
        subscription, options = parse_subscription(data)
        if options is not None:
            self._acknowledge = bool(options.acknowledge)
        if subscription not in self.subscriptions:
            self.subscriptions.append(subscription)
        self._wants_all = any(one.is_everything for one in self.subscriptions)
        # Nothing can follow that would add to "everything".
        self.settled_at = self._server.clock() + (0.0 if self._wants_all else self._server.settle_s)
        if self._acknowledge:
            wanted = {key: value for key, value in (data or {}).items() if key != "socketOptions"}
            granted = {"includeRaw": False, "acknowledge": True}  # raw bytes are not kept
            self._say("ris_subscribe_ok", {"subscription": wanted, "socketOptions": granted})
        self._tape.changed.set()

    def _unsubscribe(self, data: Any) -> None:
        subscription, _ = parse_subscription(data)
        if subscription not in self.subscriptions:
            raise InputError("ris_unsubscribe: there is no such subscription on this socket")
        self.subscriptions.remove(subscription)
        self._wants_all = any(one.is_everything for one in self.subscriptions)
        self._tape.changed.set()

    # What it gets.

    def _say(self, kind: str, data: Any) -> None:
        if self._transport is not None and not self._closed:
            self._transport.send(WSMsgType.TEXT, msgspec.json.encode({"type": kind, "data": data}))

    def send_frames(self, frames: Sequence[Frame]) -> None:
        """Send those that a subscription matches, in one write: a system call a frame would halve the rate."""
        if self._transport is None or self._closed:
            return
        wanted = frames if self._wants_all else [frame for frame in frames if self._matches(frame)]
        if wanted:
            parts = [part for frame in wanted for part in (_header(len(frame.text)), frame.text)]
            self._transport.underlying_transport.write(b"".join(parts))

    def _matches(self, frame: Frame) -> bool:
        message = frame.message
        return message is not None and any(one.matches(message) for one in self.subscriptions)

    async def drained(self) -> None:
        """Wait until the client has read enough; close it if it is too slow and that was asked for."""
        if self._writable.is_set():
            return
        try:
            await asyncio.wait_for(self._writable.wait(), self._server.drop_slow_s)
        except TimeoutError:
            self._say("ris_error", {"message": "client is too slow, closing the connection"})
            self.close(WSCloseCode.POLICY_VIOLATION)

    def close(self, code: WSCloseCode) -> None:
        if self._transport is not None and not self._closed:
            self._transport.send_close(code)
            self._transport.disconnect()
            self._closed = True
            self._tape.leave(self)
            # A reader that takes nothing would hold the socket open for ever.
            asyncio.get_running_loop().call_later(_CLOSE_GRACE_S, self._transport.disconnect, False)

    async def gone(self) -> None:
        """Wait until what was sent has left and the socket is closed."""
        if self._transport is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._transport.wait_disconnected(), _CLOSE_GRACE_S)


def _header(length: int) -> bytes:
    """Frame a whole, unmasked text message (RFC 6455, section 5.2)."""
    if length < 126:
        return bytes((0x81, length))
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")
