"""A RIS Live server that attacks its client: hostile frames, hostile WebSocket framing, lost connections.

Between the honest frames of a simulation it sends what `benchmarks.hostile_feed` invents, messages of a peer with a wrong clock
at an honest collector, honest frames in fragments, floods of pings, and frames that break RFC 6455. Some of these end the
connection. A client that connects again gets the last honest frames once more, as from RIS Live, so that no honest frame is
lost: every window of an honest peer must be the same as without the attacks. Equal seeds give equal attacks.
"""

import asyncio
import base64
import contextlib
import hashlib
import random
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any

from benchmarks.hostile_feed import KINDS, invent_message
from bgpdrift.bgp.messages import Message
from bgpdrift.bgp.replay_frame import Frame
from bgpdrift.bgp.ris_frames import FrameDecoder
from bgpdrift.features.aggregator import Aggregator
from bgpdrift.settings import WindowSettings
from bgpdrift.store.window_columns import FEATURE_NAMES, QUALITY_NAMES

OVERLAP = 400
"""Honest frames that are sent again after a reconnect."""
WRONG_PEER = "192.0.2.66"
"""A peer of an honest collector that sends any time."""
PER_PEER = 40
"""Peers with windows of their own: more than the honest ones."""
COMPARED = tuple(
    name for name in (*FEATURE_NAMES, *QUALITY_NAMES) if name not in ("lag_p50", "lag_p95", "parse_errors")
)
"""Columns in which no window may differ. The lag is that of arrival; an unreadable frame names no collector."""
_LIMIT_S = 60.0
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA


def encode_frame(
    opcode: int,
    payload: bytes,
    *,
    is_last: bool = True,
    reserved: int = 0,
    mask: bytes = b"",
    length: int | None = None,
) -> bytes:
    """Encode a WebSocket frame, also one that RFC 6455 forbids.

    Parameters
    ----------
    opcode : int
        0 to 15.
    payload : bytes
        Content.
    is_last : bool
        The FIN bit.
    reserved : int
        The three reserved bits, 0 to 7.
    mask : bytes
        Four bytes, which a server must not use; empty for none.
    length : int, optional
        The length that the header states; default: that of the payload.
    """
    first = (0x80 if is_last else 0) | reserved << 4 | opcode
    stated = len(payload) if length is None else length
    masked = 0x80 if mask else 0
    if stated < 126:
        header = struct.pack("!BB", first, masked | stated)
    elif stated < 2**16:
        header = struct.pack("!BBH", first, masked | 126, stated)
    else:
        header = struct.pack("!BBQ", first, masked | 127, stated)
    if mask:
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return header + mask + payload


class HostileServer:
    """Serves honest frames to one client at a time, and attacks it.

    Parameters
    ----------
    frames : sequence of Frame
        The honest frames in order of time.
    seed : int
        Seed of the attacks.
    every : int
        An attack follows after so many honest frames on average.
    speed : float, optional
        Seconds of event time per second; None sends as fast as the client reads.
    """

    def __init__(self, frames: Sequence[Frame], seed: int, *, every: int = 5, speed: float | None = None) -> None:
        self._frames, self._every, self._speed = frames, every, speed
        self._rng = random.Random(seed)
        self._position = 0
        self._furthest = 0
        self._began: float | None = None
        self._pongs: asyncio.Queue[bytes] = asyncio.Queue()
        self.attacks: Counter[str] = Counter()
        self.done = asyncio.Event()

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Serve; yield the URL."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        async with server:
            yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/ws/"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await self._shake_hands(reader, writer):
                self._position = max(0, self._furthest - OVERLAP)
                await self._stream(reader, writer)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, asyncio.CancelledError):
            pass  # the client has closed the connection, or the server ends
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def _shake_hands(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _LIMIT_S)
        key = next(
            line.partition(b":")[2] for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:")
        )
        accept = base64.b64encode(hashlib.sha1(key.strip() + _GUID).digest())
        attack = self._rng.choice(_HANDSHAKES) if self._furthest and self._rng.random() < 0.2 else None
        if attack is not None:
            self.attacks["handshake"] += 1
            writer.write(attack)
            await writer.drain()
            return False
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        await writer.drain()
        return True

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reading = asyncio.create_task(self._read(reader))
        try:
            while self._position < len(self._frames):
                frame = self._frames[self._position]
                await self._wait_until_due(frame)
                writer.write(self._encode_honest(frame.text))
                self._position += 1
                self._furthest = max(self._furthest, self._position)
                if self._rng.randrange(self._every) == 0 and not await self._attack(frame, writer):
                    return
                await writer.drain()
                await asyncio.sleep(0)
            await self._synchronise(writer)
            self.done.set()
            await reading
        finally:
            reading.cancel()

    async def _wait_until_due(self, frame: Frame) -> None:
        if self._speed is None:
            return
        now = asyncio.get_running_loop().time()
        if self._began is None:
            self._began = now
        due = self._began + (frame.timestamp - self._frames[0].timestamp) / self._speed
        if due > now:
            await asyncio.sleep(due - now)

    def _encode_honest(self, text: bytes) -> bytes:
        """Encode an honest frame, sometimes in fragments with control frames between them."""
        if self._rng.random() > 0.1:
            return encode_frame(TEXT, text)
        self.attacks["fragments"] += 1
        cuts = sorted(self._rng.sample(range(1, len(text)), self._rng.randrange(1, 5)))
        parts = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        raw = b""
        for number, part in enumerate(parts):
            raw += encode_frame(CONTINUATION if number else TEXT, part, is_last=number == len(parts) - 1)
            if self._rng.random() < 0.3 and number < len(parts) - 1:
                raw += encode_frame(self._rng.choice((PING, PONG)), self._rng.randbytes(self._rng.randrange(126)))
        return raw

    async def _attack(self, frame: Frame, writer: asyncio.StreamWriter) -> bool:
        """Attack once; False if the connection is over."""
        chance = self._rng.random()
        if chance < 0.75:
            kind = self._rng.choice((*KINDS, send_wrong_time))
            self.attacks[kind.__name__.strip("_")] += 1
            text = kind(self._rng, frame.timestamp, frame.text)
            writer.write(encode_frame(TEXT if self._rng.random() < 0.9 else BINARY, text))
            return True
        if chance < 0.98:
            name = self._rng.choice(tuple(_HARMLESS))
            self.attacks[name] += 1
            writer.write(_HARMLESS[name](self._rng))
            return True
        name = self._rng.choice(tuple(_FATAL))
        self.attacks[name] += 1
        await self._synchronise(writer)  # what the client has not read would be lost with the connection
        writer.write(_FATAL[name](self._rng))
        with contextlib.suppress(OSError):
            await writer.drain()
        if self._rng.random() < 0.3:
            writer.transport.abort()
        return False

    async def _synchronise(self, writer: asyncio.StreamWriter) -> None:
        """Wait until the client has read everything: it answers a ping after what came before."""
        mark = self._rng.randbytes(8)
        writer.write(encode_frame(PING, mark))
        await writer.drain()
        async with asyncio.timeout(_LIMIT_S):
            while await self._pongs.get() != mark:
                pass

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Read the frames of the client, and keep its pongs."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                first, second = await reader.readexactly(2)
                length = second & 0x7F
                if length >= 126:
                    length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
                mask = await reader.readexactly(4)
                payload = await reader.readexactly(length)
                if first & 0xF == PONG:
                    self._pongs.put_nowait(bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload)))


def send_wrong_time(rng: random.Random, at: float, text: bytes) -> bytes:  # noqa: ARG001 - the form of all kinds
    """Invent a valid message of a peer of an honest collector with any time."""
    wrong_by_s = rng.choice((rng.uniform(-1e8, 1e8), rng.uniform(-600, 600), rng.uniform(-30, 30), 470.0, 0.0))
    return invent_message(rng, max(0.0, at + wrong_by_s), host="rrc00.ripe.net", peer=WRONG_PEER)


_HANDSHAKES: tuple[bytes, ...] = (
    b"HTTP/1.1 500 \x1b[2J\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n",
    b"\x00" * 200,
    b"HTTP/1.1 101 " + b"x" * 70_000,
    b"",
)


def _flood(rng: random.Random) -> bytes:
    return b"".join(encode_frame(PING, rng.randbytes(rng.randrange(126))) for _ in range(rng.randrange(1, 300)))


_HARMLESS: Mapping[str, Callable[[random.Random], bytes]] = {
    "ping flood": _flood,
    "pong": lambda rng: encode_frame(PONG, rng.randbytes(rng.randrange(126))),
    "empty text": lambda rng: encode_frame(rng.choice((TEXT, BINARY)), b""),
    "invalid UTF-8": lambda rng: encode_frame(TEXT, b'{"type":"ris_message","data":"' + rng.randbytes(40) + b'"}'),
    "continuation of nothing": lambda rng: encode_frame(CONTINUATION, rng.randbytes(20)),
    "message without an end": lambda rng: encode_frame(TEXT, b'{"type":' + rng.randbytes(9), is_last=False),
}
"""What a tolerant client survives without a new connection; an intolerant one may close it."""
_FATAL: Mapping[str, Callable[[random.Random], bytes]] = {
    "length beyond the content": lambda rng: encode_frame(TEXT, rng.randbytes(50), length=rng.randrange(51, 70_000)),
    "length below the content": lambda rng: encode_frame(TEXT, rng.randbytes(300), length=rng.randrange(1, 120)),
    "huge length": lambda rng: encode_frame(TEXT, b"x", length=rng.choice((2**31, 2**62, 2**64 - 1))),
    "masked": lambda rng: encode_frame(TEXT, b'{"type":"pong"}', mask=rng.randbytes(4)),
    "reserved bits": lambda rng: encode_frame(TEXT, rng.randbytes(60), reserved=rng.randrange(1, 8)),
    "unknown opcode": lambda rng: encode_frame(rng.choice((3, 4, 7, 11, 15)), rng.randbytes(20)),
    "long ping": lambda rng: encode_frame(PING, rng.randbytes(4_000)),
    "ping in fragments": lambda rng: encode_frame(PING, rng.randbytes(20), is_last=False),
    "close code": lambda rng: encode_frame(
        CLOSE, struct.pack("!H", rng.choice((0, 999, 1000, 1001, 1005, 1006, 1011, 4000, 65_535))) + rng.randbytes(30)
    ),
    "short close": lambda rng: encode_frame(CLOSE, rng.randbytes(rng.randrange(2))),
    "garbage": lambda rng: rng.randbytes(rng.randrange(1, 2_000)),
    "lost connection": lambda rng: encode_frame(TEXT, rng.randbytes(40))[: rng.randrange(20)],
}


def build_expected(frames: Iterable[Frame]) -> list[dict[str, Any]]:
    """Build the windows of the honest frames without any attack."""
    decoder, aggregator = FrameDecoder(), Aggregator(WindowSettings(per_peer=PER_PEER))
    messages = [found for frame in frames if isinstance(found := decoder.decode_line(frame.text), Message)]
    return aggregator.add(messages) + aggregator.flush()


def compare_windows(
    expected: Sequence[Mapping[str, Any]], stored: Sequence[Mapping[str, Any]], until: int
) -> tuple[int, list[str]]:
    """Compare the windows of honest peers, and of collectors without a hostile peer.

    Parameters
    ----------
    expected, stored : sequence of mapping
        Rows of windows.
    until : int
        Epoch seconds; later windows are not compared.

    Returns
    -------
    int
        Number of windows that were compared.
    list of str
        What differs, by window and column.
    """
    by_key = {(row["collector"], row["peer"], row["window_start"]): row for row in stored}
    compared, different = 0, []
    for row in expected:
        is_attacked = row["collector"] == "rrc00" and not row["peer"]  # it contains the hostile peer of this collector
        if row["window_start"] >= until or is_attacked:
            continue
        compared += 1
        key = (row["collector"], row["peer"], row["window_start"])
        found = by_key.get(key)
        if found is None:
            different.append(f"{key}: missing")
            continue
        different += [
            f"{key} {name}: expected {row[name]}, found {found[name]}" for name in COMPARED if row[name] != found[name]
        ]
    return compared, different
