"""The RIS Live client with an independent server that shows every known fault."""

import asyncio
import contextlib
import json
import random
import socket as sockets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bgpdrift.bgp.ris_client import RisClient, answer_ping
from bgpdrift.bgp.ris_connection import CONNECTION_LIFECYCLE, Event, Health, State, assess_health, backoff_s
from bgpdrift.bgp.ris_figures import COLLECTOR_SILENT_S, FeedFigures
from bgpdrift.clock import SystemClock
from bgpdrift.settings import FeedSettings
from helpers.until import until_async

LIMIT_S = 15.0
Handler = Callable[[ServerConnection], Awaitable[None]]


class MemorySink:
    """A sink that keeps everything, or drops everything."""

    def __init__(self, full: bool = False) -> None:
        self.full = full
        self.frames: list[bytes] = []
        self.records: list[tuple[str, float | None, float | None, str]] = []

    def put(self, frames: Sequence[bytes], earliest: float | None = None, latest: float | None = None) -> bool:
        if not self.full:
            self.frames += frames
        return not self.full

    def put_control(self, event: str, earliest: float | None, latest: float | None, reason: str = "") -> None:
        self.records.append((event, earliest, latest, reason))

    def reasons(self) -> list[str]:
        return [reason for event, *_, reason in self.records if event == "disconnected"]


def frame(number: int, timestamp: float = 1_558_620_047.0, host: str = "rrc00") -> bytes:
    data = {"timestamp": timestamp + number, "peer": "192.0.2.1", "id": str(number), "host": host, "type": "UPDATE"}
    return json.dumps({"type": "ris_message", "data": data}, separators=(",", ":")).encode()


async def send(connection: ServerConnection, *frames: bytes) -> None:
    for one in frames:
        await connection.send(one, text=True)


async def hold(connection: ServerConnection) -> None:
    """Keep the connection until the client closes it."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            await connection.recv()


def feed(url: str, **changes: Any) -> FeedSettings:
    quick = {"silence_s": 20.0, "backoff_max_s": 0.05, "connect_timeout_s": 5.0, "subscribe_spacing_s": 0.0}
    return FeedSettings(url=url, client="test", **(quick | changes))


@contextlib.asynccontextmanager
async def client_of(
    settings: FeedSettings, sink: MemorySink, clock: SystemClock | None = None, **options: Any
) -> AsyncIterator[RisClient]:
    stop = asyncio.Event()
    client = RisClient(settings, sink, clock or SystemClock(), random.Random(1), **options)
    task = asyncio.create_task(client.run(stop))
    try:
        yield client
    finally:
        stop.set()
        await asyncio.wait_for(task, LIMIT_S)
    assert client.state is State.STOPPED


@contextlib.asynccontextmanager
async def serving(*handlers: Handler) -> AsyncIterator[tuple[str, list[ServerConnection]]]:
    """A server whose n-th connection gets the n-th handler; the last handler serves all later ones."""
    connections: list[ServerConnection] = []

    async def handler(connection: ServerConnection) -> None:
        connections.append(connection)
        await handlers[min(len(connections), len(handlers)) - 1](connection)

    async with serve(handler, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"ws://127.0.0.1:{port}/v1/ws/", connections


def run(test: Awaitable[None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(test, 60.0)

    asyncio.run(limited())


async def good(connection: ServerConnection) -> None:
    await connection.recv()
    await send(connection, frame(100), frame(101))
    await hold(connection)


def test_the_client_sends_its_name_subscribes_for_each_collector_and_forwards_frames_unchanged() -> None:
    requests: list[Any] = []
    frames = [frame(number, host="rrc07") for number in range(500)]

    async def handler(connection: ServerConnection) -> None:
        for _ in range(2):
            requests.append(json.loads(await connection.recv()))
            answer = {"type": "ris_subscribe_ok", "data": {"subscription": requests[-1]["data"]}}
            await connection.send(json.dumps(answer))
        await send(connection, *frames)
        await hold(connection)

    async def test() -> None:
        sink = MemorySink()
        async with serving(handler) as (url, connections):
            settings = feed(url, collectors=["rrc00", "rrc07"], prefixes=["10.0.0.0/8"])
            async with client_of(settings, sink, last_event_time=7.0) as client:
                await until_async(lambda: len(sink.frames) == 500, LIMIT_S, "all frames have come")
                await until_async(lambda: client.state is State.STREAMING, LIMIT_S, "it streams")
                assert client.status().startswith(f"connected to {url}")
                assert "replaying 2019-05-23" in client.status()
            assert connections[0].request is not None
            assert connections[0].request.path == "/v1/ws/?client=test"

        assert sink.frames == frames
        assert [one["data"]["host"] for one in requests] == ["rrc00", "rrc07"]
        assert all(one["data"]["socketOptions"] == {"acknowledge": True} for one in requests)
        assert sink.records == [
            ("connected", 7.0, 1_558_620_047.0, ""),
            ("disconnected", 1_558_620_546.0, None, "a stop is requested"),
        ]

    run(test())


def test_invalid_incomplete_and_unknown_frames_go_to_the_spool_and_are_counted() -> None:
    odd = [frame(1)[:60], b"garbage", b'{"type":"ris_novelty","data":{}}', b"[1]", b"\x01\x02", b""]

    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        await send(connection, frame(0), *odd, b'{"type":"pong","data":null}', frame(2))
        await connection.send([frame(3)[:20].decode(), frame(3)[20:].decode()])  # one message in two WebSocket frames
        await hold(connection)

    async def test() -> None:
        sink = MemorySink()
        async with serving(handler) as (url, _), client_of(feed(url), sink) as client:
            await until_async(lambda: frame(3) in sink.frames, LIMIT_S, "the last frame has come")
            assert client.figures.unreadable == 5
            assert client.figures.others == {"ris_novelty": 1}

        assert sink.frames == [frame(0), *odd, frame(2), frame(3)]

    run(test())


def test_after_a_lost_connection_the_client_reconnects_and_records_the_time_between() -> None:
    async def aborts(connection: ServerConnection) -> None:
        await connection.recv()
        await send(connection, frame(1))
        connection.transport.abort()

    async def test() -> None:
        sink = MemorySink()
        async with serving(aborts, good) as (url, _), client_of(feed(url), sink):
            await until_async(lambda: len(sink.records) == 3, LIMIT_S, "the client is connected again")

        assert [record[:3] for record in sink.records[1:3]] == [
            ("disconnected", 1_558_620_048.0, None),
            ("connected", 1_558_620_048.0, 1_558_620_147.0),
        ]
        assert "1006" in sink.reasons()[0]

    run(test())


def test_the_error_message_of_the_server_is_the_reason_of_the_close() -> None:
    async def refuses(connection: ServerConnection) -> None:
        await connection.recv()
        await send(connection, b'{"type":"ris_error","data":{"message":"client is too slow"}}')
        await connection.close(1008)

    async def test() -> None:
        sink = MemorySink()
        async with serving(refuses, good) as (url, _), client_of(feed(url), sink) as client:
            await until_async(lambda: frame(101) in sink.frames, LIMIT_S, "the client is connected again")
            assert "client is too slow" in client.figures.last_error
        assert sink.reasons()[0] == "closed by the server with code 1008: client is too slow"

    run(test())


def test_an_open_but_silent_socket_is_pinged_and_then_closed() -> None:
    received: list[Any] = []

    async def silent(connection: ServerConnection) -> None:
        await connection.recv()
        await send(connection, frame(1))
        with contextlib.suppress(ConnectionClosed):
            while True:
                received.append(json.loads(await connection.recv()))
                await connection.send('{"type":"pong","data":null}')  # a pong is not a frame

    async def test() -> None:
        sink = MemorySink()
        async with serving(silent, good) as (url, _), client_of(feed(url, silence_s=0.8), sink):
            await until_async(lambda: frame(101) in sink.frames, LIMIT_S, "the client is connected again")

        assert received[0] == {"type": "ping", "data": None}
        assert sink.reasons()[0].startswith("no frame of any collector for")

    run(test())


class PausedClock(SystemClock):
    """A clock that shows how long the machine was paused."""

    paused_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.paused_s


def test_after_a_pause_of_the_machine_the_connection_is_kept_and_what_waits_in_the_socket_is_read() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        for number in range(20):
            await send(connection, frame(number))
            await asyncio.sleep(0.3)
        await hold(connection)

    async def test() -> None:
        sink, clock = MemorySink(), PausedClock()
        async with serving(handler) as (url, connections), client_of(feed(url, silence_s=1.6), sink, clock=clock):
            await until_async(lambda: sink.frames, LIMIT_S, "the first frame has come")
            clock.paused_s = 44.0
            await until_async(lambda: len(sink.frames) == 5, LIMIT_S, "the frames after the pause have come")
            assert sink.reasons() == []
            assert len(connections) == 1

    run(test())


def test_a_server_that_sends_only_errors_sends_no_message() -> None:
    """The time of the last message decides whether the collector is degraded; an error of the server is none."""

    async def refusing(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(json.dumps({"type": "ris_error", "data": {"message": "too many clients"}}))

    async def test() -> None:
        async with serving(refusing, refusing, good) as (url, _), client_of(feed(url), sink := MemorySink()) as client:
            await until_async(lambda: client.figures.connections == 2, LIMIT_S, "the second connection")
            assert client.figures.last_message_at is None
            await until_async(lambda: frame(101) in sink.frames, LIMIT_S, "messages")
            assert client.figures.last_message_at is not None

    run(test())


def test_a_lagging_feed_is_closed_but_a_replay_of_old_data_is_not() -> None:
    def lagging(lag_s: float) -> Handler:
        async def handler(connection: ServerConnection) -> None:
            await connection.recv()
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await send(connection, frame(0, time.time() - lag_s))
                    await asyncio.sleep(0.02)

        return handler

    async def test() -> None:
        sink = MemorySink()
        servers = serving(lagging(1200.0), lagging(1.0))
        async with servers as (url, connections), client_of(feed(url, silence_s=0.4), sink) as client:
            await until_async(lambda: len(connections) == 2, LIMIT_S, "the client has left the lagging server")
            await until_async(lambda: client.state is State.STREAMING, LIMIT_S, "it streams")
        assert "s old" in sink.reasons()[0]

        sink = MemorySink()
        async with serving(lagging(1e8)) as (url, connections), client_of(feed(url, silence_s=0.2), sink) as client:
            await until_async(lambda: len(sink.frames) > 50, LIMIT_S, "more frames than a second brings")
            assert len(connections) == 1

    run(test())


def test_an_unreachable_server_is_tried_again_and_the_status_gives_the_reason() -> None:
    async def test() -> None:
        with sockets.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"ws://127.0.0.1:{free.getsockname()[1]}/v1/ws/"
            async with client_of(feed(url, backoff_max_s=5.0), MemorySink()) as client:
                await until_async(lambda: client.figures.last_error != "", LIMIT_S, "it was refused")
                await until_async(lambda: client.state is State.WAITING, LIMIT_S, "it waits")
                assert client.status().startswith(f"cannot reach {url}: connection refused; next try in ")
        async with client_of(feed("ws://name.invalid/v1/ws/"), MemorySink()) as client:
            await until_async(lambda: client.figures.last_error != "", LIMIT_S, "the name was looked up")
            assert client.figures.last_error == "name resolution failed"

    run(test())


def test_a_refused_upgrade_is_reported_with_its_code() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async def test() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        async with server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            async with client_of(feed(url), MemorySink()) as client:
                await until_async(lambda: "503" in client.figures.last_error, LIMIT_S, "the refusal is known")

    run(test())


def test_a_server_without_an_answer_does_not_delay_a_stop() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async def test() -> None:
        server = await asyncio.start_server(mute, "127.0.0.1", 0)
        async with server:
            url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
            async with client_of(feed(url, connect_timeout_s=60.0), MemorySink()) as client:
                await until_async(lambda: client.state is State.CONNECTING, LIMIT_S, "it tries")
                begun = time.monotonic()
            assert time.monotonic() - begun < 2.0

    run(test())


def test_a_missing_acknowledgement_is_reported_and_the_frames_are_forwarded() -> None:
    async def test() -> None:
        sink = MemorySink()
        async with serving(good) as (url, connections):
            async with client_of(feed(url, silence_s=4.0), sink, acknowledge_s=0.1) as client:
                await until_async(lambda: "acknowledged" in client.figures.last_error, LIMIT_S, "it is noted")
            assert len(connections) == 1
        assert len(sink.frames) == 2

    run(test())


def test_a_full_sink_loses_frames_but_not_the_connection() -> None:
    async def test() -> None:
        async with serving(good) as (url, connections), client_of(feed(url), MemorySink(full=True)) as client:
            await until_async(lambda: client.figures.dropped == 2, LIMIT_S, "both frames are counted as dropped")
            assert len(connections) == 1

    run(test())


def test_an_error_of_the_sink_ends_the_client() -> None:
    class Broken(MemorySink):
        def put(self, frames: Sequence[bytes], earliest: float | None = None, latest: float | None = None) -> bool:
            raise RuntimeError("the thread of the spool has ended")

    async def test() -> None:
        async with serving(good) as (url, _):
            client = RisClient(feed(url), Broken(), SystemClock(), random.Random(1))
            with pytest.raises(RuntimeError, match="the thread of the spool has ended"):
                await asyncio.wait_for(client.run(asyncio.Event()), LIMIT_S)

    run(test())


def test_every_state_but_the_last_can_be_stopped_and_only_waiting_leads_to_connecting() -> None:
    moves = CONNECTION_LIFECYCLE.transitions
    assert CONNECTION_LIFECYCLE.final_states == {State.STOPPED}
    assert {state for state, event in moves if event is Event.STOP} == set(State) - {State.STOPPED}
    assert {state for (state, _), target in moves.items() if target is State.CONNECTING} == {State.WAITING}
    assert not CONNECTION_LIFECYCLE.allows(State.WAITING, Event.FRAME)


def test_each_reconnect_because_of_lag_doubles_the_time_until_the_next() -> None:
    settings = FeedSettings(silence_s=30.0, max_lag_s=180.0)
    assert assess_health(0.0, 29.0, 600.0, settings) is Health.HEALTHY
    assert assess_health(0.0, 30.0, 600.0, settings) is Health.LAGGING
    assert assess_health(0.0, 30.0, 600.0, settings, lag_reconnects=1) is Health.HEALTHY
    assert assess_health(0.0, 60.0, 600.0, settings, lag_reconnects=1) is Health.LAGGING
    assert assess_health(0.0, 999.0, 600.0, FeedSettings(max_lag_s=0.0)) is Health.HEALTHY


def test_the_back_off_has_full_jitter_below_a_limit_that_doubles() -> None:
    rng = random.Random(7)
    for failures, limit in ((1, 1.0), (2, 2.0), (4, 8.0), (7, 60.0), (500, 60.0)):
        waits = [backoff_s(failures, 60.0, rng) for _ in range(2000)]
        assert max(waits) <= limit
        assert max(waits) > 0.95 * limit
        assert min(waits) < 0.05 * limit


def test_frames_with_values_out_of_range_do_not_end_the_collection() -> None:
    nested = b'{"type":"x","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    hostile = [nested, frame(1, timestamp=1.79e12), frame(1, host="x" * 65), frame(1, host="rrc00[/x]")]

    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        for one in hostile:
            await send(connection, one)
            await asyncio.sleep(0)
        await send(connection, frame(5))
        await hold(connection)

    async def test() -> None:
        sink = MemorySink()
        async with serving(handler) as (url, _), client_of(feed(url), sink) as client:
            await until_async(lambda: len(sink.frames) == 5, LIMIT_S, "all frames have come")
            assert client.figures.last_event_time is None or client.figures.last_event_time < 2**33
            assert set(client.figures.collectors) <= {"rrc00"}
            assert "connected" in client.status()

    run(test())


def test_a_collector_with_a_wrong_clock_does_not_decide_the_lag() -> None:
    times = {"rrc00": 1_700_000_000.0, "rrc01": 1_700_000_002.0, "rrc02": 4_000_000_000.0}
    frames = [frame(number, at, host) for number in range(3) for host, at in times.items()]
    sink = MemorySink()

    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        for number, one in enumerate(frames, 1):
            await send(connection, one)
            await until_async(lambda number=number: len(sink.frames) == number, LIMIT_S, "the frame has come")
        await hold(connection)

    async def test() -> None:
        async with serving(handler) as (url, _), client_of(feed(url), sink) as client:
            await until_async(lambda: len(sink.frames) == len(frames), LIMIT_S, "all frames have come")
            assert client.figures.last_event_time is not None
            assert client.figures.last_event_time < 1_700_000_100.0

    run(test())


def test_a_collector_whose_messages_are_five_minutes_old_is_not_silent() -> None:
    times = {"rrc00": 1_700_000_300.0, "rrc05": 1_700_000_000.0}
    frames = [frame(number, at + number, host) for number in range(3) for host, at in times.items()]
    sink = MemorySink()

    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        for number, one in enumerate(frames, 1):
            await send(connection, one)
            await until_async(lambda number=number: len(sink.frames) == number, LIMIT_S, "the frame has come")
        await hold(connection)

    async def test() -> None:
        async with serving(handler) as (url, _), client_of(feed(url), sink) as client:
            await until_async(lambda: len(sink.frames) == len(frames), LIMIT_S, "all frames have come")
            figures = client.figures
            last_seen_at = max(figures.collectors.values())
            assert set(figures.collectors) == {"rrc00", "rrc05"}
            assert figures.silent_collectors(last_seen_at + COLLECTOR_SILENT_S - 1.0) == []

    run(test())


class UnreadTransport:
    """A transport whose server reads nothing: what is sent stays in the buffer."""

    def __init__(self) -> None:
        self.unread = 0
        self.underlying_transport = self

    def get_write_buffer_size(self) -> int:
        return self.unread

    def send_pong(self, payload: bytes) -> None:
        self.unread += len(payload)


def test_pings_of_a_server_that_reads_nothing_do_not_fill_the_memory() -> None:
    figures = FeedFigures("ws://x")
    transport = UnreadTransport()
    for _ in range(10_000):
        answer_ping(transport, b"x" * 125, figures)
    assert transport.unread < 70_000
    assert figures.unanswered_pings > 9_000


def test_no_compression_is_offered_so_that_a_frame_cannot_expand() -> None:
    async def test() -> None:
        async with serving(good) as (url, connections), client_of(feed(url), sink := MemorySink()):
            await until_async(lambda: len(sink.frames) == 2, LIMIT_S, "the frames are there")
            request = connections[0].request
            assert request is not None
            assert "Sec-WebSocket-Extensions" not in request.headers

    run(test())


def test_a_frame_of_100_mb_ends_the_connection_with_its_reason() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        await send(connection, frame(1))
        with contextlib.suppress(ConnectionClosed):
            await connection.send(b"x" * 100_000_000, text=True)
        await hold(connection)

    async def test() -> None:
        sink = MemorySink()
        async with serving(handler, good) as (url, _), client_of(feed(url), sink):
            await until_async(lambda: frame(101) in sink.frames, LIMIT_S, "the client is connected again")
        assert len(sink.reasons()[0]) > 10
        assert max(map(len, sink.frames)) < 1_000

    run(test())


def test_a_message_of_100_mb_in_fragments_is_discarded_counted_and_the_next_one_is_read() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        await send(connection, frame(1))
        await connection.send([b"x" * 1_000_000] * 100, text=True)
        await send(connection, frame(2))
        await hold(connection)

    async def test() -> None:
        sink = MemorySink()
        async with serving(handler) as (url, _), client_of(feed(url), sink) as client:
            await until_async(lambda: frame(2) in sink.frames, LIMIT_S, "the frame after it is there")
            assert client.figures.unreadable >= 1
        assert sink.frames == [frame(1), frame(2)]

    run(test())
