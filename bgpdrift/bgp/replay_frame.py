"""A frame of the replay server, and the conversion of messages of other sources into frames.

Frames from MRT or a simulation have the present form of RIS Live; recorded frames are sent unchanged. This module decides the
form and the ``id``; `replay_timeline` decides order and pace.
"""

import re
from typing import Any

import msgspec

from bgpdrift.bgp.messages import STATE, Message, collector_name
from bgpdrift.bgp.spool import event_time

_RIS_HOST = re.compile(r"rrc\d\d$")


class _RisMessage(msgspec.Struct, gc=False):
    type: str
    data: Message


_decoder = msgspec.json.Decoder(_RisMessage)


class Frame:
    """One WebSocket message of the server.

    Parameters
    ----------
    timestamp : float
        Event time, epoch seconds; decides when the frame is due.
    text : bytes
        The JSON text as sent.
    message : Message, optional
        The message that subscriptions are matched against; default: decoded from the text when it is first needed.
    """

    __slots__ = ("_message", "text", "timestamp")

    def __init__(self, timestamp: float, text: bytes, message: Message | None = None) -> None:
        self.timestamp, self.text, self._message = timestamp, text, message

    @property
    def message(self) -> Message | None:
        """The message of the frame; None if it has none, and then only a subscription without filters selects it."""
        if self._message is None:
            try:
                decoded = _decoder.decode(self.text)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                return None
            self._message = decoded.data
        return self._message

    def __repr__(self) -> str:
        return f"Frame({self.timestamp}, {self.text[:60]!r}…)"


def frame_from_line(line: bytes, default_time: float) -> Frame:
    """Build a frame from a recorded line, unchanged; ``default_time`` replaces an unreadable timestamp."""
    timestamp = event_time(line)
    return Frame(default_time if timestamp is None else timestamp, line)


_MAX_PEERS = 20_000
"""Peers whose last id is remembered; of more, which only a hostile file has, those with the oldest ids are forgotten."""


class FrameIds:
    """Generates ids of RIS Live: ``<peer>-<12 hex ms epoch><4 hex counter>``, unique and increasing for each peer.

    Examples
    --------
    >>> ids = FrameIds()
    >>> ids.next("192.0.2.1", 1700000000.5), ids.next("192.0.2.1", 1700000000.5)
    ('192.0.2.1-018bcfe569f40000', '192.0.2.1-018bcfe569f40001')
    """

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def next(self, peer: str, timestamp: float) -> str:
        """Return the id of the next message of a peer (timestamp in epoch s); if time goes back, only the counter rises."""
        number = max(round(timestamp * 1000) << 16, self._last.get(peer, -1) + 1)
        self._last[peer] = number
        if len(self._last) > _MAX_PEERS:
            kept = sorted(self._last, key=lambda name: self._last[name])[_MAX_PEERS // 2 :]
            self._last = {name: self._last[name] for name in kept}
        return f"{peer}-{number:016x}"


def frame_from_message(message: Message, ids: FrameIds) -> Frame:
    """Encode a message in the form of RIS Live; it decodes to the same routes, path, origin and state."""
    return Frame(
        message.timestamp, msgspec.json.encode({"type": "ris_message", "data": _fields(message, ids)}), message
    )


def _fields(message: Message, ids: FrameIds) -> dict[str, Any]:
    host = collector_name(message.host)
    fields: dict[str, Any] = {
        "timestamp": message.timestamp,
        "peer": message.peer,
        "peer_asn": message.peer_asn,
        "id": ids.next(message.peer, message.timestamp),
        "host": f"{host}.ripe.net" if _RIS_HOST.match(host) else message.host,
        "type": message.type,
    }
    if message.type == STATE:
        fields["state"] = message.state
    elif message.type == "UPDATE":
        fields |= {
            "path": message.path,
            "community": [],
            "origin": message.origin.upper(),
            "announcements": message.announcements,
            "withdrawals": message.withdrawals,
        }
    return fields


def shift_frame(frame: Frame, seconds: float, ids: FrameIds | None = None) -> Frame:
    """Shift a frame in time, with a new ``id`` if ``ids`` is given; a frame without a message keeps its text.

    Examples
    --------
    >>> shift_frame(Frame(5.0, b'{"type":"ris_message","data":{"timestamp":5.0,"peer":"::1","id":"a"}}'), 2.0).text
    b'{"type":"ris_message","data":{"timestamp":7.0,"peer":"::1","id":"a"}}'
    """
    if frame.message is None:
        return Frame(frame.timestamp + seconds, frame.text)
    whole = msgspec.json.decode(frame.text)
    data = whole["data"]
    data["timestamp"] = round(data["timestamp"] + seconds, 6)
    if ids is not None:
        data["id"] = ids.next(str(data.get("peer", "")), data["timestamp"])
    return Frame(data["timestamp"], msgspec.json.encode(whole))
