"""Can the feed be reached? A WebSocket handshake of our own, so that the answer says which step failed.

Decides nothing about the feed's content: the collector reads that.
"""

import base64
import os
import socket
import ssl
import time
from urllib.parse import urlencode, urlsplit

from bgpdrift.commands.doctor_checks import Finding
from bgpdrift.settings import Settings

_MEND = "see feed.url, the firewall and the proxy; services wait and come back by themselves"


def check_feed(loaded: Settings) -> Finding:
    """Resolve, connect, negotiate TLS and upgrade to WebSocket, all within feed.connect_timeout_s."""
    url = urlsplit(loaded.feed.url)
    host = url.hostname or ""
    port = url.port or (443 if url.scheme == "wss" else 80)
    deadline = time.monotonic() + loaded.feed.connect_timeout_s
    step = "name resolution or connection"
    try:
        with socket.create_connection((host, port), timeout=loaded.feed.connect_timeout_s) as plain:
            connection: socket.socket = plain
            if url.scheme == "wss":
                step = "TLS"
                plain.settimeout(_left(deadline))
                connection = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
            with connection:
                step = "WebSocket handshake"
                answer = _upgrade(connection, url.path or "/", f"{host}:{port}", loaded.feed.client, deadline)
    except OSError as error:
        return Finding("feed", "fail", f"{loaded.feed.url}: {step} failed: {error}", _MEND)
    if " 101 " not in answer + " ":
        return Finding("feed", "fail", f"{loaded.feed.url}: expected HTTP 101, found {answer!r}", _MEND)
    return Finding("feed", "ok", f"{loaded.feed.url} accepts WebSocket connections")


def _upgrade(connection: socket.socket, path: str, host: str, client: str, deadline: float) -> str:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = (
        f"GET {path}?{urlencode({'client': client})} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        "",
        "",
    )
    connection.settimeout(_left(deadline))
    connection.sendall("\r\n".join(lines).encode())
    received = b""
    while b"\r\n" not in received and len(received) < 4096:
        connection.settimeout(_left(deadline))
        chunk = connection.recv(1024)
        if not chunk:
            raise ConnectionError("closed without an answer")
        received += chunk
    return received.partition(b"\r\n")[0].decode("latin-1")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
