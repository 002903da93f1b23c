"""One BGP message as every source hands it on: RIS Live, spool, MRT and the simulated Internet.

The shape is RIS Live's own, so that a frame becomes a `Message` in one decoding step and nothing is copied on the way
to the windows. Decides only names and types; how each source gets here is `ris_frames` and `mrt`.
"""

from typing import Annotated

import msgspec

Asn = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF_FFFF)]
"""AS number; the limits are checked where a frame is decoded, so that everything behind may rely on 32 bits."""

Timestamp = Annotated[float, msgspec.Meta(ge=0, lt=2**33)]
"""Epoch seconds, UTC, up to the year 2242: MRT's own range and as much again."""

AsPath = tuple[Asn | tuple[Asn, ...], ...]
"""Hops from the peer to the origin; an AS_SET is one hop, a tuple inside the tuple."""

UPDATE = "UPDATE"
STATE = "STATE"


class Announcement(msgspec.Struct, gc=False, frozen=True):
    """Prefixes that share a next hop."""

    next_hop: str = ""
    prefixes: list[str] = []


class Message(msgspec.Struct, gc=False):
    """A BGP message of one peer, with just what windows need.

    ``gc=False``: messages hold no cycles, and the collector's walk over millions of them would cost a third of the time.

    Attributes
    ----------
    timestamp : float
        Epoch seconds, UTC, set by the route collector.
    peer : str
        Address of the peer, in the source's spelling.
    host : str
        Route collector: ``rrc00`` or ``rrc00.ripe.net``; see `collector_name`.
    type : str
        ``UPDATE``, ``OPEN``, ``NOTIFICATION``, ``KEEPALIVE``, ``STATE`` (``RIS_PEER_STATE`` is turned into it).
    id : str
        The source's name for the message; empty where it has none.
    peer_asn : str
        AS number of the peer in decimal digits, as RIS Live sends it.
    path : AsPath
        AS path of the announcements; empty for a withdrawal.
    origin : str
        Origin attribute in any case: ``igp``, ``IGP``, ``EGP``, ``INCOMPLETE``.
    announcements : list of Announcement
        Announced prefixes by next hop. The same prefix may stand in two groups (IPv6 link-local); it counts once.
    withdrawals : list of str
        Withdrawn prefixes.
    state : str
        For ``STATE``: ``connected``, ``up`` or ``down``.
    """

    timestamp: Timestamp
    peer: str = ""
    host: str = ""
    type: str = ""
    id: str = ""
    peer_asn: str = ""
    path: AsPath = ()
    origin: str = ""
    announcements: list[Announcement] = []
    withdrawals: list[str] = []
    state: str = ""


def collector_name(host: str) -> str:
    """Name a route collector without its domain.

    Examples
    --------
    >>> collector_name("rrc25.ripe.net")
    'rrc25'
    >>> collector_name("route-views.jinx")
    'route-views.jinx'
    """
    return host.removesuffix(".ripe.net")
