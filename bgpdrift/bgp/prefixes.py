"""A prefix as one 64-bit number, and back: the key of every routing table and array.

Decides the layout of the key, what is the canonical form of a prefix and which prefixes are bogons. Who keeps which
keys, and how many, is left to the callers. Text is read by ``inet_pton`` (0.4 µs; ``ipaddress`` takes 25 µs).

Layout, from the highest bit (never 0 and never 2**64 - 1, so that both are free as sentinels):

====== ================================================================== ==========
bits   IPv4                                                               value
====== ================================================================== ==========
2      tag ``01``                                                         invertible
24     zero
32 + 6 network, length
====== ================================================================== ==========

IPv6 up to /56: tag ``10``, the first 56 bits of the network, 6 bits of length; invertible. IPv6 longer than /56 (some
hundreds of routes among 200,000): tag ``11``, 54 bits of BLAKE2b over network and length, 1 bit "bogon", 7 bits
``length - 57``; not invertible, but equal prefixes still have equal keys.
"""

import hashlib
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

import numpy as np
import numpy.typing as npt

NO_KEY = 0
"""What `PrefixKeys` gives for text that is not a prefix; no prefix has it."""

KeyArray = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]

_LONGEST_TEXT = 64  # the longest prefix text has 49 characters; beyond this nothing is parsed or remembered
_LENGTH = {str(length): length for length in range(129)}
_IPV4, _IPV6, _HASHED = 1 << 62, 2 << 62, 3 << 62
_EXACT_IPV6 = 56  # longest IPv6 prefix that fits
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
"""Prefixes that have no place in the global table: IANA's IPv4 special-purpose registry (RFC 6890) and multicast."""

_BOGONS_IPV6 = (
    "2001:2::/48",  # benchmarking, RFC 5180
    "2001:10::/28",  # ORCHID, RFC 4843
    "2001:db8::/32",  # documentation, RFC 3849
    "3fff::/20",  # documentation, RFC 9637
)
"""The same for IPv6 (RFC 6890), inside 2000::/3; whatever is not inside 2000::/3 (RFC 4291) is a bogon as well."""


def _parse(text: str) -> tuple[int, int, bool] | None:
    """Network as a number without host bits, length, whether IPv6; ``None`` if it is no prefix."""
    address, _, tail = text.rpartition("/")
    length = _LENGTH.get(tail)
    if length is None or len(text) > _LONGEST_TEXT:
        return None
    try:
        if ":" in address:
            return int.from_bytes(inet_pton(AF_INET6, address)) & _MASK6[length], length, True
        if length > 32:
            return None
        return int.from_bytes(inet_pton(AF_INET, address)) & _MASK4[length], length, False
    except (OSError, ValueError):  # ValueError: a NUL or a lone surrogate inside
        return None


def prefix_key(text: str) -> int | None:
    """Turn a prefix into its key; host bits are dropped, every spelling of a prefix has the same key.

    Parameters
    ----------
    text : str
        ``192.0.2.0/24`` or ``2001:db8::/32``, compressed or written out.

    Returns
    -------
    int or None
        0 < key < 2**64 - 1, or ``None`` if ``text`` is not a prefix (the ``eor`` of RIS Live is not).

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
    if length <= _EXACT_IPV6:
        return _IPV6 | network >> 72 << 6 | length
    digest = hashlib.blake2b(network.to_bytes(16) + bytes((length,)), digest_size=8).digest()
    bogon = _is_bogon_ipv6(network >> 72)
    return _HASHED | int.from_bytes(digest) >> 10 << 8 | bogon << 7 | length - 57


def canonical_prefix(text: str) -> str | None:
    """Spell a prefix as RFC 5952 does, without host bits; ``None`` if it is no prefix.

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
    """Turn a key back into the prefix; ``None`` for IPv6 longer than /56, which a key does not hold.

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


def key_length(key: int) -> int:
    """Length of the prefix behind a key, in bits.

    Examples
    --------
    >>> key_length(prefix_key("10.0.0.0/8")), key_length(prefix_key("2001:db8::1/128"))
    (8, 128)
    """
    return (key & 127) + 57 if key >> 62 == 3 else key & 63


def is_ipv6(key: int) -> bool:
    """Whether the prefix behind a key is IPv6."""
    return key >= _IPV6


_U = np.uint64
_TAG, _SIX, _LOW6, _LOW7 = _U(62), _U(6), _U(63), _U(127)
_NETWORK4, _NETWORK6 = _U(0xFFFFFFFF), _U((1 << 56) - 1)


def lengths(keys: KeyArray) -> npt.NDArray[np.uint8]:
    """Prefix length of each key, in bits."""
    long = (keys & _LOW7) + _U(57)
    return np.where(keys >> _TAG == _U(3), long, keys & _LOW6).astype(np.uint8)


def is_ipv6_array(keys: KeyArray) -> BoolArray:
    """Whether each key is an IPv6 prefix."""
    return keys >= _U(_IPV6)


def covering(keys: KeyArray, length: int) -> KeyArray:
    """Key of the network of ``length`` bits that covers each prefix.

    Returns
    -------
    ndarray of uint64
        A prefix of exactly ``length`` covers itself. `NO_KEY` where there is none: the prefix is shorter, or
        its family has no such length, or it is an IPv6 prefix longer than /56.

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
    if 0 <= length <= _EXACT_IPV6:
        mask = _U((_MASK6[length] >> 72) << 6)
        covered = np.where((tag == _U(2)) & (own >= _U(length)), keys & mask | _U(_IPV6 | length), covered)
    return covered


def _ranges(prefixes: tuple[str, ...], width: int) -> tuple[KeyArray, KeyArray]:
    """First and last network of each prefix, as numbers of ``width`` bits, sorted."""
    first, last = [], []
    for text in prefixes:
        network, length, ipv6 = _parse(text) or (0, 0, False)
        start = network >> (128 - width) if ipv6 else network
        first.append(start)
        last.append(start | (1 << (width - length)) - 1)
    return np.array(sorted(first), dtype=np.uint64), np.array(sorted(last), dtype=np.uint64)


_FIRST4, _LAST4 = _ranges(_BOGONS_IPV4, 32)
_FIRST6, _LAST6 = _ranges(_BOGONS_IPV6, _EXACT_IPV6)
_UNICAST6 = (0x20 << 48, (0x40 << 48) - 1)  # 2000::/3 in 56 bits
_RANGES6 = tuple(zip(_FIRST6.tolist(), _LAST6.tolist(), strict=True))


def _is_bogon_ipv6(network: int) -> bool:
    """Whether a prefix longer than /56, given by its first 56 bits, is a bogon."""
    if not _UNICAST6[0] <= network <= _UNICAST6[1]:
        return True
    return any(first <= network <= last for first, last in _RANGES6)


def _inside(first: KeyArray, last: KeyArray, low: KeyArray, high: KeyArray) -> BoolArray:
    """Whether each range low…high lies inside one of the ranges first…last (disjoint, sorted)."""
    at = np.searchsorted(first, low, side="right")
    ends = np.concatenate((np.zeros(1, dtype=np.uint64), last))[at]
    return (at > 0) & (high <= ends)


def bogon_array(keys: KeyArray) -> BoolArray:
    """Whether each prefix is one that nobody should announce to the world.

    Bogons are prefixes inside a special-purpose range (RFC 6890 and those it lists; see the tables above), IPv6
    outside 2000::/3, and the default routes. A prefix that merely contains such a range is not one.

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
    host6 = (_U(1) << (_U(_EXACT_IPV6) - np.minimum(own, _U(_EXACT_IPV6)))) - _U(1)
    high6 = low6 | host6
    ipv6 = _inside(_FIRST6, _LAST6, low6, high6) | (low6 < _U(_UNICAST6[0])) | (high6 > _U(_UNICAST6[1]))
    hashed = (keys >> _U(7) & _U(1)).astype(np.bool_)
    bogon: BoolArray = np.select([tag == _U(1), tag == _U(2), tag == _U(3)], [ipv4, ipv6, hashed], default=False)
    return bogon


class PrefixKeys:
    """Text of a prefix → key, remembered: most prefixes of a minute were heard in the minute before.

    Two generations bound the memory: when the recent one holds ``capacity`` prefixes it becomes the older one, and
    what was in the older one and not asked for since is forgotten.

    Attributes
    ----------
    recent : dict
        The recent generation, always the same object: a hot loop may bind ``recent.get`` once and call
        `lookup` only where that gives ``None``.

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
        """Key of a prefix, or `NO_KEY` if it is none."""
        key = self.recent.get(text)
        if key is not None:
            return key
        key = self._older.get(text)
        if key is None:
            key = prefix_key(text) or NO_KEY
            if len(text) > _LONGEST_TEXT:
                return key
        if len(self.recent) >= self._capacity:
            self._older = self.recent.copy()
            self.recent.clear()
        self.recent[text] = key
        return key
