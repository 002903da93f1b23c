"""Builds MRT files byte by byte, with code that is independent of the reader."""

import ipaddress
import struct
from types import SimpleNamespace

import pytest

MARKER = b"\xff" * 16


def prefix(text, path_id=None):
    net = ipaddress.ip_network(text)
    head = b"" if path_id is None else struct.pack(">I", path_id)
    return head + bytes([net.prefixlen]) + net.network_address.packed[: (net.prefixlen + 7) // 8]


def prefixes(*texts, path_id=None):
    return b"".join(prefix(text, path_id) for text in texts)


def attribute(kind, value, flags=0x40):
    if len(value) > 255:
        return struct.pack(">BBH", flags | 0x10, kind, len(value)) + value
    return struct.pack(">BBB", flags, kind, len(value)) + value


def segment(kind, *asns, width=4):
    return bytes([kind, len(asns)]) + b"".join(asn.to_bytes(width, "big") for asn in asns)


def path(*asns, width=4):
    return attribute(2, segment(2, *asns, width=width))


def reach(next_hop, nlri, afi=2, safi=1):
    return attribute(14, struct.pack(">HBB", afi, safi, len(next_hop)) + next_hop + b"\0" + nlri, 0x80)


def unreach(nlri, afi=2, safi=1):
    return attribute(15, struct.pack(">HB", afi, safi) + nlri, 0x80)


def address(text):
    return ipaddress.ip_address(text).packed


def bgp(kind, content=b""):
    return MARKER + struct.pack(">HB", 19 + len(content), kind) + content


def update(nlri=b"", attributes=b"", withdrawn=b""):
    return bgp(
        2, struct.pack(">H", len(withdrawn)) + withdrawn + struct.pack(">H", len(attributes)) + attributes + nlri
    )


def record(body, kind=16, subtype=4, timestamp=1_000_000_000):
    return struct.pack(">IHHI", timestamp, kind, subtype, len(body)) + body


def bgp4mp(content, subtype=4, peer="192.0.2.1", asn=64500, kind=16, timestamp=1_000_000_000, micro=None):
    width = "I" if subtype in (4, 5, 7, 9, 11) else "H"
    ip = address(peer)
    head = struct.pack(f">{width}{width}HH", asn, 64999, 0, 1 if len(ip) == 4 else 2) + ip + bytes(len(ip))
    extra = b"" if micro is None else struct.pack(">I", micro)
    return record(extra + head + content, kind if micro is None else 17, subtype, timestamp)


def announce(*texts, asns=(64500, 64501), next_hop="192.0.2.1", **options):
    attributes = attribute(1, b"\0") + path(*asns) + attribute(3, address(next_hop))
    return bgp4mp(update(prefixes(*texts), attributes), **options)


def peer_index(*peers):
    body = bytes(4) + struct.pack(">HH", 0, len(peers))
    for ip, asn in peers:
        packed = address(ip)
        kind = (1 if len(packed) == 16 else 0) | (2 if asn > 65_535 else 0)
        body += bytes([kind]) + bytes(4) + packed + asn.to_bytes(4 if kind & 2 else 2, "big")
    return record(body, 13, 1)


def rib(text, entries, subtype=2):
    """Entries: (peer index, attributes) or (peer index, path id, attributes)."""
    body = bytes(4) + prefix(text) + struct.pack(">H", len(entries))
    for index, *path_id, attributes in entries:
        body += struct.pack(">HI", index, 0) + b"".join(struct.pack(">I", i) for i in path_id)
        body += struct.pack(">H", len(attributes)) + attributes
    return record(body, 13, subtype)


@pytest.fixture(scope="session")
def mrt():
    """Builders of MRT, from a prefix up to a record."""
    return SimpleNamespace(
        prefix=prefix,
        prefixes=prefixes,
        attribute=attribute,
        segment=segment,
        path=path,
        reach=reach,
        unreach=unreach,
        address=address,
        bgp=bgp,
        update=update,
        record=record,
        bgp4mp=bgp4mp,
        announce=announce,
        peer_index=peer_index,
        rib=rib,
    )
