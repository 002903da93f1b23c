"""The RIS Live client: it keeps one WebSocket open, and forwards frames as received.

Acknowledgements, pongs and collector lists end here. Every other frame goes to the sink undecoded, also unknown, incomplete or
invalid ones, which the decoder counts later. Only the last frame of each read is sampled for time and collector: this is
enough for the lag, and a burst costs no decoding. `ris_connection` decides when to close a connection. The sink stores frames
and never blocks.
"""

import asyncio
import contextlib
import random
import socket
import statistics
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec
from picows import WSCloseCode, WSError, WSFrame, WSListener, WSMsgType, WSParsedURL, WSTransport, ws_connect

from bgpdrift import logs
from bgpdrift.bgp.messages import Timestamp, collector_name
from bgpdrift.bgp.ris_connection import (
    CONNECTION_LIFECYCLE,
    Event,
    Health,
    State,
    assess_health,
    backoff_s,
    connection_url,
    subscription_requests,
)
from bgpdrift.bgp.ris_figures import COLLECTOR_SILENT_S, MAX_COLLECTORS, FeedFigures
from bgpdrift.clock import Clock
from bgpdrift.formatting import escape_control
from bgpdrift.process.pause_watch import PauseWatch
from bgpdrift.settings import FeedSettings

ACKNOWLEDGE_S: Final = 5.0
"""A server that has not acknowledged by then is logged; it may send frames nevertheless."""

_MESSAGE_START: Final = b'{"type":"ris_message"'
_MESSAGE_END: Final = b"}}"
_HOST_KEY: Final = b'"host":"'
_UNSPOOLED: Final = frozenset({"pong", "ris_subscribe_ok", "ris_rrc_list"})
_MAX_FRAME_BYTES: Final = 16_000_000
_MAX_UNREAD_BYTES: Final = 65_536
_MAX_ERROR_CHARACTERS: Final = 200
_DECODE_ERRORS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_OVERDUE_S: Final = COLLECTOR_SILENT_S / 3

log = logs.get_logger()


class Sink(Protocol):
    """Receives frames: `SpoolWriter`."""

    def put(self, frames: Sequence[bytes], earliest: float | None = None, latest: float | None = None) -> bool:
        """Accept frames without blocking; False if they were dropped."""
        ...

    def put_control(self, event: str, earliest: float | None, latest: float | None, reason: str = "") -> None:
        """Accept a record of an event of the feed."""
        ...


class _Sampled(msgspec.Struct, gc=False):
    timestamp: Timestamp
    host: str = ""


class _SampledFrame(msgspec.Struct, gc=False):
    data: _Sampled


class _Other(msgspec.Struct, gc=False):
    type: str
    data: Any = None


_sample = msgspec.json.Decoder(_SampledFrame)
_other = msgspec.json.Decoder(_Other)


class RisClient:
    """Keeps a feed connected until a stop is requested.

    Parameters
    ----------
    settings : FeedSettings
        URL, subscriptions, limits.
    sink : Sink
        Receives frames.
    clock : Clock
        Wall time for lag, monotonic time for limits.
    rng : random.Random
        For the back-off.
    last_event_time : float, optional
        Timestamp (epoch s) of the last message that an earlier process stored; the first ``connected`` record starts there.
    acknowledge_s : float
        Time limit for acknowledgements, seconds.
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
        self.figures = FeedFigures(
            url=settings.url,
            last_event_time=last_event_time,
            named=frozenset(map(collector_name, settings.collectors)),
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, stream and reconnect until ``stop`` is set.

        Errors of the sink are raised; errors of the feed are not.
        """
        while not stop.is_set():
            self._move(Event.TRY)
            reason = await self._connect_once(stop)
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
        """Summarize the state of the feed in one line."""
        next_try_s = max(0.0, self._next_try_at - self._clock.monotonic())
        return self.figures.summary(
            self.state.value, self._clock.now(), self._clock.monotonic(), next_try_s, self._settings.replay_lag_s
        )

    def _move(self, event: Event) -> None:
        self.state = CONNECTION_LIFECYCLE.next_state(self.state, event)
        self.figures.connected = self.state in (State.STREAMING, State.SILENT, State.SUBSCRIBING)

    async def _connect_once(self, stop: asyncio.Event) -> str:
        """Keep one connection as long as it is healthy; return why it ended."""
        listener = _Listener(self._sink, self.figures, self._clock, self._settings.collectors)
        self._socket = None
        opening = asyncio.create_task(self._open(listener))
        if not await _done_before(opening, stop):
            if self._socket is None:
                opening.cancel()
            else:
                with contextlib.suppress(OSError):  # the server or picows may have closed the socket
                    self._socket.shutdown(socket.SHUT_RDWR)  # this ends the handshake, and picows closes the rest
            await asyncio.wait([opening])
            return "a stop is requested"
        try:
            transport = opening.result()
        except (OSError, WSError, ValueError) as error:
            return _describe_refusal(error, self._settings.connect_timeout_s)
        self._move(Event.OPENED)
        self.figures.connections += 1
        try:
            reason = await self._stream(listener, transport, stop)
        finally:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            with contextlib.suppress(TimeoutError, Exception):
                # A server that is gone would delay a graceful close.
                await asyncio.wait_for(transport.wait_disconnected(), 1.0)
            transport.disconnect(False)
            listener.flush()
        if listener.failure is not None:
            raise listener.failure
        self._sink.put_control("disconnected", self.figures.last_event_time, None, reason)
        return reason

    async def _open(self, listener: "_Listener") -> WSTransport:
        # Each phase has a limit of its own: cancelling them all from outside would leave the socket open.
        limit_s = self._settings.connect_timeout_s
        secure: dict[str, Any] = {"ssl_handshake_timeout": limit_s} if self._url.startswith("wss:") else {}
        transport, _ = await ws_connect(
            lambda: listener,
            self._url,
            socket_factory=self._connect_tcp,
            websocket_handshake_timeout=limit_s,
            max_frame_size=_MAX_FRAME_BYTES,
            read_buffer_init_size=262_144,
            enable_auto_pong=False,  # the listener sends pongs, so that it sees the end of each read
            **secure,
        )
        return transport

    async def _connect_tcp(self, url: WSParsedURL) -> socket.socket:
        """Try each address of the server in turn; the addresses share the time limit equally."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(self._settings.connect_timeout_s):
            addresses = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
        failure: OSError = ConnectionError(f"no address for {url.host}")
        for family, kind, protocol, _, address in addresses:
            connection = socket.socket(family, kind, protocol)
            connection.setblocking(False)
            try:
                async with asyncio.timeout(self._settings.connect_timeout_s / len(addresses)):
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

    async def _stream(self, listener: "_Listener", transport: WSTransport, stop: asyncio.Event) -> str:
        opened = self._clock.monotonic()
        listener.last_frame_at = opened
        requests = subscription_requests(self._settings)
        ended = asyncio.create_task(_wait_for_any(listener.closed, stop))
        has_logged = False
        has_pinged = False
        tick_s = min(1.0, self._settings.silence_s / 8)
        pause_watch, resumed_at = PauseWatch(self._clock), opened
        try:
            for data in requests:
                transport.send(WSMsgType.TEXT, msgspec.json.encode({"type": "ris_subscribe", "data": data}))
                if len(requests) > 1 and await _is_done_within(ended, self._settings.subscribe_spacing_s):
                    return self._end_reason(listener, stop)
            while not await _is_done_within(ended, tick_s):
                now = self._clock.monotonic()
                listener.flush()
                self.figures.update_rate(now)
                open_s = now - opened
                if pause_watch.observe():
                    resumed_at = now  # what was sent during the pause waits in the socket
                quiet_s = now - max(listener.last_frame_at, resumed_at)
                acknowledged = listener.acknowledged >= len(requests)
                if self.state is State.SUBSCRIBING and (acknowledged or listener.frames):
                    self._move(Event.SUBSCRIBED)
                    log.info("feed.streaming", url=self._settings.url, acknowledged=listener.acknowledged)
                if not has_logged and not acknowledged and open_s > self._acknowledge_s:
                    has_logged = True
                    self.figures.last_error = f"{listener.acknowledged} of {len(requests)} subscriptions acknowledged"
                    log.warning("feed.not_acknowledged", acknowledged=listener.acknowledged, requested=len(requests))
                if listener.frames and open_s > self._settings.silence_s:
                    self._failures = 0  # the connection works; a later failure starts a new series
                lag_s = self._lag_s(listener)
                measured_s = now - max(opened, resumed_at)
                health = assess_health(quiet_s, measured_s, lag_s, self._settings, self._lag_reconnects)
                if health is Health.SILENT:
                    return f"no frame of any collector for {quiet_s:.0f} s"
                if health is Health.LAGGING:
                    self._lag_reconnects += 1
                    if self.state is State.STREAMING:
                        self._move(Event.LAG)
                    return f"the newest message is {lag_s:.0f} s old"
                if health is Health.QUIET:
                    if not has_pinged:
                        has_pinged = True
                        transport.send(WSMsgType.TEXT, b'{"type":"ping","data":null}')
                    if self.state is not State.SILENT:
                        self._move(Event.QUIET)
                else:
                    has_pinged = False
                    if self.state is State.SILENT and listener.frames:
                        self._move(Event.FRAME)
                    if lag_s is not None and lag_s < self._settings.max_lag_s:
                        self._lag_reconnects = 0
            return self._end_reason(listener, stop)
        finally:
            ended.cancel()

    def _lag_s(self, listener: "_Listener") -> float | None:
        newest = listener.newest
        return None if newest is None else self._clock.now() - newest

    def _end_reason(self, listener: "_Listener", stop: asyncio.Event) -> str:
        return "a stop is requested" if stop.is_set() else listener.close_reason


class _Listener(WSListener):
    """Callbacks of picows for one connection; they run at the rate of the feed."""

    def __init__(self, sink: Sink, figures: FeedFigures, clock: Clock, collectors: Sequence[str]) -> None:
        self._sink, self._figures, self._clock = sink, figures, clock
        self._frames: list[bytes] = []
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._server_error = ""
        self._times: dict[str, tuple[float, float]] = {}  # collector -> monotonic time, timestamp of its latest sample
        self.closed = asyncio.Event()
        self.failure: Exception | None = None
        self.close_reason = ""
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
            answer_ping(transport, frame.get_payload_as_bytes(), self._figures)
        elif kind == WSMsgType.CLOSE:
            transport.send_close(WSCloseCode.OK)
            transport.disconnect()
        elif kind != WSMsgType.PONG:
            is_first = kind != WSMsgType.CONTINUATION
            self._join_parts(frame.get_payload_as_bytes(), is_first=is_first, is_last=frame.fin)
        if frame.last_in_buffer:
            self.flush()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.flush()
        handshake = transport.close_handshake
        received = handshake.recv if handshake is not None else None
        code, reason = (int(received.code.value), received.reason) if received else (1006, "connection lost")
        text = self._server_error or reason
        self.close_reason = f"closed by the server with code {code}" + (f": {text}" if text else "")
        self.closed.set()

    def flush(self) -> None:
        """Forward the frames read since the last call."""
        frames, self._frames = self._frames, []
        if not frames or self.failure is not None:
            return
        try:
            self._forward(frames)
        except Exception as error:  # the thread of the spool has ended; picows would swallow the error
            self.failure = error
            self.closed.set()

    def _forward(self, frames: list[bytes]) -> None:
        figures = self._figures
        now = self.last_frame_at = self._clock.monotonic()
        before = self.newest
        latest = self._sample(frames[-1], now)
        if figures.has_overdue(now, _OVERDUE_S):
            for frame in frames:
                self._note_collector(frame, now)
        if not self.frames:
            # Before the first frame, whatever it is: frames that are sent again would count twice without the record.
            before = latest if (earliest := self._sample(frames[0], now)) is None else earliest
            self._sink.put_control("connected", figures.last_event_time, before)
        if latest is not None:
            figures.last_message_at = now
            before = latest if before is None else before
            self.newest = figures.last_event_time = self._find_middle_time(now)
        self.frames += len(frames)
        figures.frames += len(frames)
        figures.bytes += sum(map(len, frames))
        if not self._sink.put(frames, before, None if latest is None else self.newest):
            figures.dropped += len(frames)

    def _sample(self, frame: bytes, now: float) -> float | None:
        """Note the collector of a frame and return its timestamp; None if it cannot be decoded."""
        try:
            data = _sample.decode(frame).data
        except _DECODE_ERRORS:
            return None
        if data.host:
            self._figures.note_collector(data.host, now)
        name = collector_name(data.host)
        if name in self._times or len(self._times) < MAX_COLLECTORS:
            self._times[name] = now, data.timestamp
        return data.timestamp

    def _find_middle_time(self, now: float) -> float:
        """Return the latest timestamp of the middle one of the collectors that are not silent."""
        return statistics.median_high(time for seen, time in self._times.values() if now - seen < COLLECTOR_SILENT_S)

    def _note_collector(self, frame: bytes, now: float) -> None:
        """Note the collector of a frame by a text search, without decoding."""
        start = frame.find(_HOST_KEY) + len(_HOST_KEY)
        end = frame.find(b'"', start)
        if start >= len(_HOST_KEY) and 0 < end - start <= 64:
            self._figures.note_collector(frame[start:end].decode("ascii", "replace"), now)

    def _join_parts(self, payload: bytes, *, is_first: bool, is_last: bool) -> None:
        """Join a message that arrives in several WebSocket frames; count one without an end, a beginning, or a limit."""
        if is_first and self._parts:
            self._figures.unreadable += 1  # the message before has no end; this one is whole
            self._parts, self._parts_bytes = [], 0
        if not is_first and not self._parts:
            self._figures.unreadable += is_last
            return
        self._parts.append(payload)
        self._parts_bytes += len(payload)
        is_too_long = self._parts_bytes > _MAX_FRAME_BYTES
        if is_last or is_too_long:
            text = b"".join(self._parts)
            self._parts, self._parts_bytes = [], 0
            if is_too_long:
                self._figures.unreadable += 1
            elif self._is_for_spool(text):
                self._frames.append(text)

    def _is_for_spool(self, text: bytes) -> bool:
        """Count a frame that is not a message; False if it does not go to the spool."""
        try:
            other = _other.decode(text)
        except _DECODE_ERRORS:
            self._figures.unreadable += 1
            return True
        if other.type == "ris_subscribe_ok":
            self.acknowledged += 1
        elif other.type == "ris_error":
            message = other.data.get("message") if isinstance(other.data, dict) else other.data
            self._server_error = escape_control(str(message)[:_MAX_ERROR_CHARACTERS])
            self._figures.last_error = f"error of the server: {self._server_error}"
            log.warning("feed.server_error", message=self._server_error)
        elif other.type not in _UNSPOOLED and other.type != "ris_message":
            self._figures.note_other(other.type)
        return other.type not in _UNSPOOLED


class Pongs(Protocol):
    """The part of a transport that answers pings."""

    @property
    def underlying_transport(self) -> Any:
        """The transport of asyncio, which knows how much the server has not read."""
        ...

    def send_pong(self, payload: bytes, /) -> None:
        """Queue a pong."""
        ...


def answer_ping(transport: Pongs, payload: bytes, figures: FeedFigures) -> None:
    """Send a pong unless the server does not read the earlier ones; RFC 6455, 5.5.3 allows to leave pongs out."""
    if transport.underlying_transport.get_write_buffer_size() < _MAX_UNREAD_BYTES:
        transport.send_pong(payload)
        return
    if not figures.unanswered_pings:
        log.warning("feed.pongs_not_read", unread_bytes=_MAX_UNREAD_BYTES)
    figures.unanswered_pings += 1


def _describe_refusal(error: Exception, limit_s: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no connection within {limit_s:g} s"
    if isinstance(error, socket.gaierror):
        return "name resolution failed"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    return str(error) or type(error).__name__


async def _wait_for_any(*events: asyncio.Event) -> None:
    tasks = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


async def _done_before(task: "asyncio.Task[WSTransport]", stop: asyncio.Event) -> bool:
    """Wait for a task; False if a stop is requested first."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    return task.done()


async def _is_done_within(task: "asyncio.Task[None]", seconds: float) -> bool:
    done, _ = await asyncio.wait([task], timeout=seconds)
    return bool(done)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
