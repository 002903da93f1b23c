"""The feed check of `bgpdrift doctor`: connect, subscribe as the collector does, and wait for one frame.

The check uses a client name of its own. RIS Live identifies clients by name, so a check under the collector's name could
end the collector's connection.
"""

import asyncio
import os
import socket
import ssl
import time
import urllib.parse
from typing import Final

import msgspec
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from bgpdrift.bgp.ris_connection import connection_url, subscription_requests
from bgpdrift.commands.doctor_checks import Finding, is_loopback, write_duration
from bgpdrift.formatting import format_time
from bgpdrift.settings import FeedSettings, Settings

MAX_FRAME_WAIT_S: Final = 10.0
"""Longest wait for the first frame; all of RIS Live sends thousands a second."""
CLIENT_SUFFIX: Final = "-doctor"
FEED_ADVICE: Final = "check feed.url, name resolution and outgoing TCP; a proxy must pass WebSockets"


def check_feed(loaded: Settings) -> Finding:
    """Connect, subscribe and wait for a frame; each step has a limit."""
    feed = loaded.feed
    try:
        sent_at = asyncio.run(_receive_first_frame(feed))
    except TimeoutError:
        return Finding("feed", "fail", f"{feed.url}: no connection within {feed.connect_timeout_s:g} s", FEED_ADVICE)
    except ssl.SSLError as error:
        return Finding("feed", "fail", f"{feed.url}: TLS failed: {error.reason or error}", FEED_ADVICE)
    except socket.gaierror as error:
        return Finding("feed", "fail", f"{feed.url}: name resolution failed: {error.strerror}", FEED_ADVICE)
    except WSError as error:
        return Finding("feed", "fail", f"{feed.url}: WebSocket handshake failed: {error}", FEED_ADVICE)
    except OSError as error:
        # asyncio replaces the system's text by its own; the number is the system's.
        reason = os.strerror(error.errno) if error.errno else str(error)
        return Finding("feed", "fail", f"{feed.url}: connection failed: {reason}", FEED_ADVICE)
    if sent_at is not None:
        return judge_time(feed, sent_at, time.time())
    found = f"{feed.url} accepts the connection, but sent no frame within {MAX_FRAME_WAIT_S:g} s"
    if feed.is_filtered:
        return Finding("feed", "warn", found, "a filtered feed can be quiet; see feed.prefixes, feed.paths, feed.peers")
    return Finding("feed", "fail", found, "check that the server has the collectors named in feed.collectors")


def judge_time(feed: FeedSettings, sent_at: float, now: float) -> Finding:
    """Judge the time of a message; only a replay server on this machine may send the past."""
    age_s = now - sent_at
    if abs(age_s) <= feed.replay_lag_s or is_loopback(feed.url):
        return Finding("feed", "ok", f"{feed.url} sends frames")
    found = f"{feed.url} sends messages of {format_time(sent_at)} UTC, {write_duration(abs(age_s))}"
    direction = "old" if age_s > 0 else "in the future"
    return Finding(
        "feed", "fail", f"{found} {direction}", "the server replays the past, or the clock of this machine is wrong"
    )


class _FirstFrame(WSListener):
    """Resolves a future with the time of the first routing message, or with the reason why there is none."""

    def __init__(self, received: "asyncio.Future[float]") -> None:
        self._received = received

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            reason = (frame.get_close_message() or b"").decode(errors="replace")
            self._resolve_error(ConnectionError(f"the server closed the connection {reason}".rstrip()))
            transport.disconnect()
            return
        try:
            message = msgspec.json.decode(frame.get_payload_as_bytes(), type=dict[str, object])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        if message.get("type") == "ris_message" and not self._received.done():
            data = message.get("data")
            sent_at = data.get("timestamp") if isinstance(data, dict) else None
            if isinstance(sent_at, int | float):
                self._received.set_result(float(sent_at))
        elif message.get("type") == "ris_error":
            self._resolve_error(ConnectionError(f"the server answered with an error: {str(message.get('data'))[:200]}"))

    def on_ws_disconnected(self, transport: WSTransport) -> None:  # noqa: ARG002 - the listener's signature
        self._resolve_error(ConnectionError("the server closed the connection"))

    def _resolve_error(self, error: OSError) -> None:
        if not self._received.done():
            self._received.set_exception(error)


async def _receive_first_frame(feed: FeedSettings) -> float | None:
    """Return the time (epoch s) of the first routing message; None if none arrives in time.

    Raises
    ------
    TimeoutError
        The connection is not open within ``feed.connect_timeout_s``.
    OSError, WSError
        A step failed.
    """
    received: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    async with asyncio.timeout(feed.connect_timeout_s):
        transport, _ = await ws_connect(lambda: _FirstFrame(received), _url_of_doctor(feed))
    try:
        for subscription in subscription_requests(feed):
            transport.send(WSMsgType.TEXT, msgspec.json.encode({"type": "ris_subscribe", "data": subscription}))
        done, _ = await asyncio.wait([received], timeout=MAX_FRAME_WAIT_S)
        return received.result() if done else None
    finally:
        received.cancel()
        transport.disconnect()


def _url_of_doctor(feed: FeedSettings) -> str:
    """Return the feed's URL with the client name of the check.

    Examples
    --------
    >>> _url_of_doctor(FeedSettings(url="wss://ris-live.ripe.net/v1/ws/", client="noc"))
    'wss://ris-live.ripe.net/v1/ws/?client=noc-doctor'
    """
    parts = urllib.parse.urlsplit(connection_url(feed))
    query = dict(urllib.parse.parse_qsl(parts.query))
    query["client"] = f"{query.get('client', feed.client)}{CLIENT_SUFFIX}"
    return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))
