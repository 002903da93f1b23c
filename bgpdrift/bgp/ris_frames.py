"""A line of RIS Live, or of a spool segment, becomes a `Message`, a record of ours, or a counted defect. Never an error.

Decides what a frame is. One typed decoding step reads just the needed fields; a frame that does not fit goes to
`ris_salvage`, which keeps its routes. What a gap or a corrupt frame means for a window is the aggregator's to judge.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from bgpdrift.bgp import ris_salvage
from bgpdrift.bgp.messages import STATE, UPDATE, Message
from bgpdrift.bgp.ris_salvage import EOR, Details

MAX_LINE_BYTES = 16_000_000
"""A longer line is not parsed: a BGP message has 65,535 bytes at most, its frame some megabytes."""

MESSAGE_TYPES = frozenset((UPDATE, STATE, "OPEN", "NOTIFICATION", "KEEPALIVE"))


class FeedEvent(msgspec.Struct, gc=False, frozen=True):
    """What happened to the feed, recorded by the collector in the spool.

    Attributes
    ----------
    event : str
        ``connected``, ``disconnected``, ``dropped`` or ``segment_lost``.
    earliest, latest : float or None
        Event time concerned, epoch seconds; None where it is not known. ``from`` and ``to`` on disk.
    frames : int
        Frames lost, where known.
    reason : str
        For a person.
    """

    event: str
    earliest: float | None = msgspec.field(default=None, name="from")
    latest: float | None = msgspec.field(default=None, name="to")
    frames: int = 0
    reason: str = ""


class SegmentStart(msgspec.Struct, gc=False, frozen=True):
    """First line of a spool segment; ``opened_at`` is wall time, epoch seconds."""

    sequence: int = 0
    opened_at: float | None = None
    run: str = ""


class SegmentEnd(msgspec.Struct, gc=False, frozen=True):
    """Last line of a spool segment; ``closed_at`` is wall time, epoch seconds."""

    closed_at: float | None = None
    frames: int = 0


class ServerFrame(msgspec.Struct, gc=False, frozen=True):
    """A frame that carries no BGP message: ``ris_error``, ``pong``, ``ris_subscribe_ok``, ``ris_rrc_list`` or unknown.

    ``message`` is the server's text, where there is one.
    """

    type: str
    message: str = ""


class Corrupt(msgspec.Struct, gc=False, frozen=True):
    """A line that could not be read."""

    reason: str


Frame = Message | FeedEvent | SegmentStart | SegmentEnd | ServerFrame | Corrupt

SERVER_TYPES = frozenset(("ris_error", "pong", "ris_subscribe_ok", "ris_rrc_list"))
_RECORDS: dict[str, type[FeedEvent] | type[SegmentStart] | type[SegmentEnd]] = {
    "bgpdrift_feed": FeedEvent,
    "bgpdrift_segment": SegmentStart,
    "bgpdrift_segment_end": SegmentEnd,
}


class _TypedFrame(msgspec.Struct, gc=False):
    type: str
    data: Message


@dataclass(slots=True)
class FrameCounts:
    """What a decoder has met so far.

    Attributes
    ----------
    messages : int
        BGP messages, salvaged ones included.
    salvaged : int
        Messages with an odd field.
    corrupt : int
        Lines that could not be read.
    server : int
        Frames without a BGP message.
    unknown : int
        Frames or messages of a type nobody knows, counted beside ``server`` or ``messages``.
    """

    messages: int = 0
    salvaged: int = 0
    corrupt: int = 0
    server: int = 0
    unknown: int = 0


class FrameDecoder:
    r"""Decodes frames and counts what it met.

    Examples
    --------
    >>> decoder = FrameDecoder()
    >>> frame = decoder.decode_line(
    ...     b'{"type":"ris_message","data":{"timestamp":1.5,"peer":"192.0.2.1","type":"UPDATE",'
    ...     b'"withdrawals":["198.51.100.0/24","eor"]}}'
    ... )
    >>> frame.withdrawals
    ['198.51.100.0/24']
    >>> decoder.decode_line(b'{"type":"ris_message","da')
    Corrupt(reason='not JSON: ...')
    >>> decoder.counts.messages, decoder.counts.corrupt
    (1, 1)
    """

    def __init__(self) -> None:
        self.counts = FrameCounts()
        self._decode = msgspec.json.Decoder(_TypedFrame).decode

    def decode_line(self, line: bytes) -> Frame:
        """Decode one line; never raises."""
        try:
            frame = self._decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._unusual(line)
        message = frame.data
        if message.type != UPDATE or frame.type != "ris_message" or _holds_eor(message):
            return self._unusual(line)
        self.counts.messages += 1
        return message

    def decode_many(self, lines: Iterable[bytes]) -> Iterator[Frame]:
        """Decode line after line; blank ones are left out. The fast way to read whole segments."""
        decode, unusual, counts = self._decode, self._unusual, self.counts
        errors = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
        for line in lines:
            try:
                frame = decode(line)
            except errors:
                if line.strip():
                    yield unusual(line)
                continue
            message = frame.data
            if message.type != UPDATE or frame.type != "ris_message" or _holds_eor(message):
                yield unusual(line)
                continue
            counts.messages += 1
            yield message

    def decode_full(self, line: bytes) -> tuple[Frame, Details]:
        """Decode one line with the fields windows do not need; a timestamp that cannot be read is NaN here."""
        return self._decode_slowly(line)

    def _unusual(self, line: bytes) -> Frame:
        frame, _ = self._decode_slowly(line)
        if isinstance(frame, Message) and math.isnan(frame.timestamp):
            self.counts.messages -= 1
            self.counts.salvaged -= 1
            self.counts.corrupt += 1
            return Corrupt("message without a readable timestamp")  # it belongs to no window
        return frame

    def _decode_slowly(self, line: bytes) -> tuple[Frame, Details]:
        if len(line) > MAX_LINE_BYTES:
            return self._corrupt(f"line of {len(line)} bytes, at most {MAX_LINE_BYTES} expected")
        try:
            value = ris_salvage.parse_leniently(line)
        except ValueError as error:
            return self._corrupt(f"not JSON: {error}")
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str):
            return self._corrupt("not a frame: an object with a type was expected")
        data = value.get("data")
        if kind == "ris_message":
            return self._message(data)
        if record := _RECORDS.get(kind):
            try:
                return msgspec.convert(data, record), Details()
            except (msgspec.ValidationError, RecursionError) as error:
                return self._corrupt(f"record {kind}: {error}")
        self.counts.server += 1
        self.counts.unknown += kind not in SERVER_TYPES
        return ServerFrame(kind, ris_salvage.text(data.get("message")) if isinstance(data, dict) else ""), Details()

    def _message(self, data: Any) -> tuple[Frame, Details]:
        if not isinstance(data, dict):
            return self._corrupt("message without data")
        message = ris_salvage.message(data)
        self.counts.messages += 1
        self.counts.unknown += message.type not in MESSAGE_TYPES
        self.counts.salvaged += not _fits(data)
        return message, ris_salvage.details(data)

    def _corrupt(self, reason: str) -> tuple[Frame, Details]:
        self.counts.corrupt += 1
        return Corrupt(reason[:200]), Details()


def _holds_eor(message: Message) -> bool:
    """Whether End-of-RIB stands among the prefixes; four times as fast as a search through the line."""
    if EOR in message.withdrawals:
        return True
    for group in message.announcements:  # noqa: SIM110 - any() with its generator takes twice as long
        if EOR in group.prefixes:
            return True
    return False


def _fits(data: dict[str, Any]) -> bool:
    """Whether a message has the types that are expected."""
    try:
        msgspec.convert(data, Message)
    except (msgspec.ValidationError, RecursionError):
        return False
    return True
