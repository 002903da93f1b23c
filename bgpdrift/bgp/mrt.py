"""Reads MRT files (RFC 6396, 8050) as messages in file order: updates and table dumps of the RIS and RouteViews archives.

This module converts BGP4MP records into `Message`. `mrt_framing` finds the records, `mrt_attributes` parses attributes,
`mrt_session` OPEN and NOTIFICATION, and `mrt_rib` table dumps. An unreadable record is counted with its offset, and reading
continues. What is whole before a cut is used.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bgpdrift.bgp.compression import DecompressedStream
from bgpdrift.bgp.messages import STATE, UPDATE, Announcement, Message
from bgpdrift.bgp.mrt_attributes import IPV4, IPV6, AttributeReader, Attributes, MalformedError, format_address
from bgpdrift.bgp.mrt_framing import (
    BGP4MP,
    BGP4MP_ET,
    TABLE_DUMP,
    TABLE_DUMP_V2,
    TYPE_NAMES,
    Readable,
    RecordReader,
)
from bgpdrift.bgp.mrt_rib import RibReader
from bgpdrift.bgp.mrt_session import read_notification, read_open
from bgpdrift.bgp.problems import Problem, Problems

__all__ = ["Problem", "Problems", "read_mrt", "read_mrt_in_full", "read_stream"]

_TYPES = {1: "OPEN", 2: UPDATE, 3: "NOTIFICATION", 4: "KEEPALIVE", 5: "ROUTE-REFRESH"}
# Routing daemons use 0, 7 and 8 for stages of the end of a session.
_STATES = {
    0: "idle",
    7: "idle",
    8: "idle",
    1: "idle",
    2: "connect",
    3: "active",
    4: "connected",
    5: "connected",
    6: "up",
}
_ESTABLISHED = 6
# Subtype: four-byte AS numbers, path identifiers. Messages of the collector itself (…_LOCAL) are read like those of peers.
_MESSAGES = {
    1: (False, False),
    4: (True, False),
    6: (False, False),
    7: (True, False),
    8: (False, True),
    9: (True, True),
    10: (False, True),
    11: (True, True),
}
_STATE_CHANGES = {0: False, 5: True}
_MICROSECONDS = struct.Struct(">I")
_MARKER_BYTES, _BGP_HEADER_BYTES = 16, 19
_MARKER = b"\xff" * _MARKER_BYTES
_SESSION_READERS = {1: read_open, 3: read_notification}
_MAX_CACHED_PEERS = 10_000
_NO_ATTRIBUTES = Attributes()


def read_mrt(
    source: str | Path | BinaryIO, collector: str = "mrt", problems: Problems | None = None
) -> Iterator[Message]:
    """Read the messages of an MRT file, plain or compressed, in file order.

    Parameters
    ----------
    source : path or binary file
        Format by content: plain, gzip, bzip2 or zstd.
    collector : str
        Value of ``host``, which MRT does not contain.
    problems : Problems, optional
        Receives what could not be read.

    Yields
    ------
    Message
        Prefixes in canonical form. Messages may share lists, which must not be changed.
    """
    for message, _ in read_mrt_in_full(source, collector, problems):
        yield message


def read_mrt_in_full(
    source: str | Path | BinaryIO, collector: str = "mrt", problems: Problems | None = None
) -> Iterator[tuple[Message, Attributes]]:
    """Read messages like `read_mrt`, each with all parsed attributes."""
    problems = Problems() if problems is None else problems
    if isinstance(source, (str, Path)):
        with Path(source).open("rb") as raw:
            yield from read_stream(DecompressedStream(raw), collector, problems)
    else:
        yield from read_stream(DecompressedStream(source), collector, problems)


def read_stream(stream: Readable, collector: str, problems: Problems) -> Iterator[tuple[Message, Attributes]]:
    """Read messages and their attributes from a stream of plain bytes."""
    problems.collector = collector
    attributes = AttributeReader(problems.skipped)
    bgp4mp, rib = Bgp4mpReader(attributes, collector), RibReader(attributes, collector)
    records = RecordReader(stream, problems)
    for offset, timestamp, kind, subtype, body in records:
        try:
            if kind == BGP4MP:
                pair = bgp4mp.read(float(timestamp), subtype, body, 0)
            elif kind == BGP4MP_ET:
                if len(body) < _MICROSECONDS.size:
                    raise MalformedError("record is shorter than its fixed part")
                pair = bgp4mp.read(timestamp + _MICROSECONDS.unpack_from(body)[0] / 1e6, subtype, body, 4)
            elif kind == TABLE_DUMP_V2:
                yield from rib.read_table_dump_v2(float(timestamp), subtype, body)
                pair = None
            elif kind == TABLE_DUMP:
                yield from rib.read_table_dump(float(timestamp), subtype, body)
                pair = None
            else:
                problems.skipped[f"MRT type {kind} ({TYPE_NAMES[kind]})"] += 1
                continue
        except MalformedError as error:
            pair = None
            attributes.partial = str(error)
        if attributes.partial:
            problems.add(offset, attributes.partial)
            attributes.partial = ""
            records.reject_record()
        if attributes.notes:
            problems.notes.update(attributes.notes)
            attributes.notes.clear()
        if pair is not None:
            yield pair
        if bgp4mp.has_rest:
            bgp4mp.has_rest = False
            records.suspect_length("record is longer than its BGP message")


class Bgp4mpReader:
    """Reads the BGP4MP records of one file.

    Attributes
    ----------
    has_rest : bool
        Bytes follow the message of the last record: padding of some writers, or a wrong length.
    """

    def __init__(self, attributes: AttributeReader, collector: str) -> None:
        self._attributes, self._collector = attributes, collector
        self._peers: dict[tuple[bytes, bytes], tuple[str, str]] = {}
        self.has_rest = False

    def read(self, timestamp: float, subtype: int, body: bytes, at: int) -> tuple[Message, Attributes] | None:
        """Read the record whose content starts at ``at``; None if its kind contains no message.

        Raises
        ------
        MalformedError
            The content does not fit the lengths.
        """
        if form := _MESSAGES.get(subtype):
            as4, add_path = form
        elif subtype in _STATE_CHANGES:
            as4, add_path = _STATE_CHANGES[subtype], False
        else:
            self._attributes.skipped[f"BGP4MP subtype {subtype}"] += 1
            return None
        digits = 4 if as4 else 2
        family = at + 2 * digits + 2
        addresses = family + 2
        if addresses > len(body):
            raise MalformedError("record is shorter than its fixed part")
        afi = body[family] << 8 | body[family + 1]
        width = 4 if afi == IPV4 else 16
        if afi not in (IPV4, IPV6):
            raise MalformedError("peer address of unknown family")
        content = addresses + 2 * width
        peer, asn = self._peer(body[addresses : addresses + width], body[at : at + digits])
        if not form:
            return self._state_change(timestamp, peer, asn, body, content), _NO_ATTRIBUTES
        start = content + _BGP_HEADER_BYTES
        if start > len(body):
            raise MalformedError("BGP message is truncated")
        end = content + (body[content + _MARKER_BYTES] << 8 | body[content + _MARKER_BYTES + 1])
        kind = body[start - 1]
        if end > len(body) and kind == 2 and body[content : content + _MARKER_BYTES] == _MARKER:
            # Some collectors store the first 4,096 bytes of a longer message (RFC 8654).
            pair = self._update(timestamp, peer, asn, body, start, len(body), as4, add_path, is_cut=True)
            self._attributes.partial = "UPDATE is cut; the whole prefixes before the cut are used"
            return pair
        if end > len(body) or end < start:
            raise MalformedError("BGP message length does not fit the record")
        if end != len(body):
            self.has_rest = True
        if kind != 2:
            name = _TYPES.get(kind)
            if name is None:
                raise MalformedError("BGP message of unknown type")
            details = _NO_ATTRIBUTES
            if kind in _SESSION_READERS:
                details = Attributes(session=_SESSION_READERS[kind](body[start:end]))
            return Message(timestamp, peer, self._collector, name, "", asn), details
        return self._update(timestamp, peer, asn, body, start, end, as4, add_path)

    def _update(
        self,
        timestamp: float,
        peer: str,
        asn: str,
        body: bytes,
        start: int,
        end: int,
        as4: bool,
        add_path: bool,
        is_cut: bool = False,
    ) -> tuple[Message, Attributes]:
        """Read an UPDATE; if it is cut, read what is whole before the cut: withdrawals, or attributes and announcements."""
        reader = self._attributes
        if start + 4 > end:
            raise MalformedError("UPDATE is truncated")
        withdrawn_end = start + 2 + (body[start] << 8 | body[start + 1])
        if is_cut and withdrawn_end + 2 > end:
            withdrawn = reader.read_prefixes(body, start + 2, end, False, add_path)
            return Message(timestamp, peer, self._collector, UPDATE, "", asn, withdrawals=withdrawn), _NO_ATTRIBUTES
        if withdrawn_end + 2 > end:
            raise MalformedError("UPDATE is truncated")
        block = withdrawn_end + 2
        routes = block + (body[withdrawn_end] << 8 | body[withdrawn_end + 1])
        withdrawn = []
        if withdrawn_end > start + 2:
            withdrawn = reader.read_prefixes(body, start + 2, withdrawn_end, False, add_path)
        if is_cut and routes > end and withdrawn:
            return Message(timestamp, peer, self._collector, UPDATE, "", asn, withdrawals=withdrawn), _NO_ATTRIBUTES
        if routes > end:
            raise MalformedError("UPDATE is truncated")
        parsed = reader.read_attributes(body[block:routes], as4, add_path) if routes > block else _NO_ATTRIBUTES
        if parsed.withdrawn:
            withdrawn += parsed.withdrawn
        announced = list(parsed.announced)
        if routes < end:
            prefixes = reader.read_prefixes(body, routes, end, False, add_path)
            announced.insert(0, Announcement(parsed.next_hop, prefixes))
        message = Message(
            timestamp, peer, self._collector, UPDATE, "", asn, parsed.path, parsed.origin, announced, withdrawn
        )
        return message, parsed

    def _state_change(self, timestamp: float, peer: str, asn: str, body: bytes, at: int) -> Message:
        if at + 4 > len(body):
            raise MalformedError("state change is truncated")
        old, new = struct.unpack_from(">HH", body, at)
        if new not in _STATES:
            raise MalformedError("state change to an unknown state")
        state = "down" if old == _ESTABLISHED and new != _ESTABLISHED else _STATES[new]
        return Message(timestamp, peer, self._collector, STATE, "", asn, state=state)

    def _peer(self, raw_address: bytes, raw_asn: bytes) -> tuple[str, str]:
        """Return address and AS number of a peer as text, from a cache."""
        key = (raw_address, raw_asn)
        peer = self._peers.get(key)
        if peer is None:
            if len(raw_address) not in (4, 16):
                raise MalformedError("record is shorter than its fixed part")
            peer = (format_address(raw_address), str(int.from_bytes(raw_asn)))
            if len(self._peers) >= _MAX_CACHED_PEERS:
                self._peers.clear()
            self._peers[key] = peer
        return peer
