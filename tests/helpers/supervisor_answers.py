"""A control socket that answers as a supervisor does."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from supervisor.control import ControlServer
from supervisor.control_address import SOCKET_NAME
from supervisor.status import Status


@contextmanager
def answer_status(data_dir: Path, status: Status) -> Iterator[None]:
    """Answer ``status`` requests for a data directory within the block."""
    (data_dir / "run").mkdir(parents=True, exist_ok=True)
    started, loops = threading.Event(), []
    done = asyncio.Event()

    async def handle(request: dict[str, Any]) -> dict[str, Any]:
        return {"protocol": 1, "status": msgspec.to_builtins(status)}

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        server = ControlServer(data_dir / "run" / SOCKET_NAME, handle)
        await server.start()
        started.set()
        await done.wait()
        server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert started.wait(10)
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(done.set)
        thread.join(10)
