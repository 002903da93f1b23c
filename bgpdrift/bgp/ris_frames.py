"""Decodes a line of RIS Live or of a spool segment into a `Message`, a record of the spool, or a counted error.

Decoding never raises. One typed step reads only the needed fields; `ris_salvage` keeps the routes of a frame that does not fit.
The aggregator decides what a gap or a corrupt frame means for a window.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from bgpdrift.bgp import ris_salvage
from bgpdrift.bgp.messages import STATE, UPDATE, Message, Timestamp
from bgpdrift.bgp.names import NameCheck
from bgpdrift.bgp.ris_salvage import EOR, Details
from bgpdrift.bgp.spool import RECORD_START

MAX_LINE_BYTES = 16_000_000
"""A longer line is not parsed: a BGP message has at most 65,535 bytes, and its frame some megabytes."""

MESSAGE_TYPES = frozenset((UPDATE, STATE, "OPEN", "NOTIFICATION", "KEEPALIVE"))


class FeedEvent(msgspec.Struct, gc=False, frozen=True):
    """An event of the feed, recorded in the spool by the collector.

    Attributes
    ----------
    event : str
        ``connected``, ``disconnected``, ``dropped`` or ``segment_lost``.
    earliest, latest : float or None
        Span of event time, epoch seconds; None if unknown. ``from`` and ``to`` on disk.
    frames : int
        Number of lost frames, if known.
    reason : str
        Text for people.
    """

    event: str
    earliest: Timestamp | None = msgspec.field(default=None, name="from")
    latest: Timestamp | None = msgspec.field(default=None, name="to")
    frames: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] = 0
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
    """A frame without a BGP message: ``ris_error``, ``pong``, ``ris_subscribe_ok``, ``ris_rrc_list`` or unknown.

    ``message`` is the text of the server, if any.
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


_RECORD_NAMES = "bgpdrift_"


class _TypedFrame(msgspec.Struct, gc=False):
    type: str
    data: Message


@dataclass(slots=True)
class FrameCounts:
    """Counts of a decoder.

    Attributes
    ----------
    messages : int
        BGP messages, salvaged ones included.
    salvaged : int
        Messages with an invalid field.
    corrupt : int
        Lines that could not be read.
    server : int
        Frames without a BGP message.
    unknown : int
        Frames or messages of unknown type, which ``server`` or ``messages`` counts too.
    """

    messages: int = 0
    salvaged: int = 0
    corrupt: int = 0
    server: int = 0
    unknown: int = 0


class FrameDecoder:
    r"""Decodes frames and counts them by kind.

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
        self._names = NameCheck()

    def decode_line(self, line: bytes) -> Frame:
        """Decode one line; never raises."""
        try:
            frame = self._decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._decode_unusual(line)
        message = frame.data
        names = self._names
        if message.type != UPDATE or frame.type != "ris_message" or _contains_eor(message):
            return self._decode_unusual(line)
        if message.host not in names.hosts or message.peer not in names.peers:
            reason = names.describe_invalid(message)
            if reason:
                return self._corrupt(reason)[0]
        self.counts.messages += 1
        return message

    def decode_many(self, lines: Iterable[bytes]) -> Iterator[Frame]:
        """Decode lines; blank ones are skipped. This is the fast way to read whole segments."""
        decode, decode_unusual, counts = self._decode, self._decode_unusual, self.counts
        errors = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
        hosts, peers, describe_invalid = self._names.hosts, self._names.peers, self._names.describe_invalid
        for line in lines:
            try:
                frame = decode(line)
            except errors:
                if line.strip():
                    yield decode_unusual(line)
                continue
            message = frame.data
            if message.type != UPDATE or frame.type != "ris_message" or _contains_eor(message):
                yield decode_unusual(line)
                continue
            if (message.host not in hosts or message.peer not in peers) and (reason := describe_invalid(message)):
                yield self._corrupt(reason)[0]
                continue
            counts.messages += 1
            yield message

    def decode_full(self, line: bytes) -> tuple[Frame, Details]:
        """Decode one line with the fields that windows do not need; an unreadable timestamp is NaN."""
        return self._decode_slowly(line)

    def _decode_unusual(self, line: bytes) -> Frame:
        frame, _ = self._decode_slowly(line)
        if isinstance(frame, Message) and math.isnan(frame.timestamp):
            self.counts.messages -= 1
            self.counts.salvaged -= 1
            self.counts.corrupt += 1
            return Corrupt("message without a readable timestamp")
        return frame

    def _decode_slowly(self, line: bytes) -> tuple[Frame, Details]:
        if len(line) > MAX_LINE_BYTES:
            return self._corrupt(f"line: expected at most {MAX_LINE_BYTES} bytes, found {len(line)}")
        try:
            value = ris_salvage.parse_leniently(line)
        except ValueError as error:
            return self._corrupt(f"not JSON: {error}")
        kind = value.get("type") if isinstance(value, dict) else None
        if not isinstance(kind, str):
            return self._corrupt("expected an object with a type, found another JSON value")
        data = value.get("data")
        if kind == "ris_message":
            return self._decode_message(data)
        if kind.startswith(_RECORD_NAMES) and not line.startswith(RECORD_START):
            return self._corrupt("frame with the name of a record of the spool")
        if record := _RECORDS.get(kind):
            try:
                return msgspec.convert(data, record), Details()
            except (msgspec.ValidationError, RecursionError) as error:
                return self._corrupt(f"record {kind}: {error}")
        self.counts.server += 1
        self.counts.unknown += kind not in SERVER_TYPES
        text = ris_salvage.parse_text(data.get("message")) if isinstance(data, dict) else ""
        return ServerFrame(kind, text), Details()

    def _decode_message(self, data: Any) -> tuple[Frame, Details]:
        if not isinstance(data, dict):
            return self._corrupt("message without data")
        message = ris_salvage.salvage_message(data)
        if reason := self._names.describe_invalid(message):
            return self._corrupt(reason)
        self.counts.messages += 1
        self.counts.unknown += message.type not in MESSAGE_TYPES
        self.counts.salvaged += not _fits(data)
        return message, ris_salvage.parse_details(data)

    def _corrupt(self, reason: str) -> tuple[Frame, Details]:
        self.counts.corrupt += 1
        return Corrupt(reason[:200]), Details()


def _contains_eor(message: Message) -> bool:
    """Whether End-of-RIB is among the prefixes; four times as fast as a search in the line."""
    if EOR in message.withdrawals:
        return True
    for group in message.announcements:  # noqa: SIM110 - any() with a generator takes twice as long
        if EOR in group.prefixes:
            return True
    return False


def _fits(data: dict[str, Any]) -> bool:
    """Whether all fields have the expected types."""
    try:
        msgspec.convert(data, Message)
    except (msgspec.ValidationError, RecursionError):
        return False
    return True
