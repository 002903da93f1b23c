"""Reads table dumps: each route of each peer as an announcement (TABLE_DUMP_V2, RFC 6396 4.3 and RFC 8050; TABLE_DUMP, 4.2).

A routing table becomes one message per route, at the time of the dump, for the warm-up of the routing state.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

from bgpdrift.bgp.messages import UPDATE, Announcement, Message
from bgpdrift.bgp.mrt_attributes import IPV4, IPV6, AttributeReader, Attributes, MalformedError, format_address

PEER_INDEX_TABLE = 1
_SAFI_UNICAST = 1
_UNICAST = {2: (False, False), 4: (True, False), 8: (False, True), 10: (True, True)}
"""Subtype: whether IPv6, whether with path identifiers."""

_NAMES = {
    3: "RIB_IPV4_MULTICAST",
    5: "RIB_IPV6_MULTICAST",
    9: "RIB_IPV4_MULTICAST_ADDPATH",
    11: "RIB_IPV6_MULTICAST_ADDPATH",
}
_GENERIC = {6: False, 12: True}
"""Subtype of RIB_GENERIC (RFC 6396, 4.3.3; RFC 8050, 4.2): whether with path identifiers."""

_ENTRY = struct.Struct(">HIH")
_ENTRY_ADD_PATH = struct.Struct(">HIIH")


class Peer(NamedTuple):
    """One row of the peer index table."""

    address: str
    asn: str


class RibReader:
    """Reads the records of a table dump and keeps the index of peers, which comes first."""

    def __init__(self, attributes: AttributeReader, collector: str) -> None:
        self._attributes, self._collector = attributes, collector
        self._peers: list[Peer] = []

    def read_table_dump_v2(self, timestamp: float, subtype: int, body: bytes) -> Iterator[tuple[Message, Attributes]]:
        """Read one record; the index of peers and tables other than unicast give no message.

        Raises
        ------
        MalformedError
            The content does not fit the lengths; the messages before the error have been returned.
        """
        if subtype == PEER_INDEX_TABLE:
            self._peers = list(_peers(body))
            return
        start = 4
        if subtype in _GENERIC:
            if len(body) < 8:
                raise MalformedError("RIB entry is truncated")
            afi, safi, start = body[4] << 8 | body[5], body[6], 7
            if afi not in (IPV4, IPV6) or safi != _SAFI_UNICAST:
                self._attributes.skipped[f"RIB_GENERIC of AFI/SAFI {afi}/{safi}"] += 1
                return
            ipv6, add_path = afi == IPV6, _GENERIC[subtype]
        elif subtype in _UNICAST:
            ipv6, add_path = _UNICAST[subtype]
        else:
            name = f" ({_NAMES[subtype]})" if subtype in _NAMES else ""
            self._attributes.skipped[f"TABLE_DUMP_V2 subtype {subtype}{name}"] += 1
            return
        if len(body) <= start:
            raise MalformedError("RIB entry is truncated")
        at = start + 1 + ((body[start] + 7) >> 3)
        if at + 2 > len(body):
            raise MalformedError("RIB entry is truncated")
        prefix = self._attributes.read_prefixes(body, start, at, ipv6, add_path=False)
        entry = _ENTRY_ADD_PATH if add_path else _ENTRY
        entries = body[at] << 8 | body[at + 1]
        at += 2
        for _ in range(entries):
            if at + entry.size > len(body):
                raise MalformedError("RIB entry is truncated")
            row = entry.unpack_from(body, at)
            index, length = row[0], row[-1]
            at += entry.size
            if at + length > len(body):
                raise MalformedError("RIB entry is truncated")
            if index >= len(self._peers):
                raise MalformedError("RIB entry of a peer that is not in the index")
            attributes = self._attributes.read_attributes(body[at : at + length], as4=True, is_table=True)
            yield self._route(timestamp, self._peers[index], prefix, attributes), attributes
            at += length

    def read_table_dump(self, timestamp: float, subtype: int, body: bytes) -> Iterator[tuple[Message, Attributes]]:
        """Read one record of the old format, which contains one route of one peer."""
        if subtype not in (1, 2):
            self._attributes.skipped[f"TABLE_DUMP subtype {subtype}"] += 1
            return
        width = 4 if subtype == 1 else 16
        fixed = 4 + width + 2 + 4 + width + 4
        if len(body) < fixed:
            raise MalformedError("RIB entry is truncated")
        prefix_length = body[4 + width]
        raw = bytes((prefix_length,)) + body[4 : 4 + ((prefix_length + 7) >> 3)]
        prefix = self._attributes.read_prefixes(raw, 0, len(raw), subtype == 2, add_path=False)
        at = 4 + width + 2 + 4
        asn, length = struct.unpack_from(">HH", body, at + width)
        if fixed + length > len(body):
            raise MalformedError("RIB entry is truncated")
        attributes = self._attributes.read_attributes(body[fixed : fixed + length], as4=False, is_table=True)
        peer = Peer(format_address(body[at : at + width]), str(asn))
        yield self._route(timestamp, peer, prefix, attributes), attributes

    def _route(self, timestamp: float, peer: Peer, prefix: list[str], attributes: Attributes) -> Message:
        next_hop = attributes.next_hop or (attributes.announced[0].next_hop if attributes.announced else "")
        announcements = [Announcement(next_hop, prefix)]
        path, origin = attributes.path, attributes.origin
        return Message(timestamp, peer.address, self._collector, UPDATE, "", peer.asn, path, origin, announcements)


def _peers(body: bytes) -> Iterator[Peer]:
    if len(body) < 8:
        raise MalformedError("peer index is truncated")
    at = 6 + (body[4] << 8 | body[5])
    if at + 2 > len(body):
        raise MalformedError("peer index is truncated")
    count = body[at] << 8 | body[at + 1]
    at += 2
    for _ in range(count):
        if at >= len(body):
            raise MalformedError("peer index is truncated")
        kind = body[at]
        at += 5  # type and BGP identifier
        width, digits = 16 if kind & 1 else 4, 4 if kind & 2 else 2
        after = at + width + digits
        if after > len(body):
            raise MalformedError("peer index is truncated")
        yield Peer(format_address(body[at : at + width]), str(int.from_bytes(body[at + width : after])))
        at = after
