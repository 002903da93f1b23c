"""Parses BGP path attributes and prefix lists (RFC 4271, 4760, 6793, 7911).

This module decides which attributes become part of a message. Attribute blocks and prefixes repeat, so that both are cached; a
cache is emptied when it reaches its limit.
"""

import struct
from collections import Counter
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Any

import msgspec

from bgpdrift.bgp.messages import Announcement, AsPath
from bgpdrift.bgp.nlri import PATH_ID_BYTES, count_routes, has_path_ids, is_implausible
from bgpdrift.bgp.problems import KindCounts

IPV4, IPV6 = 1, 2
# Unicast, multicast, both (RFC 4760; 3 is from its predecessor). Multicast prefixes are read like unicast ones, as in bgpdump
# and other readers: the few peers that send them announce the same networks.
_SAFIS = (1, 2, 3)
_ORIGINS = {0: "IGP", 1: "EGP", 2: "INCOMPLETE"}
_AS_SET, _AS_SEQUENCE, _CONFED_SEQUENCE, _CONFED_SET = 1, 2, 3, 4
_AS_TRANS = 23_456
(_ORIGIN, _AS_PATH, _NEXT_HOP, _MED, _AGGREGATOR, _COMMUNITY) = (1, 2, 3, 4, 7, 8)
(_MP_REACH, _MP_UNREACH, _AS4_PATH, _AS4_AGGREGATOR) = (14, 15, 17, 18)

_DEFAULTS = ("0.0.0.0/0", "::/0")
_ADD_PATH_NOTE = "read as add-path, which the record does not state"
_AS_WIDTH_NOTE = "with AS numbers of another width than the record states, read by the width that fits"

_MAX_CACHED_PREFIXES = 400_000
_MAX_CACHED_BLOCK_BYTES = 16_000_000
_BLOCK_OVERHEAD_BYTES = 400


class MalformedError(Exception):
    """The content of a record does not fit its lengths; the message is one of a few texts, which are counted."""


class Attributes(msgspec.Struct, gc=False):
    """The attributes of one update. Messages share them; they must not be changed.

    ``session`` are the fields of an OPEN or NOTIFICATION message, ``partial`` is why only a part could be read, ``notes`` are
    deviations from what the record states, ``passed_over`` are families and numbers of routes that are not read.
    """

    path: AsPath = ()
    origin: str = ""
    next_hop: str = ""
    med: int | None = None
    aggregator: str | None = None
    communities: tuple[str, ...] = ()
    announced: tuple[Announcement, ...] = ()
    withdrawn: tuple[str, ...] = ()
    aggregator_asn: int | None = None
    session: dict[str, Any] = {}
    partial: str = ""
    notes: tuple[str, ...] = ()
    passed_over: tuple[tuple[str, int], ...] = ()


class AttributeReader:
    """Reads the attribute blocks and prefix lists of one file, with a cache for both.

    Attributes
    ----------
    skipped : Counter
        Routes of unsupported address families, by ``AFI/SAFI``.
    partial : str
        Why the last record could be read only in part; the reader of the file clears it.
    notes : list of str
        How the last record deviates from what it states; the reader of the file clears it.
    """

    def __init__(self, skipped: Counter[str] | None = None) -> None:
        self.skipped: Counter[str] = KindCounts() if skipped is None else skipped
        self.partial = ""
        self.notes: list[str] = []
        self._prefixes: tuple[dict[bytes, str], dict[bytes, str]] = ({}, {})
        self._blocks: dict[tuple[bytes, bool, bool, bool], Attributes] = {}
        self._block_bytes = 0

    def read_prefixes(self, data: bytes, at: int, end: int, ipv6: bool, add_path: bool) -> list[str]:
        """Read a list of prefixes; path identifiers (RFC 7911) are skipped, also where the record does not state them.

        Raises
        ------
        MalformedError
            No prefix can be read. If some can, `partial` names the reason.
        """
        cache = self._prefixes[ipv6]
        prefixes: list[str] = []
        default = _DEFAULTS[ipv6]
        start = at
        try:
            while at < end:
                if add_path:
                    at += PATH_ID_BYTES
                    if at >= end:
                        raise MalformedError("prefix is truncated")
                after = at + 1 + ((data[at] + 7) >> 3)
                if after > end:
                    raise MalformedError("prefix is truncated")
                raw = data[at:after]
                text = cache.get(raw)
                if text is None:
                    text = self._new_prefix(raw, ipv6)
                prefixes.append(text)
                at = after
        except MalformedError as error:
            lengths = [*map(_length_of, prefixes), data[at] if at < end else 0]
            is_suspect = not add_path and is_implausible(lengths, 128 if ipv6 else 32)
            if is_suspect and has_path_ids(data, start, end, ipv6):
                self.notes.append(_ADD_PATH_NOTE)
                return self.read_prefixes(data, start, end, ipv6, add_path=True)
            if not prefixes:
                raise
            self.partial = str(error)
        if not add_path and len(prefixes) > 1 and default in prefixes:
            return self._check_defaults(data, start, end, ipv6, prefixes)
        return prefixes

    def _check_defaults(self, data: bytes, start: int, end: int, ipv6: bool, prefixes: list[str]) -> list[str]:
        """Return the prefixes of a list with a default route among others, which may be path identifiers."""
        if not is_implausible([*map(_length_of, prefixes)], 128 if ipv6 else 32):
            return prefixes
        if not has_path_ids(data, start, end, ipv6):
            raise MalformedError("prefixes look like those of add-path, and cannot be read as such")
        self.notes.append(_ADD_PATH_NOTE)
        return self.read_prefixes(data, start, end, ipv6, add_path=True)

    def _new_prefix(self, raw: bytes, ipv6: bool) -> str:
        length, width = raw[0], 128 if ipv6 else 32
        if length > width:
            raise MalformedError("prefix is longer than an address")
        # Bits after the length have no meaning (RFC 4271, 4.3), and routers set them differently.
        network = int.from_bytes(raw[1:].ljust(width // 8, b"\0")) >> (width - length) << (width - length)
        text = f"{inet_ntop(AF_INET6 if ipv6 else AF_INET, network.to_bytes(width // 8))}/{length}"
        cache = self._prefixes[ipv6]
        if len(cache) >= _MAX_CACHED_PREFIXES:
            cache.clear()
        cache[raw] = text
        return text

    def read_attributes(self, block: bytes, as4: bool, add_path: bool = False, is_table: bool = False) -> Attributes:
        """Read the attributes of an update.

        Parameters
        ----------
        block : bytes
            Attributes without their total length.
        as4 : bool
            AS numbers have four bytes.
        add_path : bool
            Prefixes have path identifiers.
        is_table : bool
            The block belongs to a table dump, which may abbreviate MP_REACH_NLRI.

        Raises
        ------
        MalformedError
            The lengths do not fit.
        """
        key = (block, as4, add_path, is_table)
        attributes = self._blocks.get(key)
        if attributes is None:
            attributes = self._parse(block, as4, add_path, is_table)
            self._block_bytes += len(block) + _BLOCK_OVERHEAD_BYTES
            if self._block_bytes > _MAX_CACHED_BLOCK_BYTES:
                self._blocks.clear()
                self._block_bytes = len(block)
            self._blocks[key] = attributes
        if attributes.partial:
            self.partial = attributes.partial
        if attributes.notes:
            self.notes += attributes.notes
        if attributes.passed_over:
            for family, routes in attributes.passed_over:
                self.skipped[family] += routes
        return attributes

    def _parse(self, block: bytes, as4: bool, add_path: bool, is_table: bool) -> Attributes:
        """Parse a block; what concerns its quality is stored in the result, because the result is cached."""
        partial, notes = self.partial, self.notes
        self.partial, self.notes = "", []
        try:
            result = self._parse_fields(block, as4, add_path, is_table)
            result.partial, result.notes = self.partial, tuple(dict.fromkeys(self.notes))
        finally:
            self.partial, self.notes = partial, notes
        return result

    def _parse_fields(self, block: bytes, as4: bool, add_path: bool, is_table: bool) -> Attributes:
        result = Attributes()
        path: list[tuple[int, tuple[int, ...]]] = []
        path4: list[tuple[int, tuple[int, ...]]] | None = None
        aggregator4 = b""
        at, end = 0, len(block)
        while at < end:
            if at + 3 > end:
                raise MalformedError("attribute is truncated")
            flags, kind, length = block[at], block[at + 1], block[at + 2]
            at += 3
            if flags & 0x10:
                if at >= end:
                    raise MalformedError("attribute is truncated")
                length = length << 8 | block[at]
                at += 1
            after = at + length
            if after > end:
                raise MalformedError("attribute is truncated")
            if kind == _AS_PATH:
                path = self._read_path(block[at:after], as4)
            elif kind == _ORIGIN:
                result.origin = _ORIGINS.get(block[at], "") if length else ""
            elif kind == _NEXT_HOP:
                result.next_hop = format_address(block[at:after])
            elif kind == _MED and length == 4:
                result.med = int.from_bytes(block[at:after])
            elif kind == _COMMUNITY and length % 4 == 0:
                numbers = struct.unpack_from(f">{length // 2}H", block, at)
                result.communities = tuple(f"{a}:{v}" for a, v in zip(numbers[::2], numbers[1::2], strict=True))
            elif kind == _MP_REACH:
                self._reach(result, block[at:after], add_path, is_table)
            elif kind == _MP_UNREACH:
                self._unreach(result, block[at:after], add_path)
            elif kind == _AGGREGATOR:
                _set_aggregator(result, block[at:after])
            elif kind == _AS4_PATH and not as4:
                path4 = parse_segments(block[at:after], True)
            elif kind == _AS4_AGGREGATOR and not as4:
                aggregator4 = block[at:after]
            at = after
        if aggregator4 and result.aggregator_asn == _AS_TRANS:
            _set_aggregator(result, aggregator4)
        elif aggregator4 and result.aggregator_asn is not None:
            path4 = None  # a two-byte speaker has aggregated since, which makes both invalid (RFC 6793, 4.2.3)
        if path4 is not None:
            path = merge_as4_path(path, path4)
        result.path = flatten_segments(path)
        return result

    def _read_path(self, value: bytes, as4: bool) -> list[tuple[int, tuple[int, ...]]]:
        """Parse an AS path, with the other width of AS numbers if only that one fits."""
        try:
            return parse_segments(value, as4)
        except MalformedError:
            try:
                path = parse_segments(value, not as4)
            except MalformedError:
                path = []
            if not path:
                raise
            self.notes.append(_AS_WIDTH_NOTE)
            return path

    def _reach(self, result: Attributes, value: bytes, add_path: bool, is_table: bool) -> None:
        # TABLE_DUMP_V2 abbreviates to the next hop and its length (RFC 6396, 4.3.4), but some writers do not.
        if is_table and value and value[0] and len(value) == 1 + value[0]:
            result.next_hop = format_address(value[1:])
            return
        if len(value) < 5:
            raise MalformedError("MP_REACH_NLRI is truncated")
        afi, safi, at = value[0] << 8 | value[1], value[2], 4 + value[3]
        if at >= len(value):
            raise MalformedError("MP_REACH_NLRI is truncated")
        if safi not in _SAFIS or afi not in (IPV4, IPV6):
            _pass_over(result, afi, safi, value[at + 1 :])
            return
        next_hop = format_address(value[4:at])
        routes = self.read_prefixes(value, at + 1, len(value), afi == IPV6, add_path)
        if routes:
            result.announced += (Announcement(next_hop, routes),)
        elif not result.next_hop:
            result.next_hop = next_hop  # a table dump without the abbreviation

    def _unreach(self, result: Attributes, value: bytes, add_path: bool) -> None:
        if len(value) < 3:
            raise MalformedError("MP_UNREACH_NLRI is truncated")
        afi, safi = value[0] << 8 | value[1], value[2]
        if safi not in _SAFIS or afi not in (IPV4, IPV6):
            _pass_over(result, afi, safi, value[3:])
            return
        result.withdrawn += tuple(self.read_prefixes(value, 3, len(value), afi == IPV6, add_path))


def _length_of(prefix: str) -> int:
    return int(prefix.rpartition("/")[2])


def _pass_over(result: Attributes, afi: int, safi: int, routes: bytes) -> None:
    if routes:
        result.passed_over += ((f"AFI/SAFI {afi}/{safi}", count_routes(afi, safi, routes)),)


def format_address(raw: bytes) -> str:
    """Format an address: of a global and link-local pair the global one; empty if the length fits none.

    Examples
    --------
    >>> format_address(bytes([192, 0, 2, 1]))
    '192.0.2.1'
    """
    if len(raw) == 4:
        return inet_ntop(AF_INET, raw)
    if len(raw) in (16, 32):
        return inet_ntop(AF_INET6, raw[:16])
    return ""


def parse_segments(value: bytes, as4: bool) -> list[tuple[int, tuple[int, ...]]]:
    """Parse the segments of an AS path: kind and AS numbers."""
    segments = []
    at, end, width, letter = 0, len(value), 4 if as4 else 2, "I" if as4 else "H"
    while at < end:
        if at + 2 > end:
            raise MalformedError("AS path is truncated")
        kind, count = value[at], value[at + 1]
        at += 2
        if at + count * width > end or not _AS_SET <= kind <= _CONFED_SET:
            raise MalformedError("AS path is truncated")
        segments.append((kind, struct.unpack_from(f">{count}{letter}", value, at)))
        at += count * width
    return segments


def flatten_segments(path: list[tuple[int, tuple[int, ...]]]) -> AsPath:
    """Convert segments into hops: a sequence gives its members, a set is one hop.

    Examples
    --------
    >>> flatten_segments([(2, (174, 3356)), (1, (64496, 64497))])
    (174, 3356, (64496, 64497))
    """
    if len(path) == 1 and path[0][0] == _AS_SEQUENCE:
        return path[0][1]
    flat: list[int | tuple[int, ...]] = []
    for kind, numbers in path:
        if kind in (_AS_SEQUENCE, _CONFED_SEQUENCE):
            flat.extend(numbers)
        elif numbers:
            flat.append(numbers)
    return tuple(flat)


def merge_as4_path(
    path: list[tuple[int, tuple[int, ...]]], path4: list[tuple[int, tuple[int, ...]]]
) -> list[tuple[int, tuple[int, ...]]]:
    """Append AS4_PATH to the hops that two-byte speakers have prepended since (RFC 6793, 4.2.3).

    Examples
    --------
    >>> merge_as4_path([(2, (3257, 23456, 23456))], [(2, (196_615, 196_608))])
    [(2, (3257,)), (2, (196615, 196608))]
    """
    path4 = [segment for segment in path4 if segment[0] in (_AS_SET, _AS_SEQUENCE)]
    keep = _path_length(path) - _path_length(path4)
    if keep < 0:
        return path
    merged: list[tuple[int, tuple[int, ...]]] = []
    for kind, numbers in path:
        if kind in (_CONFED_SEQUENCE, _CONFED_SET):
            if keep > 0 or not merged:
                merged.append((kind, numbers))
        elif keep > 0:
            taken = numbers[:keep] if kind == _AS_SEQUENCE else numbers
            keep -= len(taken) if kind == _AS_SEQUENCE else 1
            merged.append((kind, taken))
    return merged + path4


def _path_length(path: list[tuple[int, tuple[int, ...]]]) -> int:
    """Length of a path by RFC 4271, 9.1.2.2 and RFC 5065: a set counts 1, confederations count 0."""
    return sum(len(numbers) if kind == _AS_SEQUENCE else kind == _AS_SET for kind, numbers in path)


def _set_aggregator(result: Attributes, value: bytes) -> None:
    if len(value) in (6, 8):
        result.aggregator_asn = int.from_bytes(value[:-4])
        result.aggregator = f"{result.aggregator_asn}:{format_address(value[-4:])}"
