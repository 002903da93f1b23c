"""The replay server with an independent client."""

import asyncio
import contextlib
import itertools
import json
import math
from collections.abc import AsyncIterator, Awaitable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bgpdrift.bgp.messages import Announcement, Message
from bgpdrift.bgp.problems import ProblemReport
from bgpdrift.bgp.replay_filter import parse_path
from bgpdrift.bgp.replay_frame import Frame, FrameIds, frame_from_message
from bgpdrift.bgp.replay_server import ReplayServer
from bgpdrift.bgp.replay_source import ReplaySource

LIMIT_S = 20.0


def frame(number: int, **fields: Any) -> Frame:
    data = {
        "timestamp": 1000.0 + number,
        "peer": "192.0.2.1",
        "peer_asn": "64500",
        "id": str(number),
        "host": "rrc00.ripe.net",
    }
    whole = {"type": "ris_message", "data": data | {"type": "UPDATE"} | fields}
    return Frame(data["timestamp"], json.dumps(whole).encode())  # type: ignore[arg-type]


def announced(*prefixes: str) -> list[dict[str, Any]]:
    return [{"next_hop": "192.0.2.1", "prefixes": list(prefixes)}]


@contextlib.asynccontextmanager
async def serving(source: Any, **options: Any) -> AsyncIterator[str]:
    server = ReplayServer(source, **{"speed": None, "settle_s": 0.0} | options)
    url = await server.start()
    task = asyncio.create_task(server.serve())
    try:
        yield url
    finally:
        server.stop()
        await asyncio.wait_for(task, LIMIT_S)


async def ask(socket: ClientConnection, kind: str, data: Any = None) -> None:
    await socket.send(json.dumps({"type": kind, "data": data}))


async def answer(socket: ClientConnection) -> Any:
    return json.loads(await asyncio.wait_for(socket.recv(), LIMIT_S))


async def ids(socket: ClientConnection, until: str) -> list[str]:
    found: list[str] = []
    while not found or found[-1] != until:
        message = await answer(socket)
        if message["type"] == "ris_message":
            found.append(message["data"]["id"])
    return found


def run(test: Awaitable[None]) -> None:
    async def limited() -> None:
        await asyncio.wait_for(test, 60.0)

    asyncio.run(limited())


MIXED = [
    frame(0, path=[64500, 3356, 64511], announcements=announced("10.0.0.0/16")),
    frame(1, host="rrc21", path=[64500, 174, 64511], announcements=announced("10.0.1.0/24", "198.51.100.0/24")),
    frame(2, withdrawals=["10.0.0.0/16"]),
    frame(3, type="KEEPALIVE"),
    frame(4, type="STATE", state="up"),
    frame(5, peer="2001:db8::1", path=[64501, [789, 10111]], announcements=announced("2001:db8:1::/48")),
    frame(6, path=[3356, 64500, 174, 3356], announcements=announced("eor", "203.0.113.0/24")),
    frame(9, host="last", peer="203.0.113.9"),
]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "0 1 2 3 4 5 6 9"),
        (None, "0 1 2 3 4 5 6 9"),
        ({"host": None, "type": None}, "0 1 2 3 4 5 6 9"),
        ({"host": "rrc21"}, "1"),
        ({"host": "rrc21.ripe.net"}, "1"),
        ({"host": "rrc00"}, "0 2 3 4 5 6"),
        ({"type": "KEEPALIVE"}, "3"),
        ({"type": "STATE"}, "4"),
        ({"type": "RIS_PEER_STATE"}, "4"),
        ({"require": "announcements"}, "0 1 5 6"),
        ({"require": "withdrawals"}, "2"),
        ({"peer": "2001:db8:0::1"}, "5"),
        ({"path": "3356"}, "0 6"),
        ({"path": 3356}, "0 6"),
        ({"path": "64500,174"}, "1 6"),
        ({"path": "^3356"}, "6"),
        ({"path": "64511$"}, "0 1"),
        ({"path": "^64500,3356,64511$"}, "0"),
        ({"path": "[10111,789]"}, "5"),
        ({"path": "!64500"}, "2 3 4 5 9"),
        ({"prefix": "10.0.0.0/16"}, "0 1 2"),
        ({"prefix": "10.0.0.0/16", "moreSpecific": False}, "0 2"),
        ({"prefix": "10.0.1.0/24"}, "1"),
        ({"prefix": "10.0.1.0/24", "lessSpecific": True}, "0 1 2"),
        ({"prefix": ["203.0.113.0/24", "2001:db8::/32"]}, "5 6"),
        ({"prefix": "10.0.0.0/16", "require": "withdrawals"}, "2"),
    ],
)
def test_a_subscription_receives_the_frames_that_it_selects(asked: Any, expected: str) -> None:
    async def test() -> None:
        async with serving(MIXED, settle_s=0.2) as url, connect(url) as socket:
            await ask(socket, "ris_subscribe", asked)
            await ask(socket, "ris_subscribe", {"peer": "203.0.113.9"})  # so that every test has an end

            assert await ids(socket, "9") == list(dict.fromkeys([*expected.split(), "9"]))

    run(test())


@pytest.mark.parametrize(
    ("request_text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "found None"),
        ('{"type":"ris_subscribed","data":{}}', "ris_subscribe, ris_unsubscribe"),
        ('{"type":"ris_subscribe","data":{"prefix":"10.0.0.0/33"}}', "found '10.0.0.0/33'"),
        ('{"type":"ris_subscribe","data":{"peer":"nobody"}}', "peer: expected a network"),
        ('{"type":"ris_subscribe","data":{"path":"1,,2"}}', "found '1,,2'"),
        ('{"type":"ris_subscribe","data":{"path":"a.*"}}', "found 'a.*'"),
        ('{"type":"ris_subscribe","data":{"type":"NOISE"}}', "found 'NOISE'"),
        ('{"type":"ris_subscribe","data":{"hots":"rrc00"}}', "hots"),
        ('{"type":"ris_subscribe","data":[1]}', "subscription: "),
        ('{"type":"ris_unsubscribe","data":{"host":"rrc00"}}', "found none that equals it"),
    ],
)
def test_a_bad_request_is_answered_with_a_reason_and_the_socket_stays_open(request_text: str, message: str) -> None:
    async def test() -> None:
        async with serving(MIXED) as url, connect(url) as socket:
            await socket.send(request_text)
            error = await answer(socket)
            await ask(socket, "ping")

            assert error["type"] == "ris_error"
            assert message in error["data"]["message"]
            assert await answer(socket) == {"type": "pong", "data": None}

    run(test())


def test_subscriptions_are_acknowledged_on_request_and_can_be_removed() -> None:
    async def test() -> None:
        async with serving(MIXED, settle_s=0.3, collectors=["rrc00", "rrc21"]) as url, connect(url) as socket:
            await ask(socket, "request_rrc_list")
            assert await answer(socket) == {"type": "ris_rrc_list", "data": ["rrc00", "rrc21"]}
            await ask(
                socket, "ris_subscribe", {"host": "rrc21", "socketOptions": {"acknowledge": True, "includeRaw": True}}
            )
            assert await answer(socket) == {
                "type": "ris_subscribe_ok",
                "data": {
                    "subscription": {"host": "rrc21"},
                    "socketOptions": {"includeRaw": False, "acknowledge": True},
                },
            }
            await ask(socket, "ris_unsubscribe", {"host": "rrc21.ripe.net"})
            await ask(socket, "ris_subscribe", {"host": "last"})
            assert (await answer(socket))["type"] == "ris_subscribe_ok"

            assert await ids(socket, "9") == ["9"]

    run(test())


def test_another_path_is_not_found() -> None:
    async def test() -> None:
        async with serving(MIXED) as url:
            with pytest.raises(InvalidStatus):
                await connect(url.replace("/v1/ws/", "/elsewhere"))

    run(test())


def test_a_client_that_reconnects_continues_a_little_before_it_was_lost() -> None:
    async def test() -> None:
        source = [frame(number) for number in range(5000)]
        async with serving(source, rewind_s=60.0) as url:
            first = await connect(url + "?client=noc", max_queue=4)
            await ask(first, "ris_subscribe", {})
            seen = await ids(first, "99")
            first.transport.abort()  # like a killed process: no close, unread frames in its buffers
            async with connect(url + "?client=noc") as again:
                await ask(again, "ris_subscribe", {})
                seen += await ids(again, "4999")

        assert sorted(set(map(int, seen))) == list(range(5000))

    run(test())


def test_every_name_starts_at_the_beginning_of_files_but_all_share_a_generator() -> None:
    async def test() -> None:
        async with serving(MIXED) as url:
            for name in ("a", "b", ""):
                async with connect(f"{url}?client={name}") as socket:
                    await ask(socket, "ris_subscribe", {})
                    assert (await ids(socket, "9"))[0] == "0"
        generator: Iterator[Frame] = (frame(number) for number in range(10))
        async with serving(generator, rewind_s=0.001) as url, connect(url + "?client=a") as a:
            await ask(a, "ris_subscribe", {})
            await ids(a, "9")
            async with connect(url + "?client=b") as b:
                await ask(b, "ris_subscribe", {"host": "rrc00", "socketOptions": {"acknowledge": True}})
                assert (await answer(b))["type"] == "ris_subscribe_ok"
                await ask(b, "ping")
                kinds = {(await answer(b))["type"]}
                assert kinds <= {"pong", "ris_message"}

    run(test())


def test_speed_is_event_time_over_wall_time() -> None:
    async def test() -> None:
        loop = asyncio.get_running_loop()
        source = [frame(number) for number in range(31)]
        async with serving(source, speed=60.0) as url, connect(url) as socket:
            await ask(socket, "ris_subscribe", {})
            await answer(socket)
            begun = loop.time()
            await ids(socket, "30")

            assert 0.4 < loop.time() - begun < 3.0  # 30 s at 60-fold speed

    run(test())


def test_frames_of_a_hold_and_later_wait_until_it_moves() -> None:
    async def run() -> None:
        server = ReplayServer([frame(number) for number in range(4)], speed=None, settle_s=0.0)
        server.hold(1002.0)
        url = await server.start()
        task = asyncio.create_task(server.serve())
        async with connect(url) as socket:
            await ask(socket, "ris_subscribe", {})
            assert [(await answer(socket))["data"]["id"] for _ in range(2)] == ["0", "1"]
            await ask(socket, "ping")
            assert (await answer(socket))["type"] == "pong"
            server.hold(math.inf)
            assert [(await answer(socket))["data"]["id"] for _ in range(2)] == ["2", "3"]
        server.stop()
        await asyncio.wait_for(task, LIMIT_S)

    asyncio.run(run())


def test_a_slow_reader_gets_an_error_and_is_closed_only_with_drop_slow() -> None:
    async def test() -> None:
        source = [frame(number, pad="x" * 100_000) for number in range(400)]
        async with serving(source, drop_slow_s=0.2) as url:
            socket = await connect(url, max_queue=1)
            await ask(socket, "ris_subscribe", {})
            await asyncio.sleep(0.8)  # the slowness is what is tested
            last: Any = None
            with contextlib.suppress(ConnectionClosed):
                while True:
                    last = await answer(socket)

            assert last["type"] == "ris_error"
            assert "too slow" in last["data"]["message"]
        async with serving(source) as url, connect(url, max_queue=1) as socket:
            await ask(socket, "ris_subscribe", {})
            await asyncio.sleep(0.8)
            assert len(await ids(socket, "399")) == 400

    run(test())


def test_an_error_of_the_source_ends_the_server() -> None:
    def broken() -> Iterator[Frame]:
        yield frame(0)
        raise OSError("the disk is gone")

    async def test() -> None:
        server = ReplayServer(broken(), speed=None)
        url = await server.start()
        task = asyncio.create_task(server.serve())
        async with connect(url) as socket:
            await ask(socket, "ris_subscribe", {})
            with pytest.raises(OSError, match="the disk is gone"):
                await asyncio.wait_for(task, LIMIT_S)

    run(test())


def test_the_frame_of_a_message_decodes_to_the_same_message(clock: Any) -> None:
    routes = {"announcements": [Announcement("::1", ["::/0"])], "withdrawals": ["10.0.0.0/8"]}
    messages = [
        Message(1.25, "192.0.2.1", "rrc06", "UPDATE", "", "64500", (1, (2, 3)), "igp", **routes),  # type: ignore[arg-type]
        Message(1.25, "192.0.2.1", "route-views.jinx", "STATE", "", "64500", state="down"),
    ]
    ids_given = FrameIds()
    frames = [frame_from_message(message, ids_given) for message in messages]
    decoded = [Frame(one.timestamp, one.text).message for one in frames]

    assert [json.loads(one.text)["data"]["host"] for one in frames] == ["rrc06.ripe.net", "route-views.jinx"]
    assert decoded[0] is not None
    assert decoded[1] is not None
    assert (decoded[0].path, decoded[0].announcements, decoded[0].withdrawals, decoded[0].origin) == (
        messages[0].path, messages[0].announcements, messages[0].withdrawals, "IGP",
    )  # fmt: skip
    assert (decoded[1].type, decoded[1].state) == ("STATE", "down")
    assert decoded[0].id < decoded[1].id


def test_files_are_merged_in_time_order_and_a_loop_gives_later_times_and_new_ids(tmp_path: Path) -> None:
    for name, numbers in (("b", (1, 4, 5)), ("a", (2, 3, 9)), ("c", (7,))):
        (tmp_path / name).write_bytes(b"\n".join(frame(number).text for number in numbers) + b"\nnot json\n")
    source = iter(
        ReplaySource([tmp_path / "b", tmp_path / "a", tmp_path / "c"], loop=True, from_now=True, clock=lambda: 5e9)
    )

    frames = [next(source) for _ in range(20)]
    times = [one.timestamp for one in frames if one.message is not None]
    names = [one.message.id for one in frames if one.message is not None]

    assert times[:7] == [5e9, 5e9 + 1, 5e9 + 2, 5e9 + 3, 5e9 + 4, 5e9 + 6, 5e9 + 8]
    assert times == sorted(times)
    assert len(set(names)) == len(names)


def test_an_as_set_is_one_hop_of_a_path_pattern() -> None:
    pattern = parse_path("^1,[3,2]$")

    assert pattern.matches((1, (2, 3)))
    assert not pattern.matches((1, 2, 3))
    assert not pattern.matches(((2, 3),))


def test_a_replay_reports_what_it_could_not_read_once_also_in_a_loop(tmp_path: Path) -> None:
    frames = [b'{"type":"ris_message","data":{"timestamp":%d.0,"peer":"192.0.2.1"}}' % at for at in (10, 11, 12)]
    cut = frames[1][:30]
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\n".join([frames[0], cut, frames[2]]))
    report = ProblemReport()

    sent = [frame.text for frame in itertools.islice(ReplaySource([file], loop=True, report=report), 9)]

    assert sent[:3] == [frames[0], cut, frames[2]]
    assert list(report.describe()) == [f"{file}: 1 damaged: not JSON; sent as recorded (first at line 2)"]


def test_the_ids_of_more_peers_than_any_collector_has_still_grow_for_those_that_send() -> None:
    ids = FrameIds()
    last = ids.next("real", 1_000.0)
    for number in range(100_000):
        ids.next(f"192.0.{number}", 1.0)
        if number % 1_000 == 0:
            last, before = ids.next("real", 1_000.0), last
            assert last > before
