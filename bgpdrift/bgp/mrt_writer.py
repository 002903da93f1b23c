"""Encodes MRT records: BGP4MP_ET with four-byte AS numbers (RFC 6396), for UPDATEs and state changes.

The functions convert values into bytes; they hold no state and open no file. `mrt` reads the format.
"""

import struct
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, inet_pton
from typing import Final

_BGP4MP_ET: Final = 17
_STATE_CHANGE_AS4: Final = 5
_MESSAGE_AS4: Final = 4
_MARKER: Final = b"\xff" * 16
_MAX_BODY: Final = 4096 - 19
"""Longest body of a BGP message (RFC 4271, section 4.1)."""

_ORIGINS: Final = {"IGP": 0, "EGP": 1, "INCOMPLETE": 2}
_STATES: Final = {"down": (6, 1), "connected": (3, 4), "up": (5, 6)}
"""State of RIS Live → (old, new) of the state machine of RFC 4271."""


def encode_prefix(prefix: str) -> bytes:
    """Encode a prefix as in an UPDATE: length in bits, then as many bytes as needed.

    Examples
    --------
    >>> encode_prefix("192.0.2.0/24").hex()
    '18c00002'
    """
    address, _, length = prefix.partition("/")
    packed = inet_pton(AF_INET6 if ":" in address else AF_INET, address)
    return bytes((int(length),)) + packed[: (int(length) + 7) // 8]


def announcement(
    path: Sequence[int],
    next_hops: Sequence[str],
    prefixes: Sequence[bytes],
    origin: str = "IGP",
    communities: Iterable[tuple[int, int]] = (),
) -> bytes:
    """Encode the body of an UPDATE that announces prefixes.

    Parameters
    ----------
    path : sequence of int
        AS path, nearest first.
    next_hops : sequence of str
        One address; for IPv6 also the link-local one.
    prefixes : sequence of bytes
        Results of `encode_prefix`, all of the next hop's family.
    origin : str
        ``IGP``, ``EGP`` or ``INCOMPLETE``.
    communities : iterable of (int, int)
        16 bits each.
    """
    attributes = _attribute(0x40, 1, bytes((_ORIGINS[origin],)))
    segments = b""
    for start in range(0, len(path), 255):
        hops = path[start : start + 255]
        segments += struct.pack(f">BB{len(hops)}I", 2, len(hops), *hops)
    attributes += _attribute(0x40, 2, segments)
    six = ":" in next_hops[0]
    if not six:
        attributes += _attribute(0x40, 3, inet_pton(AF_INET, next_hops[0]))
    packed = b"".join(struct.pack(">HH", *pair) for pair in communities)
    if packed:
        attributes += _attribute(0xC0, 8, packed)
    nlri = b"".join(prefixes)
    if six:
        hops6 = b"".join(inet_pton(AF_INET6, hop) for hop in next_hops)
        reach = struct.pack(">HBB", 2, 1, len(hops6)) + hops6 + b"\0" + nlri
        attributes += _attribute(0x80, 14, reach)
        nlri = b""
    return struct.pack(">HH", 0, len(attributes)) + attributes + nlri


def withdrawal(prefixes: Sequence[bytes], family: int) -> bytes:
    """Encode the body of an UPDATE that withdraws prefixes of one family (4 or 6)."""
    gone = b"".join(prefixes)
    if family == 4:
        return struct.pack(">H", len(gone)) + gone + b"\0\0"
    attributes = _attribute(0x80, 15, struct.pack(">HB", 2, 1) + gone)
    return struct.pack(">HH", 0, len(attributes)) + attributes


def message_record(at_ms: int, peer: str, peer_asn: int, body: bytes, kind: int = 2) -> bytes:
    """Encode an MRT record of one BGP message (``kind`` 2 is UPDATE, 4 KEEPALIVE).

    Raises
    ------
    ValueError
        The body is longer than a BGP message allows.
    """
    if len(body) > _MAX_BODY:
        raise ValueError(f"BGP message: expected at most 4096 B, found {len(body) + 19} B")
    bgp = _MARKER + struct.pack(">HB", len(body) + 19, kind) + body
    return _record(at_ms, _MESSAGE_AS4, peer, peer_asn, bgp)


def state_record(at_ms: int, peer: str, peer_asn: int, state: str) -> bytes:
    """Encode an MRT record of a session that changes to ``down``, ``connected`` or ``up``."""
    return _record(at_ms, _STATE_CHANGE_AS4, peer, peer_asn, struct.pack(">HH", *_STATES[state]))


def _record(at_ms: int, subtype: int, peer: str, peer_asn: int, rest: bytes) -> bytes:
    packed = ip_address(peer).packed
    family = 1 if len(packed) == 4 else 2
    body = struct.pack(">IIHH", peer_asn, 12654, 0, family) + packed + bytes(len(packed)) + rest
    head = struct.pack(">IHHII", at_ms // 1000, _BGP4MP_ET, subtype, len(body) + 4, at_ms % 1000 * 1000)
    return head + body


def _attribute(flags: int, code: int, value: bytes) -> bytes:
    if len(value) > 255:
        return struct.pack(">BBH", flags | 0x10, code, len(value)) + value
    return bytes((flags, code, len(value))) + value
