"""Converts a frame into the object that ``bgpdrift decode`` prints.

This module decides names, order and form of the fields (docs: README, "decode").
"""

import math
from typing import Any

from bgpdrift.bgp.messages import STATE, UPDATE, Announcement, AsPath, Message, collector_name
from bgpdrift.bgp.prefixes import canonical_prefix
from bgpdrift.bgp.ris_frames import Corrupt, FeedEvent, Frame, SegmentEnd, SegmentStart
from bgpdrift.bgp.ris_salvage import Details, parse_number

_LINK_LOCAL = ("fe8", "fe9", "fea", "feb")  # fe80::/10
_RECORDS = {FeedEvent: "bgpdrift_feed", SegmentStart: "bgpdrift_segment", SegmentEnd: "bgpdrift_segment_end"}


def frame_fields(frame: Frame, details: Details) -> dict[str, Any]:
    """Return the fields of a frame; ``kind`` comes first.

    Examples
    --------
    >>> frame_fields(Corrupt("not JSON"), Details())
    {'kind': 'corrupt', 'reason': 'not JSON'}
    """
    if isinstance(frame, Message):
        return _message_fields(frame, details)
    if isinstance(frame, Corrupt):
        return {"kind": "corrupt", "reason": frame.reason}
    if record := _RECORDS.get(type(frame)):
        return {"kind": record} | {name: getattr(frame, name) for name in frame.__struct_fields__}
    return {"kind": frame.type, "message": frame.message}  # type: ignore[union-attr]  # only ServerFrame is left


def _message_fields(message: Message, details: Details) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": message.type,
        "collector": collector_name(message.host),
        "peer": message.peer,
        "peer_asn": parse_number(message.peer_asn),
        "timestamp": None if math.isnan(message.timestamp) else message.timestamp,
    }
    if message.type == STATE:
        row["state"] = message.state
    elif message.type == UPDATE:
        row |= {
            "announced": [
                {"prefix": prefix, "next_hop": hop} for prefix, hop in collect_routes(message.announcements).items()
            ],
            "withdrawn": list(filter(None, map(canonical_prefix, message.withdrawals))),
            "path": message.path,
            "origins": list_origins(message.path),
            "origin": message.origin.upper(),
            "med": details.med,
            "aggregator": details.aggregator,
            "communities": details.communities,
        }
    return row | {name: value for name, value in details.session.items() if name not in row}


def collect_routes(announcements: list[Announcement]) -> dict[str, str]:
    """Return each announced prefix once, in canonical form, with its global next hop.

    Examples
    --------
    >>> collect_routes([Announcement("fe80::1", ["2001:db8:0::/48"]), Announcement("2001:db8::1", ["2001:db8::/48"])])
    {'2001:db8::/48': '2001:db8::1'}
    """
    next_hops: dict[str, str] = {}
    for group in announcements:
        hop = choose_next_hop(group.next_hop)
        for text in group.prefixes:
            prefix = canonical_prefix(text)
            if prefix is None:
                continue
            if prefix not in next_hops or next_hops[prefix].lower().startswith(_LINK_LOCAL):
                next_hops[prefix] = hop
    return next_hops


def choose_next_hop(next_hop: str) -> str:
    """Return the global address of a ``global,link-local`` pair in either order.

    Examples
    --------
    >>> choose_next_hop("2001:db8::1,fe80::1")
    '2001:db8::1'
    """
    addresses = [part.strip() for part in next_hop.split(",")]
    return next((part for part in addresses if not part.lower().startswith(_LINK_LOCAL)), addresses[0])


def list_origins(path: AsPath) -> list[int]:
    """Return the origin ASes of a path: the last hop, or all its members if it is an AS_SET.

    Examples
    --------
    >>> list_origins((174, (64496, 64497)))
    [64496, 64497]
    """
    if not path:
        return []
    last = path[-1]
    return list(last) if isinstance(last, tuple) else [last]
