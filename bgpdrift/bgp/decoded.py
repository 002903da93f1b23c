"""A frame as the plain object that ``bgpdrift decode`` prints.

Decides names, order and spelling of the fields (docs: README, "decode"). Reads nothing itself.
"""

import math
from typing import Any

from bgpdrift.bgp.messages import STATE, UPDATE, Announcement, AsPath, Message, collector_name
from bgpdrift.bgp.prefixes import canonical_prefix
from bgpdrift.bgp.ris_frames import Corrupt, FeedEvent, Frame, SegmentEnd, SegmentStart
from bgpdrift.bgp.ris_salvage import Details, number

_LINK_LOCAL = ("fe8", "fe9", "fea", "feb")  # fe80::/10
_RECORDS = {FeedEvent: "bgpdrift_feed", SegmentStart: "bgpdrift_segment", SegmentEnd: "bgpdrift_segment_end"}


def decoded(frame: Frame, details: Details) -> dict[str, Any]:
    """Turn a frame into the object printed for it; ``kind`` comes first.

    Examples
    --------
    >>> decoded(Corrupt("not JSON"), Details())
    {'kind': 'corrupt', 'reason': 'not JSON'}
    """
    if isinstance(frame, Message):
        return _message(frame, details)
    if isinstance(frame, Corrupt):
        return {"kind": "corrupt", "reason": frame.reason}
    if record := _RECORDS.get(type(frame)):
        return {"kind": record} | {name: getattr(frame, name) for name in frame.__struct_fields__}
    return {"kind": frame.type, "message": frame.message}  # type: ignore[union-attr]  # only ServerFrame is left


def _message(message: Message, details: Details) -> dict[str, Any]:
    row: dict[str, Any] = {
        "kind": message.type,
        "collector": collector_name(message.host),
        "peer": message.peer,
        "peer_asn": number(message.peer_asn),
        "timestamp": None if math.isnan(message.timestamp) else message.timestamp,
    }
    if message.type == STATE:
        row["state"] = message.state
    elif message.type == UPDATE:
        row |= {
            "announced": [{"prefix": p, "next_hop": hop} for p, hop in routes(message.announcements).items()],
            "withdrawn": list(filter(None, map(canonical_prefix, message.withdrawals))),
            "path": message.path,
            "origins": origins(message.path),
            "origin": message.origin.upper(),
            "med": details.med,
            "aggregator": details.aggregator,
            "communities": details.communities,
        }
    return row


def routes(announcements: list[Announcement]) -> dict[str, str]:
    """Give each announced prefix once, in canonical form, with its global next hop.

    Examples
    --------
    >>> routes([Announcement("fe80::1", ["2001:db8:0::/48"]), Announcement("2001:db8::1", ["2001:db8::/48"])])
    {'2001:db8::/48': '2001:db8::1'}
    """
    found: dict[str, str] = {}
    for group in announcements:
        hop = global_next_hop(group.next_hop)
        for text in group.prefixes:
            prefix = canonical_prefix(text)
            if prefix is None:
                continue
            if prefix not in found or found[prefix].lower().startswith(_LINK_LOCAL):
                found[prefix] = hop
    return found


def global_next_hop(next_hop: str) -> str:
    """Choose the global address of a ``global,link-local`` pair in either order.

    Examples
    --------
    >>> global_next_hop("2001:db8::1,fe80::1")
    '2001:db8::1'
    """
    addresses = [part.strip() for part in next_hop.split(",")]
    return next((part for part in addresses if not part.lower().startswith(_LINK_LOCAL)), addresses[0])


def origins(path: AsPath) -> list[int]:
    """Give the ASes a path says the routes come from: the last hop, all members if it is a set.

    Examples
    --------
    >>> origins((174, (64496, 64497)))
    [64496, 64497]
    """
    if not path:
        return []
    last = path[-1]
    return list(last) if isinstance(last, tuple) else [last]
