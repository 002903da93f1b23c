"""Measures frames per second from the socket to the spool, compared with a plain `websockets` client that discards them.

The server, in a process of its own, sends the same frames of about 345 bytes over loopback as fast as they are read. Both
clients run one after the other in this process.
"""

import asyncio
import multiprocessing
import random
import resource
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect

from bgpdrift.bgp.replay_frame import Frame
from bgpdrift.bgp.replay_server import ReplayServer
from bgpdrift.bgp.ris_client import RisClient
from bgpdrift.bgp.spool_writer import SpoolWriter
from bgpdrift.clock import SystemClock
from bgpdrift.settings import FeedSettings, SpoolSettings

FRAMES = 200_000


def run() -> list[dict[str, Any]]:
    """Measure both clients against the same server."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs,), daemon=True)
    server.start()
    try:
        url: str = ours.recv()
        plain = asyncio.run(_plain(url))
        spooled, cpu = asyncio.run(_spooled(url))
    finally:
        server.terminate()
        server.join()
    name = "websockets client, frames discarded"
    return [
        {"name": name, "value": round(plain), "unit": "frames/s", "ratio_to": "", "ratio": 1.0},
        {
            "name": "socket to spool, compressed and fsynced",
            "value": round(spooled),
            "unit": "frames/s",
            "ratio_to": name,
            "ratio": round(spooled / plain, 2),
        },
        {
            "name": "socket to spool, CPU",
            "value": round(cpu * 1e6, 2),
            "unit": "us/frame",
            "ratio_to": "",
            "ratio": 1.0,
        },
        {
            "name": "largest resident memory of the measuring process",
            "value": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
            "unit": "MiB",
            "ratio_to": "",
            "ratio": 1.0,
        },
    ]


def _frames() -> list[Frame]:
    rng = random.Random(1)
    frames = []
    for number in range(FRAMES):
        timestamp = 1_700_000_000 + number / 10_000
        path = ",".join(str(rng.randrange(1, 400_000)) for _ in range(5))
        prefixes = ",".join(f'"10.{rng.randrange(256)}.{rng.randrange(256)}.0/24"' for _ in range(3))
        text = (
            f'{{"type":"ris_message","data":{{"timestamp":{timestamp:.3f},"peer":"192.0.2.{number % 250}","peer_asn":"64500",'
            f'"id":"192.0.2.{number % 250}-{number:016x}","host":"rrc{number % 23:02d}.ripe.net","type":"UPDATE",'
            f'"path":[{path}],"community":[],"origin":"IGP","announcements":[{{"next_hop":"192.0.2.1",'
            f'"prefixes":[{prefixes}]}}],"withdrawals":[]}}}}'
        )
        frames.append(Frame(timestamp, text.encode()))
    return frames


def _serve(pipe: Connection) -> None:
    async def serve() -> None:
        server = ReplayServer(_frames(), speed=None)
        pipe.send(await server.start())
        await server.serve()

    asyncio.run(serve())


async def _plain(url: str) -> float:
    async with connect(url + "?client=plain", compression=None) as socket:
        await socket.send('{"type":"ris_subscribe","data":{}}')
        await socket.recv(decode=False)
        begun = time.perf_counter()
        for _ in range(FRAMES - 1):
            await socket.recv(decode=False)
        return FRAMES / (time.perf_counter() - begun)


async def _spooled(url: str) -> tuple[float, float]:
    """Return frames per second and CPU seconds per frame, until the last segment is finished."""
    stop = asyncio.Event()
    with tempfile.TemporaryDirectory() as directory:
        spool = SpoolWriter(SpoolSettings(), Path(directory), SystemClock(), buffer_bytes=512_000_000)
        client = RisClient(FeedSettings(url=url, client="bench"), spool, SystemClock(), random.Random(1))
        cpu, begun = time.process_time(), time.perf_counter()
        task = asyncio.create_task(client.run(stop))
        while client.figures.frames < FRAMES:
            await asyncio.sleep(0.001)
        stop.set()
        await task
        await asyncio.to_thread(spool.close)
        took, cpu = time.perf_counter() - begun, time.process_time() - cpu
        assert spool.figures().frames == FRAMES
        assert spool.figures().dropped_frames == 0
    return FRAMES / took, cpu / FRAMES


def main() -> None:
    """Print the figures."""
    for row in run():
        ratio = f"  {row['ratio']} x {row['ratio_to']}" if row["ratio_to"] else ""
        sys.stdout.write(f"{row['name']:55} {row['value']:>12,} {row['unit']}{ratio}\n")


if __name__ == "__main__":
    main()
