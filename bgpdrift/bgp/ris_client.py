"""The RIS Live client: one WebSocket, opened again and again, its frames handed on as they came.

Sorts by type here: acknowledgements, pongs and collector lists end here; every other frame goes to the sink unread, also
what is unknown, cut in half or no JSON at all, which the decoder counts. Only the last frame of each read is looked into
(time, collector): that is enough for lag, and a burst costs no decoding. When to give a connection up `ris_connection`
decides; storing is the sink's, which never makes us wait.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSParsedURL, WSTransport, ws_connect

from bgpdrift import logs
from bgpdrift.bgp.messages import collector_name
from bgpdrift.bgp.ris_connection import Event, Health, State, backoff_s, connection_url, judge, move, subscriptions
from bgpdrift.bgp.ris_figures import COLLECTOR_SILENT_S, FeedFigures
from bgpdrift.clock import Clock
from bgpdrift.settings import FeedSettings

ACKNOWLEDGE_S: Final = 5.0
"""A server that has not acknowledged by then is noted; it may send frames all the same."""

_MESSAGE_START: Final = b'{"type":"ris_message"'
_MESSAGE_END: Final = b"}}"
_HOST_KEY: Final = b'"host":"'
_UNSPOOLED: Final = frozenset({"pong", "ris_subscribe_ok", "ris_rrc_list"})
_MOST_FRAME_BYTES: Final = 16_000_000
_OVERDUE_S: Final = COLLECTOR_SILENT_S / 3

log = logs.get_logger()


class Sink(Protocol):
    """Where frames go: `SpoolWriter`."""

    def put(self, frames: Sequence[bytes], earliest: float | None = None, latest: float | None = None) -> bool:
        """Take frames without waiting; False if they had to be dropped."""
        ...

    def put_control(self, event: str, earliest: float | None, latest: float | None, reason: str = "") -> None:
        """Take a record of what happened to the feed."""
        ...


class _Sampled(msgspec.Struct, gc=False):
    timestamp: float
    host: str = ""


class _SampledFrame(msgspec.Struct, gc=False):
    data: _Sampled


class _Other(msgspec.Struct, gc=False):
    type: str
    data: Any = None


_sample = msgspec.json.Decoder(_SampledFrame)
_other = msgspec.json.Decoder(_Other)


class RisClient:
    """Keeps a feed coming until told to stop.

    Parameters
    ----------
    settings : FeedSettings
        URL, subscriptions, limits.
    sink : Sink
        Where frames go.
    clock : Clock
        Wall time for lag, monotonic time for limits.
    rng : random.Random
        Draws the back-off.
    last_event_time : float, optional
        Timestamp (epoch s) of the last message an earlier process stored: the first ``connected`` record starts there.
    """

    def __init__(
        self,
        settings: FeedSettings,
        sink: Sink,
        clock: Clock,
        rng: random.Random,
        *,
        last_event_time: float | None = None,
        acknowledge_s: float = ACKNOWLEDGE_S,
    ) -> None:
        self._settings, self._sink, self._clock, self._rng = settings, sink, clock, rng
        self._acknowledge_s = acknowledge_s
        self._url = connection_url(settings)
        self._failures = self._lag_reconnects = 0
        self._next_try_at = clock.monotonic()
        self._socket: socket.socket | None = None
        self.state = State.WAITING
        self.figures = FeedFigures(url=settings.url, last_event_time=last_event_time)

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, stream, reconnect, until ``stop`` is set.

        An error of the sink comes out here; the feed's own never do.
        """
        while not stop.is_set():
            self._move(Event.TRY)
            reason = await self._attempt(stop)
            if stop.is_set():
                break
            self._failures += 1
            wait_s = backoff_s(self._failures, self._settings.backoff_max_s, self._rng)
            self._next_try_at = self._clock.monotonic() + wait_s
            self._move(Event.LOST)
            self.figures.last_error = reason
            log.warning("feed.lost", reason=reason, retry_in_s=round(wait_s, 2), failures=self._failures)
            await _set_within(stop, wait_s)
        self._move(Event.STOP)

    def status(self) -> str:
        """Say in one line how the feed is doing."""
        next_try_s = max(0.0, self._next_try_at - self._clock.monotonic())
        return self.figures.line(
            self.state.value, self._clock.now(), self._clock.monotonic(), next_try_s, self._settings.replay_lag_s
        )

    def _move(self, event: Event) -> None:
        self.state = move(self.state, event)
        self.figures.connected = self.state in (State.STREAMING, State.SILENT, State.SUBSCRIBING)

    async def _attempt(self, stop: asyncio.Event) -> str:
        """Hold one connection as long as it is good; return why it ended."""
        listener = _Listener(self._sink, self.figures, self._clock, self._settings.collectors)
        self._socket = None
        opening = asyncio.create_task(self._open(listener))
        if not await _done_before(opening, stop):
            if self._socket is None:
                opening.cancel()
            else:
                with contextlib.suppress(OSError):  # the server, or picows, may have closed it at this very moment
                    self._socket.shutdown(socket.SHUT_RDWR)  # ends the handshake, and picows closes the rest
            await asyncio.wait([opening])
            return "asked to stop"
        try:
            transport = opening.result()
        except (OSError, WSError, ValueError) as error:
            return _why_refused(error, self._settings.connect_timeout_s)
        self._move(Event.OPENED)
        self.figures.connections += 1
        try:
            reason = await self._hold(listener, transport, stop)
        finally:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            with contextlib.suppress(TimeoutError, Exception):
                # A server that is gone without a word would keep a graceful close waiting.
                await asyncio.wait_for(transport.wait_disconnected(), 1.0)
            transport.disconnect(False)
            listener.flush()
        if listener.failure is not None:
            raise listener.failure
        self._sink.put_control("disconnected", self.figures.last_event_time, None, reason)
        return reason

    async def _open(self, listener: "_Listener") -> WSTransport:
        # Each phase has a limit of its own: cancelling the whole from outside would leave the socket open.
        limit_s = self._settings.connect_timeout_s
        secure: dict[str, Any] = {"ssl_handshake_timeout": limit_s} if self._url.startswith("wss:") else {}
        transport, _ = await ws_connect(
            lambda: listener,
            self._url,
            socket_factory=self._connect_tcp,
            websocket_handshake_timeout=limit_s,
            max_frame_size=_MOST_FRAME_BYTES,
            read_buffer_init_size=262_144,
            enable_auto_pong=False,  # ours, so that the end of each read is seen
            **secure,
        )
        return transport

    async def _connect_tcp(self, url: WSParsedURL) -> socket.socket:
        """Try each address of the server in turn; all share the time allowed, so that a dead one cannot take it all."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._settings.connect_timeout_s):
            found = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        failure: OSError = ConnectionError(f"no address for {url.host}")
        for family, kind, protocol, _, address in found:
            connection = socket.socket(family, kind, protocol)
            connection.setblocking(False)
            try:
                async with asyncio.timeout(self._settings.connect_timeout_s / len(found)):
                    await loop.sock_connect(connection, address)
            except OSError as error:
                connection.close()
                failure = error
            except asyncio.CancelledError:
                connection.close()
                raise
            else:
                self._socket = connection
                return connection
        raise failure

    async def _hold(self, listener: "_Listener", transport: WSTransport, stop: asyncio.Event) -> str:
        opened = self._clock.monotonic()
        listener.last_frame_at = opened
        wanted = subscriptions(self._settings)
        ended = asyncio.create_task(_first(listener.closed, stop))
        noted = False
        pinged = False
        tick_s = min(1.0, self._settings.silence_s / 8)
        try:
            for data in wanted:
                transport.send(WSMsgType.TEXT, msgspec.json.encode({"type": "ris_subscribe", "data": data}))
                if len(wanted) > 1 and await _done_within(ended, self._settings.subscribe_spacing_s):
                    return self._why_ended(listener, stop)
            while not await _done_within(ended, tick_s):
                now = self._clock.monotonic()
                listener.flush()
                self.figures.tick(now)
                open_s, quiet_s = now - opened, now - listener.last_frame_at
                acknowledged = listener.acknowledged >= len(wanted)
                if self.state is State.SUBSCRIBING and (acknowledged or listener.frames):
                    self._move(Event.SUBSCRIBED)
                    log.info("feed.streaming", url=self._settings.url, acknowledged=listener.acknowledged)
                if not noted and not acknowledged and open_s > self._acknowledge_s:
                    noted = True
                    self.figures.last_error = f"{listener.acknowledged} of {len(wanted)} subscriptions acknowledged"
                    log.warning("feed.not_acknowledged", acknowledged=listener.acknowledged, asked=len(wanted))
                if listener.frames and open_s > self._settings.silence_s:
                    self._failures = 0  # it has proved itself; what ends it later is a new trouble
                health = judge(quiet_s, open_s, self._lag_s(listener), self._settings, self._lag_reconnects)
                if health is Health.SILENT:
                    return f"no frame of any collector for {quiet_s:.0f} s"
                if health is Health.LAGGING:
                    self._lag_reconnects += 1
                    if self.state is State.STREAMING:
                        self._move(Event.LAG)
                    return f"the newest message is {self._lag_s(listener):.0f} s old"
                if health is Health.QUIET:
                    if not pinged:
                        pinged = True
                        transport.send(WSMsgType.TEXT, b'{"type":"ping","data":null}')
                    if self.state is not State.SILENT:
                        self._move(Event.QUIET)
                else:
                    pinged = False
                    if self.state is State.SILENT and listener.frames:
                        self._move(Event.FRAME)
                    lag_s = self._lag_s(listener)
                    if lag_s is not None and lag_s < self._settings.max_lag_s:
                        self._lag_reconnects = 0
            return self._why_ended(listener, stop)
        finally:
            ended.cancel()

    def _lag_s(self, listener: "_Listener") -> float | None:
        newest = listener.newest
        return None if newest is None else self._clock.now() - newest

    def _why_ended(self, listener: "_Listener", stop: asyncio.Event) -> str:
        return "asked to stop" if stop.is_set() else listener.why_closed


class _Listener(WSListener):
    """What picows calls for one connection; runs at the rate of the feed."""

    def __init__(self, sink: Sink, figures: FeedFigures, clock: Clock, collectors: Sequence[str]) -> None:
        self._sink, self._figures, self._clock = sink, figures, clock
        self._frames: list[bytes] = []
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._server_error = ""
        self.closed = asyncio.Event()
        self.failure: Exception | None = None
        self.why_closed = ""
        self.last_frame_at = clock.monotonic()
        self.newest: float | None = None
        self.frames = self.acknowledged = 0
        for name in collectors:
            figures.collectors.setdefault(collector_name(name), self.last_frame_at)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.TEXT and frame.fin:
            payload = frame.get_payload_as_bytes()
            whole = payload.startswith(_MESSAGE_START) and payload.endswith(_MESSAGE_END)
            if whole or self._is_for_spool(payload):
                self._frames.append(payload)
        elif kind == WSMsgType.PING:
            transport.send_pong(frame.get_payload_as_bytes())
        elif kind == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind != WSMsgType.PONG:
            self._gather(frame.get_payload_as_bytes(), whole=frame.fin)
        if frame.last_in_buffer:
            self.flush()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.flush()
        handshake = transport.close_handshake
        received = handshake.recv if handshake is not None else None
        code, reason = (int(received.code.value), received.reason) if received else (1006, "connection lost")
        said = self._server_error or reason
        self.why_closed = f"closed by the server with code {code}" + (f": {said}" if said else "")
        self.closed.set()

    def flush(self) -> None:
        """Hand on what was read since the last time."""
        frames, self._frames = self._frames, []
        if not frames or self.failure is not None:
            return
        try:
            self._hand_on(frames)
        except Exception as error:  # the spool's thread has ended: nobody above picows would hear of it
            self.failure = error
            self.closed.set()

    def _hand_on(self, frames: list[bytes]) -> None:
        figures = self._figures
        now = self.last_frame_at = self._clock.monotonic()
        before = self.newest
        latest = self._look_into(frames[-1], now)
        if figures.has_overdue(now, _OVERDUE_S):
            for frame in frames:
                self._note_host(frame, now)
        if latest is not None:
            if before is None:
                earliest = self._look_into(frames[0], now)
                before = latest if earliest is None else earliest
                self._sink.put_control("connected", figures.last_event_time, before)
            self.newest = max(latest, before)
            figures.last_event_time = max(self.newest, figures.last_event_time or 0.0)
        self.frames += len(frames)
        figures.frames += len(frames)
        figures.bytes += sum(map(len, frames))
        if not self._sink.put(frames, before, latest):
            figures.dropped += len(frames)

    def _look_into(self, frame: bytes, now: float) -> float | None:
        try:
            data = _sample.decode(frame).data
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if data.host:
            self._figures.collectors[collector_name(data.host)] = now
        return data.timestamp

    def _note_host(self, frame: bytes, now: float) -> None:
        start = frame.find(_HOST_KEY) + len(_HOST_KEY)
        end = frame.find(b'"', start)
        if start >= len(_HOST_KEY) and 0 < end - start <= 64:
            self._figures.collectors[collector_name(frame[start:end].decode("ascii", "replace"))] = now

    def _gather(self, payload: bytes, *, whole: bool) -> None:
        """Put a message together that came in several WebSocket frames."""
        self._parts.append(payload)
        self._parts_bytes += len(payload)
        if whole or self._parts_bytes > _MOST_FRAME_BYTES:
            text = b"".join(self._parts)
            self._parts, self._parts_bytes = [], 0
            if self._is_for_spool(text):
                self._frames.append(text)

    def _is_for_spool(self, text: bytes) -> bool:
        """Take note of a frame that is no message; False if it ends here."""
        try:
            other = _other.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._figures.unreadable += 1
            return True
        if other.type == "ris_subscribe_ok":
            self.acknowledged += 1
        elif other.type == "ris_error":
            message = other.data.get("message") if isinstance(other.data, dict) else other.data
            self._server_error = str(message)
            self._figures.last_error = f"the server says: {message}"
            log.warning("feed.server_error", message=str(message))
        elif other.type not in _UNSPOOLED and other.type != "ris_message":
            self._figures.others[other.type[:32]] += 1
        return other.type not in _UNSPOOLED


def _why_refused(error: Exception, limit_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection within {limit_s:g} s"
    if isinstance(error, socket.gaierror):
        return "name resolution failed"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return str(error) or type(error).__name__


async def _first(*events: asyncio.Event) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _done_before(task: "asyncio.Task[WSTransport]", stop: asyncio.Event) -> bool:
    """Wait for a task; False if asked to stop first."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    return task.done()


async def _done_within(task: "asyncio.Task[None]", seconds: float) -> bool:
    done, _ = await asyncio.wait([task], timeout=seconds)
    return bool(done)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
