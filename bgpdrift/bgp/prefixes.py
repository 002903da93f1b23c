"""Encodes a prefix as one 64-bit number and back: the key of every routing table and array.

This module decides the layout of the key, the canonical form of a prefix, and which prefixes are bogons. ``inet_pton`` parses
the text (0.4 µs; ``ipaddress`` needs 25 µs).

Layout, from the highest bit. A key is never 0 and never 2**64 - 1, so that both can serve as sentinels.

====== ================================================================== ==========
bits   IPv4                                                               value
====== ================================================================== ==========
2      tag ``01``                                                         invertible
24     zero
32 + 6 network, length
====== ================================================================== ==========

IPv6 up to /56: tag ``10``, the first 56 bits of the network, 6 bits of length; invertible. IPv6 longer than /56 (some hundreds
of routes in 200,000): tag ``11``, 54 bits of BLAKE2b over network and length, 1 bit "bogon", 7 bits ``length - 57``; not
invertible, but equal prefixes have equal keys.
"""

import hashlib
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

import numpy as np
import numpy.typing as npt

NO_KEY = 0
"""Result of `PrefixKeys.lookup` for text that is not a prefix; no prefix has this key."""

KeyArray = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]

_MAX_TEXT = 64  # the longest prefix text has 49 characters; longer text is neither parsed nor cached
_LENGTH = {str(length): length for length in range(129)}
_IPV4, _IPV6, _HASHED = 1 << 62, 2 << 62, 3 << 62
_MAX_EXACT_IPV6 = 56  # longest IPv6 prefix whose network fits into the key
_MASK4 = tuple((0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF for length in range(33))
_MASK6 = tuple(((1 << 128) - 1) >> (128 - length) << (128 - length) for length in range(129))

_BOGONS_IPV4 = (
    "0.0.0.0/8",  # this network, RFC 791
    "10.0.0.0/8",  # private, RFC 1918
    "100.64.0.0/10",  # shared address space, RFC 6598
    "127.0.0.0/8",  # loopback, RFC 1122
    "169.254.0.0/16",  # link local, RFC 3927
    "172.16.0.0/12",  # private, RFC 1918
    "192.0.0.0/24",  # IETF protocol assignments, RFC 6890
    "192.0.2.0/24",  # documentation, RFC 5737
    "192.168.0.0/16",  # private, RFC 1918
    "198.18.0.0/15",  # benchmarking, RFC 2544
    "198.51.100.0/24",  # documentation, RFC 5737
    "203.0.113.0/24",  # documentation, RFC 5737
    "224.0.0.0/4",  # multicast, RFC 5771
    "240.0.0.0/4",  # reserved and broadcast, RFC 1112
)
"""Prefixes that must not occur in the global table: the IPv4 special-purpose registry of IANA (RFC 6890) and multicast."""

_BOGONS_IPV6 = (
    "2001:2::/48",  # benchmarking, RFC 5180
    "2001:10::/28",  # ORCHID, RFC 4843
    "2001:db8::/32",  # documentation, RFC 3849
    "3fff::/20",  # documentation, RFC 9637
)
"""The same for IPv6 (RFC 6890) inside 2000::/3; everything outside 2000::/3 (RFC 4291) is a bogon too."""


def _parse(text: str) -> tuple[int, int, bool] | None:
    """Return the network as a number without host bits, the length, and whether it is IPv6; None if it is no prefix."""
    address, _, tail = text.rpartition("/")
    length = _LENGTH.get(tail)
    if length is None or len(text) > _MAX_TEXT:
        return None
    try:
        if ":" in address:
            return int.from_bytes(inet_pton(AF_INET6, address)) & _MASK6[length], length, True
        if length > 32:
            return None
        return int.from_bytes(inet_pton(AF_INET, address)) & _MASK4[length], length, False
    except (OSError, ValueError):  # ValueError: the text contains NUL or a lone surrogate
        return None


def prefix_key(text: str) -> int | None:
    """Return the key of a prefix. Host bits are dropped, and every spelling of a prefix has the same key.

    Parameters
    ----------
    text : str
        ``192.0.2.0/24`` or ``2001:db8::/32``, compressed or not.

    Returns
    -------
    int or None
        0 < key < 2**64 - 1; None if ``text`` is not a prefix, such as the ``eor`` of RIS Live.

    Examples
    --------
    >>> prefix_text(prefix_key("192.0.2.77/24"))
    '192.0.2.0/24'
    >>> prefix_key("2605:de00:bb:0:0:0:0:0/48") == prefix_key("2605:de00:bb::/48")
    True
    >>> prefix_key("eor") is None
    True
    """
    parsed = _parse(text)
    if parsed is None:
        return None
    network, length, ipv6 = parsed
    if not ipv6:
        return _IPV4 | network << 6 | length
    if length <= _MAX_EXACT_IPV6:
        return _IPV6 | network >> 72 << 6 | length
    digest = hashlib.blake2b(network.to_bytes(16) + bytes((length,)), digest_size=8).digest()
    bogon = _is_bogon_ipv6(network >> 72)
    return _HASHED | int.from_bytes(digest) >> 10 << 8 | bogon << 7 | length - 57


def canonical_prefix(text: str) -> str | None:
    """Write a prefix as in RFC 5952, without host bits; None if the text is no prefix.

    Examples
    --------
    >>> canonical_prefix("2605:de00:bb:0:0:0:0:0/48")
    '2605:de00:bb::/48'
    """
    parsed = _parse(text)
    if parsed is None:
        return None
    network, length, ipv6 = parsed
    if ipv6:
        return f"{inet_ntop(AF_INET6, network.to_bytes(16))}/{length}"
    return f"{inet_ntop(AF_INET, network.to_bytes(4))}/{length}"


def prefix_text(key: int) -> str | None:
    """Return the prefix of a key; None for IPv6 longer than /56, whose key is not invertible.

    Examples
    --------
    >>> prefix_text(prefix_key("2001:db8:0:ff00::/56"))
    '2001:db8:0:ff00::/56'
    >>> prefix_text(prefix_key("2001:db8::1/128")) is None
    True
    """
    tag, length = key >> 62, key & 63
    if tag == 1:
        return f"{inet_ntop(AF_INET, (key >> 6 & 0xFFFFFFFF).to_bytes(4))}/{length}"
    if tag == 2:
        return f"{inet_ntop(AF_INET6, ((key & _IPV4 - 1) >> 6 << 72).to_bytes(16))}/{length}"
    return None


def describe_prefix(key: int) -> str:
    """Return the prefix of a key for people, also if the key is not invertible.

    Examples
    --------
    >>> describe_prefix(prefix_key("192.0.2.0/24")), describe_prefix(prefix_key("2001:db8::1/128"))
    ('192.0.2.0/24', 'an IPv6 prefix longer than /56')
    """
    return prefix_text(key) or "an IPv6 prefix longer than /56"


_U = np.uint64
_TAG, _SIX, _LOW6, _LOW7 = _U(62), _U(6), _U(63), _U(127)
_NETWORK4, _NETWORK6 = _U(0xFFFFFFFF), _U((1 << 56) - 1)


def lengths(keys: KeyArray) -> npt.NDArray[np.uint8]:
    """Return the prefix length of each key, in bits."""
    long = (keys & _LOW7) + _U(57)
    return np.where(keys >> _TAG == _U(3), long, keys & _LOW6).astype(np.uint8)


def is_ipv6_array(keys: KeyArray) -> BoolArray:
    """Whether each key is an IPv6 prefix."""
    return keys >= _U(_IPV6)


def covering(keys: KeyArray, length: int) -> KeyArray:
    """Return the key of the network of ``length`` bits that covers each prefix.

    Returns
    -------
    ndarray of uint64
        A prefix of exactly ``length`` covers itself. `NO_KEY` if there is no such network: the prefix is shorter, its
        family has no such length, or it is an IPv6 prefix longer than /56.

    Examples
    --------
    >>> keys = np.array([prefix_key("10.1.2.0/24"), prefix_key("2001:db8::/32")], dtype=np.uint64)
    >>> [prefix_text(int(key)) for key in covering(keys, 16)]
    ['10.1.0.0/16', '2001::/16']
    """
    own, tag = keys & _LOW6, keys >> _TAG
    covered = np.zeros(keys.shape, dtype=np.uint64)
    if 0 <= length <= 32:
        mask = _U(_MASK4[length] << 6)
        covered = np.where((tag == _U(1)) & (own >= _U(length)), keys & mask | _U(_IPV4 | length), covered)
    if 0 <= length <= _MAX_EXACT_IPV6:
        mask = _U((_MASK6[length] >> 72) << 6)
        covered = np.where((tag == _U(2)) & (own >= _U(length)), keys & mask | _U(_IPV6 | length), covered)
    return covered


def _ranges(prefixes: tuple[str, ...], width: int) -> tuple[KeyArray, KeyArray]:
    """Return the first and last network of each prefix, as sorted numbers of ``width`` bits."""
    first, last = [], []
    for text in prefixes:
        network, length, ipv6 = _parse(text) or (0, 0, False)
        start = network >> (128 - width) if ipv6 else network
        first.append(start)
        last.append(start | (1 << (width - length)) - 1)
    return np.array(sorted(first), dtype=np.uint64), np.array(sorted(last), dtype=np.uint64)


_FIRST4, _LAST4 = _ranges(_BOGONS_IPV4, 32)
_FIRST6, _LAST6 = _ranges(_BOGONS_IPV6, _MAX_EXACT_IPV6)
_UNICAST6 = (0x20 << 48, (0x40 << 48) - 1)  # 2000::/3 in 56 bits
_RANGES6 = tuple(zip(_FIRST6.tolist(), _LAST6.tolist(), strict=True))


def _is_bogon_ipv6(network: int) -> bool:
    """Whether a prefix longer than /56, given by its first 56 bits, is a bogon."""
    if not _UNICAST6[0] <= network <= _UNICAST6[1]:
        return True
    return any(first <= network <= last for first, last in _RANGES6)


def _inside(first: KeyArray, last: KeyArray, low: KeyArray, high: KeyArray) -> BoolArray:
    """Whether each range low…high lies inside one of the ranges first…last, which are disjoint and sorted."""
    at = np.searchsorted(first, low, side="right")
    ends = np.concatenate((np.zeros(1, dtype=np.uint64), last))[at]
    return (at > 0) & (high <= ends)


def bogon_array(keys: KeyArray) -> BoolArray:
    """Whether each prefix must not be announced on the Internet.

    Bogons are prefixes inside a special-purpose range (RFC 6890, see the tables above), IPv6 prefixes outside 2000::/3, and
    the default routes. A prefix that only contains such a range is not a bogon.

    Examples
    --------
    >>> texts = ("10.1.0.0/16", "8.8.8.0/24", "0.0.0.0/0", "2001:db8::/48", "fe80::1/128", "2a00::/16")
    >>> bogon_array(np.array([prefix_key(text) for text in texts], dtype=np.uint64)).tolist()
    [True, False, True, True, True, False]
    """
    tag, own = keys >> _TAG, keys & _LOW6
    low4 = keys >> _SIX & _NETWORK4
    host4 = (_U(1) << (_U(32) - np.minimum(own, _U(32)))) - _U(1)
    ipv4 = _inside(_FIRST4, _LAST4, low4, low4 | host4) | (own == 0)
    low6 = keys >> _SIX & _NETWORK6
    host6 = (_U(1) << (_U(_MAX_EXACT_IPV6) - np.minimum(own, _U(_MAX_EXACT_IPV6)))) - _U(1)
    high6 = low6 | host6
    ipv6 = _inside(_FIRST6, _LAST6, low6, high6) | (low6 < _U(_UNICAST6[0])) | (high6 > _U(_UNICAST6[1]))
    hashed = (keys >> _U(7) & _U(1)).astype(np.bool_)
    bogon: BoolArray = np.select([tag == _U(1), tag == _U(2), tag == _U(3)], [ipv4, ipv6, hashed], default=False)
    return bogon


class PrefixKeys:
    """Cache from the text of a prefix to its key; most prefixes of a minute occurred in the minute before.

    Two generations bound the memory. When the recent one holds ``capacity`` prefixes, it becomes the older one, and the
    prefixes of the previous older one that were not used since are forgotten.

    Attributes
    ----------
    recent : dict
        The recent generation. The object never changes: a hot loop may bind ``recent.get`` once and call `lookup` only
        if it returns None.

    Examples
    --------
    >>> keys = PrefixKeys()
    >>> keys.lookup("192.0.2.0/24") == prefix_key("192.0.2.0/24"), keys.lookup("eor") == NO_KEY
    (True, True)
    """

    __slots__ = ("_capacity", "_older", "recent")

    def __init__(self, capacity: int = 500_000) -> None:
        self.recent: dict[str, int] = {}
        self._older: dict[str, int] = {}
        self._capacity = capacity

    def __len__(self) -> int:
        return len(self.recent) + len(self._older)

    def lookup(self, text: str) -> int:
        """Return the key of a prefix, or `NO_KEY` if the text is no prefix."""
        key = self.recent.get(text)
        if key is not None:
            return key
        key = self._older.get(text)
        if key is None:
            key = prefix_key(text) or NO_KEY
            if len(text) > _MAX_TEXT:
                return key
        if len(self.recent) >= self._capacity:
            self._older = self.recent.copy()
            self.recent.clear()
        self.recent[text] = key
        return key
