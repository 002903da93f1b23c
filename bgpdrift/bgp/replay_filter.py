"""Decides which messages a RIS Live subscription selects.

This module checks a subscription as the client sent it, and matches messages against it. Field names and meanings are those of
RIS Live. The server sends a message if any subscription of the socket matches.
"""

import functools
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from bgpdrift.bgp.messages import AsPath, Message, collector_name
from bgpdrift.errors import InputError

_PATH_PATTERN = re.compile(r"(?P<invert>!)?(?P<start>\^)?(?P<hops>[\d,\[\]]+)(?P<end>\$)?")
_HOP = re.compile(r"\[(\d+(?:,\d+)*)\]|(\d+)")
_STATE_TYPES = frozenset({"STATE", "RIS_PEER_STATE"})
_TYPES = frozenset({"UPDATE", "OPEN", "NOTIFICATION", "KEEPALIVE"}) | _STATE_TYPES

Network = tuple[int, int, int]
"""IP version, network address as a number, prefix length."""


class SocketOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Options of the whole socket; those of the latest subscription apply."""

    includeRaw: bool | None = False  # noqa: N815 - RIS Live's name
    acknowledge: bool | None = False


class SubscriptionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ``data`` of ``ris_subscribe`` and ``ris_unsubscribe``; null means that the field is absent."""

    host: str | None = None
    type: str | None = None
    require: str | None = None
    peer: str | None = None
    path: str | int | None = None
    prefix: str | list[str] | None = None
    moreSpecific: bool | None = True  # noqa: N815
    lessSpecific: bool | None = False  # noqa: N815
    socketOptions: SocketOptions | None = None  # noqa: N815


@dataclass(frozen=True, slots=True)
class PathPattern:
    """Consecutive hops anywhere in an AS path, at its start (``^``) or its end (``$``); ``!`` inverts the match."""

    hops: AsPath
    at_start: bool = False
    at_end: bool = False
    inverted: bool = False

    def matches(self, path: AsPath) -> bool:
        """Whether the path matches; AS_SETs are equal in any order."""
        return self._contains(tuple(_sort_hop(hop) for hop in path)) != self.inverted

    def _contains(self, path: AsPath) -> bool:
        length = len(self.hops)
        starts = range(len(path) - length + 1)
        if self.at_start:
            starts = starts[:1]
        if self.at_end:
            starts = range(max(starts.start, len(path) - length), starts.stop)
        return any(path[start : start + length] == self.hops for start in starts)


def parse_path(text: str) -> PathPattern:
    """Parse a path filter.

    Raises
    ------
    InputError
        The text is not of the form ``[!][^]ASN[,ASN…][$]`` with ``[ASN,ASN]`` for an AS_SET.

    Examples
    --------
    >>> parse_path("^123,[789,10111]$").matches((123, (10111, 789)))
    True
    >>> parse_path("!12654$").matches((3333, 12654))
    False
    """
    match = _PATH_PATTERN.fullmatch(text.replace(" ", ""))
    hops = match["hops"] if match else ""
    parsed = [_sort_hop(tuple(map(int, many.split(","))) if many else int(one)) for many, one in _HOP.findall(hops)]
    if match is None or _HOP.sub("x", hops) != ",".join("x" * len(parsed)):
        raise InputError(f"path: expected ASNs joined by commas, with ^, $, ! or [AS_SET], found {text!r}")
    return PathPattern(tuple(parsed), bool(match["start"]), bool(match["end"]), bool(match["invert"]))


def _sort_hop(hop: int | tuple[int, ...]) -> int | tuple[int, ...]:
    return hop if isinstance(hop, int) else tuple(sorted(hop))


@functools.lru_cache(maxsize=65_536)
def parse_network(text: str) -> Network:
    """Parse a prefix or an address.

    Raises
    ------
    ValueError
        The text is neither.
    """
    network = ipaddress.ip_network(text, strict=False)
    return network.version, int(network.network_address), network.prefixlen


def covers(outer: Network, inner: Network) -> bool:
    """Whether one network contains or equals the other.

    Examples
    --------
    >>> covers(parse_network("10.0.0.0/8"), parse_network("10.1.0.0/16"))
    True
    """
    shift = (32 if outer[0] == 4 else 128) - outer[2]
    return outer[0] == inner[0] and outer[2] <= inner[2] and outer[1] >> shift == inner[1] >> shift


@dataclass(frozen=True, slots=True)
class Subscription:
    """A valid subscription; ``ris_unsubscribe`` removes the subscription that equals its own."""

    host: str = ""
    type: str = ""
    require: str = ""
    peer: Network | None = None
    path: PathPattern | None = None
    prefixes: tuple[Network, ...] = ()
    more_specific: bool = True
    less_specific: bool = False

    @property
    def is_everything(self) -> bool:
        """Whether every message matches."""
        return not (self.host or self.type or self.require or self.peer or self.path or self.prefixes)

    def matches(self, message: Message) -> bool:
        """Whether the subscription selects a message."""
        return (
            (not self.host or collector_name(message.host) == self.host)
            and (not self.type or message.type == self.type or {message.type, self.type} <= _STATE_TYPES)
            and (not self.require or bool(getattr(message, self.require, None)))
            and (self.peer is None or _network_or_none(message.peer) == self.peer)
            and (self.path is None or self.path.matches(message.path))
            and (not self.prefixes or any(map(self._selects, _networks(message))))
        )

    def _selects(self, network: Network) -> bool:
        return any(
            network == prefix
            or (self.more_specific and covers(prefix, network))
            or (self.less_specific and covers(network, prefix))
            for prefix in self.prefixes
        )


def parse_subscription(data: Any) -> tuple[Subscription, SocketOptions | None]:
    """Check the ``data`` of a subscription.

    Raises
    ------
    InputError
        A field is unknown, of the wrong type, or cannot be parsed.

    Examples
    --------
    >>> parse_subscription({"host": "rrc21.ripe.net", "type": "UPDATE"})[0].host
    'rrc21'
    >>> parse_subscription({"prefix": "10.0.0.0/33"})
    Traceback (most recent call last):
    bgpdrift.errors.InputError: prefix: expected a network such as 192.0.2.0/24 or 2001:db8::/32, found '10.0.0.0/33'
    """
    try:
        request = msgspec.convert({} if data is None else data, SubscriptionRequest)
    except msgspec.ValidationError as error:
        raise InputError(f"subscription: {error}") from None
    if request.type and request.type not in _TYPES:
        raise InputError(f"type: expected one of {', '.join(sorted(_TYPES))}, found {request.type!r}")
    prefixes = [request.prefix] if isinstance(request.prefix, str) else request.prefix or []
    subscription = Subscription(
        host=collector_name(request.host or ""),
        type=request.type or "",
        require=request.require or "",
        peer=_network(request.peer, "peer") if request.peer else None,
        path=None if request.path in (None, "") else parse_path(str(request.path)),
        prefixes=tuple(_network(prefix, "prefix") for prefix in prefixes),
        more_specific=request.moreSpecific is not False,
        less_specific=bool(request.lessSpecific),
    )
    return subscription, request.socketOptions


def _network(text: str, field: str) -> Network:
    try:
        return parse_network(text)
    except ValueError:
        raise InputError(f"{field}: expected a network such as 192.0.2.0/24 or 2001:db8::/32, found {text!r}") from None


def _network_or_none(text: str) -> Network | None:
    try:
        return parse_network(text)
    except ValueError:  # RIS Live sends "eor" in place of a prefix
        return None


def _networks(message: Message) -> Iterator[Network]:
    announced = (prefix for group in message.announcements for prefix in group.prefixes)
    for text in (*announced, *message.withdrawals):
        network = _network_or_none(text)
        if network is not None:
            yield network
