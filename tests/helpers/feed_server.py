"""A WebSocket server that stands for RIS Live."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import websockets.sync.server


@contextmanager
def serve_frames(*messages: dict[str, Any]) -> Iterator[tuple[int, list[Any]]]:
    """Send the messages after the first subscription of each client; yields the port, and paths and requests received."""
    requests: list[Any] = []

    def handle(connection: websockets.sync.server.ServerConnection) -> None:
        requests.append(connection.request.path if connection.request else "")
        requests.append(json.loads(connection.recv()))
        for message in messages:
            connection.send(json.dumps(message))
        requests.extend(json.loads(request) for request in connection)  # until the client disconnects

    server = websockets.sync.server.serve(handle, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.socket.getsockname()[1], requests
    finally:
        server.shutdown()
        thread.join(5)
