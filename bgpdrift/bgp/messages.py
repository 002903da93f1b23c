"""The BGP message that all sources produce: RIS Live, spool, MRT and the simulated Internet.

The fields are those of RIS Live, so that one decoding step converts a frame into a `Message` and nothing is copied later. This
module defines names and types only; `ris_frames` and `mrt` read the sources.
"""

from typing import Annotated

import msgspec

Asn = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]
"""AS number; the limits are checked when a frame is decoded, so that later code can rely on 32 bits."""

Timestamp = Annotated[float, msgspec.Meta(ge=0, lt=2**33)]
"""Epoch seconds, UTC, up to the year 2242, twice the range of MRT."""

MAX_NAME_CHARACTERS = 64
"""Longest host and peer address, which `names` checks; an IPv6 address has at most 45 characters."""

MessageId = Annotated[str, msgspec.Meta(max_length=128)]

AsPath = tuple[Asn | tuple[Asn, ...], ...]
"""Hops from the peer to the origin; an AS_SET is one hop, a tuple inside the tuple."""

UPDATE = "UPDATE"
STATE = "STATE"


class Announcement(msgspec.Struct, gc=False, frozen=True):
    """Prefixes that share a next hop."""

    next_hop: str = ""
    prefixes: list[str] = []


class Message(msgspec.Struct, gc=False):
    """A BGP message of one peer, with the fields that windows need.

    ``gc=False``: messages contain no cycles, and garbage collection over millions of them would cost a third of the time.

    Attributes
    ----------
    timestamp : float
        Epoch seconds, UTC, set by the route collector.
    peer : str
        Address of the peer, as the source writes it.
    host : str
        Route collector: ``rrc00`` or ``rrc00.ripe.net``; see `collector_name`.
    type : str
        ``UPDATE``, ``OPEN``, ``NOTIFICATION``, ``KEEPALIVE``, ``STATE`` (``RIS_PEER_STATE`` is converted to it).
    id : str
        Message id of the source; empty if it has none.
    peer_asn : str
        AS number of the peer in decimal digits, as in RIS Live.
    path : AsPath
        AS path of the announcements; empty for a withdrawal.
    origin : str
        Origin attribute in any case: ``igp``, ``IGP``, ``EGP``, ``INCOMPLETE``.
    announcements : list of Announcement
        Announced prefixes by next hop. A prefix may occur in two groups (IPv6 link-local); it counts once.
    withdrawals : list of str
        Withdrawn prefixes.
    state : str
        For ``STATE``: ``connected``, ``up`` or ``down``.
    """

    timestamp: Timestamp
    peer: str = ""
    host: str = ""
    type: str = ""
    id: MessageId = ""
    peer_asn: str = ""
    path: AsPath = ()
    origin: str = ""
    announcements: list[Announcement] = []
    withdrawals: list[str] = []
    state: str = ""


def collector_name(host: str) -> str:
    """Return the name of a route collector without its domain.

    Examples
    --------
    >>> collector_name("rrc25.ripe.net")
    'rrc25'
    >>> collector_name("route-views.jinx")
    'route-views.jinx'
    """
    return host.removesuffix(".ripe.net")
