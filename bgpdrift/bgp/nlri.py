"""Decides what a list of prefixes in a BGP message means when its bytes do not fit, and counts routes that are not read.

A collector that negotiated path identifiers (RFC 7911) may store a message in a record that does not state it. Each entry then
begins with four bytes that look like prefixes of length 0 to 7, most often the default route. Other families are only counted.
"""

from collections.abc import Iterator

PATH_ID_BYTES = 4
_MIN_SPECIFIC_LENGTH = 8
"""Shorter prefixes, except one default route, are not announced on the Internet."""
_EVPN, _FLOWSPEC, _LINK_STATE = (25, 70), (133, 134), 16_388
_EXTENDED_FLOWSPEC = 0xF0


def list_lengths(data: bytes, at: int, end: int, add_path: bool) -> list[int] | None:
    """List the lengths of the prefixes in a list, in bits; None if the list does not end with a whole prefix."""
    lengths = []
    while at < end:
        if add_path:
            at += PATH_ID_BYTES
            if at >= end:
                return None
        lengths.append(data[at])
        at += 1 + ((data[at] + 7) >> 3)
    return lengths if at == end else None


def is_implausible(lengths: list[int], width: int) -> bool:
    """Whether prefixes of these lengths cannot come from one message.

    Examples
    --------
    >>> is_implausible([24, 0], 32), is_implausible([0, 0, 0, 1, 1, 0], 32), is_implausible([33], 32)
    (False, True, True)
    """
    defaults = lengths.count(0)
    if defaults > 1 or max(lengths, default=0) > width:
        return True
    return defaults == 1 and any(0 < length < _MIN_SPECIFIC_LENGTH for length in lengths)


def has_path_ids(data: bytes, at: int, end: int, ipv6: bool) -> bool:
    """Whether a list that is implausible without path identifiers is a whole and plausible one with them.

    Examples
    --------
    >>> has_path_ids(bytes.fromhex("00000001 18010000"), 0, 8, ipv6=False)
    True
    """
    width = 128 if ipv6 else 32
    lengths = list_lengths(data, at, end, add_path=True)
    if not lengths or max(lengths) > width:
        return False
    return all(length == 0 or length >= _MIN_SPECIFIC_LENGTH for length in lengths)


def count_routes(afi: int, safi: int, data: bytes) -> int:
    """Count the routes of a family that is not read; at least 1 if there are bytes, because some forms are unknown.

    Examples
    --------
    >>> count_routes(25, 70, bytes((2, 1, 9, 3, 0)))
    2
    """
    return sum(1 for _ in _routes(afi, safi, data)) or (1 if data else 0)


def _routes(afi: int, safi: int, data: bytes) -> Iterator[int]:
    """Yield the offset of each route, by the form in which a family states lengths."""
    at = 0
    while at < len(data):
        if afi == _LINK_STATE:  # type and length of two bytes each, RFC 9552
            after = at + 4 + int.from_bytes(data[at + 2 : at + 4])
        elif (afi, safi) == _EVPN:  # type and length of a byte each, RFC 7432
            after = at + 2 + int.from_bytes(data[at + 1 : at + 2])
        elif safi in _FLOWSPEC:  # length in bytes, of 12 bits from 240, RFC 8955
            extended = data[at] >= _EXTENDED_FLOWSPEC
            after = at + 1 + data[at]
            if extended:
                after = at + 2 + (int.from_bytes(data[at : at + 2]) & 0xFFF)
        else:  # length in bits: VPN, labelled unicast, multicast VPN and others
            after = at + 1 + ((data[at] + 7) >> 3)
        if after > len(data):
            return
        yield at
        at = after
